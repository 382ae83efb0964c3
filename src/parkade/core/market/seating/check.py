"""Whether a seating holds: floors are covered, and a second clearing would change no seat.

Where it does not, it names those who must sit where the allocation counted them (`seat`). The
prices of the second clearing are looked at too, in all searches but one: where none holds so, the
second clearing moves what it has to.
"""

from msgspec.structs import replace

from parkade.core.market.allocation import Allocation, allocate
from parkade.core.market.entitlement import KeptRoom
from parkade.core.market.layout import Layout, floors_drawn
from parkade.core.market.prices.critical_values import price_all
from parkade.core.market.seating.free_room import (
    Seats,
    Winner,
    find_block,
    with_seats,
)
from parkade.core.market.seating.posing import by_turn
from parkade.core.market.seating.standing import Problem, Rules
from parkade.core.market.seating.trying import Seated
from parkade.core.market.supply import DrawnFloors
from parkade.core.placement.room import Shape


def culprits_of(problem: Problem, seated: Seated, rules: Rules, most: int) -> frozenset[str] | None:
    """Winners that must sit where they were counted, at most so many; None where the seating holds,
    and empty where none is left that could go."""
    misplaced = misplaced_in(problem, seated.seats)
    staying = {it.demand.demand for it in problem.winners if it.stays}
    assert staying.isdisjoint(misplaced), "a winner stays elsewhere than it was counted"
    movable = [it for it in misplaced if it not in rules.to_counted and it not in rules.held]
    uncovered = _uncovered(problem, seated.seats)
    if uncovered:
        return frozenset(_pushers(problem, seated, uncovered[0], movable)[:most])
    if not misplaced:
        return None
    allocation = problem.allocation
    again = _repeated(problem, seated.seats)
    kept = again.reserved.kept_room()
    if (
        again.parts.keys() == allocation.parts.keys()
        and kept.totals() == problem.kept.totals()
        and leaves_room(problem, seated.seats, kept)
    ):
        later = rules.looks_ahead and _uncovered_later(problem, seated.seats, again)
        if not later:
            return None
        pushers = frozenset(_pushers(problem, seated, later[0], movable)[:most])
        is_at_rest = not pushers and rules.held.isdisjoint(misplaced)
        return None if is_at_rest else pushers
    differing = [
        it
        for it in movable
        if {part.fabric: len(part.levels) for part in again.parts.get(it, ()) if part.levels}
        != _fabrics_of(seated.seats[it], problem.layout)
    ]
    # Owners and on-demand stay as long as there are others that can go.
    spot = {it.demand.demand for it in problem.winners if it.price is not None}
    weak = [[it for it in names if it in spot] for names in (differing, movable)]
    return frozenset(next((it for it in (*weak, differing) if it), movable)[:most])


def _repeated(problem: Problem, seats: dict[str, Seats]) -> Allocation:
    """The allocation of the same demands, had they these seats: it costs as much as the first."""
    key = tuple(seats.values())
    again = problem.repeats.get(key)
    if again is None:
        again = problem.repeats[key] = allocate(with_seats(problem.state, seats), problem.layout)
    return again


def _pushers(problem: Problem, seated: Seated, name: str, movable: list[str]) -> list[str]:
    """The winners that must leave so that the price of this winner covers its floor: it, if it sits
    elsewhere than counted, else those that push it up the stack of its fabric, the last in turn
    first."""
    if name in movable:
        return [name]
    here = set(_fabrics_of(seated.seats[name], problem.layout))
    earlier = []
    for winner in problem.in_turn:
        if winner.demand.demand == name:
            break
        if winner.price is not None:
            earlier.append(winner.demand.demand)
    allowed = set(movable)
    return [
        it
        for it in reversed(earlier)
        if it in allowed and not here.isdisjoint(_fabrics_of(seated.seats[it], problem.layout))
    ]


def _uncovered(problem: Problem, seats: dict[str, Seats]) -> list[str]:
    """Winners whose price does not cover the floors that they draw here, in order of turns."""
    drawn = _drawn(problem.in_turn, seats, problem.floors(), problem.layout)
    return [
        it.demand.demand
        for it in problem.in_turn
        if it.demand.demand in drawn and not it.covers(drawn[it.demand.demand])
    ]


def _uncovered_later(problem: Problem, seats: dict[str, Seats], again: Allocation) -> list[str]:
    """As `_uncovered`, at the prices of the next clearing, in which what ran and lost has no
    switching credit any more, and what won and did not run has it.

    Costs a pricing of the repeated allocation where a winner draws more there than is counted for
    it, which its price may not cover.
    """
    floors = DrawnFloors(again.supply.floors, problem.floor_beyond)
    winners = [problem.by_name[it.demand] for it in again.ordered if it.demand in again.parts]
    ordered = by_turn(again, winners)
    drawn = _drawn(ordered, seats, floors, problem.layout)
    doubtful = [
        it for it in ordered if _draws_more(drawn.get(it.demand.demand, []), it, problem, again)
    ]
    if not doubtful:
        return []
    prices = price_all(with_seats(problem.state, seats), again)
    found = []
    for winner in doubtful:
        name = winner.demand.demand
        by_node = tuple(micros for micros, _ in prices.by_node.get(name, ()))
        later = replace(winner, price=prices.paid_micros(name), by_node=by_node)
        if not later.covers(drawn[name]):
            found.append(name)
    return found


def _draws_more(drawn: list[int], winner: Winner, problem: Problem, again: Allocation) -> bool:
    """Whether it draws a higher floor than the repeated allocation counts for it."""
    name = winner.demand.demand
    counted = floors_drawn(problem.shapes[name], again.parts[name])
    is_same_size = len(counted) == len(drawn)
    pairs = zip(sorted(drawn), sorted(counted), strict=False)
    return is_same_size and any(floor > level for floor, level in pairs)


def _drawn(
    winners: list[Winner], seats: dict[str, Seats], floors: DrawnFloors, layout: Layout
) -> dict[str, list[int]]:
    """The floors that each spot winner draws on these seats, in its turn; none where one floor
    holds everywhere, which all prices cover.

    Of the nodes that a winner opens, one that it shares with the lowest price draws the lowest
    floor: the allocation named none of them, and gives the lowest gap first.
    """
    if floors.is_one:
        return {}
    fabric_of, closed = layout.fabric_of, layout.closed
    least = _least_prices(winners, seats, layout)
    found = {}
    for winner in winners:
        if winner.price is None:
            continue
        demand = winner.demand
        mine = seats[demand.demand]
        if demand.gpus < layout.node_gpus and len(mine) > 1:
            mine = tuple(sorted(mine, key=lambda it: least[it.node]))
        found[demand.demand] = [
            demand.floor_micros
            if seat.node in closed
            else floors.draw(fabric_of[seat.node], seat.node)
            for seat in mine
        ]
    return found


def _least_prices(winners: list[Winner], seats: dict[str, Seats], layout: Layout) -> dict[str, int]:
    """The lowest price on each shared node."""
    found: dict[str, int] = {}
    for winner in winners:
        if winner.price is not None and winner.demand.gpus < layout.node_gpus:
            for seat in seats[winner.demand.demand]:
                found[seat.node] = min(found.get(seat.node, winner.price), winner.price)
    return found


def misplaced_in(problem: Problem, seats: dict[str, Seats]) -> list[str]:
    """Winners outside the fabrics in which the allocation counted them, in priority order."""
    return [
        it.demand.demand
        for it in problem.winners
        if _fabrics_of(seats[it.demand.demand], problem.layout) != problem.counted[it.demand.demand]
    ]


def _fabrics_of(seats: Seats, layout: Layout) -> dict[int, int]:
    found: dict[int, int] = {}
    for seat in seats:
        if seat.node not in layout.closed:
            fabric = layout.fabric_of[seat.node]
            found[fabric] = found.get(fabric, 0) + 1
    return found


def leaves_room(problem: Problem, seats: dict[str, Seats], kept: KeptRoom) -> bool:
    """Whether the kept nodes fit beside these seats, with no demand moved."""
    layout = problem.layout
    nodes = problem.empty.copy()
    for winner in problem.winners:
        shape = problem.shapes[winner.demand.demand]
        for seat in seats[winner.demand.demand]:
            if seat.node not in layout.closed:
                nodes.seat(seat.node, shape)
    for block in kept.blocks:
        found = find_block(block, layout, nodes)
        if found is None:
            return False
        for node in found:
            nodes.seat(node, Shape(block.nodes, layout.node_gpus, None, any_fabric=False))
    return True
