"""What must hold of spans that are promised: none is sold twice, none grows, each is kept.

Read from records and events, with no code of the decisions. The calendar is counted anew in every
new state, from the present on, with what is on the way: kept windows of work with a deadline, and
windows of maintenance. A *step* is asked whether a kept window grew by it.

Example. Cedar's window is kept from 30 s on and the node is on demand until then. Cedar reports a
checkpoint, so its window begins at 50 s, and the node is sold until 50 s. If now the checkpoint
counted less, the node would be sold twice from 30 to 50 s: number 9, and the step is 40.
"""

from collections.abc import Callable

from parkade.core.fleet.maintenance import is_window
from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Rate, Workload
from parkade.sim.check.breach import require
from parkade.sim.check.open_nodes import is_open
from parkade.sim.check.state import State
from parkade.sim.check.windows import empties_us, kept_window_us

SOLD, MAINTAINED, DEADLINE, RUNTIME = 9, 39, 40, 41

Span = tuple[int, int | None]


def look_before(world: World, event: events.AnyEvent) -> Callable[[World], None] | None:
    """The rules of one event; what shall be asked once it was evolved."""
    match event:
        case events.FellBack():
            _look_at_fallback(world, event)
        case events.Submitted(workload=workload) if workload.fallback is not None:
            _look_at_sale(world, workload)
        case events.MaintenanceScheduled(maintenance=made):
            markets = (world.records.markets[world.records.nodes[it].market] for it in made.nodes)
            lead_us = max(it.terms.notice_us + it.terms.kill_us for it in markets)
            says = f"{made.maintenance} is scheduled with a lead of {made.lead_us}, not {lead_us}"
            require(made.lead_us == lead_us, MAINTAINED, says)
        case events.MaintenanceBegun(maintenance=name):
            window = world.records.maintenance[name]
            due_us = max(window.known_us, empties_us(window))
            says = f"{name} begins at {event.at_us}, and its nodes are emptied from {due_us} on"
            require(event.at_us == due_us, MAINTAINED, says)
        case events.Launched(workload=name, attempt=attempt):
            admission = attempt.admission
            runs_us = None if admission is None else admission.min_runtime_us
            workload = world.records.workloads[name]
            if workload.spec.capacity.kind is CapacityKind.SPOT:
                terms = world.records.markets[workload.market].terms
                says = f"{name} starts, and may run for {runs_us}, not {terms.min_runtime_us}"
                may_be_none = runs_us is None and _others_wait(world, name)
                require(may_be_none or runs_us == terms.min_runtime_us, RUNTIME, says)
        case events.Cleared():
            _look_at_protected(world, event)
        case _:
            pass
    kept = dict(_kept(world))
    if not kept or isinstance(event, events.FellBack):
        return None
    return lambda after: _look_at_growth(after, kept)


def _others_wait(world: World, name: str) -> bool:
    """Whether another bid has no seats: what starts before a stronger one is not protected."""
    others = (world.records.workloads[other] for other in world.live if other != name)
    return any(it.phase is Phase.QUEUED for it in others)


def _kept(world: World) -> list[tuple[str, tuple[int, int]]]:
    found = []
    for name in world.live:
        window = kept_window_us(world, world.records.workloads[name])
        if window is not None:
            found.append((name, window))
    return found


def _look_at_growth(world: World, before: dict[str, tuple[int, int]]) -> None:
    """A window that is kept only shrinks."""
    for name, (begins_us, ends_us) in _kept(world):
        had = before.get(name)
        if had is not None:
            says = f"the window that is kept for {name} grows by {had[0] - begins_us} microseconds"
            require(begins_us >= had[0] and ends_us <= had[1], DEADLINE, says)


def _look_at_fallback(world: World, event: events.FellBack) -> None:
    """It falls back at its last moment, for the window that was kept."""
    name = event.workload
    workload = world.records.workloads[name]
    window = kept_window_us(world, workload)
    require(window is not None, DEADLINE, f"{name} falls back, and no window is kept for it")
    assert window is not None
    begins_us = max(workload.submitted_us, window[0])
    says = f"{name} falls back at {event.at_us}, and its last moment is {begins_us}"
    require(event.at_us == begins_us, DEADLINE, says)
    says = f"{name} must end at {event.must_end_us}, and its window ends at {window[1]}"
    require(event.must_end_us == window[1], DEADLINE, says)


def _look_at_sale(world: World, workload: Workload) -> None:
    """What is sold with it are the terms in force."""
    assert workload.fallback is not None
    kept, terms = workload.fallback.terms, world.records.markets[workload.market].terms
    is_same = kept is not None and all(
        getattr(kept, field) == getattr(terms, field) for field in kept.__struct_fields__
    )
    require(is_same, DEADLINE, f"{workload.workload} is sold a window on other terms")


def _look_at_protected(world: World, event: events.Cleared) -> None:
    """No bid takes the seats of what may run on, and they cost no more than at its start, but for a
    floor that rose."""
    for leaving in event.left:
        workload = world.records.workloads.get(lines.name_of(leaving.demand))
        if workload is None or leaving.stop is None:
            continue
        is_by_bids = leaving.stop.cause is Cause.OUTBID
        says = f"{workload.workload} is outbid, and may run on"
        is_kept = is_by_bids and _may_run_on(world, workload, event.at_us)
        require(not is_kept, RUNTIME, says)
    for repriced in event.repriced:
        workload = world.records.workloads[repriced.workload]
        if _may_run_on(world, workload, event.at_us):
            _look_at_its_price(workload, repriced.rate)


def _may_run_on(world: World, workload: Workload, at_us: int) -> bool:
    """Whether its market lets it run on whatever others bid: it has started on open nodes, not so
    long ago, and bids what it agreed to pay."""
    attempt = workload.attempt
    if attempt is None or attempt.admission is None or attempt.started_us is None:
        return False
    if attempt.stop is not None or attempt.broken_us is not None:
        return False
    agreed, limit = attempt.admission, workload.spec.limit_price_micros
    if limit is None or limit < agreed.price_micros:
        return False
    is_young = at_us < attempt.started_us + agreed.min_runtime_us
    return is_young and all(is_open(world, seat.node) for seat in attempt.seats)


def _look_at_its_price(workload: Workload, rate: Rate) -> None:
    attempt = workload.attempt
    assert attempt is not None and attempt.admission is not None
    most = max(attempt.admission.price_micros, rate.floor_micros or 0)
    says = f"{workload.workload} would pay {rate.price_micros}, and agreed to {most}"
    require(rate.price_micros <= most, RUNTIME, says)


def look_at_spans(state: State) -> None:
    """What is promised fits, and what is due was taken."""
    world, now_us = state.world, state.now_us
    _look_at_calendar(world, now_us)
    for name, (begins_us, _) in _kept(world):
        says = f"{name} bids still, {(now_us - begins_us) / 1e6:g} s past its last moment"
        require(begins_us > now_us, DEADLINE, says)
    for window in world.records.maintenance.values():
        name = window.maintenance
        require(now_us < window.end_us, MAINTAINED, f"{name} is over, and still there")
        if not window.has_begun:
            begins_us = max(window.known_us, empties_us(window))
            require(now_us < begins_us, MAINTAINED, f"the nodes of {name} are not emptied")
            continue
        for node in window.nodes:
            holders = [cordon.holder for cordon in world.records.nodes[node].cordons]
            says = f"{node} is in {name}, and not closed"
            require(window.holder in holders, MAINTAINED, says)
            _look_at_emptied(world, node, name)
    for record in world.records.nodes.values():
        own = [cordon.holder for cordon in record.cordons if is_window(cordon.holder)]
        known = {it.holder for it in world.records.maintenance.values() if record.node in it.nodes}
        says = f"{record.node} is closed for a window that is over"
        require(set(own) <= known, MAINTAINED, says)


def _look_at_emptied(world: World, node: str, window: str) -> None:
    """All work on a node in maintenance has its notice."""
    for holder in world.held_on[node]:
        workload = world.records.workloads.get(holder)
        if workload is not None and workload.attempt is not None:
            attempt = workload.attempt
            has_notice = attempt.stop is not None or attempt.broken_us is not None
            says = f"{holder} works on {node} in {window}, without a notice"
            require(has_notice, MAINTAINED, says)


def _look_at_calendar(world: World, now_us: int) -> None:
    """At no moment from now on more of a fabric is sold, kept or in maintenance than it has."""
    spans: dict[str, list[Span]] = {}
    for right in world.records.reservations.values():
        if not right.state.is_over:
            for fabric, nodes in right.shape:
                span = (right.window.start_us, right.window.end_us)
                spans.setdefault(fabric, []).extend([span] * nodes)
    for name in world.live:
        workload = world.records.workloads[name]
        kept = kept_window_us(world, workload)
        if kept is not None and workload.fallback is not None:
            spans.setdefault(workload.fallback.fabric, []).extend([kept] * workload.spec.nodes)
        elif workload.spec.capacity.kind is CapacityKind.ON_DEMAND and workload.fabric is not None:
            span = (now_us, workload.must_end_us)
            spans.setdefault(workload.fabric, []).extend([span] * workload.spec.nodes)
    for window in world.records.maintenance.values():
        begins_us = empties_us(window)
        for node in window.nodes:
            fabric = world.records.nodes[node].fabric
            spans.setdefault(fabric, []).append((begins_us, window.end_us))
    for fabric, sold in spans.items():
        has = sum(node.fabric == fabric for node in world.records.nodes.values())
        for moment_us in {now_us, *(start_us for start_us, _ in sold if start_us > now_us)}:
            at_once = sum(
                start_us <= moment_us and (end_us is None or moment_us < end_us)
                for start_us, end_us in sold
            )
            says = f"{at_once} of {has} nodes of {fabric} are sold {(moment_us - now_us) / 1e6:g}"
            require(at_once <= has, SOLD, f"{says} s from now")


def look_at_rest(world: World) -> None:
    """At rest nothing that was promised is still to come."""
    left = [*world.records.maintenance, *(name for name, _ in _kept(world))]
    require(not left, MAINTAINED, f"at rest, and {', '.join(left)} is still to come")
