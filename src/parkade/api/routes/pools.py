"""Pools, nodes and price sheets."""

from fastapi import APIRouter

from parkade.api.door import Asking, Door
from parkade.api.problems import said
from parkade.api.translate import micros_or_none, open_pool
from parkade.api.views import pools as views
from parkade.core.fleet.market import Market
from parkade.core.fleet.node import Node
from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.wire import pools as wire

router = APIRouter(tags=["pools"])


@router.post("/pools", status_code=201)
async def create_pool(body: wire.OpenPool, door: Asking) -> wire.Pool:
    """A new pool and its market; operators only."""
    door.require_operator()
    await door.execute(open_pool(body, by=door.viewer.user))

    told = await _pools(door)
    return next(pool for pool in told.pools if pool.pool == body.pool)


@router.get("/pools")
async def list_pools(door: Asking) -> wire.Pools:
    """All pools and their published terms."""
    return await _pools(door)


async def _pools(door: Door) -> wire.Pools:
    def view(world: World, _: int) -> tuple[list[Market], list[Node]]:
        return list(world.records.markets.values()), list(world.records.nodes.values())

    return views.pools(*await door.read(view))


@router.get("/prices")
async def list_prices(door: Asking) -> wire.Prices:
    """Every market's prices, and what would win there now."""
    markets = await door.read(lambda world, _: list(world.records.markets.values()))
    return wire.Prices(prices=tuple(map(views.sheet, markets)))


@router.post("/prices/{market}")
async def set_prices(market: str, body: wire.SetPrices, door: Asking) -> wire.Sheet:
    """A new price sheet; operators only. Sold reservations keep their rate."""
    door.require_operator()
    if body == wire.SetPrices():
        raise said("invalid", "name at least one price")
    await door.execute(
        commands.SetPrices(
            by=door.viewer.user,
            market=market,
            pay_as_you_go_micros=micros_or_none(body.pay_as_you_go),
            reservation_rate_micros=micros_or_none(body.reservation_rate),
            public_floor_micros=micros_or_none(body.public_floor),
        )
    )

    found = await door.read(lambda world, _: world.records.markets.get(market), f"market {market}")
    return views.sheet(found)


@router.get("/nodes")
async def list_nodes(door: Asking, market: str | None = None) -> wire.Nodes:
    """All nodes, or a market's; operators only."""
    door.require_operator()
    found = await door.read(
        lambda world, _: [
            views.seated(world, node)
            for node in world.records.nodes.values()
            if market in (None, node.market)
        ]
    )
    return wire.Nodes(nodes=tuple(map(views.node, found)))


@router.post("/nodes/{node}/cordon")
async def cordon(node: str, body: wire.NodeReason, door: Asking) -> wire.Node:
    """No new work on a node; who sits there stays."""
    command = commands.CordonNode(by=door.viewer.user, node=node, reason=body.reason)
    return await _change(door, command, node)


@router.post("/nodes/{node}/uncordon")
async def uncordon(node: str, door: Asking) -> wire.Node:
    """The caller's cordon is lifted."""
    return await _change(door, commands.UncordonNode(by=door.viewer.user, node=node), node)


@router.post("/nodes/{node}/fail")
async def fail(node: str, body: wire.NodeReason, door: Asking) -> wire.Node:
    """The node is broken: out of play, and whoever sits there is healed."""
    command = commands.FailNode(by=door.viewer.user, node=node, reason=body.reason)
    return await _change(door, command, node)


@router.post("/nodes/{node}/restore")
async def restore(node: str, door: Asking) -> wire.Node:
    """The node is well again."""
    return await _change(door, commands.RestoreNode(by=door.viewer.user, node=node), node)


async def _change(door: Door, command: commands.AnyCommand, name: str) -> wire.Node:
    door.require_operator()
    await door.execute(command)

    def view(world: World, _: int) -> views.Seated | None:
        node = world.records.nodes.get(name)
        return None if node is None else views.seated(world, node)

    return views.node(await door.read(view, f"node {name}"))
