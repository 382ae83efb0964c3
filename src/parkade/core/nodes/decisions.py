"""Pools, markets' terms, nodes: opened, added, drained, removed, cordoned, broken, restored."""

import msgspec
from msgspec.structs import replace

from parkade.core.fleet.market import AnnouncedTerms, InstanceType, Market, MarketTerms
from parkade.core.fleet.node import Cordon, Health, Node
from parkade.core.fleet.pool import Pool
from parkade.core.nodes.effects import with_prices_of
from parkade.core.reservations.calendar import peak_nodes
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.capacity import sold
from parkade.core.steps.notices import order_stop
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
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import Window
from parkade.core.workloads.life import Cause, Phase


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
    )
    supplied = _supplied(world, pool, command.supply)
    if isinstance(supplied, Refusal):
        return supplied
    market, nodes = supplied
    return (events.PoolOpened(at_us=now_us, pool=pool, market=market, nodes=nodes),)


def add_nodes(world: World, command: commands.AddNodes, now_us: int) -> Decision:
    """More nodes of a pool. In a market that is open they join its fabrics or bring new ones."""
    pool = world.records.pools.get(command.pool)
    if pool is None:
        return not_found("pool", command.pool)
    supplied = _supplied(world, pool, command.supply)
    if isinstance(supplied, Refusal):
        return supplied
    market, nodes = supplied
    return (events.NodesAdded(at_us=now_us, pool=pool.pool, market=market, nodes=nodes),)


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
        return _bad_instance_type(supply.opens.instance_type) or _bad_terms(supply.opens.terms)
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
        return conflict(
            f"{len(busy)} nodes are not drained ({', '.join(busy[:3])}, …); drain them first"
        )
    if (refusal := _needed_by_calendar(world, nodes, now_us)) is not None:
        return refusal
    left = {node.market for node in world.records.nodes.values() if node.pool != command.pool}
    markets = tuple(sorted({node.market for node in nodes} - left))
    forgotten = _forgotten_with(world, markets)
    if isinstance(forgotten, Refusal):
        return forgotten
    workloads, reservations = forgotten
    found: list[events.AnyEvent] = []
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
    live = [it.workload for it in workloads if not it.phase.is_ended]
    owed = [it.reservation for it in rights if not it.state.is_over]
    if live or owed:
        named = ", ".join([*live, *owed][:3])
        return conflict(
            f"{len(live)} workloads and {len(owed)} reservations of this market are not over"
            f" ({named}, …); cancel or end them first"
        )
    return tuple(it.workload for it in workloads), tuple(it.reservation for it in rights)


def is_drained(world: World, node: Node) -> bool:
    """Whether a draining node is empty: draining is not drained."""
    return (
        node.draining_us is not None
        and not world.held_on[node.node]
        and not world.promised_on[node.node]
    )


def drain_node(world: World, command: commands.DrainNode, now_us: int) -> Decision:
    """No new work there; workloads get the market's notice and are seated elsewhere if they can be.
    A claim stays until its owner gives it up."""
    node = world.records.nodes.get(command.node)
    if node is None:
        return not_found("node", command.node)
    if node.draining_us is not None:
        return ()
    found: list[events.AnyEvent] = [
        events.NodeDraining(at_us=now_us, node=node.node, reason=command.reason)
    ]
    for holder in world.held_on[node.node]:
        workload = world.records.workloads.get(holder)
        if workload is None:
            continue
        assert workload.attempt is not None
        if workload.attempt.stop is None:
            found.append(
                order_stop(world, workload, Cause.OPERATOR, at_us=now_us, becomes=Phase.PREEMPTING)
            )
    return tuple(found)


def undrain_node(world: World, command: commands.UndrainNode, now_us: int) -> Decision:
    """The node takes work again; notices that were given stand."""
    node = world.records.nodes.get(command.node)
    if node is None:
        return not_found("node", command.node)
    if node.draining_us is None:
        return ()
    return (events.NodeUndrained(at_us=now_us, node=node.node),)


def remove_node(world: World, command: commands.RemoveNode, now_us: int) -> Decision:
    """Only drained nodes that no reservation needs are removed."""
    node = world.records.nodes.get(command.node)
    if node is None:
        return not_found("node", command.node)
    if not is_drained(world, node):
        state = "still draining" if node.draining_us is not None else "not draining"
        return conflict(f"{node.node} is {state}; it is removed once it is drained")
    if (refusal := _needed_by_calendar(world, [node], now_us)) is not None:
        return refusal
    return (events.NodeRemoved(at_us=now_us, node=node.node, pool=node.pool),)


def _needed_by_calendar(world: World, leaving: list[Node], now_us: int) -> Refusal | None:
    """Reservations and on-demand that were sold keep their nodes."""
    assert all(is_drained(world, node) for node in leaving), "only drained nodes leave"
    ahead = Window(start_us=now_us, end_us=None)
    for market in {node.market: None for node in leaving}:
        entries = sold(world, world.records.markets[market])
        for fabric in {node.fabric: None for node in leaving if node.market == market}:
            going = sum(node.market == market and node.fabric == fabric for node in leaving)
            peak = peak_nodes(entries, fabric, ahead)
            buffer = world.records.markets[market].terms.buffer_nodes if peak else 0
            if world.sizes[market][fabric] - going < peak + buffer:
                return conflict(
                    f"reservations and on-demand were sold {peak} nodes of fabric {fabric!r}"
                    f" (buffer {buffer}); they end first"
                )
    return None


def change_terms(world: World, command: commands.ChangeTerms, now_us: int) -> Decision:
    """New terms now or from a date on. Time that workloads are promised when they must leave is
    shortened only with as much time ahead as the present terms promise."""
    market = world.records.markets.get(command.market)
    if market is None:
        return not_found("market", command.market)
    if market.announced:
        return conflict("other terms are announced already; change them after they are in force")
    given = {
        field: value
        for field, value in msgspec.structs.asdict(command.change).items()
        if value is not None
    }
    terms = replace(market.terms, **given)
    if (refusal := _bad_terms(terms)) is not None:
        return refusal
    if terms == market.terms:
        return ()
    if (refusal := _is_buffer_sold(world, market, terms.buffer_nodes)) is not None:
        return refusal
    from_us = now_us if command.from_us is None else max(now_us, command.from_us)
    present = market.terms
    is_shorter = terms.notice_us < present.notice_us or terms.kill_us < present.kill_us
    if is_shorter and from_us < now_us + present.notice_us + present.kill_us:
        return invalid("from", "shorter times begin once the present notice and kill ran out")
    if from_us == now_us:
        return (events.TermsChanged(at_us=now_us, market=market.market, terms=terms),)
    announced = AnnouncedTerms(from_us=from_us, terms=terms)
    return (events.TermsAnnounced(at_us=now_us, market=market.market, announced=announced),)


def _is_buffer_sold(world: World, market: Market, buffer_nodes: int) -> Refusal | None:
    assert buffer_nodes >= 0
    if buffer_nodes <= market.terms.buffer_nodes:
        return None
    always = Window(start_us=0, end_us=None)
    entries = sold(world, market)
    for fabric, nodes in world.sizes[market.market].items():
        if peak_nodes(entries, fabric, always) > max(0, nodes - buffer_nodes):
            return conflict(f"so large a buffer was sold already in fabric {fabric!r}")
    return None


def terms_due_us(market: Market) -> int | None:
    """When the next announced terms come into force; None where none are announced."""
    return market.announced[0].from_us if market.announced else None


def take_terms(market: Market, at_us: int) -> tuple[events.TermsChanged, ...]:
    """The announced terms come into force, at the prices of the day."""
    assert market.announced and market.announced[0].from_us <= at_us
    terms = with_prices_of(market.announced[0].terms, market.terms)
    return (events.TermsChanged(at_us=at_us, market=market.market, terms=terms),)


def _bad_terms(terms: MarketTerms) -> Refusal | None:
    if not terms.fee.is_fee:
        return invalid("terms.fee", "the fee is at least 0 and less than 1, such as 2/7")
    if not terms.switching_credit.is_share:
        return invalid("terms.switching_credit", "the switching credit is 0 to 1, such as 1/20")
    if not bounds.NODES_KEPT.holds(terms.buffer_nodes):
        most = bounds.NODES_KEPT.most
        return invalid("terms.buffer_nodes", f"0 to {most} nodes a fabric")
    for field in ("pay_as_you_go", "reservation_rate", "public_floor"):
        if not bounds.PRICE_MICROS.holds(getattr(terms, f"{field}_micros")):
            return invalid(f"terms.{field}_micros", "a price is 0 to 1,000,000 per GPU-hour")
    for field, within in bounds.TERMS_US.items():
        if not within.holds(getattr(terms, f"{field}_us")):
            least = "longer than 0" if within.least else "0 or longer"
            return invalid(f"terms.{field}_us", f"this must be {least}, and at most 100 years")
    return None


def fail_node(world: World, command: commands.FailNode, now_us: int) -> Decision:
    """Out of play at once; every attempt with a seat there is broken and will be healed."""
    node = world.records.nodes.get(command.node)
    if node is None:
        return not_found("node", command.node)
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
    node = world.records.nodes.get(command.node)
    if node is None:
        return not_found("node", command.node)
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
    node = world.records.nodes.get(command.node)
    if node is None:
        return not_found("node", command.node)
    holder = command.by or "server"
    if any(cordon.holder == holder for cordon in node.cordons):
        return ()
    cordon = Cordon(holder=holder, reason=command.reason, at_us=now_us)
    return (events.NodeCordoned(at_us=now_us, node=node.node, cordon=cordon),)


def uncordon_node(world: World, command: commands.UncordonNode, now_us: int) -> Decision:
    """The asker's own cordon is lifted; another holder's stays."""
    node = world.records.nodes.get(command.node)
    if node is None:
        return not_found("node", command.node)
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
    pool = world.records.pools.get(command.pool)
    if pool is None:
        return not_found("pool", command.pool)
    is_first = command.is_reachable and pool.first_heard_us is None
    if pool.is_reachable == command.is_reachable and not is_first:
        return ()
    return (
        events.ReachabilityChanged(at_us=now_us, pool=pool.pool, is_reachable=command.is_reachable),
    )


def set_prices(world: World, command: commands.SetPrices, now_us: int) -> Decision:
    """A new price sheet, for what is sold and cleared from now on."""
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
        if micros is not None and not bounds.PRICE_MICROS.holds(micros):
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
