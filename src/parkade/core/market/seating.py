"""The seating: where the winners of an allocation sit. No price depends on it.

Theory of operation
-------------------
The allocation counted room and named no node. A seating gives names, among the winners only, and
has one aim: to move as few running GPUs as can be. It *repairs* the seats that are held now:

1. A *try* (`seating_try`): runners keep their seats, the others choose free nodes, and where there are
   none, those give way whose moves count the fewest GPUs (`giving_way`).
2. A *check* of its outcome: every price covers the floors that its seats draw in priority order; and,
   if any winner sits outside the fabrics in which it was counted, the allocation run again with these
   seats has the same winners and keeps as many nodes idle for each reservation, and those fit beside
   these seats. So a second clearing of an unchanged market moves no demand (where several floors bind,
   a third).
3. If the check fails, one more winner must sit where it was counted, and the try is made anew: a round.
   That is the one on a floor that its price does not cover, if it sits elsewhere; else the weakest of
   the stronger ones that sit elsewhere in that fabric and push it up the stack; for the repeated
   allocation the first in order that it would seat otherwise. From the fifth round on 1, 2, 4, … at a
   time, so there are at most `MAX_ROUNDS`.
4. Four *searches*, each with its rounds: with those as candidates who sit outside the fabrics in which
   they were counted; with every spot runner; the same with the largest newcomers first; and with each of
   the movers found held fast in turn. What moves the fewest GPUs is kept. The second and third are left
   out above `MOST_WINNERS_ALL_RUNNERS` winners, the fourth above `MOST_WINNERS_IMPROVED`, and it holds at
   most `MOST_HELD`.
5. If no search holds, the *fall-back* (`fallback_seating`): the fabrics of the allocation.

It ends: every round adds at least one winner to those that sit where they were counted, and with all of
them there the seating is the allocation's own, which holds.

Invariants: a winner has a seat for each rank, on different nodes; only pinned demands sit on closed
nodes; a price covers the floors that its seats draw; only spot winners give way; every winner that moves
has a recorded reason (`Moved`).

Example: the winners of the example in `allocation`, then the next clearing, in which acme asks for
`own`, 1 node.

| turn | first clearing | turn | next clearing |
|---|---|---|---|
| kept block | amber-0 | od, a | keep amber-1; birch-0 and birch-1 |
| od | amber-1 | own | amber-0: acme kept it, so there is no wait |
| a | birch-0, birch-1 | kept block | amber-2, which b must leave |
| b | amber-2 | b | lost: preempted, price to win 10.000001 |

Were amber-1 to fail under a gang on amber-0 and amber-1, the gang would keep amber-0 and be healed
with amber-2; with no node left in amber it would move whole to another fabric. `test_seating.py`
computes this. Decision records 3 and 46 have the reasons.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from parkade.core.market.allocation import Allocation, allocate
from parkade.core.market.critical_values import Prices
from parkade.core.market.entitlement import KeptBlock, KeptRoom
from parkade.core.market.fallback_seating import seat_as_allocated
from parkade.core.market.free_room import Seats, Winner, empty_open_nodes, fabrics_counted
from parkade.core.market.layout import Layout, shape_of
from parkade.core.market.market_state import MarketState
from parkade.core.market.outcome import (
    MovedAsCounted,
    MovedBroken,
    MovedFor,
    MovedForFloor,
    MovedForKept,
    MoveReason,
)
from parkade.core.market.seating_try import Problem, Rules, Seated, find_block, try_seating
from parkade.core.market.supply import highest_floor
from parkade.core.placement.room import Shape

SINGLE_ROUNDS = 4
"""Rounds in which one winner more goes where it was counted; then twice as many each time."""

MAX_ROUNDS = 20
"""More than any market needs: 4 + log2 of 65,000 winners."""

MOST_WINNERS_ALL_RUNNERS = 3_000
"""Above this, only those who sit outside the fabrics in which they were counted give way."""

MOST_WINNERS_IMPROVED = 300
"""Above this, no winner is treated otherwise to see what moves in its place."""

MOST_SEARCHES = 24
"""Searches of one clearing in which one winner is treated otherwise."""


class Seating(NamedTuple):
    """The seats of all winners."""

    seats: dict[str, Seats]

    moved: dict[str, MoveReason]
    """Why those winners moved that had seats and have others now."""

    is_fallback: bool


class _Found(NamedTuple):
    """What one search came to."""

    seated: Seated

    first: Seated
    """What its first round came to."""

    rules: Rules
    """Those of its first round."""

    moved_gpus: int
    """GPUs of runners that have other seats."""

    movers: tuple[str, ...]


def seat(state: MarketState, allocation: Allocation, prices: Prices) -> Seating:
    """Seats of all winners.

    Grows with seats, winners x fabrics, and where winners sit outside the fabrics in which they were
    counted, with one more allocation for each round.
    """
    winners = [
        Winner(demand, allocation.parts[demand.demand], prices.paid_micros(demand.demand))
        for demand in allocation.ordered
        if demand.demand in allocation.parts
    ]
    problem = Problem(
        state,
        allocation,
        winners,
        allocation.layout,
        allocation.reserved.kept_room(),
        allocation.supply.floors,
        highest_floor(state),
    )
    found = _search_all(problem)
    if found is None:
        seats = seat_as_allocated(winners, problem.layout, allocation.pinned_nodes, problem.kept)
        return Seating(_whole(winners, seats), _reasons(problem, seats, None), True)
    seats = found.seated.seats
    return Seating(_whole(winners, seats), _reasons(problem, seats, found), False)


def _search_all(problem: Problem) -> _Found | None:
    """The searches in turn; the one that moves the fewest GPUs, the earlier of two alike."""
    best = _search(problem, Rules())
    if best is not None and not best.moved_gpus:
        return best
    if len(problem.winners) > MOST_WINNERS_ALL_RUNNERS:
        return best
    for rules in (Rules(all_runners=True), Rules(all_runners=True, largest_first=True)):
        best = _less(best, _search(problem, rules))
        if best is not None and not best.moved_gpus:
            return best
    if best is None or not best.moved_gpus or len(problem.winners) > MOST_WINNERS_IMPROVED:
        return best
    return _improve(problem, best)


def _improve(problem: Problem, best: _Found) -> _Found:
    """A walk from the best search: each step changes the rules for one winner, and is kept where that
    moves fewer GPUs. At most `MOST_SEARCHES`."""
    tried: set[Rules] = {best.rules}
    while best.moved_gpus and len(tried) < MOST_SEARCHES:
        better = None
        for rules in _neighbours(problem, best):
            if rules not in tried and len(tried) < MOST_SEARCHES:
                tried.add(rules)
                found = _search(problem, rules)
                if found is not None and found.moved_gpus < best.moved_gpus:
                    better = found
                    break
        if better is None:
            return best
        best = better
    return best


def _neighbours(problem: Problem, found: _Found) -> Iterator[Rules]:
    """The rules with one winner more that gives way to none, that chooses first, or that sits where it
    was counted."""
    rules = found.rules._replace(all_runners=True)
    for mover in found.movers:
        yield rules._replace(held=rules.held | {mover})
    blamed = (found.seated.gave_way.get(mover) for mover in found.movers)
    for name in dict.fromkeys(it for it in blamed if isinstance(it, str)):
        yield rules._replace(first=rules.first | {name})
    for name in _misplaced(problem, found.first):
        if name not in rules.held:
            yield rules._replace(to_counted=rules.to_counted | {name})
    for name in _misplaced(problem, found.seated):
        if name not in rules.held:
            yield rules._replace(to_counted=rules.to_counted | {name})


def _misplaced(problem: Problem, seated: Seated) -> list[str]:
    """Who sits outside the fabrics in which the allocation counted it, in priority order."""
    return [
        it.demand.demand
        for it in problem.winners
        if _fabrics_of(seated.seats[it.demand.demand], problem.layout) != fabrics_counted(it)
    ]


def _less(one: _Found | None, other: _Found | None) -> _Found | None:
    if one is None or other is None:
        return one or other
    return other if other.moved_gpus < one.moved_gpus else one


def _search(problem: Problem, rules: Rules) -> _Found | None:
    """Rounds until the check holds; None where none does."""
    start = rules
    first = None
    for number in range(MAX_ROUNDS):
        seated = try_seating(problem, rules)
        if seated is None:
            return None
        first = first or seated
        culprits = _culprits(problem, seated, rules, 1 << max(0, number - SINGLE_ROUNDS))
        if culprits is None:
            movers = tuple(_movers(problem, seated.seats))
            shapes = (it.demand for it in problem.winners if it.demand.demand in set(movers))
            moved_gpus = sum(it.nodes * it.gpus for it in shapes)
            return _Found(seated, first, start, moved_gpus, movers)
        if not culprits:
            return None
        assert rules.to_counted.isdisjoint(culprits), "a round that changes nothing"
        rules = rules._replace(to_counted=rules.to_counted | culprits)
    return None


def _movers(problem: Problem, seats: dict[str, Seats]) -> list[str]:
    """Runners with all their nodes in play that have other nodes now, weakest first."""
    fabric_of = problem.layout.fabric_of
    found = []
    for winner in reversed(problem.winners):
        demand = winner.demand
        if not demand.seats or demand.is_pinned:
            continue
        now = seats[demand.demand]
        if now is demand.seats or len(demand.seats) != demand.nodes:
            continue
        before = {it.node for it in demand.seats}
        if before != {it.node for it in now} and all(it in fabric_of for it in before):
            found.append(demand.demand)
    return found


def _culprits(problem: Problem, seated: Seated, rules: Rules, most: int) -> frozenset[str] | None:
    """Who must sit where it was counted, at most so many; None where the seating holds, and empty
    where none is left that could go."""
    misplaced = _misplaced(problem, seated)
    movable = [it for it in misplaced if it not in rules.to_counted and it not in rules.held]
    uncovered = _uncovered(problem, seated.seats)
    if uncovered:
        return frozenset(_pushers(problem, seated, uncovered[0], movable)[:most])
    if not misplaced:
        return None
    state, allocation = problem.state, problem.allocation
    demands = tuple(
        msgspec.structs.replace(it, seats=seated.seats.get(it.demand, ())) for it in state.demands
    )
    again = allocate(msgspec.structs.replace(state, demands=demands))
    kept = again.reserved.kept_room()
    if (
        again.parts.keys() == allocation.parts.keys()
        and kept.totals() == problem.kept.totals()
        and leaves_room(problem, seated.seats, kept)
    ):
        return None
    differing = [
        it
        for it in movable
        if {part.fabric: len(part.levels) for part in again.parts.get(it, ())}
        != _fabrics_of(seated.seats[it], problem.layout)
    ]
    return frozenset((differing or movable)[:most])


def _pushers(problem: Problem, seated: Seated, name: str, movable: list[str]) -> list[str]:
    """Who must leave so that the price of this winner covers its floor: it, if it sits elsewhere than
    counted, else those that push it up the stack of its fabric, the weakest first."""
    if name in movable:
        return [name]
    here = set(_fabrics_of(seated.seats[name], problem.layout))
    stronger = []
    for winner in problem.winners:
        if winner.demand.demand == name:
            break
        if winner.price is not None:
            stronger.append(winner.demand.demand)
    allowed = set(movable)
    return [
        it
        for it in reversed(stronger)
        if it in allowed and not here.isdisjoint(_fabrics_of(seated.seats[it], problem.layout))
    ]


def _uncovered(problem: Problem, seats: dict[str, Seats]) -> list[str]:
    """Winners whose price does not cover the floors that they draw here, in priority order."""
    floors = problem.floors()
    if floors.is_one:
        return []
    fabric_of = problem.layout.fabric_of
    found = []
    for winner in problem.winners:
        if winner.price is None:
            continue
        highest = 0
        for seat in seats[winner.demand.demand]:
            fabric = fabric_of.get(seat.node)
            if fabric is not None:
                highest = max(highest, floors.draw(fabric, (seat.node,)))
        if highest > winner.price and not winner.demand.is_pinned:
            found.append(winner.demand.demand)
    return found


def _fabrics_of(seats: Seats, layout: Layout) -> dict[int, int]:
    found: dict[int, int] = {}
    for seat in seats:
        fabric = layout.fabric_of.get(seat.node)
        if fabric is not None:
            found[fabric] = found.get(fabric, 0) + 1
    return found


def leaves_room(problem: Problem, seats: dict[str, Seats], kept: KeptRoom) -> bool:
    """Whether the kept nodes fit beside these seats, with no demand moved."""
    layout = problem.layout
    nodes = empty_open_nodes(layout)
    for winner in problem.winners:
        shape = shape_of(winner.demand, layout)
        for seat in seats[winner.demand.demand]:
            if seat.node in layout.fabric_of and seat.node not in layout.closed:
                nodes.seat(seat.node, shape)
    for block in kept.blocks:
        found = find_block(block, layout, nodes)
        if found is None:
            return False
        for node in found:
            nodes.seat(node, Shape(block.nodes, layout.node_gpus, None, any_fabric=False))
    return True


def _whole(winners: list[Winner], seats: dict[str, Seats]) -> dict[str, Seats]:
    """The same seats; asserts that every winner has one for each rank."""
    for winner in winners:
        demand = winner.demand
        is_whole = demand.is_pinned or len(seats[demand.demand]) == demand.nodes
        assert is_whole, f"{demand.demand} is not seated whole"
    return seats


def _reasons(
    problem: Problem, seats: dict[str, Seats], found: _Found | None
) -> dict[str, MoveReason]:
    """Why each winner with seats has others now."""
    reasons: dict[str, MoveReason] = {}
    for winner in problem.winners:
        demand = winner.demand
        before = {it.node for it in demand.seats}
        if not before or before == {it.node for it in seats[demand.demand]}:
            continue
        if len(before) < demand.nodes or any(it not in problem.layout.fabric_of for it in before):
            reasons[demand.demand] = MovedBroken()
        elif found is None:
            reasons[demand.demand] = MovedAsCounted()
        else:
            reasons[demand.demand] = _reason(demand.demand, found)
    return reasons


def _reason(name: str, found: _Found) -> MoveReason:
    match found.seated.gave_way.get(name):
        case None:
            return MovedForFloor()
        case KeptBlock(reservation=reservation):
            return MovedForKept(reservation=reservation)
        case str() as other:
            return MovedFor(demand=other)
