"""Effects on workloads and their attempts."""

from msgspec.structs import replace

from parkade.core.billing.live_ranks import left, with_ranks
from parkade.core.running.idle import note_gone
from parkade.core.running.member_effects import (
    change_bid_of_waiting,
    change_bounds_of_waiting,
    with_bounds,
)
from parkade.core.running.unadmitted import note_admitted, note_unadmitted
from parkade.core.running.unbegun import with_unbegun
from parkade.core.running.unstarted import note_slow_start
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.changes import (
    count,
    live_attempt,
    note_begun,
    note_wait,
    occupy,
    step,
    vacate,
)
from parkade.core.steps.fallbacks import saved_until_us, saved_us
from parkade.core.steps.members import may_open
from parkade.core.workloads.choices import settled, with_limit_in
from parkade.core.workloads.entries import asking, buying
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.ranks import ranks_of
from parkade.core.workloads.spec import Capacity, CapacityKind, Moves
from parkade.core.workloads.workload import Admission, Attempt, Workload


def submit(world: World, event: events.Submitted) -> None:
    """Takes the record in as it was decided; its id counts the submissions."""
    assert event.workload.workload not in world.records.workloads
    count(world, "workload")
    note_begun(world, event.workload.org, event.at_us, submits=1)
    world.put_workload(event.workload)


def resubmit(world: World, event: events.Resubmitted) -> None:
    """The record that had ended is replaced; its attempts are numbered on."""
    before = world.records.workloads[event.workload.workload]
    assert before.phase.is_ended and before.generation == event.workload.generation
    note_begun(world, before.org, event.at_us, submits=1)
    world.put_workload(event.workload)


def change_phase(world: World, event: events.PhaseChanged) -> None:
    """Another phase of a workload without an attempt; its promise falls away."""
    workload = world.records.workloads[event.workload]
    assert workload.attempt is None, "a workload with an attempt ends by its release"
    ended_us = event.at_us if event.phase.is_ended else None
    is_released = workload.phase is Phase.HELD and event.phase is Phase.QUEUED
    after = replace(
        workload,
        phase=event.phase,
        why=event.why,
        promise=None,
        short_us=None,
        short_gpus=None,
        ended_us=ended_us,
        released_us=event.at_us if is_released else workload.released_us,
    )
    if workload.array is not None:
        assert ended_us is None, "an array ends with its members"
        after = may_open(after, world.records.now_us)
    step(world, workload, settled(after))


def change_bid(world: World, event: events.BidChanged) -> None:
    """Another limit; the price stays until the next clearing."""
    workload = world.records.workloads[event.workload]
    if workload.array is not None:
        change_bid_of_waiting(world, workload, event)
        return
    assert not workload.phase.is_ended and workload.spec.bid_limit_micros is not None
    spec = with_limit_in(workload, event.market, event.limit_price_micros)
    world.put_workload(replace(workload, spec=spec, has_lost=False))


def change_bounds(world: World, event: events.BoundsChanged) -> None:
    """Another `max_spend` or `max_duration`, and the end by the clock that follows."""
    workload = world.records.workloads[event.workload]
    if workload.array is not None:
        change_bounds_of_waiting(world, workload, event)
        return
    assert not workload.phase.is_ended and not event.members
    world.put_workload(with_bounds(workload, event))


def order_stop(world: World, event: events.StopOrdered) -> None:
    """A notice, or an earlier one; the promise of further seats falls away."""
    workload = world.records.workloads[event.workload]
    attempt = workload.attempt
    assert attempt is not None
    before = attempt.stop
    assert before is None or event.stop.deadline_us <= before.deadline_us
    step(
        world,
        workload,
        replace(
            workload,
            phase=event.phase,
            why=event.stop.cause.value,
            promise=None,
            attempt=replace(attempt, stop=event.stop),
        ),
    )


def launch(world: World, event: events.Launched) -> None:
    """The promise becomes an attempt on its seats, with the next generation."""
    workload = world.records.workloads[event.workload]
    attempt = event.attempt
    promise = workload.promise
    assert workload.attempt is None and promise is not None and promise.seats == attempt.seats
    assert attempt.generation == workload.generation + 1
    assert attempt.launch_sequence in (None, world.records.sequence)
    occupy(world, workload.org, attempt.seats)
    note_begun(world, workload.org, event.at_us, starts=1)
    reservation = workload.spec.capacity.reservation
    if reservation is not None:
        note_wait(world, reservation, promise.promised_us, promise.busy, event.at_us)
    step(
        world,
        workload,
        replace(
            workload,
            phase=Phase.STARTING,
            why="",
            generation=attempt.generation,
            attempt=attempt,
            promise=None,
            pool=world.records.nodes[attempt.seats[0].node].pool,
        ),
    )


def start(world: World, event: events.Started) -> None:
    """The first process was seen: the clock of `max_duration` begins with the first start."""
    workload = world.records.workloads[event.workload]
    attempt = live_attempt(workload, event.attempt)
    assert attempt.started_us is None, "an attempt starts once"
    must_end_us = workload.must_end_us
    if must_end_us is None and workload.spec.max_duration_us is not None:
        must_end_us = event.at_us + workload.spec.max_duration_us
    note_admitted(world, workload)
    phase = Phase.RUNNING if workload.phase is Phase.STARTING else workload.phase
    attempt = replace(attempt, started_us=event.at_us)
    step(
        world,
        workload,
        replace(
            workload,
            phase=phase,
            attempt=attempt,
            must_end_us=must_end_us,
            first_started_us=workload.first_started_us or event.at_us,
        ),
    )


def note_checkpoint(world: World, event: events.Checkpointed) -> None:
    """The newest checkpoint of the attempt, kept by the workload when it ends."""
    workload = world.records.workloads[event.workload]
    attempt = live_attempt(workload, event.attempt)
    assert attempt.checkpoint_us is None or attempt.checkpoint_us <= event.at_us
    attempt = replace(attempt, checkpoint_step=event.step, checkpoint_us=event.at_us)
    world.put_workload(replace(workload, attempt=attempt, checkpoint_step=event.step))


def break_attempt(world: World, event: events.Broken) -> None:
    """A node of the attempt failed; it keeps its seats until it leaves."""
    workload = world.records.workloads[event.workload]
    attempt = live_attempt(workload, event.attempt)
    assert attempt.broken_us is None, "an attempt is broken once"
    attempt = replace(attempt, broken_us=event.at_us)
    is_leaving = attempt.stop is not None
    phase = workload.phase if is_leaving else Phase.DEGRADED
    step(world, workload, replace(workload, phase=phase, attempt=attempt))


def change_ranks(world: World, event: events.RanksChanged) -> None:
    """Ranks of a live attempt joined, left, or lost their node: seats and rates follow."""
    workload = world.records.workloads[event.workload]
    attempt = live_attempt(workload, event.attempt)
    assert (event.resizes == attempt.resizes + 1 and attempt.stop is None) or not event.rate
    before = {(it.rank, it.since): it for it in ranks_of(attempt)}
    after = {(it.rank, it.since): it for it in event.ranks}
    new = tuple(it.seat for name, it in after.items() if name not in before)
    gone = tuple(it for name, it in before.items() if name not in after)
    if gone:
        assert not new, "ranks leave and join one after the other"
        changed = left(attempt, gone, event.at_us)
        vacate(world, tuple(it.seat for it in gone), event.at_us)
    else:
        changed = with_ranks(attempt, event.ranks, event.rate, event.at_us)
        occupy(world, workload.org, new)
    changed = replace(changed, resizes=event.resizes, admission=_admitted(changed, attempt))
    terms = world.records.markets[workload.market].terms
    changed = with_unbegun(changed, attempt, terms, event.at_us)
    promise = None if event.rate is not None else workload.promise
    world.put_workload(replace(workload, attempt=changed, promise=promise))
    if gone:
        note_gone(world, event.workload, tuple(it.seat for it in gone), event.at_us)


def _admitted(changed: Attempt, before: Attempt) -> Admission | None:
    """What protects its seats is of no more ranks than it has."""
    agreed = before.admission
    if agreed is None or not agreed.node_prices:
        return agreed
    return replace(agreed, node_prices=agreed.node_prices[: len(changed.kept_seats)])


def end(world: World, event: events.Ended) -> None:
    """The seats are vacated, and the workload is ended, waits, or goes on to its promise."""
    workload = world.records.workloads[event.workload]
    attempt = live_attempt(workload, event.attempt)
    vacate(world, attempt.seats, event.at_us)
    note_slow_start(world, workload, event)
    note_unadmitted(world, workload, event)
    promise = workload.promise
    assert event.failures >= workload.failures and event.preemptions >= workload.preemptions
    if event.phase is not Phase.PLACED:
        promise = None
    step(
        world,
        workload,
        settled(
            replace(
                workload,
                phase=event.phase,
                why=event.why,
                attempt=None,
                promise=promise,
                failures=event.failures,
                preemptions=event.preemptions,
                not_before_us=event.not_before_us,
                exit_summary=event.summary,
                exit_code=event.exit_code,
                saved_us=_saved_us(world, workload, event),
                ended_us=event.at_us if event.phase.is_ended else None,
            )
        ),
    )
    note_gone(world, event.workload, attempt.seats, event.at_us)


def fall_back(world: World, event: events.FellBack) -> None:
    """It is on-demand from now on; seats that it holds or is promised stay its own."""
    workload = world.records.workloads[event.workload]
    kept = workload.fallback
    assert kept is not None and not workload.phase.is_ended, "it falls back once"
    spec = replace(
        workload.spec,
        capacity=Capacity(kind=CapacityKind.ON_DEMAND),
        limit_price_micros=None,
        moves=Moves.NEEDED,
    )
    world.put_workload(
        replace(
            workload,
            spec=spec,
            fabric=event.fabric,
            must_end_us=event.must_end_us,
            agreed_price_micros=kept.price_micros,
            price_to_win_micros=None,
            fallback=None,
            window_from_us=event.at_us,
            not_before_us=0,
        )
    )
    if event.withdraws:
        _withdraw(world, event.workload)


def take_entry(world: World, event: events.EntryTaken) -> None:
    """What waits asks for another capacity of its list, or buys it; what runs goes on with it."""
    workload = world.records.workloads[event.workload]
    attempt = workload.attempt
    assert workload.promise is None, "what is promised seats keeps the entry that they are of"
    assert attempt is None or (attempt.started_us is not None and attempt.stop is None)
    if event.fabric is None:
        world.put_workload(asking(workload, event.capacity))
        return
    assert attempt is None and event.must_end_us is not None
    bought = buying(workload, fabric=event.fabric, must_end_us=event.must_end_us, at_us=event.at_us)
    assert bought.spec.capacity == event.capacity, "on-demand is the last entry"
    world.put_workload(bought)


def _withdraw(world: World, name: str) -> None:
    """It waits anew, or goes on to leave, without the seats that it was promised."""
    workload = world.records.workloads[name]
    assert workload.promise is not None
    after = replace(workload, promise=None)
    if workload.phase is Phase.PLACED:
        step(world, workload, replace(after, phase=Phase.QUEUED, why=Why.NEXT_CLEARING))
    else:
        world.put_workload(after)


def _saved_us(world: World, workload: Workload, event: events.Ended) -> int:
    """What its ended attempts have saved of its running, by the last checkpoint or by the notice
    after which it said so; not counted where it has no deadline."""
    attempt = workload.attempt
    if workload.spec.deadline is None or attempt is None:
        return workload.saved_us
    market = world.records.markets[workload.market]
    reported_us = saved_us(market, workload)
    if not event.is_saved:
        return reported_us
    until_us = event.at_us if attempt.stop is None else attempt.stop.noticed_us
    return max(reported_us, saved_until_us(market, workload, until_us))


def note_budget(world: World, event: events.BudgetNoted) -> None:
    """The notice of four fifths of `max_spend` is given once."""
    workload = world.records.workloads[event.workload]
    assert not workload.is_budget_noted
    world.put_workload(replace(workload, is_budget_noted=True))


def forget(world: World, event: events.Forgotten) -> None:
    """Drops records of what is over; the journal still has them."""
    for workload in event.workloads:
        world.forget_workload(workload)
    for reservation in event.reservations:
        assert world.records.reservations[reservation].state.is_over
        del world.records.reservations[reservation]
        world.records.missing.pop(reservation, None)
