"""Pools, nodes and price sheets."""

from fastapi import APIRouter

from parkade.api.door import Asking, Door
from parkade.api.problems import said
from parkade.api.translate import change_terms, micros_or_none, open_pool, supply_of
from parkade.api.views import pools as views
from parkade.core.state import commands
from parkade.wire import pools as wire

router = APIRouter(tags=["pools"])


@router.post("/pools", status_code=201)
async def create_pool(body: wire.OpenPool, door: Asking) -> wire.Pool:
    """A new pool and its market; operators only."""
    door.require_operator()
    command = open_pool(body, by=door.viewer.user)
    return await _changed_pool(door, command, body.pool)


@router.get("/pools")
async def list_pools(door: Asking) -> wire.Pools:
    """All pools, and the markets that they supply with their published terms."""
    return views.pools(await door.read(lambda world, _: views.fleet(world)))


@router.post("/pools/{pool}/nodes")
async def add_nodes(pool: str, body: wire.AddNodes, door: Asking) -> wire.Pool:
    """More nodes of a pool; operators only."""
    door.require_operator()
    supply = supply_of(body, pool=pool)
    command = commands.AddNodes(by=door.viewer.user, pool=pool, supply=supply)
    return await _changed_pool(door, command, pool)


@router.post("/pools/{pool}/close")
async def close_pool(pool: str, door: Asking) -> wire.Pools:
    """Close a pool whose nodes are drained; the pools that remain."""
    door.require_operator()
    return await _changed_fleet(door, commands.ClosePool(by=door.viewer.user, pool=pool))


@router.post("/markets/{market}/terms")
async def change_market_terms(market: str, body: wire.ChangeTerms, door: Asking) -> wire.Market:
    """New terms of a market, now or from a date on; operators only."""
    door.require_operator()
    if body == wire.ChangeTerms.model_validate({"from": body.from_}):
        raise said("invalid", "name at least one term")
    command = change_terms(body, by=door.viewer.user, market=market)
    return views.market(
        await door.execute(command, lambda world, _, __: world.records.markets[market])
    )


async def _changed_pool(door: Door, command: commands.AnyCommand, name: str) -> wire.Pool:
    told = await _changed_fleet(door, command)
    return next(pool for pool in told.pools if pool.pool == name)


async def _changed_fleet(door: Door, command: commands.AnyCommand) -> wire.Pools:
    return views.pools(await door.execute(command, lambda world, _, __: views.fleet(world)))


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
    command = commands.SetPrices(
        by=door.viewer.user,
        market=market,
        pay_as_you_go_micros=micros_or_none(body.pay_as_you_go),
        reservation_rate_micros=micros_or_none(body.reservation_rate),
        public_floor_micros=micros_or_none(body.public_floor),
    )
    return views.sheet(
        await door.execute(command, lambda world, _, __: world.records.markets[market])
    )


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


@router.post("/nodes/{node}/drain")
async def drain(node: str, body: wire.NodeReason, door: Asking) -> wire.Node:
    """Empty a node: its workloads get the market's notice and are moved."""
    command = commands.DrainNode(by=door.viewer.user, node=node, reason=body.reason)
    return await _change(door, command, node)


@router.post("/nodes/{node}/undrain")
async def undrain(node: str, door: Asking) -> wire.Node:
    """The node takes work again."""
    return await _change(door, commands.UndrainNode(by=door.viewer.user, node=node), node)


@router.post("/nodes/{node}/remove")
async def remove(node: str, door: Asking) -> wire.Pools:
    """Remove a drained node from its pool; the pools as they are then."""
    door.require_operator()
    return await _changed_fleet(door, commands.RemoveNode(by=door.viewer.user, node=node))


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
    return views.node(
        await door.execute(
            command, lambda world, _, __: views.seated(world, world.records.nodes[name])
        )
    )
