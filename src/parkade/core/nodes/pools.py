"""Pools: opened with their first nodes, supplied with more, heard or not, closed."""

from msgspec.structs import replace

from parkade.core.fleet.market import InstanceType, Market
from parkade.core.fleet.node import Health, Node
from parkade.core.fleet.pool import NEEDS_FENCE, Fence, Pool
from parkade.core.healing.incident import IncidentOutcome, RepairKind
from parkade.core.nodes.decisions import is_drained, needed_by_calendar
from parkade.core.nodes.terms import bad_terms
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.incidents import closing, validation
from parkade.core.steps.refusals import (
    Decision,
    already_exists,
    bad_name,
    conflict,
    invalid,
    not_found,
)
from parkade.core.units import bounds
from parkade.core.units.names import GPU_MODEL, NAME, NODE_NAME, same_host
from parkade.core.units.phrases import some_of
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.choices import markets_of


def open_pool(world: World, command: commands.OpenPool, now_us: int) -> Decision:
    """A pool with its first nodes, for a market that is open or opened with it."""
    if command.pool in world.records.pools:
        return already_exists("pool", command.pool)
    for field, name in (("pool", command.pool), ("site", command.site), ("engine", command.engine)):
        if (refusal := bad_name(field, name)) is not None:
            return refusal
    if command.supplier is not None and command.supplier not in world.records.orgs:
        return not_found("org", command.supplier)
    pool = Pool(
        pool=command.pool,
        site=command.site,
        supplier=command.supplier,
        engine=command.engine,
        opened_us=now_us,
        is_reachable=True,
        first_heard_us=None,
        fence=Fence.NONE if command.engine in NEEDS_FENCE else Fence.UNNEEDED,
    )
    supplied = _supplied(world, pool, command.supply)
    if isinstance(supplied, Refusal):
        return supplied
    market, nodes = supplied
    return (events.PoolOpened(at_us=now_us, pool=pool, market=market, nodes=nodes),)


def add_nodes(world: World, command: commands.AddNodes, now_us: int) -> Decision:
    """More nodes of a pool. In a market that is open they join its fabrics or bring new ones. Where
    the pool's agent can validate, they are validated before any work comes."""
    pool = world.records.pools.get(command.pool)
    if pool is None:
        return not_found("pool", command.pool)
    supplied = _supplied(world, pool, command.supply)
    if isinstance(supplied, Refusal):
        return supplied
    market, nodes = supplied
    if RepairKind.VALIDATE not in world.records.repair_kinds.get(pool.pool, ()):
        return (events.NodesAdded(at_us=now_us, pool=pool.pool, market=market, nodes=nodes),)
    joining = tuple(
        replace(node, health=Health.JOINING, health_reason="not validated yet") for node in nodes
    )
    begun = tuple(
        events.IncidentOpened(
            at_us=now_us,
            node=node.node,
            incident=validation(world, node, now_us, ahead=ahead),
            budgets=(),
        )
        for ahead, node in enumerate(joining)
    )
    added = events.NodesAdded(at_us=now_us, pool=pool.pool, market=market, nodes=joining)
    return (added, *begun)


def _supplied(
    world: World, pool: Pool, supply: commands.Supply
) -> tuple[Market | None, tuple[Node, ...]] | Refusal:
    """The market to be opened, if one is, and the nodes of a supply."""
    open_market = world.records.markets.get(supply.market)
    if (refusal := _bad_supply(world, pool, supply, open_market)) is not None:
        return refusal
    kind = supply.opens.instance_type if supply.opens is not None else None
    market = None
    if supply.opens is not None:
        market = Market(
            market=supply.market,
            site=pool.site,
            instance_type=supply.opens.instance_type,
            terms=supply.opens.terms,
            fabrics=tuple(fabric for fabric, _ in supply.fabrics),
            ladder=(),
            cleared_us=0,
            clearings=0,
        )
    assert (kind is None) == (open_market is not None)
    if kind is None:
        assert open_market is not None
        kind = open_market.instance_type
    nodes = tuple(
        _new_node(node, fabric, pool, supply.market, kind)
        for fabric, fabric_nodes in supply.fabrics
        for node in fabric_nodes
    )
    return market, nodes


def _new_node(node: str, fabric: str, pool: Pool, market: str, kind: InstanceType) -> Node:
    return Node(
        node=node,
        pool=pool.pool,
        market=market,
        fabric=fabric,
        gpus=kind.gpus_per_node,
        health=Health.HEALTHY,
        health_reason="",
        cordons=(),
        last_org=None,
        vacated_us=0,
    )


def _bad_supply(
    world: World, pool: Pool, supply: commands.Supply, market: Market | None
) -> Refusal | None:
    if (refusal := bad_name("market", supply.market)) is not None:
        return refusal
    if (refusal := _bad_fabrics(world, supply)) is not None:
        return refusal
    if market is None:
        if supply.opens is None:
            detail = (
                f"market {supply.market!r} is not open; give instance_type and terms to open it"
            )
            return Refusal(reason=Reason.NOT_FOUND, detail=detail, field="market")
        return _bad_instance_type(supply.opens.instance_type) or bad_terms(supply.opens.terms)
    if supply.opens is not None:
        detail = f"market {supply.market!r} is open; leave out instance_type and terms to supply it"
        return Refusal(reason=Reason.ALREADY_EXISTS, detail=detail, field="market")
    if market.site != pool.site:
        return invalid("market", f"market {market.market!r} is at {market.site}, not {pool.site}")
    return _fabric_of_another(world, pool, supply)


def _bad_instance_type(kind: InstanceType) -> Refusal | None:
    for field, grammar in (("name", NAME), ("gpu_model", GPU_MODEL)):
        refusal = bad_name(f"instance_type.{field}", getattr(kind, field), grammar)
        if refusal is not None:
            return refusal
    counts = {
        "gpus_per_node": (bounds.GPUS_PER_NODE, "GPUs a node"),
        "memory_gib": (bounds.MEMORY_GIB_PER_NODE, "GiB a node"),
        "cpus": (bounds.CPUS_PER_NODE, "CPUs a node"),
    }
    for field, (within, what) in counts.items():
        if not within.holds(getattr(kind, field)):
            return invalid(f"instance_type.{field}", f"{within.least} to {within.most} {what}")
    return None


def _bad_fabrics(world: World, supply: commands.Supply) -> Refusal | None:
    fabrics = [fabric for fabric, _ in supply.fabrics]
    nodes = [node for _, fabric_nodes in supply.fabrics for node in fabric_nodes]
    for name, grammar in [*((it, NAME) for it in fabrics), *((it, NODE_NAME) for it in nodes)]:
        if (refusal := bad_name("fabrics", name, grammar)) is not None:
            return refusal
    hosts = set(map(same_host, nodes))
    if len(set(fabrics)) < len(fabrics) or len(hosts) < len(nodes):
        return invalid("fabrics", "a fabric or a node is named twice; give each its own name")
    if not bounds.NODES.holds(len(nodes) + len(world.records.nodes)):
        return invalid("fabrics", f"a marketplace has 1 to {bounds.NODES.most} nodes in all")
    if not bounds.FABRICS.holds(len(fabrics)) or not all(each for _, each in supply.fabrics):
        return invalid("fabrics", f"1 to {bounds.FABRICS.most} fabrics, each with nodes")
    taken = next((node for node in world.records.nodes if same_host(node) in hosts), None)
    return None if taken is None else already_exists("node", taken)


def _fabric_of_another(world: World, pool: Pool, supply: commands.Supply) -> Refusal | None:
    """A fabric has full interconnect, so all its nodes are one pool's. Cost grows with the nodes of
    the marketplace."""
    wanted = {fabric for fabric, _ in supply.fabrics}
    for node in world.records.nodes.values():
        is_same = node.market == supply.market and node.fabric in wanted
        if is_same and node.pool != pool.pool:
            detail = f"fabric {node.fabric!r} of {supply.market} belongs to pool {node.pool!r}"
            return invalid("fabrics", f"{detail}; name another")
    return None


def close_pool(world: World, command: commands.ClosePool, now_us: int) -> Decision:
    """Closed once every node is drained. Cost grows with the nodes of the marketplace."""
    if command.pool not in world.records.pools:
        return not_found("pool", command.pool)
    nodes = [node for node in world.records.nodes.values() if node.pool == command.pool]
    busy = [node.node for node in nodes if not is_drained(world, node)]
    if busy:
        return conflict(f"not drained yet: {some_of(busy)}; drain them first")
    if (refusal := needed_by_calendar(world, nodes, now_us)) is not None:
        return refusal
    left = {node.market for node in world.records.nodes.values() if node.pool != command.pool}
    markets = tuple(sorted({node.market for node in nodes} - left))
    forgotten = _forgotten_with(world, markets)
    if isinstance(forgotten, Refusal):
        return forgotten
    workloads, reservations = forgotten
    found: list[events.AnyEvent] = []
    for node in nodes:
        found += closing(world, node.node, IncidentOutcome.WAIVED, "its pool was closed", now_us)
    if workloads or reservations:
        found.append(events.Forgotten(at_us=now_us, workloads=workloads, reservations=reservations))
    found.append(events.PoolClosed(at_us=now_us, pool=command.pool, markets=markets))
    return tuple(found)


def _forgotten_with(
    world: World, markets: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]] | Refusal:
    """(workloads, reservations) of markets that lose their last nodes: all of them must be over,
    and leave the world with their market. Cost grows with all workloads and reservations."""
    workloads = [it for it in world.records.workloads.values() if it.market in markets]
    rights = [it for it in world.records.reservations.values() if it.market in markets]
    everyone = (world.records.workloads[name] for name in world.live)
    live = [it.workload for it in everyone if not set(markets).isdisjoint(markets_of(it))]
    owed = [it.reservation for it in rights if not it.state.is_over]
    if live or owed:
        return conflict(f"not over yet in this market: {some_of([*live, *owed])}; end them first")
    return tuple(it.workload for it in workloads), tuple(it.reservation for it in rights)


def report_reachability(
    world: World, command: commands.ReportReachability, now_us: int
) -> Decision:
    """Unreachable is not failed: nothing is stopped, moved or healed for it. What its engine can is
    an event of its own, after that it is heard."""
    pool = world.records.pools.get(command.pool)
    if pool is None:
        return not_found("pool", command.pool)
    is_first = command.is_reachable and pool.first_heard_us is None
    has_changed = pool.is_reachable != command.is_reachable or is_first
    change = events.ReachabilityChanged(
        at_us=now_us, pool=pool.pool, is_reachable=command.is_reachable
    )
    says = command.resizes_live
    if says in (None, pool.resizes_live):
        return (change,) if has_changed else ()
    able = replace(change, resizes_live=says)
    return (change, able) if has_changed else (able,)
