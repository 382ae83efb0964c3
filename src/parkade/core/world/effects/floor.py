"""Effects on the floor: pools, nodes, cordons, reach."""

from parkade.core.world import events as happened
from parkade.core.world.effects.steps import put_market, put_node
from parkade.core.world.world import World


def open_pool(world: World, event: happened.PoolOpened) -> None:
    records = world.records
    assert event.market.market not in records.markets
    records.markets[event.market.market] = event.market
    for node in event.nodes:
        assert node.node not in records.nodes
        records.nodes[node.node] = node
        world.held_on[node.node] = {}
        world.promised_on[node.node] = {}
        world.count_node(node)


def set_health(world: World, event: happened.NodeHealthSet) -> None:
    put_node(world, event.node, health=event.health, health_reason=event.reason)


def cordon(world: World, event: happened.NodeCordoned) -> None:
    node = world.records.nodes[event.node]
    put_node(world, event.node, cordons=(*node.cordons, event.cordon))


def uncordon(world: World, event: happened.NodeUncordoned) -> None:
    node = world.records.nodes[event.node]
    cordons = tuple(cordon for cordon in node.cordons if cordon.holder != event.holder)
    put_node(world, event.node, cordons=cordons)


def change_reachability(world: World, event: happened.ReachabilityChanged) -> None:
    put_market(world, event.market, is_reachable=event.is_reachable)
    for node, promised in world.promised_on.items():
        if promised:
            world.wake_promises(node)
