"""How many ranks join live work in a clearing: only as many as free nodes that it may have.

Theory of operation
-------------------
Live work grows at once by nodes that are free (`sizes`). That a node is free does not say that the
work may have it: an owner keeps it, its floor is above the limit, or another bid takes it in the
same clearing. The work would then win the room of a weaker bid, which leaves, in each clearing
anew, as if there were no `regrow`. What it may have is known by the clearing alone, so that is
asked:

    1. clear; live work may grow by as many nodes as are free in its fabric
    2. where some grew and any other that runs lost seats, or some were given nodes that are not
       free: clear with no rank joining, to see what would stay
    3. in each fabric let join as many as before, less one for each that would have stayed and for
       each node that is not free, the first in the order of the market first; clear again, until
       none leaves for them

What may grow by none grows as with `resize: restart`, once it has run for `regrow`. Its price is
that of the last clearing: the least limit with which it still wins that size.

What is only promised to a weaker bid may be joined: nothing leaves for that, and the rank takes
over what is owed for its node.

Invariants. What joins falls from round to round, so they end; after MOST_ROUNDS none joins. Where
no live work grows, or all others keep their seats, the market is cleared once.

Example (`tests/core/kernel/test_live_joining.py`). owner keeps the free node a6, weaker bids run on
a2 to a5, and w1 on a1. w1 may grow by one, and wins so that the bid on a5 leaves. With no rank that
joins it would stay. So none joins, and nothing changes. Decision record 237.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from parkade.core.market.market_state import Demand
from parkade.core.market.outcome import Change, ClearingLine
from parkade.core.running.promises import is_free_now
from parkade.core.state.world import World
from parkade.core.workloads.workload import Attempt

MOST_ROUNDS = 3
"""Clearings with a bound before none joins."""

Bounds = Mapping[str, int]
"""By live work, how many ranks join it at most."""

Outcome = TypeVar("Outcome")

Place = tuple[str, str]
"""A market and a fabric of it."""


class Line(NamedTuple):
    """What a market says of a demand."""

    market: str
    demand: Demand
    line: ClearingLine


class Growth(NamedTuple):
    """How many nodes a clearing adds to live work, and how many of them are not free."""

    nodes: int
    busy: int


def without_harm(
    world: World,
    clears: Callable[[Bounds], Outcome],
    lines_of: Callable[[Outcome], list[Line]],
    now_us: int,
) -> Outcome:
    """The clearing in which ranks join for which none other leaves; see the module. Cost: one
    clearing, or at most 2 + MOST_ROUNDS."""
    found = clears({})
    lines = lines_of(found)
    if not _is_in_doubt(world, lines, now_us):
        return found
    none = dict.fromkeys(_growing(world), 0)
    unchanged = clears(none)
    stays = _kept(world, lines_of(unchanged))
    for _ in range(MOST_ROUNDS):
        joins = _bounds(world, lines, stays, now_us)
        if joins is None:
            return found
        if not any(joins.values()):
            return unchanged
        found = clears({**none, **joins})
        lines = lines_of(found)
    return found if _bounds(world, lines, stays, now_us) is None else unchanged


def _growing(world: World) -> Iterator[str]:
    """The work that ranks may join."""
    for name in world.live:
        if (attempt := _attempt(world, name)) is not None:
            assert attempt.stop is None
            yield name


def _attempt(world: World, name: str) -> Attempt | None:
    """That of live work which ranks may join now."""
    workload = world.records.workloads.get(name)
    if workload is None or not workload.changes_live or workload.promise is not None:
        return None
    return workload.attempt


def _growth(world: World, it: Line, now_us: int) -> Growth | None:
    """What is added to it; None: nothing, or it is not live."""
    attempt = _attempt(world, it.line.demand)
    if attempt is None or len(it.line.seats) <= len(it.demand.seats):
        return None
    workload = world.records.workloads[it.line.demand]
    new = attempt.new_of(it.line.seats)
    busy = sum(not is_free_now(world, workload, seat, now_us) for seat in new)
    return Growth(nodes=len(it.line.seats) - len(it.demand.seats), busy=busy)


def _is_in_doubt(world: World, lines: list[Line], now_us: int) -> bool:
    """Whether live work grew, and that may have cost others their seats."""
    grown = {it.line.demand: found for it in lines if (found := _growth(world, it, now_us))}
    if not grown:
        return False
    is_lost = any(
        it.demand.seats
        and it.line.change is not Change.KEEP
        and it.line.demand not in grown
        and _runs(world, it.line.demand)
        for it in lines
    )
    return is_lost or any(it.busy for it in grown.values())


def _kept(world: World, lines: list[Line]) -> set[str]:
    """What runs and keeps its seats."""
    return {
        it.line.demand
        for it in lines
        if it.line.change is Change.KEEP and _runs(world, it.line.demand)
    }


def _runs(world: World, demand: str) -> bool:
    """Whether it is there, so that it would have to leave: it has no promise alone."""
    workload = world.records.workloads.get(demand)
    if workload is None:
        return True
    return workload.attempt is not None and workload.attempt.stop is None


def _bounds(world: World, lines: list[Line], stays: set[str], now_us: int) -> Bounds | None:
    """How many may join in the next round; None: nothing that `stays` without them leaves."""
    grown = [(it, found) for it in lines if (found := _growth(world, it, now_us))]
    names = {it.line.demand for it, _ in grown}
    lost, busy = Counter[Place](), Counter[Place]()
    for it in lines:
        if it.line.demand in stays - names and it.line.change is not Change.KEEP:
            lost.update(_places(world, it))
    for it, found in grown:
        busy[_place(world, it)] += found.busy
    if not lost.total() and not busy.total():
        return None
    here = {_place(world, it) for it, _ in grown}
    elsewhere = sum(count for place, count in lost.items() if place not in here)
    less = {place: max(lost[place], busy[place]) + elsewhere for place in here}
    joins: dict[str, int] = {}
    left = Counter[Place]()
    for it, found in grown:
        left[_place(world, it)] += found.nodes
    left = Counter({place: max(0, nodes - less[place]) for place, nodes in left.items()})
    for it, found in grown:
        place = _place(world, it)
        joins[it.line.demand] = min(found.nodes, left[place])
        left[place] -= joins[it.line.demand]
    return joins


def _place(world: World, it: Line) -> Place:
    return it.market, world.records.nodes[it.demand.seats[0].node].fabric


def _places(world: World, it: Line) -> set[Place]:
    return {(it.market, world.records.nodes[seat.node].fabric) for seat in it.demand.seats}
