"""The buffers of the fleet: how many nodes each fabric holds, lacks, and lends."""

import msgspec

from parkade.core.fleet.market import Market
from parkade.core.state.world import World
from parkade.core.steps.buffers import held_in
from parkade.core.workloads.spec import CapacityKind


class BufferUse(msgspec.Struct, frozen=True, kw_only=True):
    """Whole nodes of one fabric. `held`: kept out of reservation sales. `down`: out of play.
    `lent`: of the `held - down` that wait, those that spot work sits on, were it to sit there
    first. `short`: more are down than are held. `spot`: all
    nodes with spot work. `sized_us`: when a policy decided `held`; None: it is the floor."""

    market: str
    fabric: str
    nodes: int
    held: int
    down: int
    lent: int
    spot: int
    sized_us: int | None

    @property
    def short(self) -> int:
        """By how many nodes the buffer is too small now."""
        return max(0, self.down - self.held)


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
    held = min(nodes, held_in(world, market).get(fabric, 0))
    sized = world.records.buffers.get(market.market)
    waiting = max(0, held - down.get(key, 0))
    return BufferUse(
        market=market.market,
        fabric=fabric,
        nodes=nodes,
        held=held,
        down=down.get(key, 0),
        lent=min(waiting, spot.get(key, 0)),
        spot=spot.get(key, 0),
        sized_us=None if sized is None or market.terms.buffer is None else sized.at_us,
    )


def _has_spot(world: World, node: str) -> bool:
    workloads = world.records.workloads
    return any(
        holder in workloads and workloads[holder].spec.capacity.kind is CapacityKind.SPOT
        for holder in world.held_on[node]
    )
