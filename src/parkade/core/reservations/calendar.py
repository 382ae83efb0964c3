"""The calendar of capacity: what is sold of each fabric over time, and where more would fit.

At every moment of a window, what is sold of a fabric (reservations and on-demand) plus the buffer
is at most its nodes. A shape is kept in as few fabrics as possible: the tightest one that holds
it all, else the emptiest first.
"""

from collections.abc import Iterable, Mapping

import msgspec

from parkade.core.units.time import Window


class Sold(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Nodes of a fabric that are sold over a window."""

    fabric: str
    nodes: int
    window: Window


def peak_nodes(sold: Iterable[Sold], fabric: str, window: Window) -> int:
    """The most nodes of a fabric that are sold at one moment of a window.

    Cost: k log k for k entries that overlap it.
    """
    changes: list[tuple[int, int]] = []
    for entry in sold:
        if entry.fabric != fabric or not entry.window.overlaps(window):
            continue
        changes.append((max(entry.window.start_us, window.start_us), entry.nodes))
        if entry.window.end_us is not None:
            changes.append((entry.window.end_us, -entry.nodes))
    peak = level = 0
    for _, change in sorted(changes):
        level += change
        peak = max(peak, level)
        assert level >= 0, "more nodes came back than were sold"
    return peak


def room(
    sold: Iterable[Sold],
    capacity: Mapping[str, int],
    *,
    buffers: Mapping[str, int],
    window: Window,
) -> dict[str, int]:
    """Nodes of each fabric that can still be sold over a whole window; `capacity` and `buffers` by
    fabric."""
    assert all(nodes >= 0 for nodes in buffers.values())
    entries = tuple(sold)
    return {
        fabric: max(0, nodes - buffers[fabric] - peak_nodes(entries, fabric, window))
        for fabric, nodes in capacity.items()
    }


def shape_for(free: Mapping[str, int], nodes: int) -> tuple[tuple[str, int], ...] | None:
    """(fabric, nodes) ascending by fabric for a new reservation; None where it does not fit."""
    assert nodes > 0
    whole = [(left, fabric) for fabric, left in free.items() if left >= nodes]
    if whole:
        return ((min(whole)[1], nodes),)
    shape: list[tuple[str, int]] = []
    missing = nodes
    for left, fabric in sorted(((left, fabric) for fabric, left in free.items()), reverse=True):
        taken = min(left, missing)
        if taken > 0:
            shape.append((fabric, taken))
            missing -= taken
    return tuple(sorted(shape)) if missing == 0 else None
