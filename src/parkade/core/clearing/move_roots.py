"""What a clearing moves a workload for, followed to its root: an arrival, a right, or unknown.

The market says of each winner that has other seats for whom it gave way (`MoveReason`). That one
may have been moved itself, so the reasons are followed from one to the next. A reason counts only
where it names one that comes before in the priority order: a weaker one has the seats because they
were left. Where it does not count, or names none (floors that prices no longer cover, the
fall-back), the first in the order that takes a node of it, if that comes before it, is who it made
way for.

Example (`tests/core/clearing/test_move_roots.py`). A claim of acme takes b1, on which w1 ran. w1
takes a1 of w2, and w2 takes a2, on which w3 ran and is outbid. The root of both moves is the claim:
w2 is of another org and had no choice; w1, if it is acme's own, was moved by its own org.

Decision record 113. Cost grows with the moves, and once with the winners' seats.
"""

from collections.abc import Callable
from typing import NamedTuple, assert_never

from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.market.outcome import (
    Change,
    ClearingLine,
    MovedAsCounted,
    MovedBroken,
    MovedFor,
    MovedForFloor,
    MovedForKept,
)

MOVES = frozenset({Change.MOVE, Change.HEAL})


class Root(NamedTuple):
    """Where a chain of moves begins."""

    org: str | None = None
    """Whose bid, on-demand or right it is; None: a node broke, or it is not known."""

    arrival: str | None = None
    """The bid or on-demand; None where it is a right, which owes nothing."""

    is_broken: bool = False
    """A node broke, or takes no work any more: no org caused it."""


class MoveRoots:
    """The roots of one clearing's moves."""

    def __init__(
        self,
        lines: tuple[ClearingLine, ...],
        demands: dict[str, Demand],
        org_of_reservation: Callable[[str], str],
    ) -> None:
        """`lines`: in priority order."""
        self._lines = lines
        self._line = {line.demand: line for line in lines}
        self._place = {line.demand: place for place, line in enumerate(lines)}
        self._demands = demands
        self._org_of_reservation = org_of_reservation
        self._first_takers: dict[str, str] | None = None

    def root(self, name: str) -> Root:
        """What this demand was moved for at the end."""
        seen: set[str] = set()
        while name not in seen:
            seen.add(name)
            line = self._line[name]
            match line.moved:
                case MovedBroken():
                    return Root(is_broken=True)
                case MovedForKept(reservation=reservation):
                    return Root(self._org_of_reservation(reservation))
                case MovedFor(demand=other) if self._place[other] < self._place[name]:
                    name = other
                case MovedFor() | MovedForFloor() | MovedAsCounted() | None:
                    taker = self._taker(line)
                    if taker is None:
                        return Root()
                    name = taker
                case _:
                    assert_never(line.moved)
            if self._line[name].change not in MOVES:
                return self._begins(name)
        return Root()

    def _begins(self, name: str) -> Root:
        """A demand that was not moved itself."""
        demand = self._demands[name]
        is_right = demand.tier is PriorityTier.RESERVED
        return Root(demand.org, None if is_right else name)

    def _taker(self, line: ClearingLine) -> str | None:
        """The first in the order that has a node now which this demand had to leave, if that comes
        before it."""
        if self._first_takers is None:
            self._first_takers = self._all_first_takers()
        stays = {seat.node for seat in line.seats}
        had = (seat.node for seat in self._demands[line.demand].seats)
        takers = (self._first_takers.get(node) for node in had if node not in stays)
        places = [self._place[it] for it in takers if it is not None]
        first = min(places, default=len(self._lines))
        return self._lines[first].demand if first < self._place[line.demand] else None

    def _all_first_takers(self) -> dict[str, str]:
        """By node, the first in the order that gets seats there which it did not have."""
        found: dict[str, str] = {}
        for line in self._lines:
            if line.change is Change.KEEP or line.demand not in self._demands:
                continue
            had = {seat.node for seat in self._demands[line.demand].seats}
            for seat in line.seats:
                if seat.node not in had:
                    found.setdefault(seat.node, line.demand)
        return found
