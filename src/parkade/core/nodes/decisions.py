"""Pools, nodes, their health and cordons: the parkade's floor."""

from parkade.core.fleet.market import Market, MarketTerms
from parkade.core.fleet.node import Cordon, Health, Node
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.permissions import is_operator
from parkade.core.steps.refusals import (
    MOST_PRICE_MICROS,
    Decision,
    bad_name,
    denied,
    invalid,
    not_found,
)
from parkade.core.units.refusal import Reason, Refusal

MOST_NODES = 100_000
MOST_GPUS_PER_NODE = 64


def open_pool(world: World, command: commands.OpenPool, now_us: int) -> Decision:
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
    return (events.PoolOpened(at_us=now_us, market=market, nodes=nodes),)


def _new_node(node: str, fabric: str, command: commands.OpenPool) -> Node:
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


def _bad_pool(command: commands.OpenPool) -> Refusal | None:
    fabrics = [fabric for fabric, _ in command.fabrics]
    nodes = [node for _, fabric_nodes in command.fabrics for node in fabric_nodes]
    for field, name in [("pool", command.pool), *(("fabrics", name) for name in fabrics + nodes)]:
        if (refusal := bad_name(field, name)) is not None:
            return refusal
    if len(set(fabrics)) < len(fabrics) or len(set(nodes)) < len(nodes):
        return invalid("fabrics", "a fabric or a node is named twice; give each its own name")
    if not 0 < len(nodes) <= MOST_NODES:
        return invalid("fabrics", f"a pool has 1 to {MOST_NODES} nodes")
    if not 0 < command.instance_type.gpus_per_node <= MOST_GPUS_PER_NODE:
        return invalid("instance_type.gpus_per_node", f"1 to {MOST_GPUS_PER_NODE} GPUs a node")
    return _bad_terms(command.terms)


def _bad_terms(terms: MarketTerms) -> Refusal | None:
    fee = terms.fee
    if not 0 <= fee.numerator < fee.denominator:
        return invalid("terms.fee", "the fee is at least 0 and less than 1, such as 2/7")
    if terms.switching_credit.numerator < 0:
        return invalid("terms.switching_credit", "the switching credit is 0 or more, such as 1/20")
    for field in terms.__struct_fields__:
        value = getattr(terms, field)
        if isinstance(value, int) and value < 0:
            return invalid(f"terms.{field}", "this may not be negative")
        if field.endswith("_micros") and value > MOST_PRICE_MICROS:
            return invalid(f"terms.{field}", "a price is 0 to 1,000,000 per GPU-hour")
    for field in ("clearing_interval_us", "billing_period_us", "kill_us"):
        if getattr(terms, field) == 0:
            return invalid(f"terms.{field}", "this must be longer than 0")
    return None


def _operators_node(world: World, by: str | None, name: str, doing: str) -> Node | Refusal:
    if not is_operator(world, by):
        return denied(f"only an operator {doing}")
    return world.records.nodes.get(name) or not_found("node", name)


def fail_node(world: World, command: commands.FailNode, now_us: int) -> Decision:
    """Out of play at once; every attempt with a seat there is broken and will be healed."""
    node = _operators_node(world, command.by, command.node, "declares nodes broken")
    if isinstance(node, Refusal):
        return node
    if node.health is Health.FAILED:
        return ()
    found: list[events.AnyEvent] = [
        events.NodeHealthSet(
            at_us=now_us, node=node.node, health=Health.FAILED, reason=command.reason
        )
    ]
    for holder in world.held_on[node.node]:
        workload = world.records.workloads.get(holder)
        if workload is None:
            continue
        assert workload.attempt is not None
        if workload.attempt.broken_us is None:
            found.append(
                events.Broken(at_us=now_us, workload=holder, attempt=workload.attempt.attempt)
            )
    return tuple(found)


def restore_node(world: World, command: commands.RestoreNode, now_us: int) -> Decision:
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
    return (events.NodeHealthSet(at_us=now_us, node=node.node, health=Health.HEALTHY, reason=""),)


def cordon_node(world: World, command: commands.CordonNode, now_us: int) -> Decision:
    """No new work there, in the asker's name; twice is once."""
    node = _operators_node(world, command.by, command.node, "cordons nodes")
    if isinstance(node, Refusal):
        return node
    holder = command.by or "server"
    if any(cordon.holder == holder for cordon in node.cordons):
        return ()
    cordon = Cordon(holder=holder, reason=command.reason, at_us=now_us)
    return (events.NodeCordoned(at_us=now_us, node=node.node, cordon=cordon),)


def uncordon_node(world: World, command: commands.UncordonNode, now_us: int) -> Decision:
    """The asker's own cordon is lifted; another holder's stays."""
    node = _operators_node(world, command.by, command.node, "uncordons nodes")
    if isinstance(node, Refusal):
        return node
    holder = command.by or "server"
    if any(cordon.holder == holder for cordon in node.cordons):
        return (events.NodeUncordoned(at_us=now_us, node=node.node, holder=holder),)
    if node.cordons:
        holders = ", ".join(cordon.holder for cordon in node.cordons)
        return Refusal(
            reason=Reason.CORDONED_BY_ANOTHER,
            detail=f"{node.node} is cordoned by {holders}; only the holder lifts its own",
        )
    return ()


def report_reachability(
    world: World, command: commands.ReportReachability, now_us: int
) -> Decision:
    """Unreachable is not failed: nothing is stopped, moved or healed for it."""
    if command.by is not None:
        return denied("only the server tells whom it hears")
    market = world.records.markets.get(command.pool)
    if market is None:
        return not_found("pool", command.pool)
    if market.is_reachable == command.is_reachable:
        return ()
    return (
        events.ReachabilityChanged(
            at_us=now_us, market=market.market, is_reachable=command.is_reachable
        ),
    )


def set_prices(world: World, command: commands.SetPrices, now_us: int) -> Decision:
    """A new price sheet, for what is sold and cleared from now on."""
    if not is_operator(world, command.by):
        return denied("only an operator sets prices")
    market = world.records.markets.get(command.market)
    if market is None:
        return not_found("market", command.market)
    terms = market.terms
    given = {
        "pay_as_you_go": command.pay_as_you_go_micros,
        "reservation_rate": command.reservation_rate_micros,
        "public_floor": command.public_floor_micros,
    }
    for field, micros in given.items():
        if micros is not None and not 0 <= micros <= MOST_PRICE_MICROS:
            return invalid(field, "a price is 0 to 1,000,000 per GPU-hour")
    event = events.PricesSet(
        at_us=now_us,
        market=market.market,
        pay_as_you_go_micros=_or(command.pay_as_you_go_micros, terms.pay_as_you_go_micros),
        reservation_rate_micros=_or(command.reservation_rate_micros, terms.reservation_rate_micros),
        public_floor_micros=_or(command.public_floor_micros, terms.public_floor_micros),
    )
    return (event,)


def _or(given: int | None, present: int) -> int:
    return present if given is None else given
