"""How large the buffer of each fabric is from now on: decided every few hours, as an event.

Sizes follow from the market's policy and its floor (`buffer_nodes`). They are decided each
`RESIZE_US`, and at once when the policy or the nodes change. A larger buffer takes nothing from
those that bought before; it only sells less from then on. What grew is learnt from the steps of the
number of nodes down, which are kept from the first size on, at most `MOST_STEPS` of `HISTORY_US`.

Worked example: `healing.buffer_size`. Decision record 66.
"""

from typing import assert_never

from parkade.core.fleet.buffer import BufferGrowth, BufferPolicy, BufferShare, FabricBuffer
from parkade.core.fleet.market import Market
from parkade.core.healing.buffer_size import Steps, growths_of, state_conditional_size
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units.money import ceil_div
from parkade.core.units.time import DAY_US, HOUR_US

RESIZE_US = 6 * HOUR_US
HISTORY_US = 180 * DAY_US


def buffer_due_us(world: World, name: str) -> int | None:
    """When a market's buffers are sized next; None where its terms have no policy."""
    market = world.records.markets.get(name)
    if market is None or market.terms.buffer is None:
        return None
    sized = world.records.buffers.get(name)
    if sized is None:
        return 0
    sizes = {each.fabric: each.nodes for each in sized.fabrics}
    if sized.policy != market.terms.buffer or sizes != world.sizes.get(name, {}):
        return sized.at_us
    return sized.at_us + RESIZE_US


def size_buffers(world: World, name: str, at_us: int) -> tuple[events.BuffersSized]:
    """The sizes of a market's buffers. Cost grows with the nodes, and with the windows that are
    compared."""
    at_us = max(at_us, world.records.now_us)
    market = world.records.markets[name]
    policy = market.terms.buffer
    assert policy is not None, "a market without a policy has a fixed buffer"
    sizes = world.sizes.get(name, {})
    down = dict.fromkeys(sizes, 0)
    for node in world.records.nodes.values():
        if node.market == name and not node.is_in_play:
            down[node.fabric] += 1
    return (
        events.BuffersSized(
            at_us=at_us,
            market=name,
            policy=policy,
            fabrics=tuple(
                FabricBuffer(
                    fabric=fabric,
                    nodes=nodes,
                    down=down[fabric],
                    held=_held(world, market, policy, fabric, nodes, down[fabric], at_us),
                )
                for fabric, nodes in sizes.items()
            ),
        ),
    )


def _held(
    world: World,
    market: Market,
    policy: BufferPolicy,
    fabric: str,
    nodes: int,
    down: int,
    at_us: int,
) -> int:
    least = market.terms.buffer_nodes
    match policy:
        case BufferShare(share=share):
            wanted = max(least, ceil_div(nodes * share.numerator, share.denominator))
        case BufferGrowth(quantile=quantile, horizon_us=horizon_us):
            wanted = state_conditional_size(
                down,
                _growths(world.records.downs.get(f"{market.market}/{fabric}"), horizon_us, at_us),
                quantile=quantile.numerator / quantile.denominator,
                least=least,
            )
        case _:
            assert_never(policy)
    return min(nodes, wanted)


def _growths(down: Steps | None, horizon_us: int, at_us: int) -> tuple[int, ...]:
    if down is None or not down.times_us:
        return ()
    start_us = max(down.times_us[0], at_us - HISTORY_US)
    return growths_of(
        down, start_us=start_us, end_us=at_us, horizon_us=horizon_us, every_us=RESIZE_US
    )
