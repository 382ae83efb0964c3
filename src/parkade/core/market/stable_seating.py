"""Where the winners of a pass sit: who runs keeps its seats, newcomers take what is left.

The seating knows nothing of losers and sets no price. It fails, with None, where a shape would not
fit so, where idle room that must stay empty would not, or where a price would not cover a floor;
then the pass's own fabrics are followed (`follow.py`), which always fit.

Owners come before the room that is to stay empty, so that what they kept is theirs at once; and
that room is named, soonest free first, before anybody else chooses, so that it is free when they
ask again.

The one surprising rule: a gang that lost a node keeps its surviving seats only if its fabric has a
replacement; otherwise the whole gang moves.
"""

from collections.abc import Iterable
from typing import NamedTuple

from parkade.core.fleet.seat import Seat
from parkade.core.market.layout import Ground, Parts, own_fabrics, shape_of
from parkade.core.market.market_state import Demand, Right
from parkade.core.market.reserved import Block, Idle
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


class Coming(NamedTuple):
    """A winner that needs seats, besides those of its own that `survive`."""

    winner: Winner
    shape: Shape
    surviving: list[str]


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
    winners: list[Winner], ground: Ground, idle: Idle, ladders: list[list[int]], beyond: int
) -> dict[str, Seats] | None:
    """Runners keep, newcomers take what is left; None where that does not hold for all.

    Who sits on a floor its price does not cover is seated as a newcomer, and the others stay.
    Grows with seats, and newcomers x fabrics where no seat is free at once.
    """
    unseated: set[str] = set()
    for _ in range(SEATINGS):
        seats = _try(winners, ground, idle, Floors(ladders, beyond), unseated)
        if seats is None:
            return None
        uncovered = _uncovered(winners, seats, ground, Floors(ladders, beyond))
        if not uncovered:
            return seats
        if uncovered <= unseated:
            return None
        unseated |= uncovered
    return None


def leaves_room(
    demands: Iterable[Demand], seats: dict[str, Seats], ground: Ground, idle: Idle
) -> bool:
    """Whether idle room fits beside these seats, with nobody moved."""
    nodes = named_nodes(ground)
    for demand in demands:
        _hold_open(demand, seats.get(demand.demand, ()), ground, nodes)
    return all(_set_aside(block, ground, nodes) for block in idle.blocks)


def _try(
    winners: list[Winner], ground: Ground, idle: Idle, floors: Floors, unseated: set[str]
) -> dict[str, Seats] | None:
    """One seating in which `unseated` are newcomers; floors are not checked."""
    nodes = named_nodes(ground)
    for winner in winners:
        if winner.demand.stays_put:
            _hold_open(winner.demand, winner.demand.seats, ground, nodes)
    seats: dict[str, Seats] = {}
    coming: list[Coming] = []
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
            coming.append(Coming(winner, shape, surviving))
    for turn in _turns(coming, idle):
        if isinstance(turn, Block):
            if not _set_aside(turn, ground, nodes):
                return None
            continue
        taken = _seat(turn, ground, nodes, floors)
        if taken is None:
            return None
        seats[turn.winner.demand.demand] = taken
        _draw(floors, turn.winner, taken, ground)
    return seats


def _turns(coming: list[Coming], idle: Idle) -> list[Coming | Block]:
    """Who chooses before whom, where seats are short.

    First owners within what comes to them at once, then the idle room of those who ask for no
    more (nobody's greater demand takes it), then who asks for more and the idle room it has left,
    then everybody else.
    """
    asked: dict[str, int] = {}
    at_once: list[Coming | Block] = []
    beyond: list[Coming | Block] = []
    others: list[Coming | Block] = []
    waiting = set()
    for it in coming:
        demand = it.winner.demand
        if demand.right is not Right.RESERVED:
            others.append(it)
            continue
        name = demand.reservation or ""
        asked[name] = asked.get(name, 0) + demand.nodes - len(it.surviving)
        if asked[name] <= idle.at_once.get(name, 0):
            at_once.append(it)
        else:
            beyond.append(it)
            waiting.add(name)
    untouched = [block for block in idle.blocks if block.reservation not in waiting]
    touched = [block for block in idle.blocks if block.reservation in waiting]
    return [*at_once, *untouched, *beyond, *touched, *others]


def _seat(coming: Coming, ground: Ground, nodes: Nodes, floors: Floors) -> Seats | None:
    """Heal it where its fabric has a replacement, else seat it whole; None: no room."""
    winner, shape, surviving = coming
    found = _heal(winner.demand, shape, surviving, ground, nodes)
    if found is None:
        for node in surviving:
            nodes.leave(node, shape)
        surviving = []
        found = _newcomer(winner, shape, ground, nodes, floors)
        if found is None:
            return None
    for node in found:
        nodes.hold(node, shape)
    return ranked(winner.demand, surviving + found)


def _set_aside(block: Block, ground: Ground, nodes: Nodes) -> bool:
    """Hold a block in its own fabric, else whole in the one where it is soonest free."""
    shape = Shape(block.nodes, ground.node_gpus, None, any_fabric=False)
    found = nodes.best(block.fabric, shape, block.nodes, set())
    if found is None:
        elsewhere = [
            (nodes.free_from(names), nodes.room(fabric), fabric, names)
            for fabric in range(len(ground.fabrics))
            if (names := nodes.best(fabric, shape, block.nodes, set())) is not None
        ]
        if not elsewhere:
            return False
        found = min(elsewhere)[3]
    for node in found:
        nodes.hold(node, shape)
    return True


def named_nodes(ground: Ground) -> Nodes:
    """All open nodes, empty."""
    named = (
        NamedNode(it.free_from_us, it.node, fabric)
        for fabric, nodes in enumerate(ground.open_nodes)
        for it in nodes
    )
    return Nodes(named, len(ground.fabrics), ground.node_gpus)


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


def _hold_open(demand: Demand, seats: Seats, ground: Ground, nodes: Nodes) -> None:
    shape = shape_of(demand, ground)
    for seat in seats:
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

    Owners leave the pass's fabric only for one that is free now: others are counted on its room.
    """
    passed = {part.fabric for part in winner.parts}
    own = own_fabrics(winner.demand, ground)
    is_owner = winner.demand.right is Right.RESERVED
    best: tuple[tuple[bool, bool, bool, int, bool, bool, int, int], list[str]] | None = None
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
        is_late = is_owner and wait > 0
        order = (wait, foreign, fabric not in own, tightness, fabric)
        rank = (is_dear, is_late, is_owner and foreign, *order)
        if best is None or rank < best[0]:
            best = (rank, found)
        if (is_dear, wait, foreign) == (False, 0, False) and len(passed) == 1:
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
