"""What must hold where elastic work gets fewer or more of the nodes that it has, from events alone.

A shrink keeps the first ranks where they are, a growth keeps all; a growth comes once the work has
run for `regrow`, and only by nodes that outweigh the restart (decision record 89).
"""

from parkade.core.fleet.market import MarketTerms
from parkade.core.fleet.seat import Seat
from parkade.sim.findings import require

NUMBER = 26
"""Of this invariant in docs/simulation.md."""


def check_resize(
    name: str,
    before: tuple[Seat, ...],
    after: tuple[Seat, ...],
    *,
    terms: MarketTerms,
    started_us: int | None,
    at_us: int,
) -> None:
    """Breach where these seats must not follow those. `started_us`: of the attempt that grows; None
    where it has none that runs."""
    same = min(len(before), len(after))
    require(before[:same] == after[:same], NUMBER, f"{name} had {before} and is resized to {after}")
    more = len(after) - len(before)
    if more <= 0:
        return
    regrow_us = terms.regrow_us
    has_run = started_us is not None and regrow_us is not None and at_us - started_us >= regrow_us
    require(has_run, NUMBER, f"{name} grows before it has run for the time between two growths")
    assert regrow_us is not None
    outweighs = more * regrow_us > len(before) * terms.start_grace_us
    require(outweighs, NUMBER, f"{name} grows by {more} nodes, which does not outweigh its restart")
