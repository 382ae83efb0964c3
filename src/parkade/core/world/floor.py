"""Pools, nodes, their health and cordons: the parkade's floor."""

from parkade.core.fleet.market import Market, MarketTerms
from parkade.core.fleet.node import Cordon, Health, Node
from parkade.core.units import bounds
from parkade.core.units.names import GPU_MODEL, NODE_NAME, same_host
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.world import commands as asked
from parkade.core.world import events as happened
from parkade.core.world.desk import Decision, bad_name, invalid
from parkade.core.world.permits import denied, is_operator, not_found
from parkade.core.world.world import World


def open_pool(world: World, command: asked.OpenPool, now_us: int) -> Decision:
    """A pool and its market, which are one until several markets are served."""
    if not is_operator(world, command.by):
        return denied("only an operator opens pools")
    if command.pool in world.records.markets:
        return Refusal(reason=Reason.ALREADY_EXISTS, detail=f"pool {command.pool!r} exists")
    if world.records.markets:
        return Refusal(
            reason=Reason.NOT_YET,
            detail="one pool is served so far; several pools and markets come later",
            field="pool",
        )
    if (refusal := _bad_pool(command)) is not None:
        return refusal
    market = Market(
        market=command.pool,
        pool=command.pool,
        site=command.site,
        instance_type=command.instance_type,
        terms=command.terms,
        fabrics=tuple(fabric for fabric, _ in command.fabrics),
        is_reachable=True,
        ladder=(),
        cleared_us=0,
        clearings=0,
    )
    nodes = tuple(
        _new_node(node, fabric, command)
        for fabric, fabric_nodes in command.fabrics
        for node in fabric_nodes
    )
    return (happened.PoolOpened(at_us=now_us, market=market, nodes=nodes),)


def _new_node(node: str, fabric: str, command: asked.OpenPool) -> Node:
    return Node(
        node=node,
        market=command.pool,
        fabric=fabric,
        gpus=command.instance_type.gpus_per_node,
        health=Health.HEALTHY,
        health_reason="",
        cordons=(),
        last_org=None,
        vacated_us=0,
    )


def _bad_pool(command: asked.OpenPool) -> Refusal | None:
    fabrics = [fabric for fabric, _ in command.fabrics]
    nodes = [node for _, fabric_nodes in command.fabrics for node in fabric_nodes]
    kind = command.instance_type
    named = [("pool", command.pool), ("site", command.site), ("instance_type.name", kind.name)]
    for field, name in [*named, *(("fabrics", name) for name in fabrics)]:
        if (refusal := bad_name(field, name)) is not None:
            return refusal
    if (refusal := bad_name("instance_type.gpu_model", kind.gpu_model, GPU_MODEL)) is not None:
        return refusal
    for name in nodes:
        if (refusal := bad_name("fabrics", name, NODE_NAME)) is not None:
            return refusal
    if len(set(fabrics)) < len(fabrics) or len(set(map(same_host, nodes))) < len(nodes):
        return invalid("fabrics", "a fabric or a node is named twice; give each its own name")
    counts = {
        "fabrics": (len(nodes), bounds.NODES, "nodes in a pool"),
        "instance_type.gpus_per_node": (kind.gpus_per_node, bounds.GPUS_PER_NODE, "GPUs a node"),
        "instance_type.memory_gib": (kind.memory_gib, bounds.MEMORY_GIB_PER_NODE, "GiB a node"),
        "instance_type.cpus": (kind.cpus, bounds.CPUS_PER_NODE, "CPUs a node"),
        "terms.buffer_nodes": (command.terms.buffer_nodes, bounds.NODES_KEPT, "nodes a fabric"),
    }
    for field, (count, within, what) in counts.items():
        if not within.holds(count):
            return invalid(field, f"{within.least} to {within.most} {what}")
    if not bounds.FABRICS.holds(len(fabrics)) or not all(each for _, each in command.fabrics):
        return invalid("fabrics", f"1 to {bounds.FABRICS.most} fabrics, each with nodes")
    return _bad_terms(command.terms)


def _bad_terms(terms: MarketTerms) -> Refusal | None:
    if not terms.fee.is_fee:
        return invalid("terms.fee", "the fee is at least 0 and less than 1, such as 2/7")
    if not terms.switching_credit.is_share:
        return invalid("terms.switching_credit", "the switching credit is 0 to 1, such as 1/20")
    for field in ("pay_as_you_go", "reservation_rate", "public_floor"):
        if not bounds.PRICE_MICROS.holds(getattr(terms, f"{field}_micros")):
            return invalid(f"terms.{field}_micros", "a price is 0 to 1,000,000 per GPU-hour")
    for field, within in bounds.TERMS_US.items():
        if not within.holds(getattr(terms, f"{field}_us")):
            least = "longer than 0" if within.least else "0 or longer"
            return invalid(f"terms.{field}_us", f"this must be {least}, and at most 100 years")
    return None


def _operators_node(world: World, by: str | None, name: str, doing: str) -> Node | Refusal:
    if not is_operator(world, by):
        return denied(f"only an operator {doing}")
    return world.records.nodes.get(name) or not_found("node", name)


def fail_node(world: World, command: asked.FailNode, now_us: int) -> Decision:
    """Out of play at once; every attempt with a seat there is broken and will be healed."""
    node = _operators_node(world, command.by, command.node, "declares nodes broken")
    if isinstance(node, Refusal):
        return node
    if node.health is Health.FAILED:
        return ()
    events: list[happened.Event] = [
        happened.NodeHealthSet(
            at_us=now_us, node=node.node, health=Health.FAILED, reason=command.reason
        )
    ]
    for holder in world.held_on[node.node]:
        workload = world.records.workloads.get(holder)
        if workload is None:
            continue
        assert workload.attempt is not None
        if workload.attempt.broken_us is None:
            events.append(
                happened.Broken(at_us=now_us, workload=holder, attempt=workload.attempt.attempt)
            )
    return tuple(events)


def restore_node(world: World, command: asked.RestoreNode, now_us: int) -> Decision:
    """Back in play; refused while something of a broken attempt still runs there."""
    node = _operators_node(world, command.by, command.node, "returns nodes to service")
    if isinstance(node, Refusal):
        return node
    if node.health is Health.HEALTHY:
        return ()
    still = [holder for holder in world.held_on[node.node] if holder in world.records.workloads]
    if still:
        return Refusal(
            reason=Reason.BUSY,
            detail=f"{', '.join(still)} has not been seen gone from {node.node}; try again then",
        )
    return (happened.NodeHealthSet(at_us=now_us, node=node.node, health=Health.HEALTHY, reason=""),)


def cordon_node(world: World, command: asked.CordonNode, now_us: int) -> Decision:
    """No new work there, in the asker's name; twice is once."""
    node = _operators_node(world, command.by, command.node, "cordons nodes")
    if isinstance(node, Refusal):
        return node
    holder = command.by or "server"
    if any(cordon.holder == holder for cordon in node.cordons):
        return ()
    cordon = Cordon(holder=holder, reason=command.reason, at_us=now_us)
    return (happened.NodeCordoned(at_us=now_us, node=node.node, cordon=cordon),)


def uncordon_node(world: World, command: asked.UncordonNode, now_us: int) -> Decision:
    """The asker's own cordon is lifted; another holder's stays."""
    node = _operators_node(world, command.by, command.node, "uncordons nodes")
    if isinstance(node, Refusal):
        return node
    holder = command.by or "server"
    if any(cordon.holder == holder for cordon in node.cordons):
        return (happened.NodeUncordoned(at_us=now_us, node=node.node, holder=holder),)
    if node.cordons:
        holders = ", ".join(cordon.holder for cordon in node.cordons)
        return Refusal(
            reason=Reason.CORDONED_BY_ANOTHER,
            detail=f"{node.node} is cordoned by {holders}; only the holder lifts its own",
        )
    return ()


def report_reachability(world: World, command: asked.ReportReachability, now_us: int) -> Decision:
    """Unreachable is not failed: nothing is stopped, moved or healed for it."""
    if command.by is not None:
        return denied("only the server tells whom it hears")
    market = world.records.markets.get(command.pool)
    if market is None:
        return not_found("pool", command.pool)
    if market.is_reachable == command.is_reachable:
        return ()
    return (
        happened.ReachabilityChanged(
            at_us=now_us, market=market.market, is_reachable=command.is_reachable
        ),
    )
