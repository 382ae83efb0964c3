"""Effects on pools, markets' terms and nodes."""

from msgspec.structs import replace

from parkade.core.fleet.market import Market, MarketTerms
from parkade.core.fleet.node import Node, is_step
from parkade.core.nodes.maintenance_effects import forget_nodes, note_terms
from parkade.core.state import events
from parkade.core.state.agenda import Entry
from parkade.core.state.world import World
from parkade.core.steps.changes import put_market, put_node
from parkade.core.workloads.ranks import with_silence


def open_pool(world: World, event: events.PoolOpened) -> None:
    """A pool with its nodes, and its market where it opens one."""
    assert event.pool.pool not in world.records.pools
    world.records.pools[event.pool.pool] = event.pool
    _take_nodes(world, event.market, event.nodes)


def add_nodes(world: World, event: events.NodesAdded) -> None:
    """More nodes of a pool, in fabrics that may be new."""
    assert event.pool in world.records.pools
    _take_nodes(world, event.market, event.nodes)


def _take_nodes(world: World, opened: Market | None, nodes: tuple[Node, ...]) -> None:
    if opened is not None:
        assert opened.market not in world.records.markets
        world.records.markets[opened.market] = opened
    for node in nodes:
        world.put_new_node(node)
        market = world.records.markets[node.market]
        if node.fabric not in market.fabrics:
            put_market(world, node.market, fabrics=(*market.fabrics, node.fabric))
        world.agenda.add(Entry.BUFFER, node.market)


def drain_node(world: World, event: events.NodeDraining) -> None:
    """The node takes no newcomer from this instant on."""
    assert world.records.nodes[event.node].draining_us is None
    put_node(world, event.node, draining_us=event.at_us, drain_reason=event.reason)


def undrain_node(world: World, event: events.NodeUndrained) -> None:
    """The node takes newcomers again; promises there may be launched."""
    assert world.records.nodes[event.node].draining_us is not None
    put_node(world, event.node, draining_us=None, drain_reason=None)


def remove_node(world: World, event: events.NodeRemoved) -> None:
    """Drops the record of a drained node on which nothing is held or promised."""
    assert world.records.nodes[event.node].draining_us is not None, "drained first, then removed"
    _drop_nodes(world, [event.node])


def _drop_nodes(world: World, names: list[str]) -> None:
    """Nodes leave, and fabrics with their last node."""
    markets = {world.records.nodes[name].market: None for name in names}
    forget_nodes(world, names)
    for name in names:
        world.drop_node(name)
    for market in markets:
        sizes = world.sizes[market]
        fabrics = tuple(it for it in world.records.markets[market].fabrics if it in sizes)
        put_market(world, market, fabrics=fabrics)
        world.agenda.add(Entry.BUFFER, market)


def close_pool(world: World, event: events.PoolClosed) -> None:
    """Cost grows with the nodes of all pools."""
    _drop_nodes(world, [it.node for it in world.records.nodes.values() if it.pool == event.pool])
    for market in event.markets:
        del world.records.markets[market]
        world.records.buffers.pop(market, None)
        world.sizes.pop(market, None)
        world.pools_of.pop(market, None)
    del world.records.pools[event.pool]
    world.records.repair_kinds.pop(event.pool, None)


def announce_terms(world: World, event: events.TermsAnnounced) -> None:
    """Keeps the announced terms in order of their date, and puts it on the agenda."""
    market = world.records.markets[event.market]
    assert event.announced.from_us > event.at_us, "terms that hold now are changed, not announced"
    announced = sorted((*market.announced, event.announced), key=lambda it: it.from_us)
    put_market(world, event.market, announced=tuple(announced))
    world.agenda.add(Entry.TERMS, event.market)


def change_terms(world: World, event: events.TermsChanged) -> None:
    """New terms at the present prices; announced terms that are due are used up."""
    market = world.records.markets[event.market]
    later = tuple(it for it in market.announced if it.from_us > event.at_us)
    assert len(later) >= len(market.announced) - 1, "announced terms come into force one by one"
    terms = with_prices_of(event.terms, market.terms)
    put_market(world, event.market, terms=terms, announced=later)
    world.agenda.add(Entry.TERMS, event.market)
    world.agenda.add(Entry.BUFFER, event.market)
    note_terms(world, event.at_us)
    world.wake_all()


def with_prices_of(terms: MarketTerms, priced: MarketTerms) -> MarketTerms:
    """The terms of the one at the prices of the other."""
    return replace(
        terms,
        pay_as_you_go_micros=priced.pay_as_you_go_micros,
        reservation_rate_micros=priced.reservation_rate_micros,
        public_floor_micros=priced.public_floor_micros,
    )


def set_health(world: World, event: events.NodeHealthSet) -> None:
    """What is known of a node; its promises are looked at again."""
    assert event.node in world.held_on, "every node has its index of holders"
    before = world.records.nodes[event.node].health
    assert is_step(before, event.health), f"{event.node}: {before} > {event.health}"
    put_node(world, event.node, health=event.health, health_reason=event.reason)


def cordon(world: World, event: events.NodeCordoned) -> None:
    """One more cordon; a node may have one of each holder."""
    node = world.records.nodes[event.node]
    assert all(it.holder != event.cordon.holder for it in node.cordons), "one cordon a holder"
    put_node(world, event.node, cordons=(*node.cordons, event.cordon))


def uncordon(world: World, event: events.NodeUncordoned) -> None:
    """Lifts the holder's own cordon and no other."""
    node = world.records.nodes[event.node]
    cordons = tuple(cordon for cordon in node.cordons if cordon.holder != event.holder)
    assert len(cordons) == len(node.cordons) - 1, "only the holder's own cordon is lifted"
    put_node(world, event.node, cordons=cordons)


def change_reachability(world: World, event: events.ReachabilityChanged) -> None:
    """Cost grows with all nodes and what the pool's hold. How long the agent was silent counts for
    attempts that have not started: it is no late start of theirs."""
    pool = world.records.pools[event.pool]
    if event.resizes_live is not None:
        world.records.pools[event.pool] = replace(pool, resizes_live=event.resizes_live)
        _wake_promises(world, event.pool)
        return
    if event.is_reachable and pool.silent_since_us is not None:
        _note_silence(world, event.pool, pool.silent_since_us, event.at_us)
    first_heard_us = pool.first_heard_us
    if first_heard_us is None and event.is_reachable:
        first_heard_us = event.at_us
    world.records.pools[event.pool] = replace(
        pool,
        is_reachable=event.is_reachable,
        first_heard_us=first_heard_us,
        silent_since_us=None if event.is_reachable else event.at_us,
        leapt_us=0,
    )
    _wake_lapses(world, event.pool)
    _wake_promises(world, event.pool)


def _wake_promises(world: World, pool: str) -> None:
    for node, promised in world.promised_on.items():
        if promised and world.records.nodes[node].pool == pool:
            world.wake_promises(node)


def set_fence(world: World, event: events.FenceSet) -> None:
    """What may be sold there follows it."""
    pool = world.records.pools[event.pool]
    assert pool.fence is not event.fence, "an unchanged fence is no event"
    world.records.pools[event.pool] = replace(pool, fence=event.fence)


def advance_clock(world: World, event: events.ClockAdvanced) -> None:
    """Leases in silent pools lapse so much later, and what has not started in the others may start
    so much later. Cost grows with all nodes and live workloads."""
    for name, pool in world.records.pools.items():
        if pool.silent_since_us is not None:
            world.records.pools[name] = replace(pool, leapt_us=pool.leapt_us + event.by_us)
            _wake_lapses(world, name)
        elif event.unheard_us:
            _note_silence(world, name, event.at_us, event.at_us + event.unheard_us)


def _wake_lapses(world: World, pool: str) -> None:
    for node, held in world.held_on.items():
        if held and world.records.nodes[node].pool == pool:
            for holder in held:
                world.agenda.add(Entry.LAPSE, holder)


def _note_silence(world: World, pool: str, since_us: int, until_us: int) -> None:
    """Cost grows with live workloads."""
    assert since_us <= until_us
    for name in tuple(world.live):
        # Storing a record looks at its deadlines again.
        workload = world.records.workloads[name]
        attempt = workload.attempt
        if attempt is None or workload.pool != pool:
            continue
        if attempt.started_us is None:
            silent_us = attempt.silent_us + until_us - max(since_us, attempt.ordered_us)
            world.put_workload(replace(workload, attempt=replace(attempt, silent_us=silent_us)))
        elif not all(it.has_begun for it in attempt.ranks):
            ranks = tuple(with_silence(it, since_us, until_us) for it in attempt.ranks)
            world.put_workload(replace(workload, attempt=replace(attempt, ranks=ranks)))


def set_prices(world: World, event: events.PricesSet) -> None:
    """New prices under the present terms; no price of a workload changes before a clearing."""
    terms = replace(
        world.records.markets[event.market].terms,
        pay_as_you_go_micros=event.pay_as_you_go_micros,
        reservation_rate_micros=event.reservation_rate_micros,
        public_floor_micros=event.public_floor_micros,
    )
    put_market(world, event.market, terms=terms)
