"""How many nodes of a fabric are kept out of sales now: the floor, or what was decided last."""

from parkade.core.fleet.market import Market
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
