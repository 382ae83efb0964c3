"""A reservation's GPUs as a row of stalls: its owner's own, those that guests sit in, and the rest.

Which nodes of its fabrics a reservation has is not said before it needs them, so this is a row
beside the map and not a place on it. Whole nodes are the owner's; guests are counted by GPU.
"""

from collections.abc import Iterator

from markupsafe import Markup

from parkade.console.draw import svg
from parkade.wire.reservations import Reservation

MOST_STALLS = 64
"""Beyond it a stall stands for several GPUs."""
WIDE, GAP, HIGH = 16, 3, 26


def stalls(it: Reservation) -> Markup:
    """The row of one reservation."""
    gpus = it.nodes * it.gpus_per_node
    owned = min(gpus, it.nodes_used * it.gpus_per_node)
    lent = min(gpus - owned, it.lent_gpus or 0)
    each = -(-gpus // MOST_STALLS) or 1
    count = -(-gpus // each)
    label = f"{it.reservation}: {owned} of its {gpus} GPUs in use by its owner, {lent} lent"
    size = (max(count, 24) * (WIDE + GAP), HIGH)
    return svg("stalls", size, label, _row(count, each, owned, lent))


def _row(count: int, each: int, owned: int, lent: int) -> Iterator[str]:
    yield (
        '<defs><pattern id="of-guests" width="6" height="6" patternUnits="userSpaceOnUse"'
        ' patternTransform="rotate(45)"><line class="hatch" x1="0" x2="0" y1="0" y2="6"/>'
        "</pattern></defs>"
    )
    for index in range(count):
        middle = index * each + each / 2
        kind = "own" if middle <= owned else "of-guest" if middle <= owned + lent else "free"
        x = index * (WIDE + GAP) + 1
        place = f'x="{x}" y="1" width="{WIDE}" height="{HIGH - 2}" rx="3"'
        fill = ' fill="url(#of-guests)"' if kind == "of-guest" else ""
        yield f'<rect class="stall {kind}" {place}{fill}/>'
