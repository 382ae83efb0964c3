"""Where the winners of a pass sit: who runs keeps its seats, newcomers take what is left.

The seating knows nothing of losers and sets no price. It fails, with None, where a shape would not
fit so, where kept room that must stay empty would not, or where a price would not cover a floor;
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
from parkade.core.market.layout import Layout, Parts, own_fabrics, shape_of
from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.market.quota import KeptBlock, KeptRoom
from parkade.core.placement.nodes import OpenNode, OpenNodes
from parkade.core.placement.room import Shape, spread

Seats = tuple[Seat, ...]

MAX_TRIES = 3
"""How often a seating is tried anew without those whose price does not cover their floor."""


class Winner(NamedTuple):
    """A winner of the pass, in order of right; `price` is None where no floor bears on it."""

    demand: Demand
    parts: Parts
    price: int | None


class Unseated(NamedTuple):
    """A winner that needs seats, besides those of its own that `survive`."""

    winner: Winner
    shape: Shape
    surviving: list[str]


class DrawnFloors:
    """Which floors a seating draws, fabric by fabric; `beyond` is that of nodes past a levels."""

    __slots__ = ("_beyond", "_ladders", "_level", "_next", "is_one")

    def __init__(self, floors_of: list[list[int]], floor_beyond: int) -> None:
        self.is_one = all(not it or it[0] == it[-1] == floor_beyond for it in floors_of)
        self._ladders = floors_of
        self._beyond = floor_beyond
        self._next = [0] * len(floors_of)
        self._level: dict[str, int] = {}

    def highest(self, fabric: int, nodes: Iterable[str]) -> int:
        """The highest floor these nodes would draw if they were seated next."""
        opened = [node for node in nodes if node not in self._level]
        if not opened:
            return max((self._level[node] for node in nodes), default=0)
        position = self._next[fabric] + len(opened) - 1
        levels = self._ladders[fabric]
        return levels[position] if position < len(levels) else self._beyond

    def draw(self, fabric: int, nodes: Iterable[str]) -> int:
        """Seat them: the highest floor drawn."""
        highest = 0
        for node in nodes:
            if node not in self._level:
                self._level[node] = self.highest(fabric, (node,))
                self._next[fabric] += 1
            highest = max(highest, self._level[node])
        return highest


def seat_stably(
    winners: list[Winner],
    layout: Layout,
    kept: KeptRoom,
    floors_of: list[list[int]],
    floor_beyond: int,
) -> dict[str, Seats] | None:
    """Runners keep, newcomers take what is left; None where that does not hold for all.

    Who sits on a floor its price does not cover is seated as a newcomer, and the others stay.
    Grows with seats, and newcomers x fabrics where no seat is free at once.
    """
    as_newcomers: set[str] = set()
    for _ in range(MAX_TRIES):
        seats = _seat_all(winners, layout, kept, DrawnFloors(floors_of, floor_beyond), as_newcomers)
        if seats is None:
            return None
        uncovered = _uncovered(winners, seats, layout, DrawnFloors(floors_of, floor_beyond))
        if not uncovered:
            return seats
        if uncovered <= as_newcomers:
            return None
        as_newcomers |= uncovered
    return None


def leaves_room(
    demands: Iterable[Demand], seats: dict[str, Seats], layout: Layout, kept: KeptRoom
) -> bool:
    """Whether kept room fits beside these seats, with nobody moved."""
    nodes = empty_open_nodes(layout)
    for demand in demands:
        _hold_open(demand, seats.get(demand.demand, ()), layout, nodes)
    return all(_set_aside(block, layout, nodes) for block in kept.blocks)


def _seat_all(
    winners: list[Winner],
    layout: Layout,
    kept: KeptRoom,
    floors: DrawnFloors,
    as_newcomers: set[str],
) -> dict[str, Seats] | None:
    """One seating in which `as_newcomers` are newcomers; floors are not checked."""
    nodes = empty_open_nodes(layout)
    for winner in winners:
        if winner.demand.is_pinned:
            _hold_open(winner.demand, winner.demand.seats, layout, nodes)
    seats: dict[str, Seats] = {}
    unseated: list[Unseated] = []
    for winner in winners:
        demand = winner.demand
        shape = shape_of(demand, layout)
        surviving = []
        if not demand.is_pinned and demand.demand not in as_newcomers:
            surviving = _surviving(demand, shape, layout, nodes)
        for node in surviving:
            nodes.seat(node, shape)
        if demand.is_pinned or len(surviving) == demand.nodes:
            seats[demand.demand] = demand.seats
            _draw(floors, winner, demand.seats, layout)
        else:
            unseated.append(Unseated(winner, shape, surviving))
    for turn in _seating_order(unseated, kept):
        if isinstance(turn, KeptBlock):
            if not _set_aside(turn, layout, nodes):
                return None
            continue
        taken = _seat(turn, layout, nodes, floors)
        if taken is None:
            return None
        seats[turn.winner.demand.demand] = taken
        _draw(floors, turn.winner, taken, layout)
    return seats


def _seating_order(unseated: list[Unseated], kept: KeptRoom) -> list[Unseated | KeptBlock]:
    """Who chooses before whom, where seats are short.

    First owners within what comes to them at once, then the kept room of those who ask for no
    more (nobody's greater demand takes it), then who asks for more and the kept room it has left,
    then everybody else.
    """
    asked: dict[str, int] = {}
    without_wait: list[Unseated | KeptBlock] = []
    beyond: list[Unseated | KeptBlock] = []
    others: list[Unseated | KeptBlock] = []
    waiting = set()
    for it in unseated:
        demand = it.winner.demand
        if demand.tier is not PriorityTier.RESERVED:
            others.append(it)
            continue
        name = demand.reservation or ""
        asked[name] = asked.get(name, 0) + demand.nodes - len(it.surviving)
        if asked[name] <= kept.without_wait.get(name, 0):
            without_wait.append(it)
        else:
            beyond.append(it)
            waiting.add(name)
    untouched = [block for block in kept.blocks if block.reservation not in waiting]
    touched = [block for block in kept.blocks if block.reservation in waiting]
    return [*without_wait, *untouched, *beyond, *touched, *others]


def _seat(
    unseated: Unseated, layout: Layout, nodes: OpenNodes, floors: DrawnFloors
) -> Seats | None:
    """Heal it where its fabric has a replacement, else seat it whole; None: no room."""
    winner, shape, surviving = unseated
    found = _heal(winner.demand, shape, surviving, layout, nodes)
    if found is None:
        for node in surviving:
            nodes.unseat(node, shape)
        surviving = []
        found = _newcomer(winner, shape, layout, nodes, floors)
        if found is None:
            return None
    for node in found:
        nodes.seat(node, shape)
    return in_rank_order(winner.demand, surviving + found)


def _set_aside(block: KeptBlock, layout: Layout, nodes: OpenNodes) -> bool:
    """Hold a block in its own fabric, else whole in the one where it is soonest free."""
    shape = Shape(block.nodes, layout.node_gpus, None, any_fabric=False)
    found = nodes.choose(block.fabric, shape, block.nodes, set())
    if found is None:
        elsewhere = [
            (nodes.free_from(names), nodes.empty(fabric), fabric, names)
            for fabric in range(len(layout.fabrics))
            if (names := nodes.choose(fabric, shape, block.nodes, set())) is not None
        ]
        if not elsewhere:
            return False
        found = min(elsewhere)[3]
    for node in found:
        nodes.seat(node, shape)
    return True


def empty_open_nodes(layout: Layout) -> OpenNodes:
    """All open nodes, empty."""
    named = (
        OpenNode(it.free_from_us, it.node, fabric)
        for fabric, nodes in enumerate(layout.open_nodes)
        for it in nodes
    )
    return OpenNodes(named, len(layout.fabrics), layout.node_gpus)


def in_rank_order(demand: Demand, nodes: list[str]) -> Seats:
    """Seats on these nodes in order of rank: who has a node keeps its rank."""
    left = set(nodes)
    places: list[str | None] = [None] * len(nodes)
    for rank, seat in enumerate(demand.seats[: len(nodes)]):
        if seat.node in left:
            places[rank] = seat.node
            left.discard(seat.node)
    rest = iter(sorted(left))
    return tuple(Seat(node=place or next(rest), gpus=demand.gpus) for place in places)


def _hold_open(demand: Demand, seats: Seats, layout: Layout, nodes: OpenNodes) -> None:
    shape = shape_of(demand, layout)
    for seat in seats:
        if seat.node in layout.fabric_of and seat.node not in layout.closed:
            nodes.seat(seat.node, shape)


def _surviving(demand: Demand, shape: Shape, layout: Layout, nodes: OpenNodes) -> list[str]:
    """Own nodes a runner can keep; none if a gang of one fabric would stand in two."""
    found = [seat.node for seat in demand.seats if nodes.can_seat(seat.node, shape)]
    if not demand.any_fabric and len({layout.fabric_of[node] for node in found}) > 1:
        return []
    return found[: demand.nodes]


def _heal(
    demand: Demand, shape: Shape, surviving: list[str], layout: Layout, nodes: OpenNodes
) -> list[str] | None:
    """Replacements in the gang's own fabrics for the seats it lost."""
    missing = demand.nodes - len(surviving)
    if not surviving:
        return None
    for fabric in sorted({layout.fabric_of[node] for node in surviving}):
        found = nodes.choose(fabric, shape, missing, set(surviving))
        if found is not None:
            return found
    return None


def _newcomer(
    winner: Winner, shape: Shape, layout: Layout, nodes: OpenNodes, floors: DrawnFloors
) -> list[str] | None:
    """By floors its price covers, then the wait, the pass's fabric, its own, the tightest.

    Owners leave the pass's fabric only for one that is free now: others are counted on its room.
    """
    allocated = {part.fabric for part in winner.parts}
    own = own_fabrics(winner.demand, layout)
    is_owner = winner.demand.tier is PriorityTier.RESERVED
    best: tuple[tuple[bool, bool, bool, int, bool, bool, int, int], list[str]] | None = None
    for fabric in [
        *sorted(allocated),
        *(it for it in range(len(layout.fabrics)) if it not in allocated),
    ]:
        if winner.demand.only_fabric not in (None, layout.fabrics[fabric]):
            continue
        found = nodes.choose(fabric, shape, shape.nodes, set())
        if found is None:
            continue
        is_dear = winner.price is not None and floors.highest(fabric, found) > winner.price
        wait = nodes.free_from(found)
        foreign = fabric not in allocated
        tightness = nodes.empty(fabric)
        is_late = is_owner and wait > 0
        order = (wait, foreign, fabric not in own, tightness, fabric)
        rank = (is_dear, is_late, is_owner and foreign, *order)
        if best is None or rank < best[0]:
            best = (rank, found)
        if (is_dear, wait, foreign) == (False, 0, False) and len(allocated) == 1:
            return found
    if best is not None:
        return best[1]
    return _spread(winner, shape, layout, nodes) if shape.any_fabric else None


def _spread(winner: Winner, shape: Shape, layout: Layout, nodes: OpenNodes) -> list[str] | None:
    allocated = {part.fabric for part in winner.parts}
    capacities = []
    for fabric in range(len(layout.fabrics)):
        most = shape.nodes
        # A gang's ranks at most: each step asks for one rank less.
        while most and nodes.choose(fabric, shape, most, set()) is None:
            most -= 1
        capacities.append((fabric in allocated, most, fabric))
    shares = spread(capacities, shape.nodes)
    if shares is None:
        return None
    found: list[str] = []
    for fabric, count in shares:
        found.extend(nodes.choose(fabric, shape, count, set()) or [])
    return found


def _draw(floors: DrawnFloors, winner: Winner, seats: Seats, layout: Layout) -> int:
    if winner.price is None:
        return 0
    highest = 0
    for seat in seats:
        fabric = layout.fabric_of.get(seat.node)
        if fabric is not None:
            highest = max(highest, floors.draw(fabric, (seat.node,)))
    return highest


def _uncovered(
    winners: list[Winner], seats: dict[str, Seats], layout: Layout, floors: DrawnFloors
) -> set[str]:
    """Whose price does not cover the floors that a pass in order of right would draw here."""
    if floors.is_one:
        return set()
    found = set()
    for winner in winners:
        drawn = _draw(floors, winner, seats[winner.demand.demand], layout)
        if winner.price is not None and not winner.demand.is_pinned and drawn > winner.price:
            found.add(winner.demand.demand)
    return found
