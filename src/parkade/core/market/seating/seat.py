"""The seating: where the winners of an allocation sit. No price depends on it.

Theory of operation
-------------------
The allocation counted room and named no node. A seating gives names, among the winners only, and
has one aim: to move as few running GPUs as can be. It *repairs* the seats that are held now:

1. A *try* (`trying`): runners keep their seats, the others choose free nodes, and where there
   are none, those give way whose moves count the fewest GPUs (`giving_way`).
2. A *check* of its outcome: every price covers the floors that its seats draw in order of turns;
   and, if any winner sits outside the fabrics in which it was counted, the allocation run again
   with these seats has the same winners and keeps as many nodes idle for each reservation, and
   those fit beside these seats; and its prices cover the floors too. So a second clearing of an
   unchanged market moves no demand (where several floors bind, a third). Where no search holds so,
   one that leaves the later prices out may.
3. If the check fails, one more winner must sit where it was counted, and the try is made anew: a
   round. That is the one on a floor that its price does not cover, if it sits elsewhere; else the
   weakest of the stronger ones that sit elsewhere in that fabric and push it up the stack; for the
   repeated allocation the first in order that it would seat otherwise. From the fifth round on 1,
   2, 4, … at a time, so there are at most `MAX_ROUNDS`.
4. *Searches*, each with its rounds: with those as candidates who sit outside the fabrics in which
   they were counted; with every spot runner; the same with the largest newcomers first; then a walk
   that treats one winner otherwise at each step: held fast, first to choose, or where it was
   counted. What moves the fewest GPUs is kept, and a search ends once it moves no fewer; an owner
   away from home counts as many moves. The second and third are left out above
   `MOST_WINNERS_ALL_RUNNERS` winners (the second only where the first holds), the walk above
   `MOST_WINNERS_IMPROVED`, and it has at most `MOST_SEARCHES`. Where the first two do not hold,
   owners leave that were counted elsewhere than they stand, because a right needs the room.
5. If no search holds, or none moves fewer GPUs, the *fall-back* (`fallback`): the fabrics
   of the allocation. What was counted fits there, but for one case: a winner that keeps closed
   nodes has ranks on a shared open node, and the allocation packed its org's shared nodes in
   another way than they are. If no search holds then, `seat` names it, and `clear` clears again
   without its closed nodes.

It ends: every round adds at least one winner to those that sit where they were counted, and there
are at most `MAX_ROUNDS` of them. With all of them there the seating is the allocation's own.

Invariants: a winner has a seat for each rank, on different nodes unless its ranks share nodes; only
winners that stay sit on closed nodes; a price covers the floors that its seats draw; of runners
only spot gives way; every winner that moves has a recorded reason (`MoveReason`).

Example: the winners of the example in `allocation`, then the next clearing, in which acme asks for
`own`, 1 node.

| turn | first clearing | turn | next clearing |
|---|---|---|---|
| kept block | amber-0 | od, a | keep amber-1; birch-0 and birch-1 |
| od | amber-1 | own | amber-0: acme kept it, so there is no wait |
| a | birch-0, birch-1 | kept block | amber-2, which b must leave |
| b | amber-2 | b | lost: preempted, price to win 10.000001 |

Were amber-1 to fail under a gang on amber-0 and amber-1, the gang would keep amber-0 and be healed
with amber-2; with no node left in amber it would move whole to another fabric.
`test_fallback.py`, in the tests of this package, computes this. Decision records 3 and 46 have the
reasons.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from parkade.core.market.allocation import Allocation
from parkade.core.market.entitlement import KeptBlock
from parkade.core.market.market_state import MarketState, PriorityTier
from parkade.core.market.outcome import (
    MovedAsCounted,
    MovedBroken,
    MovedFor,
    MovedForFloor,
    MovedForKept,
    MoveReason,
)
from parkade.core.market.prices.critical_values import Prices
from parkade.core.market.seating.check import culprits_of, misplaced_in
from parkade.core.market.seating.fallback import GivesUpClosed, seat_as_allocated
from parkade.core.market.seating.free_room import (
    Seats,
    Winner,
    winner_of,
)
from parkade.core.market.seating.posing import pose
from parkade.core.market.seating.standing import Problem, Rules
from parkade.core.market.seating.trying import try_seating

SINGLE_ROUNDS = 4
"""Rounds in which one winner more goes where it was counted; then twice as many each time. One such
round above `MOST_WINNERS_IMPROVED`."""

MAX_ROUNDS = 20
"""More than any market needs: 4 + log2 of 65,000 winners."""

MOST_WINNERS_ALL_RUNNERS = 1_000
"""Above this, where the seating holds so, only those who sit outside the fabrics in which they were
counted give way."""

MOST_WINNERS_IMPROVED = 300
"""Above this, no winner is treated otherwise to see what moves in its place."""

OWNERS_WEIGHT = 1_000
"""As many GPUs of spot move before one of an owner or of on-demand does, or is seated beyond its
own fabrics although these were counted to hold it."""

NO_BOUND = 1 << 60
"""More GPUs than any market has."""

MOST_SEARCHES = 8
"""Searches of one clearing in which one winner is treated otherwise."""


class Seating(NamedTuple):
    """The seats of all winners."""

    seats: dict[str, Seats]

    moved: dict[str, MoveReason]
    """Why those winners moved that had seats and have others now."""

    is_fallback: bool


class _Found(NamedTuple):
    """What one search came to."""

    seats: dict[str, Seats]

    gave_way: dict[str, str | KeptBlock] | None
    """For whom winners gave way; None for the fall-back."""

    first: dict[str, Seats]
    """The seats of its first round."""

    rules: Rules
    """Those of its first round."""

    moved_gpus: int
    """GPUs of runners that have other seats, those of owners and on-demand by their weight; and by
    the same weight those of owners that are seated away from home."""

    movers: tuple[str, ...]


def seat(state: MarketState, allocation: Allocation, prices: Prices) -> Seating | GivesUpClosed:
    """Seats of all winners, or a winner that can keep its closed nodes in no seating.

    Grows with seats, winners x fabrics, and where winners sit outside the fabrics in which they
    were counted, with one more allocation for each round.
    """
    winners = [
        winner_of(
            allocation.sized.get(demand.demand, demand),
            allocation.parts[demand.demand],
            prices.paid_micros(demand.demand),
            prices.by_node.get(demand.demand, ()),
        )
        for demand in allocation.ordered
        if demand.demand in allocation.parts
    ]
    problem = pose(state, allocation, winners)
    found = _search_all(problem)
    # A start knows its problem: the seating ends without a cycle.
    problem.starts.clear()
    if isinstance(found, GivesUpClosed):
        return found
    seats = found.seats
    return Seating(_whole(winners, seats), _reasons(problem, found), found.gave_way is None)


def _search_all(problem: Problem) -> _Found | GivesUpClosed:
    """The searches in turn; the one that moves the fewest GPUs, the earlier of two alike."""
    best = _search(problem, Rules(), NO_BOUND)
    if best is not None and not best.moved_gpus:
        return best
    fallback = _fallback(problem)
    for rules in (
        Rules(looks_ahead=False),
        Rules(all_runners=True),
        _sending_owners(problem),
    ):
        if best is None:
            best = _search(problem, rules, NO_BOUND)
    if best is None and isinstance(fallback, GivesUpClosed):
        return fallback
    if isinstance(fallback, _Found) and (best is None or fallback.moved_gpus < best.moved_gpus):
        best = fallback
    assert best is not None
    if len(problem.winners) > MOST_WINNERS_ALL_RUNNERS:
        return best
    for rules in (Rules(all_runners=True), Rules(all_runners=True, largest_first=True)):
        best = _search(problem, rules, best.moved_gpus) or best
    if len(problem.winners) > MOST_WINNERS_IMPROVED:
        return best
    return _improve(problem, best)


def _sending_owners(problem: Problem) -> Rules:
    """The rules under which owners leave that were counted elsewhere than they stand: a right of
    another needs the room (`reserved`)."""
    leaving = (it for it in problem.must_move if problem.by_name[it].price is None)
    return Rules(to_counted=frozenset(leaving), all_runners=True)


def _fallback(problem: Problem) -> _Found | GivesUpClosed:
    """The seating of the allocation's own fabrics."""
    allocation = problem.allocation
    by_name = allocation.protected.names | {bid.name for bid, _ in allocation.pinned}
    seats = seat_as_allocated(problem.winners, problem.layout, problem.kept, by_name)
    if isinstance(seats, GivesUpClosed):
        return seats
    movers = _movers(problem, seats)
    return _Found(seats, None, seats, Rules(), _gpus_of(problem, movers), tuple(movers))


def _improve(problem: Problem, best: _Found) -> _Found:
    """A walk from the best search: each step changes the rules for one winner, and is kept where
    that moves fewer GPUs. At most `MOST_SEARCHES`."""
    tried: set[Rules] = {best.rules}
    while best.moved_gpus and len(tried) < MOST_SEARCHES:
        better = None
        for rules in _neighbours(problem, best):
            if rules not in tried and len(tried) < MOST_SEARCHES:
                tried.add(rules)
                better = _search(problem, rules, best.moved_gpus)
                if better is not None:
                    break
        if better is None:
            return best
        best = better
    return best


def _neighbours(problem: Problem, found: _Found) -> Iterator[Rules]:
    """The rules with one winner more that gives way to none, that chooses first, or that sits where
    it was counted."""
    rules = found.rules._replace(all_runners=True)
    for mover in found.movers:
        yield rules._replace(held=rules.held | {mover})
    gave_way = found.gave_way or {}
    blamed = (gave_way.get(mover) for mover in found.movers)
    for name in dict.fromkeys(it for it in blamed if isinstance(it, str)):
        yield rules._replace(first=rules.first | {name})
    for name in misplaced_in(problem, found.first):
        if name not in rules.held:
            yield rules._replace(to_counted=rules.to_counted | {name})
    for name in misplaced_in(problem, found.seats):
        if name not in rules.held:
            yield rules._replace(to_counted=rules.to_counted | {name})


def _search(problem: Problem, rules: Rules, below_gpus: int) -> _Found | None:
    """Rounds until the check holds; None where none does, or one moves no fewer GPUs than that, or
    an earlier search was there already.

    Grows with rounds x (one try + one repeated allocation where a winner sits elsewhere than it
    was counted).
    """
    start = rules
    first = None
    for number in range(MAX_ROUNDS):
        if rules in problem.tried:
            return None
        problem.tried.add(rules)
        if _gpus_of(problem, rules.to_counted & problem.must_move) >= below_gpus:
            return None
        seated = try_seating(problem, rules, below_gpus)
        if seated is None:
            return None
        movers = _movers(problem, seated.seats)
        moved_gpus = _gpus_of(problem, [*movers, *seated.away])
        if moved_gpus >= below_gpus:
            return None
        first = first or seated.seats
        singles = SINGLE_ROUNDS if len(problem.winners) <= MOST_WINNERS_IMPROVED else 1
        culprits = culprits_of(problem, seated, rules, 1 << max(0, number - singles))
        if culprits is None:
            return _Found(seated.seats, seated.gave_way, first, start, moved_gpus, tuple(movers))
        if not culprits:
            return None
        assert rules.to_counted.isdisjoint(culprits), "a round that changes nothing"
        rules = rules._replace(to_counted=rules.to_counted | culprits)
    return None


def _gpus_of(problem: Problem, names: Iterable[str]) -> int:
    demands = (problem.winners[problem.place[name]].demand for name in names)
    return sum(
        it.nodes * it.gpus * (1 if it.tier is PriorityTier.SPOT else OWNERS_WEIGHT)
        for it in demands
    )


def _movers(problem: Problem, seats: dict[str, Seats]) -> list[str]:
    """Runners that have left a node of theirs that is in play, weakest first."""
    fabric_of = problem.layout.fabric_of
    found = []
    for winner in reversed(problem.winners):
        demand = winner.demand
        if not demand.seats or winner.stays:
            continue
        now = seats[demand.demand]
        if now is demand.seats:
            continue
        nodes = Counter(it.node for it in demand.seats)
        before = Counter(
            {
                it: ranks
                for it, ranks in nodes.items()
                if it in fabric_of and it not in problem.layout.closed
            }
        )
        is_divided = len({fabric_of[it] for it in before}) > 1 and not demand.any_fabric
        if not before <= Counter(it.node for it in now) and not is_divided:
            found.append(demand.demand)
    return found


def _whole(winners: list[Winner], seats: dict[str, Seats]) -> dict[str, Seats]:
    """The same seats; asserts that every winner has one for each rank."""
    for winner in winners:
        demand = winner.demand
        assert len(seats[demand.demand]) == demand.nodes, f"{demand.demand} is not seated whole"
    return seats


def _reasons(problem: Problem, found: _Found) -> dict[str, MoveReason]:
    """Why each winner with seats has others now."""
    reasons: dict[str, MoveReason] = {}
    for winner in problem.winners:
        demand = winner.demand
        now = found.seats[demand.demand]
        if not demand.seats or now is demand.seats:
            continue
        before = [it.node for it in demand.seats]
        if sorted(before) == sorted(it.node for it in now):
            continue
        if len(before) < demand.nodes or any(it not in problem.layout.fabric_of for it in before):
            reasons[demand.demand] = MovedBroken()
        elif found.gave_way is None:
            reasons[demand.demand] = MovedAsCounted()
        else:
            for_whom = found.gave_way.get(demand.demand)
            if for_whom is None and winner.price is None:
                for_whom = _taker(problem, found.seats, set(before) - {it.node for it in now})
            reasons[demand.demand] = _reason(for_whom)
    return reasons


def _taker(problem: Problem, seats: dict[str, Seats], nodes: set[str]) -> str | None:
    """The first winner that sits on these nodes now: its right made an owner leave them."""
    return next(
        (
            winner.demand.demand
            for winner in problem.winners
            if any(seat.node in nodes for seat in seats[winner.demand.demand])
        ),
        None,
    )


def _reason(for_whom: str | KeptBlock | None) -> MoveReason:
    match for_whom:
        case None:
            return MovedForFloor()
        case KeptBlock(reservation=reservation):
            return MovedForKept(reservation=reservation)
        case str():
            return MovedFor(demand=for_whom)
