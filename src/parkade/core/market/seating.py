"""Where the winners of a pass sit: who runs keeps its seats, newcomers take what is left.

The seating knows nothing of losers and sets no price. It fails, with None, where a shape would not
fit so, where idle room that must stay empty would not, or where a price would not cover a floor;
then the pass's own fabrics are followed (`follow.py`), which always fit.

The one surprising rule: a gang that lost a node keeps its surviving seats only if its fabric has a
replacement; otherwise the whole gang moves.
"""

from collections.abc import Iterable
from typing import NamedTuple

from parkade.core.fleet.seat import Seat
from parkade.core.market.book import Demand, Right
from parkade.core.market.ground import Ground, Parts, own_fabrics, shape_of
from parkade.core.placement.nodes import NamedNode, Nodes
from parkade.core.placement.room import Shape, spread

Seats = tuple[Seat, ...]

SEATINGS = 3
"""How often a seating is tried anew without those whose price does not cover their floor."""


class Winner(NamedTuple):
    """A winner of the pass, in order of right; `price` is None where no floor bears on it."""

    demand: Demand
    parts: Parts
    price: int | None


class Floors:
    """Which floors a seating draws, fabric by fabric; `beyond` is that of nodes past a ladder."""

    __slots__ = ("_beyond", "_ladders", "_level", "_next", "is_one")

    def __init__(self, ladders: list[list[int]], beyond: int) -> None:
        self.is_one = all(not it or it[0] == it[-1] == beyond for it in ladders)
        self._ladders = ladders
        self._beyond = beyond
        self._next = [0] * len(ladders)
        self._level: dict[str, int] = {}

    def highest(self, fabric: int, nodes: Iterable[str]) -> int:
        """The highest floor these nodes would draw if they were seated next."""
        opened = [node for node in nodes if node not in self._level]
        if not opened:
            return max((self._level[node] for node in nodes), default=0)
        position = self._next[fabric] + len(opened) - 1
        ladder = self._ladders[fabric]
        return ladder[position] if position < len(ladder) else self._beyond

    def draw(self, fabric: int, nodes: Iterable[str]) -> int:
        """Seat them: the highest floor drawn."""
        highest = 0
        for node in nodes:
            if node not in self._level:
                self._level[node] = self.highest(fabric, (node,))
                self._next[fabric] += 1
            highest = max(highest, self._level[node])
        return highest


def seat_settled(
    winners: list[Winner], ground: Ground, kept: list[int], ladders: list[list[int]], beyond: int
) -> dict[str, Seats] | None:
    """Runners keep, newcomers take what is left; None where that does not hold for all.

    Who sits on a floor its price does not cover is seated as a newcomer, and the others stay.
    Grows with seats, and newcomers x fabrics where no seat is free at once.
    """
    unseated: set[str] = set()
    for _ in range(SEATINGS):
        seats = _try(winners, ground, kept, Floors(ladders, beyond), unseated)
        if seats is None:
            return None
        uncovered = _uncovered(winners, seats, ground, Floors(ladders, beyond))
        if not uncovered:
            return seats
        if uncovered <= unseated:
            return None
        unseated |= uncovered
    return None


def _try(
    winners: list[Winner], ground: Ground, kept: list[int], floors: Floors, unseated: set[str]
) -> dict[str, Seats] | None:
    """One seating in which `unseated` are newcomers; floors are not checked."""
    nodes = named_nodes(ground, kept)
    for winner in winners:
        if winner.demand.stays_put:
            _hold_open(winner.demand, ground, nodes)
    seats: dict[str, Seats] = {}
    coming: list[tuple[Winner, Shape, list[str]]] = []
    for winner in winners:
        demand = winner.demand
        shape = shape_of(demand, ground)
        surviving = []
        if not demand.stays_put and demand.demand not in unseated:
            surviving = _surviving(demand, shape, ground, nodes)
        for node in surviving:
            nodes.hold(node, shape)
        if demand.stays_put or len(surviving) == demand.nodes:
            seats[demand.demand] = demand.seats
            _draw(floors, winner, demand.seats, ground)
        else:
            coming.append((winner, shape, surviving))
    if any(nodes.room(fabric) < 0 for fabric in range(len(ground.fabrics))):
        return None
    for winner, shape, surviving in coming:
        found = _heal(winner.demand, shape, surviving, ground, nodes)
        if found is None:
            for node in surviving:
                nodes.leave(node, shape)
            found = surviving = _newcomer(winner, shape, ground, nodes, floors) or []
            if not found:
                return None
            surviving = []
        for node in found:
            nodes.hold(node, shape)
        taken = ranked(winner.demand, surviving + found)
        seats[winner.demand.demand] = taken
        _draw(floors, winner, taken, ground)
    return seats


def named_nodes(ground: Ground, spare: list[int]) -> Nodes:
    """All open nodes, empty."""
    named = (
        NamedNode(it.free_from_us, it.node, fabric)
        for fabric, nodes in enumerate(ground.open_nodes)
        for it in nodes
    )
    return Nodes(named, len(ground.fabrics), ground.node_gpus, spare.copy())


def ranked(demand: Demand, nodes: list[str]) -> Seats:
    """Seats on these nodes in order of rank: who has a node keeps its rank."""
    left = set(nodes)
    places: list[str | None] = [None] * len(nodes)
    for rank, seat in enumerate(demand.seats[: len(nodes)]):
        if seat.node in left:
            places[rank] = seat.node
            left.discard(seat.node)
    rest = iter(sorted(left))
    return tuple(Seat(node=place or next(rest), gpus=demand.gpus) for place in places)


def _hold_open(demand: Demand, ground: Ground, nodes: Nodes) -> None:
    shape = shape_of(demand, ground)
    for seat in demand.seats:
        if seat.node in ground.fabric_of and seat.node not in ground.closed:
            nodes.hold(seat.node, shape)


def _surviving(demand: Demand, shape: Shape, ground: Ground, nodes: Nodes) -> list[str]:
    """Own nodes a runner can keep; none if a gang of one fabric would stand in two."""
    found = [seat.node for seat in demand.seats if nodes.can_hold(seat.node, shape)]
    if not demand.any_fabric and len({ground.fabric_of[node] for node in found}) > 1:
        return []
    return found[: demand.nodes]


def _heal(
    demand: Demand, shape: Shape, surviving: list[str], ground: Ground, nodes: Nodes
) -> list[str] | None:
    """Replacements in the gang's own fabrics for the seats it lost."""
    missing = demand.nodes - len(surviving)
    if not surviving:
        return None
    for fabric in sorted({ground.fabric_of[node] for node in surviving}):
        found = nodes.best(fabric, shape, missing, set(surviving))
        if found is not None:
            return found
    return None


def _newcomer(
    winner: Winner, shape: Shape, ground: Ground, nodes: Nodes, floors: Floors
) -> list[str] | None:
    """By floors its price covers, then the wait, the pass's fabric, its own, the tightest.

    Owners take the pass's fabric first: the room they leave idle is counted on it.
    """
    passed = {part.fabric for part in winner.parts}
    own = own_fabrics(winner.demand, ground)
    is_owner = winner.demand.right is Right.RESERVED
    best: tuple[tuple[bool, bool, int, bool, bool, int, int], list[str]] | None = None
    for fabric in [*sorted(passed), *(it for it in range(len(ground.fabrics)) if it not in passed)]:
        if winner.demand.only_fabric not in (None, ground.fabrics[fabric]):
            continue
        found = nodes.best(fabric, shape, shape.nodes, set())
        if found is None:
            continue
        is_dear = winner.price is not None and floors.highest(fabric, found) > winner.price
        wait = nodes.free_from(found)
        foreign = fabric not in passed
        tightness = nodes.room(fabric)
        rank = (is_owner and foreign, is_dear, wait, foreign, fabric not in own, tightness, fabric)
        if best is None or rank < best[0]:
            best = (rank, found)
        if rank[1:4] == (False, 0, False) and len(passed) == 1:
            return found
    if best is not None:
        return best[1]
    return _spread(winner, shape, ground, nodes) if shape.any_fabric else None


def _spread(winner: Winner, shape: Shape, ground: Ground, nodes: Nodes) -> list[str] | None:
    passed = {part.fabric for part in winner.parts}
    capacities = []
    for fabric in range(len(ground.fabrics)):
        most = shape.nodes
        # A gang's ranks at most: each step asks for one rank less.
        while most and nodes.best(fabric, shape, most, set()) is None:
            most -= 1
        capacities.append((fabric in passed, most, fabric))
    shares = spread(capacities, shape.nodes)
    if shares is None:
        return None
    found: list[str] = []
    for fabric, count in shares:
        found.extend(nodes.best(fabric, shape, count, set()) or [])
    return found


def _draw(floors: Floors, winner: Winner, seats: Seats, ground: Ground) -> int:
    if winner.price is None:
        return 0
    highest = 0
    for seat in seats:
        fabric = ground.fabric_of.get(seat.node)
        if fabric is not None:
            highest = max(highest, floors.draw(fabric, (seat.node,)))
    return highest


def _uncovered(
    winners: list[Winner], seats: dict[str, Seats], ground: Ground, floors: Floors
) -> set[str]:
    """Whose price does not cover the floors that a pass in order of right would draw here."""
    if floors.is_one:
        return set()
    found = set()
    for winner in winners:
        drawn = _draw(floors, winner, seats[winner.demand.demand], ground)
        if winner.price is not None and not winner.demand.stays_put and drawn > winner.price:
            found.add(winner.demand.demand)
    return found
