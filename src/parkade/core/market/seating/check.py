"""Whether a seating holds: floors are covered, and a second clearing would change no seat.

Where it does not, it names those who must sit where the allocation counted them (`seat`).
"""

from msgspec import structs

from parkade.core.market.allocation import Allocation, allocate
from parkade.core.market.entitlement import KeptRoom
from parkade.core.market.layout import Layout, shape_of
from parkade.core.market.seating.free_room import Seats, empty_open_nodes, find_block
from parkade.core.market.seating.standing import Problem, Rules
from parkade.core.market.seating.trying import Seated
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
        return None
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
        demands = tuple(
            it if it.seats is (now := seats.get(it.demand, ())) else structs.replace(it, seats=now)
            for it in problem.state.demands
        )
        state = structs.replace(problem.state, demands=demands)
        again = problem.repeats[key] = allocate(state, problem.layout)
    return again


def _pushers(problem: Problem, seated: Seated, name: str, movable: list[str]) -> list[str]:
    """The winners that must leave so that the price of this winner covers its floor: it, if it sits
    elsewhere than counted, else those that push it up the stack of its fabric, the weakest
    first."""
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
    fabric_of, closed = problem.layout.fabric_of, problem.layout.closed
    found = []
    for winner in problem.winners:
        if winner.price is None:
            continue
        drawn = [
            winner.demand.floor_micros
            if seat.node in closed
            else floors.draw(fabric_of[seat.node], seat.node)
            for seat in seats[winner.demand.demand]
        ]
        if not winner.covers(drawn):
            found.append(winner.demand.demand)
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
    nodes = empty_open_nodes(layout)
    for winner in problem.winners:
        shape = shape_of(winner.demand, layout)
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
