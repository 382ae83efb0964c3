"""The buffers of the fleet: how many nodes each fabric holds, lacks, and lends."""

from parkade.core.fleet.market import Market
from parkade.core.healing.buffers import BufferUse
from parkade.core.state.world import World
from parkade.core.workloads.spec import CapacityKind


def buffers(world: World) -> tuple[BufferUse, ...]:
    """Every fabric's, in the order of their markets. Cost grows with nodes and what they hold."""
    down: dict[tuple[str, str], int] = {}
    spot: dict[tuple[str, str], int] = {}
    for node in world.records.nodes.values():
        key = (node.market, node.fabric)
        if not node.is_in_play:
            down[key] = down.get(key, 0) + 1
        elif _has_spot(world, node.node):
            spot[key] = spot.get(key, 0) + 1
    return tuple(
        _use(world, market, fabric, down=down, spot=spot)
        for market in world.records.markets.values()
        for fabric in market.fabrics
    )


def _use(
    world: World,
    market: Market,
    fabric: str,
    *,
    down: dict[tuple[str, str], int],
    spot: dict[tuple[str, str], int],
) -> BufferUse:
    key = (market.market, fabric)
    nodes = world.sizes.get(market.market, {}).get(fabric, 0)
    held = min(nodes, market.terms.buffer_nodes)
    waiting = max(0, held - down.get(key, 0))
    return BufferUse(
        market=market.market,
        fabric=fabric,
        nodes=nodes,
        held=held,
        down=down.get(key, 0),
        lent=min(waiting, spot.get(key, 0)),
        spot=spot.get(key, 0),
    )


def _has_spot(world: World, node: str) -> bool:
    workloads = world.records.workloads
    return any(
        holder in workloads and workloads[holder].spec.capacity.kind is CapacityKind.SPOT
        for holder in world.held_on[node]
    )
