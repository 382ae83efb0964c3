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
    3. find by halving, in each fabric, with how many ranks that join none of those leaves that
       would stay, and no given node is busy; the first in the order of the market join first

What leaves says where to look: as many fewer must join as its GPUs fill nodes, but for the largest
of what leaves, of which a single node may decide. So mostly one clearing more tells.

What may grow by none grows as with `resize: restart`, once it has run for `regrow`. Its price is
that of the last clearing: the least limit with which it still wins that size. So a higher limit
never has fewer ranks join: what stays has room beside as many, whichever draws the lower floors.

What is only promised to a weaker bid may be joined: nothing leaves for that, and the rank takes
over what is owed for its node.

Invariants. From clearing to clearing more are known to do no harm, or fewer are in question; after
MOST_ROUNDS the most that did none join. Where no live work grows, or all others keep their seats,
the market is cleared once.

Example (`tests/core/kernel/test_live_joining.py`). A gang with a limit of 3 runs on a1 to a3, w1
with a limit of 9 on a4. a5 is free at the public floor of 1, a6 to a13 at a floor of 5. All nine
cannot join: w1 would draw the low floors, and the gang is left with a floor of 5. Nor can 8, or 4,
or 2; one can. Decision records 237 and 258.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from parkade.core.market.market_state import Demand
from parkade.core.market.outcome import Change, ClearingLine
from parkade.core.running.promises import is_free_now
from parkade.core.state.world import World
from parkade.core.workloads.workload import Attempt

MOST_ROUNDS = 14
"""Clearings with a bound: halving finds one of eight thousand with these."""

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


class Range(NamedTuple):
    """How many ranks may join in a fabric: `least` do no harm, more than `most` do."""

    least: int
    most: int


Ranges = dict[Place, Range]


def without_harm(
    world: World,
    clears: Callable[[Bounds], Outcome],
    lines_of: Callable[[Outcome], list[Line]],
    now_us: int,
) -> Outcome:
    """The clearing in which ranks join for which none other leaves; see the module. Cost: one
    clearing, or at most 3 + MOST_ROUNDS; mostly three."""
    found = clears({})
    lines = lines_of(found)
    if not _is_in_doubt(world, lines, now_us):
        return found
    none = dict.fromkeys(_growing(world), 0)
    unchanged = clears(none)
    stays = _kept(world, lines_of(unchanged))
    wishes = [(it, grown) for it in lines if (grown := _growth(world, it, now_us))]
    tried = Counter[Place]()
    for it, grown in wishes:
        tried[_place(world, it)] += grown.nodes
    best, joined = unchanged, Counter[Place]()
    ranges: Ranges = {place: Range(0, nodes) for place, nodes in tried.items()}
    for number in range(MOST_ROUNDS + 1):
        harm = _harm(world, lines, stays, ranges, now_us)
        if not harm.total():
            best, joined = found, tried
        ranges = {place: _narrowed(it, tried[place], harm[place]) for place, it in ranges.items()}
        if all(it.least == it.most for it in ranges.values()):
            break
        tried = Counter({place: _tried(it, number) for place, it in ranges.items()})
        found = clears({**none, **_shared_out(world, wishes, tried)})
        lines = lines_of(found)
    least = Counter({place: it.least for place, it in ranges.items()})
    if least == joined:
        return best
    found = clears({**none, **_shared_out(world, wishes, least)})
    return best if _harm(world, lines_of(found), stays, ranges, now_us).total() else found


def _narrowed(known: Range, tried: int, harm: int) -> Range:
    """What is known after a clearing with so many, of which at least `harm` are too many."""
    if not harm:
        return Range(max(known.least, tried), max(known.most, tried))
    most = min(known.most, max(0, tried - harm))
    return Range(min(known.least, most), most)


def _tried(known: Range, number: int) -> int:
    """How many join in the next clearing: first what the last one leaves, then half of that."""
    return known.most if number == 0 else (known.least + known.most + 1) // 2


def _shared_out(world: World, wishes: list[tuple[Line, Growth]], joins: Counter[Place]) -> Bounds:
    """By live work, how many ranks join it of those that join in its fabric."""
    left, found = joins.copy(), dict[str, int]()
    for it, growth in wishes:
        place = _place(world, it)
        found[it.line.demand] = min(growth.nodes, left[place])
        left[place] -= found[it.line.demand]
    return found


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


def _harm(
    world: World, lines: list[Line], stays: set[str], here: Ranges, now_us: int
) -> Counter[Place]:
    """By fabric where live work grows, how many ranks at least are too many; none: nothing that
    would stay without them leaves, and each node that is given is free."""
    grown = [(it, found) for it in lines if (found := _growth(world, it, now_us))]
    names = {it.line.demand for it, _ in grown}
    busy = Counter[Place]()
    for it, found in grown:
        busy[_place(world, it)] += found.busy
    lost: dict[Place, list[int]] = {}
    for it in lines:
        if it.line.demand in stays - names and it.line.change is not Change.KEEP:
            for place, count in _lost_gpus(world, it).items():
                lost.setdefault(place, []).append(count)
    is_elsewhere = any(place not in here for place in lost)
    harm = Counter[Place]()
    for place in here:
        gpus = lost.get(place, [])
        if gpus:
            busy[place] = max(busy[place], (sum(gpus) - max(gpus)) // _node_gpus(world, place) + 1)
        harm[place] = max(busy[place], int(is_elsewhere))
    return harm


def _lost_gpus(world: World, it: Line) -> Counter[Place]:
    """By fabric where it has seats, how many GPUs less it is given there."""
    found = Counter[Place]()
    nodes = world.records.nodes
    for seat in it.demand.seats:
        found[it.market, nodes[seat.node].fabric] += seat.gpus
    for seat in it.line.seats:
        place = (it.market, nodes[seat.node].fabric)
        if place in found:
            found[place] -= seat.gpus
    return Counter({place: max(0, gpus) for place, gpus in found.items()})


def _node_gpus(world: World, place: Place) -> int:
    return world.records.markets[place[0]].instance_type.gpus_per_node


def _place(world: World, it: Line) -> Place:
    return it.market, world.records.nodes[it.demand.seats[0].node].fabric
