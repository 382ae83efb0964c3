"""Workloads as their users ask for them: submit, hold, release, bid, cancel."""

from msgspec.structs import replace

from parkade.core.billing.charges import Postings
from parkade.core.fleet.market import Market
from parkade.core.running.arrays import (
    bad_array,
    cancel_array,
    change_array_bid,
    hold_array,
    release_array,
    waiting_at_first,
)
from parkade.core.running.bidding import bad_bid, change_of_bid
from parkade.core.running.buying import bad_cost, bad_list_cost, refuse_window, window_fabric
from parkade.core.running.capping import over_gpus
from parkade.core.running.choosing import change_of_list, with_markets
from parkade.core.running.dependencies import still_open, with_ids
from parkade.core.running.ending import cancelled, held
from parkade.core.running.entries import bad_list, bad_right
from parkade.core.running.falling_back import bad_deadline, kept_window, with_window
from parkade.core.running.pacing import refuse_more
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.capacity import (
    has_one_pool,
    refuse_unfenced,
    the_market,
    without_storage,
)
from parkade.core.steps.changes import live_workload
from parkade.core.steps.names import with_full_reservation
from parkade.core.steps.refusals import Decision, invalid, not_found
from parkade.core.steps.windows import window_micros
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import SECOND_US, Window
from parkade.core.workloads.dependency import Dependency
from parkade.core.workloads.entries import at_first_entry, ends_on_demand, needs_window
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.spec import CapacityKind, Interconnect, Moves, Spec
from parkade.core.workloads.workload import Workload


def submit(world: World, command: commands.Submit, now_us: int) -> Decision:
    """Accepted workloads wait for a clearing; what could never run is refused now."""
    if (refusal := refuse_more(world, command.org, now_us)) is not None:
        return refusal
    accepted = accept(world, command, now_us)
    if isinstance(accepted, Refusal):
        return accepted
    assert accepted.workload not in world.records.workloads
    return (events.Submitted(at_us=now_us, workload=accepted),)


def accept(
    world: World, command: commands.Submit, now_us: int, *, saved_us: int = 0
) -> Workload | Refusal:
    """The record that a submission becomes, or why not. `saved_us`: so much of its running an
    earlier submission saved."""
    first = at_first_entry(with_full_reservation(world, command.spec, command.org))
    spec = with_ids(world, first, command.org)
    if isinstance(spec, Refusal):
        return spec
    waits_for = still_open(world, spec)
    if isinstance(waits_for, Refusal):
        return waits_for
    command = replace(command, spec=spec)
    spec = with_markets(world, command)
    if isinstance(spec, Refusal):
        return spec
    command = replace(command, spec=spec)
    market = _market_of(world, command)
    if isinstance(market, Refusal):
        return market
    refusal = bad_array(spec) or _bad_choices(world, spec)
    if not spec.choices:
        refusal = refusal or _bad_shape(world, market, spec) or _bad_terms(market, spec)
    refusal = refusal or bad_list(world, market, spec, command.org)
    if refusal is None and needs_window(spec) and command.is_held:
        refusal = _on_demand_is_not_held("hold")
    refusal = refusal or bad_deadline(spec, is_held=command.is_held)
    if refusal is not None:
        return refusal
    must_end_us = fabric = agreed_price_micros = None
    match spec.capacity.kind:
        case CapacityKind.RESERVATION:
            if (refusal := bad_right(world, spec, spec.capacity)) is not None:
                return refusal
        case CapacityKind.ON_DEMAND:
            if (unfenced := refuse_unfenced(world, market)) is not None:
                return unfenced
            must_end_us = now_us + market.terms.leave_us + (spec.max_duration_us or 0)
            room = _on_demand_fabric(world, command, market, now_us, must_end_us)
            if isinstance(room, Refusal):
                return room
            fabric, agreed_price_micros = room, market.terms.pay_as_you_go_micros
        case CapacityKind.SPOT:
            refusal = bad_bid(market, spec, spec.limit_price_micros)
            refusal = refusal or _bad_moves(world, market, spec)
            if refusal is not None:
                return refusal
    accepted = Workload(
        workload=f"w{world.records.counters.get('workload', 0) + 1}",
        org=command.org,
        user=command.by or "server",
        market=market.market,
        spec=spec,
        phase=Phase.HELD if command.is_held or waits_for else Phase.QUEUED,
        why=_why_at_first(command, waits_for),
        price_to_win_micros=None,
        submitted_us=now_us,
        generation=0,
        attempt=None,
        promise=None,
        failures=0,
        preemptions=0,
        spent_micros=0,
        not_before_us=0,
        must_end_us=must_end_us,
        agreed_price_micros=agreed_price_micros,
        fabric=fabric,
        is_budget_noted=False,
        short_us=None,
        ended_us=None,
        checkpoint_step=None,
        price_set_by=None,
        exit_summary="",
        waits_for=waits_for,
        array=waiting_at_first(spec, now_us),
        saved_us=saved_us,
    )
    if ends_on_demand(spec):
        price_micros = market.terms.pay_as_you_go_micros
        accepted = replace(accepted, window_price_micros=price_micros)
        return bad_list_cost(world, market, accepted, now_us) or accepted
    if spec.deadline is None:
        return accepted
    kept = kept_window(world, market, accepted, now_us)
    return kept if isinstance(kept, Refusal) else with_window(accepted, kept)


def _bad_choices(world: World, spec: Spec) -> Refusal | None:
    """Each market of a list is held to what one market is, under its own limit."""
    for choice in spec.choices:
        market = world.records.markets[choice.market]
        limit = choice.limit_price_micros
        there = replace(spec, choices=(), instance_type=None, limit_price_micros=limit)
        refusal = _bad_shape(world, market, there) or _bad_terms(market, there)
        refusal = refusal or bad_bid(market, there, limit)
        if refusal is not None:
            return replace(refusal, detail=f"{choice.instance_type}: {refusal.detail}")
    return None


def _market_of(world: World, command: commands.Submit) -> Market | Refusal:
    """The market that is named, by a reservation where the command names none, else the only one
    that fits."""
    spec, named = command.spec, command.market
    if spec.choices:
        return world.records.markets[spec.choices[0].market]
    if spec.capacity.kind is CapacityKind.RESERVATION:
        name = spec.capacity.reservation or ""
        reservation = world.records.reservations.get(name)
        if reservation is None or reservation.org != command.org:
            return not_found("reservation", name)
        if named in world.records.markets and named != reservation.market:
            there = f"reservation {name!r} is in market {reservation.market}, not in {named}"
            return invalid("market", there)
        named = named or reservation.market
    return the_market(
        world,
        named,
        instance_type=spec.instance_type,
        gpus=spec.gpus,
        storage=spec.storage,
    )


def _why_at_first(command: commands.Submit, waits_for: tuple[Dependency, ...]) -> Why:
    if command.is_held:
        return Why.HELD
    return Why.DEPENDENCY if waits_for else Why.NEXT_CLEARING


def _bad_shape(world: World, market: Market, spec: Spec) -> Refusal | None:
    kind = market.instance_type
    assert kind.gpus_per_node > 0
    if spec.instance_type not in (None, kind.name, kind.gpu_model):
        return Refusal(
            reason=Reason.UNSUPPORTED,
            detail=f"no {spec.instance_type!r} here; this market has {kind.name!r}",
            field="instance_type",
        )
    if not 1 <= spec.gpus <= kind.gpus_per_node:
        return Refusal(
            reason=Reason.TOO_LARGE,
            detail=f"a node of {kind.name!r} has {kind.gpus_per_node} GPUs",
            field="gpus",
        )
    if spec.is_elastic and (refusal := _bad_elastic(market, spec)) is not None:
        return refusal
    is_any = spec.interconnect is Interconnect.ANY and spec.nodes > 1
    if is_any and not has_one_pool(world, market.market):
        return Refusal(
            reason=Reason.UNSUPPORTED,
            detail="several pools supply this market, and a gang stays in one of them: leave"
            " interconnect out",
            field="interconnect",
        )
    sizes = world.sizes[market.market]
    is_one_fabric = spec.interconnect is Interconnect.FABRIC
    most = max(sizes.values(), default=0) if is_one_fabric else sum(sizes.values())
    if spec.nodes < 1 or spec.nodes_alone(kind.gpus_per_node) > most:
        return Refusal(
            reason=Reason.TOO_LARGE,
            detail=f"at most {most} nodes can be had together here",
            field="nodes",
        )
    return None


def _bad_elastic(market: Market, spec: Spec) -> Refusal | None:
    """The wire's model says this too, but for the GPUs of a node."""
    kind = market.instance_type
    is_spot = spec.capacity.kind is CapacityKind.SPOT
    if not is_spot or spec.interconnect is Interconnect.ANY or spec.moves is Moves.CHEAPER:
        return Refusal(
            reason=Reason.UNSUPPORTED,
            detail="an elastic number of nodes is for spot in one fabric, with moves: needed",
            field="nodes",
        )
    if spec.gpus != kind.gpus_per_node:
        return Refusal(
            reason=Reason.UNSUPPORTED,
            detail=f"an elastic number of nodes is of whole nodes; write gpus: {kind.gpus_per_node}"
            " or one number of nodes",
            field="gpus",
        )
    if spec.most_nodes <= spec.nodes:
        return invalid("nodes", "min is at most max; of equal ones write one number")
    return None


def _bad_moves(world: World, market: Market, spec: Spec) -> Refusal | None:
    """The seats of a lower floor are promised before a workload leaves for them."""
    if spec.moves is not Moves.CHEAPER:
        return None
    so = "no seats of a lower floor are promised (say moves: needed)"
    return refuse_unfenced(world, market, field="moves", so=so)


def _bad_terms(market: Market, spec: Spec) -> Refusal | None:
    if missing := without_storage(market, spec.storage):
        return missing
    notice_us = market.terms.notice_us
    needs_us = spec.checkpoint.needs_us if spec.checkpoint is not None else None
    if needs_us is not None and needs_us > notice_us:
        return Refusal(
            reason=Reason.NOTICE_TOO_SHORT,
            detail=f"the notice here is {notice_us / SECOND_US:g} s; a checkpoint that needs"
            " longer would not be finished",
            field="checkpoint.needs",
        )
    if spec.limit_price_micros is not None and spec.capacity.kind is not CapacityKind.SPOT:
        return invalid("limit_price", "a limit is for spot; this capacity has a fixed price")
    if spec.max_duration_us is None and needs_window(spec):
        return invalid("max_duration", "on-demand is a window: say how long at most, such as 2h")
    return None


def _on_demand_is_not_held(field: str | None) -> Refusal:
    """Its window runs from the moment it is accepted, at the price of that moment: held, it would
    block the calendar for nothing."""
    return Refusal(
        reason=Reason.UNSUPPORTED,
        detail="on-demand is not held: its window and price run from now on; submit it when it"
        " is to run, or bid for spot",
        field=field,
    )


def _on_demand_fabric(
    world: World, command: commands.Submit, market: Market, now_us: int, must_end_us: int
) -> str | Refusal:
    """The fabric that has room in its calendar for all of the window."""
    spec = command.spec
    assert now_us < must_end_us and spec.max_duration_us is not None
    window = Window(start_us=now_us, end_us=must_end_us)
    fabric = window_fabric(world, market, spec, window)
    if fabric is None:
        span, does = "for the whole window", "ask for fewer or for a shorter max_duration"
        does = f"bid for spot, or {does}"
        return refuse_window(world, market, spec, window, span=span, does=does, field="nodes")
    rate = market.terms.pay_as_you_go_micros * spec.total_gpus
    cost = window_micros(market, rate, now_us=now_us, must_end_us=must_end_us)
    who = command.by or ""
    refusal = bad_cost(world, spec, org=command.org, user=who, cost_micros=cost, now_us=now_us)
    refusal = refusal or over_gpus(world, org=command.org, user=who, gpus=spec.total_gpus)
    return refusal or fabric


def hold(world: World, command: commands.Hold, now_us: int) -> Decision:
    """Keeps what waits from starting; what runs is not touched."""
    workload = live_workload(world, command.workload)
    if isinstance(workload, Refusal):
        return workload
    if workload.phase is Phase.HELD and workload.why != Why.DEPENDENCY:
        return ()
    if workload.array is not None:
        return hold_array(world, workload, now_us)
    if workload.attempt is not None:
        return Refusal(
            reason=Reason.CONFLICT, detail=f"{workload.workload} runs; cancel it or let it end"
        )
    if needs_window(workload.spec):
        return _on_demand_is_not_held(None)
    if workload.fallback is not None:
        return Refusal(
            reason=Reason.UNSUPPORTED,
            detail="its on-demand window is kept for its deadline, so it is not held; cancel it and"
            " submit it when it may start",
        )
    return held(world, Postings(world), workload, now_us)


def release(world: World, command: commands.Release, now_us: int) -> Decision:
    """Waits for the next clearing again, or for the others that it has to wait for."""
    workload = live_workload(world, command.workload)
    if isinstance(workload, Refusal):
        return workload
    if workload.phase is not Phase.HELD or workload.why == Why.DEPENDENCY:
        return ()
    if workload.array is not None:
        return release_array(world, workload, now_us)
    assert workload.attempt is None and workload.promise is None
    waits = bool(workload.waits_for)
    return (
        events.PhaseChanged(
            at_us=now_us,
            workload=workload.workload,
            phase=Phase.HELD if waits else Phase.QUEUED,
            why=Why.DEPENDENCY if waits else Why.NEXT_CLEARING,
        ),
    )


def cancel(world: World, command: commands.Cancel, now_us: int) -> Decision:
    """Ends it: at once where nothing runs, else after its notice or, if asked, without one."""
    workload = live_workload(world, command.workload)
    if isinstance(workload, Refusal):
        return workload
    if workload.array is not None:
        return cancel_array(world, workload, command, now_us)
    if command.members is not None:
        return _no_array(workload)
    return cancelled(world, Postings(world), workload, now_us, is_immediate=command.now)


def change_bid(world: World, command: commands.ChangeBid, now_us: int) -> Decision:
    """A new limit, from the next clearing on."""
    workload = live_workload(world, command.workload)
    if isinstance(workload, Refusal):
        return workload
    if workload.spec.bid_limit_micros is None:
        return invalid("limit_price", "only spot workloads bid")
    if workload.array is not None:
        return change_array_bid(world, workload, command, now_us)
    if command.members is not None:
        return _no_array(workload)
    if workload.spec.choices:
        return change_of_list(world, workload, command, now_us)
    if command.instance_type is not None:
        return invalid("instance_type", f"{workload.workload} bids in one market; leave it out")
    market = world.records.markets[workload.market]
    refusal = bad_bid(market, workload.spec, command.limit_price_micros)
    if refusal is not None:
        return refusal
    return change_of_bid(world, Postings(world), workload, command.limit_price_micros, now_us)


def _no_array(workload: Workload) -> Refusal:
    return invalid("members", f"{workload.workload} is no array; leave members out")
