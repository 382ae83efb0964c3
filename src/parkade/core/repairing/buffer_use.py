"""The buffers of the fleet: how many nodes each fabric holds, lacks, and lends."""

import msgspec

from parkade.core.fleet.market import Market
from parkade.core.state.world import World
from parkade.core.steps.buffers import held_in, lent_in


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
    """Every fabric's, in the order of their markets. Cost grows with the fabrics."""
    return tuple(
        _use(world, market, fabric)
        for market in world.records.markets.values()
        for fabric in market.fabrics
    )


def _use(world: World, market: Market, fabric: str) -> BufferUse:
    key = (market.market, fabric)
    nodes = world.sizes.get(market.market, {}).get(fabric, 0)
    held = min(nodes, held_in(world, market).get(fabric, 0))
    sized = world.records.buffers.get(market.market)
    return BufferUse(
        market=market.market,
        fabric=fabric,
        nodes=nodes,
        held=held,
        down=world.counts.down.get(key, 0),
        lent=lent_in(world, market.market, fabric, held),
        spot=world.counts.spot.get(key, 0),
        sized_us=None if sized is None or market.terms.buffer is None else sized.at_us,
    )
