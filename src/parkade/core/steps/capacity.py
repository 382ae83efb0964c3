"""What of a market is sold over time, and what may still be sold."""

from collections.abc import Iterable, Iterator, Sequence

from parkade.core.fleet.maintenance import Maintenance
from parkade.core.fleet.market import Market
from parkade.core.fleet.pool import Fence
from parkade.core.reservations.calendar import Sold, room
from parkade.core.state.world import World
from parkade.core.steps.buffers import held_in
from parkade.core.steps.fallbacks import falls_back_us, must_end_us
from parkade.core.steps.refusals import not_found
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import Window
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload

MOST_NAMED = 10


def the_market(
    world: World,
    name: str | None,
    *,
    instance_type: str | None = None,
    gpus: int = 0,
    storage: tuple[str, ...] = (),
) -> Market | Refusal:
    """The market of that name; where none is named, the only one that has the instance type (or
    GPU model) asked for, in nodes of so many GPUs that share these file systems."""
    markets = world.records.markets
    if name is not None:
        return markets.get(name) or not_found("market", name)
    if not markets:
        return Refusal(reason=Reason.NO_CAPACITY, detail="no pool is open yet", field="market")
    if len(markets) == 1:
        return next(iter(markets.values()))
    kinds = ((market, market.instance_type) for market in markets.values())
    able = [
        market
        for market, kind in kinds
        if instance_type in (None, kind.name, kind.gpu_model) and gpus <= kind.gpus_per_node
    ]
    fitting = [market for market in able if not _not_shared(market, storage)]
    if len(fitting) == 1:
        return fitting[0]
    open_ones = fitting or able or markets.values()
    names = ", ".join(sorted(market.market for market in open_ones)[:MOST_NAMED])
    if able and not fitting:
        detail = (
            f"no market was named, and none that has such nodes shares {_missing(able, storage)};"
            f" ask for file systems that one of them shares: {names}"
        )
    else:
        what = "have such nodes" if fitting else "are open, none with such nodes"
        detail = f"no market was named, and several {what}; name one: {names}"
    return Refusal(reason=Reason.INVALID, detail=detail, field="market")


def _missing(markets: Sequence[Market], storage: tuple[str, ...]) -> str:
    """The file systems that none of these markets shares; all, where each is shared somewhere."""
    lacking = [set(_not_shared(market, storage)) for market in markets]
    nowhere = sorted(set.intersection(*lacking))
    return ", ".join(nowhere) or f"all of {', '.join(sorted(storage))}"


def _not_shared(market: Market, storage: Iterable[str]) -> list[str]:
    return sorted(set(storage).difference(_shared(market)))


def _shared(market: Market) -> list[str]:
    """The file systems that all nodes share now and by all terms that were announced."""
    shared = set(market.terms.file_systems)
    for announced in market.announced:
        shared &= set(announced.terms.file_systems)
    return sorted(shared)


def without_storage(market: Market, storage: Iterable[str]) -> Refusal | None:
    """The refusal of a workload that needs a file system which the nodes do not all share."""
    missing = _not_shared(market, storage)
    if not missing:
        return None
    there = ", ".join(_shared(market)) or "none by name"
    return Refusal(
        reason=Reason.UNSUPPORTED,
        detail=f"the nodes of market {market.market!r} do not share {', '.join(missing)}, but"
        f" {there}; name a market that shares what it needs",
        field="storage",
    )


def has_one_pool(world: World, market: str) -> bool:
    """Whether all nodes of a market are one pool's."""
    return len(world.pools_of.get(market, {})) <= 1


def refuse_unfenced(
    world: World, market: Market, *, field: str = "market", so: str = "only spot is sold"
) -> Refusal | None:
    """Nothing that must be delivered is sold where jobs of others can take the nodes. `so`: what
    follows, as the refusal says it of `field`. Cost grows with the pools."""
    unfenced = {pool.pool for pool in world.records.pools.values() if not pool.is_fenced}
    if not unfenced:
        return None
    names = sorted(unfenced.intersection(world.pools_of.get(market.market, {})))
    if not names:
        return None
    pool = world.records.pools[names[0]]
    does = f"an operator closes it: parkade pool fence {pool.pool}"
    if pool.fence is Fence.ASKED:
        does = (
            "its agent has not said yet that the fence stands; try again soon, and where it stays"
            f" so `parkade pool show {pool.pool}` says what Slurm refuses"
        )
    detail = f"jobs of others can take nodes of pool {pool.pool!r}, so {so}: {does}"
    return Refusal(reason=Reason.UNFENCED, detail=detail, field=field)


def sold(world: World, market: Market) -> tuple[Sold, ...]:
    """Everything of a market that is sold over a window: reservations and on-demand.

    Cost grows with its reservations and live workloads.
    """
    entries = [
        Sold(fabric=fabric, nodes=nodes, window=reservation.window)
        for reservation in world.records.reservations.values()
        if reservation.market == market.market and not reservation.state.is_over
        for fabric, nodes in reservation.shape
    ]
    for name in world.live:
        workload = world.records.workloads[name]
        if workload.fallback is not None:
            entries.append(_kept_window(market, workload, workload.fallback.fabric))
            continue
        if workload.spec.capacity.kind is not CapacityKind.ON_DEMAND or workload.fabric is None:
            continue
        assert workload.must_end_us is not None
        from_us = workload.window_from_us
        since_us = workload.submitted_us if from_us is None else from_us
        window = Window(start_us=since_us, end_us=workload.must_end_us)
        market_of = world.records.markets[workload.market]
        nodes = workload.spec.nodes_alone(market_of.instance_type.gpus_per_node)
        entries.append(Sold(fabric=workload.fabric, nodes=nodes, window=window))
    return tuple(entries)


def _kept_window(market: Market, workload: Workload, fabric: str) -> Sold:
    """What is kept for spot work with a deadline, from when it would fall back."""
    ends_us = must_end_us(market, workload)
    begins_us = min(falls_back_us(market, workload), ends_us - 1)
    nodes = workload.spec.nodes_alone(market.instance_type.gpus_per_node)
    return Sold(fabric=fabric, nodes=nodes, window=Window(start_us=begins_us, end_us=ends_us))


def sellable(world: World, market: Market, window: Window) -> dict[str, int]:
    """Nodes of each fabric that may still be sold over a whole window: none of a pool whose agent
    is overdue and was never heard. A reservation that makes room already for a window that begins
    soon counts as sold from now on, and so do nodes in maintenance windows. Cost grows with what is
    sold and scheduled, and with the nodes while there is such a pool."""
    assert window.end_us is None or window.start_us < window.end_us
    free = room(
        (*sold(world, market), *_making_room(world, market), *maintained(world, market)),
        world.sizes[market.market],
        buffers=held_in(world, market),
        window=window,
    )
    unheard = unheard_pools(world)
    if unheard:
        for node in world.records.nodes.values():
            if node.market == market.market and node.pool in unheard:
                free[node.fabric] = 0
    return free


def maintained(world: World, market: Market, *, besides: str | None = None) -> tuple[Sold, ...]:
    """Nodes of a market in maintenance windows, from when they are emptied until the end; all
    windows but one, where it is named. Cost grows with the nodes of the windows."""
    entries: list[Sold] = []
    for window in world.records.maintenance.values():
        if window.maintenance == besides:
            continue
        span = Window(start_us=empties_us(world, window), end_us=window.end_us)
        nodes = (world.records.nodes[name] for name in window.nodes)
        entries.extend(
            Sold(fabric=node.fabric, nodes=1, window=span)
            for node in nodes
            if node.market == market.market
        )
    return tuple(entries)


def empties_us(world: World, maintenance: Maintenance) -> int:
    """When a window's nodes are emptied, so that they are free at its start. Cost grows with its
    nodes."""
    lead_us = maintenance.lead_us
    if lead_us is None:
        lead_us = lead_now_us(world, maintenance.nodes)
    return maintenance.window.start_us - lead_us


def lead_now_us(world: World, nodes: Sequence[str]) -> int:
    """How long before a window these nodes are to be emptied by the terms in force: the longest
    notice + kill of their markets."""
    markets = {world.records.nodes[name].market: None for name in nodes}
    terms = [world.records.markets[name].terms for name in markets]
    return max(it.notice_us + it.kill_us for it in terms)


def begins_us(world: World, maintenance: Maintenance) -> int:
    """When a window's nodes get their cordons and their notice: so that they are empty in time, and
    no sooner than it was known; once it has begun, when that was."""
    if maintenance.has_begun:
        return maintenance.known_us
    return max(maintenance.known_us, empties_us(world, maintenance))


def rights_in(world: World, market: str, fabric: str) -> list[str]:
    """Reservations and on-demand to which nodes of a fabric were sold."""
    rights = [
        right.reservation
        for right in world.records.reservations.values()
        if right.market == market and not right.state.is_over and fabric in dict(right.shape)
    ]
    return rights + [
        name
        for name in world.live
        if world.records.workloads[name].market == market
        and fabric in _fabrics_of(world.records.workloads[name])
    ]


def _fabrics_of(workload: Workload) -> tuple[str | None, ...]:
    """Where on-demand has its window, or one is kept."""
    return (workload.fabric, workload.fallback.fabric if workload.fallback else None)


def not_owned(world: World, market: Market) -> dict[str, int]:
    """Open nodes of each fabric that no owner and no on-demand holds or is promised. Grows with the
    nodes."""
    found: dict[str, int] = {}
    for node in world.records.nodes.values():
        if node.market == market.market and node.is_open:
            holders = {*world.held_on[node.node], *world.promised_on[node.node]}
            is_free = all(_is_spot(world, holder) for holder in holders)
            found[node.fabric] = found.get(node.fabric, 0) + is_free
    return found


def _is_spot(world: World, holder: str) -> bool:
    """Whether a workload or a claim gives its nodes to owners and on-demand."""
    workload = world.records.workloads.get(holder)
    return workload is not None and workload.spec.capacity.kind is CapacityKind.SPOT


def _making_room(world: World, market: Market) -> Iterator[Sold]:
    """The time before its window in which a reservation takes part already."""
    for reservation in world.records.reservations.values():
        start_us = reservation.window.start_us
        if reservation.market == market.market and reservation.state.takes_part and start_us > 0:
            window = Window(start_us=0, end_us=start_us)
            for fabric, nodes in reservation.shape:
                yield Sold(fabric=fabric, nodes=nodes, window=window)


def unheard_pools(world: World) -> frozenset[str]:
    """Pools whose agent should have been heard by now and never was."""
    return frozenset(
        pool.pool
        for pool in world.records.pools.values()
        if pool.first_heard_us is None and not pool.is_reachable
    )
