"""Rights that find no room because nodes failed: their owner is credited for the time.

Of each reservation no more is short than the nodes that its other demands leave, so that no node
of it is owed for twice at one instant.
"""

from parkade.core.billing.charges import Postings
from parkade.core.fleet.market import Market
from parkade.core.market.market_state import MarketState
from parkade.core.market.outcome import Clearing, WaitReason
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units.money import amount_of
from parkade.core.units.time import Window

NO_ROOM = frozenset({None, WaitReason.NO_ROOM, WaitReason.TOO_LARGE})


def short_demands(
    world: World, market: Market, state: MarketState, outcome: Clearing
) -> frozenset[str]:
    """Claims and workloads that wait only because nodes are out of play or closed, in the order
    of the clearing's lines. Cost grows with nodes and demands, and only while some node is."""
    is_whole = len(state.nodes) == sum(world.sizes[market.market].values())
    if is_whole and all(node.is_open for node in state.nodes):
        return frozenset()
    demands = {demand.demand: demand for demand in state.demands}
    left = {name: record.nodes for name, record in world.records.reservations.items()}
    waiting = []
    for line in outcome.lines:
        demand = demands.get(line.demand)
        if demand is None or demand.reservation is None:
            continue
        if line.seats:
            left[demand.reservation] -= demand.nodes
        elif line.reason in NO_ROOM:
            waiting.append((demand.demand, demand.reservation, demand.nodes))
    short = []
    for name, reservation, nodes in waiting:
        if nodes <= left[reservation]:
            left[reservation] -= nodes
            assert left[reservation] >= 0
            short.append(name)
    return frozenset(short)


def credit_shortfall(
    world: World, postings: Postings, reservation: str, nodes: int, span: Window
) -> events.MoneyMoved | None:
    """The owner's money back for the time that failures beyond the buffer left it without."""
    assert span.end_us is not None
    record = world.records.reservations[reservation]
    missed_us = span.end_us - max(span.start_us, record.window.start_us)
    rate = record.rate_micros * nodes * record.gpus_per_node
    return postings.credit(record, amount_of(rate, max(0, missed_us)), at_us=span.end_us)
