"""The stable seating: running winners keep their seats, newcomers take what is left.

It knows nothing of losers and sets no price. It returns None where a gang would not fit so, where
nodes that are to stay empty would not, or where a price would not cover a floor; then `seating`
uses the fabrics of the allocation, which always fit.

Where seats are short, owners choose before the nodes that are to stay empty, so that what an owner
kept is its own at once; and those nodes are named, the soonest free first, before other winners
choose, so that they are free when their owner asks again.

The one surprising rule: a gang that lost a node keeps its surviving seats only if its fabric has a
replacement; otherwise the whole gang moves.
"""

from collections.abc import Iterable
from typing import NamedTuple

from parkade.core.fleet.seat import Seat
from parkade.core.market.entitlement import KeptBlock, KeptRoom
from parkade.core.market.layout import Layout, Parts, own_fabrics, shape_of
from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.market.supply import DrawnFloors
from parkade.core.placement.nodes import OpenNode, OpenNodes
from parkade.core.placement.room import Shape, spread

Seats = tuple[Seat, ...]
"""In order of rank."""

MAX_TRIES = 3
"""How often a seating is tried anew without those whose price does not cover their floor."""


class Winner(NamedTuple):
    """A winner of the allocation."""

    demand: Demand

    parts: Parts
    """What the allocation counted for it."""

    price: int | None
    """Micro-units per GPU-hour; None where no floor bears on it (reserved, on-demand)."""

    @property
    def stays(self) -> bool:
        """Whether it keeps closed nodes, and so all its seats."""
        return sum(len(part.levels) for part in self.parts) < self.demand.nodes


class Unseated(NamedTuple):
    """A winner that needs seats; `surviving` are nodes of its own that it keeps if it can heal."""

    winner: Winner
    shape: Shape
    surviving: list[str]


def seat_stably(
    winners: list[Winner],
    layout: Layout,
    kept: KeptRoom,
    floors_of: list[list[int]],
    floor_beyond: int,
) -> dict[str, Seats] | None:
    """Seats of all winners, in priority order given; None where the stable seating does not hold.

    `floors_of[f]`: the guest floors of fabric f, ascending; `floor_beyond`: of nodes past them. A
    winner on a floor that its price does not cover is seated anew as a newcomer, and the others
    stay. Grows with seats, and newcomers x fabrics where no seat is free at once.
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
    """Whether the kept nodes fit beside these seats, with no demand moved."""
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
    """One seating in which `as_newcomers` give up their seats; floors are not checked."""
    nodes = empty_open_nodes(layout)
    for winner in winners:
        if winner.stays:
            _hold_open(winner.demand, winner.demand.seats, layout, nodes)
    seats: dict[str, Seats] = {}
    unseated: list[Unseated] = []
    for winner in winners:
        demand = winner.demand
        shape = shape_of(demand, layout)
        surviving = []
        if not winner.stays and demand.demand not in as_newcomers:
            surviving = _surviving(demand, shape, layout, nodes)
        for node in surviving:
            nodes.seat(node, shape)
        if winner.stays or len(surviving) == demand.nodes:
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
    assert len(seats) == len(winners), "a winner has no seats"
    return seats


def _seating_order(unseated: list[Unseated], kept: KeptRoom) -> list[Unseated | KeptBlock]:
    """In which order winners and kept blocks choose, where seats are short.

    First owners within what comes to them without a wait, then the kept blocks of owners that ask
    for no more (so that no other owner takes them), then owners that ask for more and the blocks
    that these have left, then all other winners.
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
    order = [*without_wait, *untouched, *beyond, *touched, *others]
    assert len(order) == len(unseated) + len(kept.blocks), "a turn is missing"
    return order


def _seat(
    unseated: Unseated, layout: Layout, nodes: OpenNodes, floors: DrawnFloors
) -> Seats | None:
    """Heal a gang where its fabric has a replacement, else seat it whole; None: no room."""
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
    """Whether a kept block fits: in its own fabric, else whole in the one where it is soonest free.

    Its nodes are taken, so that no later winner has them.
    """
    assert block.nodes > 0, "a kept block of no nodes"
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
    """All open nodes of a market, empty."""
    named = (
        OpenNode(it.free_from_us, it.node, fabric)
        for fabric, nodes in enumerate(layout.open_nodes)
        for it in nodes
    )
    return OpenNodes(named, len(layout.fabrics), layout.node_gpus)


def in_rank_order(demand: Demand, nodes: list[str]) -> Seats:
    """Seats on these nodes in order of rank: a rank whose node is among them keeps it."""
    assert len(set(nodes)) == len(nodes), f"two ranks of {demand.demand} on one node"
    left = set(nodes)
    places: list[str | None] = [None] * len(nodes)
    for rank, seat in enumerate(demand.seats[: len(nodes)]):
        if seat.node in left:
            places[rank] = seat.node
            left.discard(seat.node)
    rest = iter(sorted(left))
    return tuple(Seat(node=place or next(rest), gpus=demand.gpus) for place in places)


def _hold_open(demand: Demand, seats: Seats, layout: Layout, nodes: OpenNodes) -> None:
    """Take those of the seats that are on open nodes."""
    shape = shape_of(demand, layout)
    for seat in seats:
        if seat.node in layout.fabric_of and seat.node not in layout.closed:
            nodes.seat(seat.node, shape)


def _surviving(demand: Demand, shape: Shape, layout: Layout, nodes: OpenNodes) -> list[str]:
    """Own nodes that a running demand can keep; none if a gang of one fabric would stand in two."""
    found = [seat.node for seat in demand.seats if nodes.can_seat(seat.node, shape)]
    if not demand.any_fabric and len({layout.fabric_of[node] for node in found}) > 1:
        return []
    return found[: demand.nodes]


def _heal(
    demand: Demand, shape: Shape, surviving: list[str], layout: Layout, nodes: OpenNodes
) -> list[str] | None:
    """Replacements in one of the gang's own fabrics for the seats it lost; None: it cannot heal."""
    missing = demand.nodes - len(surviving)
    assert missing > 0, f"{demand.demand} lost no seat"
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
    """Nodes for a whole gang: by floors its price covers, then the wait, then the fabric.

    Of fabrics alike, the allocation's comes first, then its own, then the tightest. An owner leaves
    the allocation's fabric only for one that is free now, because others are counted on its room.
    Grows with fabrics.
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
    """Nodes for a gang over few fabrics, the allocation's first; None where all are too small."""
    allocated = {part.fabric for part in winner.parts}
    capacities = []
    for fabric in range(len(layout.fabrics)):
        most = shape.nodes
        # A gang's ranks at most: each step asks for one rank less.
        while most and nodes.choose(fabric, shape, most, set()) is None:
            most -= 1
        capacities.append((fabric in allocated, most, fabric))
    division = spread(capacities, shape.nodes)
    if division is None:
        return None
    found: list[str] = []
    for fabric, count in division:
        found.extend(nodes.choose(fabric, shape, count, set()) or [])
    assert len(found) == shape.nodes, "a fabric holds fewer ranks than it said"
    return found


def _draw(floors: DrawnFloors, winner: Winner, seats: Seats, layout: Layout) -> int:
    """The highest floor that a spot winner draws with these seats; 0 for others."""
    if winner.price is None:
        return 0
    highest = 0
    for seat in seats:
        if seat.node in layout.closed:
            highest = max(highest, winner.demand.floor_micros)
        else:
            highest = max(highest, floors.draw(layout.fabric_of[seat.node], (seat.node,)))
    return highest


def _uncovered(
    winners: list[Winner], seats: dict[str, Seats], layout: Layout, floors: DrawnFloors
) -> set[str]:
    """Winners whose price does not cover the floors that they would draw in priority order here."""
    if floors.is_one:
        return set()
    found = set()
    for winner in winners:
        drawn = _draw(floors, winner, seats[winner.demand.demand], layout)
        if winner.price is not None and drawn > winner.price:
            found.add(winner.demand.demand)
    return found
