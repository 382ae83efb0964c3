"""How many nodes of a fabric are kept out of sales now: the floor, or what was decided last."""

from parkade.core.fleet.market import Market
from parkade.core.fleet.seat import Seat, by_node
from parkade.core.state.world import World


def held_in(world: World, market: Market) -> dict[str, int]:
    """By fabric, at least `buffer_nodes`. What was sold before stays sold: a buffer that grew may
    be more than what is left. Cost grows with the market's fabrics."""
    floor = market.terms.buffer_nodes
    sized = world.records.buffers.get(market.market)
    decided: dict[str, int] = {}
    if sized is not None and market.terms.buffer is not None:
        decided = {each.fabric: each.held for each in sized.fabrics}
    return {
        fabric: max(floor, decided.get(fabric, 0)) for fabric in world.sizes.get(market.market, {})
    }


def lent_in(world: World, market: str, fabric: str, held: int) -> int:
    """Of the held nodes that wait, those that spot work sits on, were it to sit there first."""
    key = (market, fabric)
    waiting = max(0, held - world.counts.down.get(key, 0))
    return min(waiting, world.counts.spot.get(key, 0))


def part_of_buffers(world: World, market: Market, seats: tuple[Seat, ...], paid_micros: int) -> int:
    """How much of what spot work pays for its seats stands on lent nodes of buffers, in whole
    micro-units: each node with spot work in a fabric counts as lent in equal part. Cost grows with
    the nodes of the seats and the market's fabrics.

    Example. A fabric holds 3 nodes, 1 is down, spot work sits on 8: two of eight are lent. A gang
    on 4 of them pays 100: 25 of it are the buffer's.
    """
    nodes: dict[str, int] = {}
    for seat in by_node(seats):
        fabric = world.records.nodes[seat.node].fabric
        nodes[fabric] = nodes.get(fabric, 0) + 1
    whole, part = sum(nodes.values()), 0
    held = held_in(world, market)
    if not any(held.values()):
        return 0
    for fabric, count in nodes.items():
        spot = world.counts.spot.get((market.market, fabric), 0)
        lent = lent_in(world, market.market, fabric, held.get(fabric, 0))
        if lent:
            part += paid_micros * count * lent // (whole * spot)
    return part
