"""Effects on the floor: pools, nodes, cordons, reach."""

from msgspec.structs import replace

from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.changes import put_market, put_node


def open_pool(world: World, event: events.PoolOpened) -> None:
    records = world.records
    assert event.market.market not in records.markets
    records.markets[event.market.market] = event.market
    for node in event.nodes:
        assert node.node not in records.nodes
        records.nodes[node.node] = node
        world.held_on[node.node] = {}
        world.promised_on[node.node] = {}
        world.count_node(node)


def set_health(world: World, event: events.NodeHealthSet) -> None:
    put_node(world, event.node, health=event.health, health_reason=event.reason)


def cordon(world: World, event: events.NodeCordoned) -> None:
    node = world.records.nodes[event.node]
    put_node(world, event.node, cordons=(*node.cordons, event.cordon))


def uncordon(world: World, event: events.NodeUncordoned) -> None:
    node = world.records.nodes[event.node]
    cordons = tuple(cordon for cordon in node.cordons if cordon.holder != event.holder)
    put_node(world, event.node, cordons=cordons)


def change_reachability(world: World, event: events.ReachabilityChanged) -> None:
    put_market(world, event.market, is_reachable=event.is_reachable)
    for node, promised in world.promised_on.items():
        if promised:
            world.wake_promises(node)


def set_prices(world: World, event: events.PricesSet) -> None:
    market = world.records.markets[event.market]
    terms = replace(
        market.terms,
        pay_as_you_go_micros=event.pay_as_you_go_micros,
        reservation_rate_micros=event.reservation_rate_micros,
        public_floor_micros=event.public_floor_micros,
    )
    world.records.markets[event.market] = replace(market, terms=terms)
