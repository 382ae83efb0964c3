"""Pools, nodes and price sheets."""

from collections.abc import Callable

from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext, no_such
from parkade.api.etags import etag
from parkade.api.pages import WHOLE, Paged, page_of
from parkade.api.problems import problem
from parkade.api.translate.pools import open_pool, supply_of
from parkade.api.translate.scalars import micros_or_none
from parkade.api.translate.terms import change_terms
from parkade.api.views import effects
from parkade.api.views import nodes as node_views
from parkade.api.views import pools as views
from parkade.control.answers import Decided
from parkade.core.fleet.market import Market
from parkade.core.fleet.node import Node
from parkade.core.fleet.pool import Pool
from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.steps.permissions import Read
from parkade.core.units.refusal import Refusal
from parkade.wire import pools as wire
from parkade.wire.effects import Effect
from parkade.wire.nodes import NodeInFull

router = routing.router("pools")


@router.post("/pools", status_code=201)
async def create_pool(body: wire.OpenPool, context: Authenticated) -> wire.Pool:
    """A new pool and its market; operators only."""
    known = context.settings.engines
    if body.engine not in known:
        able = ", ".join(known)
        raise problem("unsupported", f"engine: no agent runs {body.engine!r}; choose of: {able}")
    command = open_pool(body, by=context.viewer.user)
    return await _changed_pool(context, command, body.pool)


@router.get("/pools")
async def list_pools(context: Authenticated, page: Paged = WHOLE) -> wire.Pools:
    """All pools, and the markets that they supply with their published terms: each on the page of
    its first pool, those that no pool supplies on the last one."""
    fleet = await context.view(lambda world, _: views.fleet(world))
    return _shown(context, *views.page_of_fleet(fleet, page))


@router.get("/pools/{pool}")
async def get_pool(pool: str, context: Authenticated) -> wire.Pool:
    """One pool."""

    def look(world: World, _: int) -> Pool | Refusal:
        found = world.records.pools.get(pool)
        return found or no_such(f"pool {pool}")

    fleet = await context.view_tagged(look, lambda world, _, __: views.fleet(world))
    return _one(context, fleet, pool)


@router.get("/markets/{market}")
async def get_market(market: str, context: Authenticated) -> wire.Market:
    """One market with its published terms, and those that are announced."""
    return views.market(await context.view_tagged(_market(market), lambda _, __, found: found))


@router.post("/pools/{pool}/nodes")
async def add_nodes(pool: str, body: wire.AddNodes, context: Authenticated) -> wire.Pool:
    """More nodes of a pool; operators only."""
    supply = supply_of(body, pool=pool)
    command = commands.AddNodes(by=context.viewer.user, pool=pool, supply=supply)
    return await _changed_pool(context, command, pool)


@router.post("/pools/{pool}/close")
async def close_pool(pool: str, context: Authenticated) -> wire.Pools:
    """Close a pool whose nodes are drained; the pools that remain."""
    command = commands.ClosePool(by=context.viewer.user, pool=pool)
    return await _changed_fleet(context, command, lambda world, _: world.records.pools.get(pool))


@router.post("/pools/{pool}/fence")
async def fence(pool: str, context: Authenticated) -> wire.Pool:
    """Close a pool's nodes to jobs that are not ours; operators only."""
    command = commands.SetFence(by=context.viewer.user, pool=pool, is_on=True)
    return await _changed_pool(context, command, pool)


@router.post("/pools/{pool}/unfence")
async def unfence(pool: str, context: Authenticated) -> wire.Pool:
    """Open them again, where nothing is sold that needs it; operators only."""
    command = commands.SetFence(by=context.viewer.user, pool=pool, is_on=False)
    return await _changed_pool(context, command, pool)


@router.post("/pools/{pool}/observe")
async def observe_pool(pool: str, context: Authenticated) -> wire.Pool:
    """Guests get their notice and leave all nodes of a pool at once; operators only."""
    command = commands.ObservePool(by=context.viewer.user, pool=pool, is_on=True)
    return await _changed_pool(context, command, pool)


@router.post("/pools/{pool}/lend")
async def lend_pool(pool: str, context: Authenticated) -> wire.Pool:
    """Guests may run there again, but on nodes drained for another reason; operators only."""
    command = commands.ObservePool(by=context.viewer.user, pool=pool, is_on=False)
    return await _changed_pool(context, command, pool)


@router.post("/markets/{market}/terms")
async def change_market_terms(
    market: str, body: wire.ChangeTerms, context: Authenticated
) -> wire.Market:
    """New terms of a market, now or from a date on; operators only."""
    if not body.model_fields_set - {"from_"}:
        raise problem("invalid", "name at least one term")
    command = change_terms(body, by=context.viewer.user, market=market)
    return views.market(
        await context.change(
            command,
            lambda world, _, __, ___: world.records.markets[market],
            look=lambda world, _: world.records.markets.get(market),
        )
    )


def _market(name: str) -> Callable[[World, int], Market | Refusal]:
    def look(world: World, _: int) -> Market | Refusal:
        found = world.records.markets.get(name)
        return found or no_such(f"market {name}")

    return look


async def _changed_pool(
    context: RequestContext, command: commands.AnyCommand, name: str
) -> wire.Pool:
    fleet = await context.change(
        command,
        lambda world, _, __, ___: views.fleet(world),
        look=lambda world, _: world.records.pools.get(name),
    )
    return _one(context, fleet, name)


def _one(context: RequestContext, fleet: views.Fleet, name: str) -> wire.Pool:
    return next(pool for pool in _shown(context, fleet).pools if pool.pool == name)


async def _changed_fleet(
    context: RequestContext, command: commands.AnyCommand, look: Callable[[World, int], object]
) -> wire.Pools:
    fleet = await context.change(command, lambda world, _, __, ___: views.fleet(world), look=look)
    return _shown(context, fleet)


def _shown(context: RequestContext, fleet: views.Fleet, upcoming: str | None = None) -> wire.Pools:
    troubles = {each.pool: context.plane.troubles(each.pool) for each in fleet.pools}
    sees_words = context.viewer.is_operator
    shown = views.pools(fleet, _refusing(context), troubles, sees_words=sees_words)
    return shown.model_copy(update={"next": upcoming})


def _refusing(context: RequestContext) -> dict[str, str]:
    """The pools whose agents refuse; why is for operators."""
    refusing = context.plane.refusing()
    return refusing if context.viewer.is_operator else dict.fromkeys(refusing, "")


@router.get("/prices")
async def list_prices(context: Authenticated, page: Paged = WHOLE) -> wire.Prices:
    """Every market's prices, and what would win there now."""
    markets = await context.view(lambda world, _: list(world.records.markets.values()))
    seen, upcoming = page_of(page, markets, lambda it: it.market)
    return wire.Prices(prices=tuple(map(views.sheet, seen)), next=upcoming)


@router.get("/prices/{market}")
async def get_prices(market: str, context: Authenticated) -> wire.Sheet:
    """A market's prices, and what would win there now."""
    return views.sheet(await context.view_tagged(_market(market), lambda _, __, found: found))


@router.post("/prices/{market}")
async def set_prices(market: str, body: wire.SetPrices, context: Authenticated) -> wire.Sheet:
    """A new price sheet; operators only. Sold reservations keep their rate."""
    command = _prices_command(market, body, context)
    return views.sheet(
        await context.change(
            command,
            lambda world, _, __, ___: world.records.markets[market],
            look=lambda world, _: world.records.markets.get(market),
        )
    )


@router.post("/prices/{market}/plan")
async def plan_prices(market: str, body: wire.SetPrices, context: Authenticated) -> Effect:
    """The workloads that a new price sheet would tell to leave; operators only."""
    command = _prices_command(market, body, context)

    def view(world: World, now_us: int) -> Effect | Refusal:
        outcome = effects.decided_effect(world, command, market, now_us)
        if isinstance(outcome, Refusal):
            return outcome
        terms = world.records.markets[market].terms
        return effects.shown(outcome[0], terms, org=context.only_org)

    return await context.view(view, is_plan=True)


def _prices_command(
    market: str, body: wire.SetPrices, context: RequestContext
) -> commands.SetPrices:
    if body == wire.SetPrices(is_meant=body.is_meant):
        raise problem("invalid", "name at least one price")
    return commands.SetPrices(
        by=context.viewer.user,
        market=market,
        pay_as_you_go_micros=micros_or_none(body.pay_as_you_go),
        reservation_rate_micros=micros_or_none(body.reservation_rate),
        public_floor_micros=micros_or_none(body.public_floor),
        is_meant=body.is_meant,
    )


def _refuse_nodes(context: RequestContext, *, supplies_none: bool) -> None:
    """`supplies_none`: the viewer would see nodes of its org, which has none."""
    if supplies_none:
        org = context.viewer.org
        raise problem(
            "denied",
            f"{org} supplies no nodes: an operator opens its pool with `supplier: {org}`; only an"
            " operator may look at nodes of others",
        )
    context.require(Read.NODES)


@router.get("/nodes")
async def list_nodes(
    context: Authenticated, page: Paged = WHOLE, market: str | None = None
) -> wire.Nodes:
    """All nodes, or a market's: for operators with the work on them, for owners and partners of an
    org that supplies nodes those, with how many guests they have."""
    viewer = context.viewer
    sees_all = viewer.may_read(Read.NODES)
    may_look = sees_all or viewer.may_read(Read.SUPPLY, org=viewer.org)

    def look(world: World, _: int) -> tuple[bool, list[views.Seated], str | None]:
        own = views.supplied(world, viewer.org) if may_look else frozenset()
        several = (
            node
            for node in world.records.nodes.values()
            if market in (None, node.market) and (sees_all or node.pool in own)
        )
        seen, upcoming = page_of(page, several, lambda it: it.node)
        return bool(sees_all or own), [views.seated(world, it) for it in seen], upcoming

    is_supplier, found, upcoming = await context.view(look)
    if not is_supplier:
        _refuse_nodes(context, supplies_none=may_look)
    nodes = tuple(views.node(one, sees_guests=sees_all) for one in found)
    return wire.Nodes(nodes=nodes, next=upcoming)


@router.get("/nodes/{node}")
async def get_node(node: str, context: Authenticated) -> NodeInFull:
    """One node in full, for those who may list it: operators see who sits there, its fabric's
    reservations and its incidents; owners and partners of the org that supplies it their own."""
    viewer = context.viewer
    sees_all = viewer.may_read(Read.NODES)
    may_look = sees_all or viewer.may_read(Read.SUPPLY, org=viewer.org)

    def look(world: World, _: int) -> tuple[bool, tuple[node_views.Detail, str] | None]:
        own = views.supplied(world, viewer.org) if may_look else frozenset()
        found = node_views.look(world, node)
        if found is None or not (sees_all or found.pool.pool in own):
            return bool(sees_all or own), None
        return True, (found, etag(world, found.seated.node))

    is_supplier, looked = await context.view(look)
    if not is_supplier:
        _refuse_nodes(context, supplies_none=may_look)
    if looked is None:
        context.not_found(f"node {node}")
    found, tag = looked
    context.tag(tag)
    pool = found.pool.pool
    return node_views.node(
        found,
        org=None if sees_all else viewer.org,
        refuses=_refusing(context).get(pool),
        troubles=context.plane.troubles(pool),
        last_seen_us=context.plane.seen_us(pool),
    )


@router.post("/nodes/{node}/cordon")
async def cordon(node: str, body: wire.NodeReason, context: Authenticated) -> wire.Node:
    """No new work on a node; who sits there stays."""
    command = commands.CordonNode(by=context.viewer.user, node=node, reason=body.reason)
    return await _change(context, command, node)


@router.post("/nodes/{node}/uncordon")
async def uncordon(node: str, context: Authenticated) -> wire.Node:
    """The caller's cordon is lifted."""
    return await _change(context, commands.UncordonNode(by=context.viewer.user, node=node), node)


@router.post("/nodes/{node}/drain")
async def drain(node: str, body: wire.NodeReason, context: Authenticated) -> wire.Node:
    """Empty a node: its workloads get the market's notice and are moved."""
    command = commands.DrainNode(by=context.viewer.user, node=node, reason=body.reason)
    return await _change(context, command, node)


@router.post("/nodes/{node}/undrain")
async def undrain(node: str, context: Authenticated) -> wire.Node:
    """The node takes work again."""
    return await _change(context, commands.UndrainNode(by=context.viewer.user, node=node), node)


@router.post("/nodes/{node}/remove")
async def remove(node: str, context: Authenticated) -> wire.Pools:
    """Remove a drained node from its pool; the pools as they are then."""
    command = commands.RemoveNode(by=context.viewer.user, node=node)
    return await _changed_fleet(context, command, _node(context, node))


@router.post("/nodes/{node}/fail")
async def fail(node: str, body: wire.NodeReason, context: Authenticated) -> wire.Node:
    """The node is broken: out of play, and its workloads are healed."""
    command = commands.FailNode(by=context.viewer.user, node=node, reason=body.reason)
    return await _change(context, command, node)


@router.post("/nodes/{node}/restore")
async def restore(node: str, context: Authenticated) -> wire.Node:
    """The node is well again."""
    return await _change(context, commands.RestoreNode(by=context.viewer.user, node=node), node)


async def _change(context: RequestContext, command: commands.AnyCommand, name: str) -> wire.Node:
    may_look = context.viewer.may_read(Read.NODES)

    def look(world: World, _: int) -> Node | Refusal | None:
        missing = no_such(f"node {name}")
        return (world.node(name) or missing) if may_look else None

    def show(world: World, _: int, __: Decided, before: Node | None) -> views.Seated:
        node = world.node(name)
        assert before is not None and node is not None, "it was just looked at"
        return views.seated(world, node)

    return views.node(await context.change(command, show, look=look))


def _node(context: RequestContext, name: str) -> Callable[[World, int], Node | None]:
    """The node, where the caller may look at all of them."""
    may_look = context.viewer.may_read(Read.NODES)
    return lambda world, _: world.node(name) if may_look else None
