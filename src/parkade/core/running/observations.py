"""What an agent saw, as events: started, checkpointed, charged, ended; each judged once.

Nothing follows from an attempt that is not in a report. Of another launch than the one that is
known (of another generation, or ordered on another date, or concluded to have lapsed) nothing is
judged but where it still is: while it is reported there, its nodes are suspect.
"""

from msgspec.structs import replace

from parkade.core.billing.charges import Postings, with_spent
from parkade.core.billing.metering import billed_to_us, settled_until_us
from parkade.core.billing.settlements import settle_end
from parkade.core.reservations.reservation import ReservationState
from parkade.core.running.backoff import not_before_us
from parkade.core.running.exits import all_known, all_zero, exit_code_of, summary_of
from parkade.core.running.live import minimum_of, ranks_end, seen_left
from parkade.core.running.overdue import seen_free, strangers_there
from parkade.core.running.promises import withdrawal_charge
from parkade.core.running.unadmitted import until_us
from parkade.core.running.unbegun import seen_begun
from parkade.core.running.unstarted import SlowStarts, is_unstarted, slow_start_at_end
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.notices import reported_notice, reported_stop
from parkade.core.steps.refusals import Decision, not_found
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.life import BLAMELESS, Cause, Phase, Why
from parkade.core.workloads.observed import Checkpoint, EnginePhase, ObservedAttempt
from parkade.core.workloads.saving import EXIT_FOR_GOOD, EXIT_SAVED, ExitZero, exit_zero_means
from parkade.core.workloads.spec import Spec
from parkade.core.workloads.workload import Attempt, Workload

NEVER_RAN = "stopped before its first process"
LOST = "lost: its pool was silent until its lease had lapsed"


class _Deciding:
    """One decision: the world as it was before, and what its charges and ends came to so far."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.postings = Postings(world)
        self.slow_starts = SlowStarts(world)


def report_attempts(world: World, command: commands.ReportAttempts, now_us: int) -> Decision:
    """Everything new in a report; of an attempt named twice, the last word holds. Cost grows with
    the attempts reported."""
    if command.pool not in world.records.pools:
        return not_found("pool", command.pool)
    found: list[events.AnyEvent] = []
    strangers: list[ObservedAttempt] = []
    deciding = _Deciding(world)
    for seen in {seen.attempt: seen for seen in command.attempts}.values():
        workload = _known(world, seen, command.pool)
        if workload is None:
            strangers.append(seen)
        else:
            found.extend(_observed(deciding, workload, seen, now_us))
    found.extend(strangers_there(world, command.pool, strangers, now_us))
    return _noted_once(found)


def _noted_once(found: list[events.AnyEvent]) -> tuple[events.AnyEvent, ...]:
    """Without the second notice for one array, of which several members may be in a report."""
    noted: set[str] = set()
    kept = []
    for event in found:
        if isinstance(event, events.BudgetNoted):
            if event.workload in noted:
                continue
            noted.add(event.workload)
        kept.append(event)
    return tuple(kept)


def _known(world: World, seen: ObservedAttempt, pool: str) -> Workload | None:
    """The workload whose present attempt was seen in the pool that it is in."""
    workload = world.records.workloads.get(seen.attempt.rpartition(".")[0])
    attempt = workload.attempt if workload is not None else None
    if workload is None or attempt is None:
        return None
    if not seen.is_of(attempt.attempt, attempt.generation, attempt.ordered_us):
        return None
    seated = world.pool_of(attempt.seats)
    return workload if seated is not None and seated.pool == pool else None


def _observed(
    deciding: _Deciding, workload: Workload, seen: ObservedAttempt, now_us: int
) -> list[events.AnyEvent]:
    found: list[events.AnyEvent] = []
    name, attempt = workload.workload, workload.attempt
    assert attempt is not None
    if attempt.started_us is None and seen.started_us is not None:
        started_us = min(max(seen.started_us, attempt.ordered_us), now_us)
        attempt = replace(attempt, started_us=started_us)
        found.append(events.Started(at_us=started_us, workload=name, attempt=seen.attempt))
    if attempt.stop is None and (given := reported_notice(attempt, seen)) is not None:
        cause, noticed_us = given
        gone_us = None if seen.released_us is None else min(seen.released_us, now_us)
        noticed_us = min(noticed_us, now_us)
        left = reported_stop(deciding.world, workload, cause, noticed_us, gone_us=gone_us)
        attempt = replace(attempt, stop=left.stop)
        found.append(left)
    saved = seen.checkpoint
    if saved is not None and _is_new(saved, attempt, now_us):
        saved_us = min(saved.at_us, now_us)
        attempt = replace(attempt, checkpoint_us=saved_us, checkpoint_step=saved.step)
        found.append(
            events.Checkpointed(
                at_us=saved_us, workload=name, attempt=seen.attempt, step=saved.step
            )
        )
    workload = replace(workload, attempt=attempt)
    if attempt.ranks:
        begun, attempt = seen_begun(workload, seen, now_us)
        workload = replace(workload, attempt=attempt)
        found.extend(begun)
    if seen.phase is EnginePhase.RUNNING and seen.left and attempt.ranks:
        gone, workload = seen_left(deciding.world, deciding.postings, workload, seen, now_us)
        found.extend(gone)
    if seen.phase is EnginePhase.RUNNING:
        found.extend(_posted(deciding.world, deciding.postings, workload, now_us))
    if seen.phase is EnginePhase.RELEASED:
        found.extend(_ended(deciding, workload, seen, now_us))
    return found


def _posted(
    world: World, postings: Postings, workload: Workload, now_us: int
) -> tuple[events.UsePosted | events.BudgetNoted, ...]:
    """The charges of the full hours since the last posting, while the attempt is seen to run: hours
    in which nothing was heard are not charged before the end is known. Nor is the last hour of what
    is stopped or broken and still seen to run: it is not billed where its end is not known."""
    attempt = workload.attempt
    assert attempt is not None
    hour_us = now_us // HOUR_US * HOUR_US
    if attempt.posted_us >= hour_us:
        return ()
    until_us = billed_to_us(attempt, hour_us)
    until_us = min(until_us, settled_until_us(attempt, until_us), _ranks_end_us(attempt, until_us))
    event = postings.post_use(workload, until_us=until_us, at_us=hour_us)
    return () if event is None else (event, *_note_budget(world, workload, event))


def _ranks_end_us(attempt: Attempt, until_us: int) -> int:
    """Until when the use of ranks that leave alone is known: no rank is billed after its kill."""
    kills = [it.leaving.stop.kill_us for it in attempt.ranks if it.leaving is not None]
    return max(min([until_us, *kills]), attempt.charged_until_us)


def _note_budget(
    world: World, workload: Workload, event: events.UsePosted
) -> tuple[events.BudgetNoted, ...]:
    """The event that tells that four fifths of `max_spend` are spent, once; of a member, what its
    whole array may cost."""
    whole = workload if workload.member_of is None else world.records.workloads[workload.member_of]
    most = whole.spec.max_spend_micros
    if most is None or whole.is_budget_noted:
        return ()
    paid = with_spent(workload, event).spent_micros - workload.spent_micros
    if (whole.spent_micros + paid) * 5 < most * 4:
        return ()
    return (events.BudgetNoted(at_us=event.at_us, workload=whole.workload),)


def _is_new(saved: Checkpoint, attempt: Attempt, now_us: int) -> bool:
    """Whether it tells of more than was known: a date before the start or that goes back does not,
    nor does the same step again under a date that has not come yet."""
    if attempt.started_us is None or saved.at_us < attempt.started_us:
        return False
    if saved.at_us > now_us and saved.step == attempt.checkpoint_step:
        return False
    return attempt.checkpoint_us is None or saved.at_us > attempt.checkpoint_us


def conclude_lost(
    world: World, workload: Workload, *, seen_us: int, at_us: int
) -> tuple[events.AnyEvent, ...]:
    """The end at `at_us` of an attempt that cannot run any more and will not be reported: unknown,
    by the platform's doing, and billed to no later than it was last seen. A node where it was
    overdue stays suspect, because nothing was seen to be gone from it."""
    attempt = workload.attempt
    assert attempt is not None and seen_us <= at_us
    nothing = ObservedAttempt(
        attempt=attempt.attempt,
        generation=attempt.generation,
        phase=EnginePhase.RELEASED,
        started_us=None,
        released_us=at_us,
        exits=(),
        checkpoint=None,
        devices=(),
        launch_error=None,
        engine_state=Cause.LAPSED.value,
    )
    found = _ended(_Deciding(world), workload, nothing, at_us, seen_us=seen_us)
    return tuple(
        replace(event, summary=LOST) if isinstance(event, events.Ended) else event
        for event in found
    )


def _ended(
    deciding: _Deciding,
    workload: Workload,
    seen: ObservedAttempt,
    now_us: int,
    *,
    seen_us: int | None = None,
) -> list[events.AnyEvent]:
    """The attempt's last charges, and what becomes of the workload. It ended no earlier than it
    was reported to run and charged for. `seen_us`: its end was not seen, and nothing is billed
    after that."""
    world, postings, attempt = deciding.world, deciding.postings, workload.attempt
    assert attempt is not None
    released_us = seen.released_us if seen.released_us is not None else now_us
    began_us = max(attempt.started_us or attempt.ordered_us, attempt.charged_until_us)
    at_us = min(max(released_us, began_us), now_us)
    billed_us = at_us if seen_us is None else max(seen_us, began_us)
    is_lost = attempt.broken_us is not None or _is_lost(attempt, seen, is_seen=seen_us is None)
    is_unadmitted = _is_unadmitted(attempt, seen)
    is_refused = _is_refused(attempt, seen) or is_unadmitted
    has_none = is_unstarted(attempt, is_lost=is_lost, is_refused=is_refused)
    seats, owes = attempt.seats, not (is_lost or is_refused)
    found, workload = ranks_end(world, postings, workload, seen, at_us, owes=owes)
    attempt = workload.attempt
    assert attempt is not None
    is_others = (is_lost and not has_none) or is_refused
    until_us = _billed_until_us(attempt, billed_us, is_others)
    slow_start = slow_start_at_end(
        world, workload, until_us, is_lost=is_lost, is_refused=is_refused
    )
    used = postings.post_use(
        workload,
        held_us=deciding.slow_starts.billed_us(workload, slow_start, at_us),
        until_us=until_us,
        at_us=at_us,
        minimum_us=_minimum_us(world, workload, is_lost=is_lost or is_refused),
    )
    if used is not None:
        found.extend((used, *_note_budget(world, workload, used)))
    judged = _judge(world, workload, seen, is_lost=is_lost, at_us=at_us)
    judged = replace(
        judged,
        is_unstarted=has_none,
        held_us=slow_start.beyond_us,
        held_in_grace_us=slow_start.within_us,
        held_idle_us=slow_start.waited_us,
        is_refused=is_refused,
        is_unadmitted=is_unadmitted,
    )
    workload = with_spent(workload, used)
    if owes:
        cause = attempt.stop.cause if attempt.stop is not None else None
        minima = minimum_of(world, postings, workload, attempt.ranks, at_us, cause=cause)
        for each in minima:
            workload = with_spent(workload, each)
        found.extend(minima)
    if judged.phase is not Phase.PLACED:
        found.extend(withdrawal_charge(world, workload, postings, at_us))
    if judged.phase.is_ended:
        found.extend(settle_end(world, postings, workload, at_us))
    found.append(judged)
    if seen_us is None:
        found.extend(seen_free(world, workload, seats, at_us))
    return found


def _is_lost(attempt: Attempt, seen: ObservedAttempt, *, is_seen: bool) -> bool:
    """Whether it is unknown how a rank ended, by the platform's doing. A program that may have
    ended what watched over it is not believed to have been lost: that would be free use. What was
    stopped before it had a process has no end that could be unknown."""
    assert seen.phase is EnginePhase.RELEASED, "what still runs has no end to judge"
    if seen.launch_error is not None or seen.is_keeper_lost:
        return False
    if all_known(seen):
        return False
    if attempt.started_us is not None or attempt.stop is None:
        return True
    return not is_seen and not is_unstarted(attempt, is_lost=True, is_refused=False)


def _is_refused(attempt: Attempt, seen: ObservedAttempt) -> bool:
    """Whether the engine did not start it, by no doing of its org. What had a process was
    started, whatever is said of it later."""
    return seen.is_refused and seen.launch_error is not None and attempt.started_us is None


def _is_unadmitted(attempt: Attempt, seen: ObservedAttempt) -> bool:
    """Whether the engine takes no job of its user."""
    return seen.is_unadmitted and seen.launch_error is not None and attempt.started_us is None


def _billed_until_us(attempt: Attempt, at_us: int, is_lost: bool) -> int:
    """Its end; where it was stopped without the notice it was promised or not started at all, its
    last checkpoint, at most an hour before."""
    until_us = billed_to_us(attempt, at_us)
    assert until_us <= at_us, "nothing after the end is billed"
    if not is_lost:
        return until_us
    return min(until_us, settled_until_us(attempt, until_us))


def _minimum_us(world: World, workload: Workload, *, is_lost: bool) -> int:
    """What an attempt that made others leave is billed at least, unless others' right or a broken
    node ended it."""
    attempt = workload.attempt
    assert attempt is not None
    debt = attempt.debt
    if is_lost or not attempt.owes_minimum:
        return 0
    is_blameless = attempt.stop is not None and attempt.stop.cause in BLAMELESS
    if is_blameless and not (debt is not None and debt.is_due):
        return 0
    return world.records.markets[workload.market].terms.minimum_charge_us


def _judge(
    world: World, workload: Workload, seen: ObservedAttempt, *, is_lost: bool, at_us: int
) -> events.Ended:
    """PREEMPTED is never a failure; 0 means done, after our signal saved; 85 means saved, run me
    again."""
    attempt = workload.attempt
    assert attempt is not None
    cause = attempt.stop.cause if attempt.stop is not None else None
    failures, preemptions = workload.failures, workload.preemptions
    is_saved = _is_saved(workload.spec, attempt, seen)
    never_ran = attempt.started_us is None and attempt.stop is not None and not all_known(seen)
    summary = summary_of(seen)
    if never_ran and not is_lost and seen.launch_error is None:
        summary = NEVER_RAN
    again = Phase.PLACED if workload.promise is not None else Phase.QUEUED
    phase, why = again, Why.PLACED if again is Phase.PLACED else Why.NEXT_CLEARING
    if all_zero(seen) and not is_saved:
        phase, why = Phase.SUCCEEDED, Why.SUCCEEDED
    elif cause is Cause.CANCELLED:
        phase, why = Phase.CANCELLED, Why.CANCELLED
    elif cause is Cause.EXPIRED:
        phase, why = Phase.EXPIRED, _why_expired(world, workload)
    elif cause is Cause.BUDGET and workload.why == Why.MAX_SPEND:
        phase, why = Phase.EXPIRED, Why.MAX_SPEND
    elif _is_unadmitted(attempt, seen):
        why = Why.PLACED if again is Phase.PLACED else Why.NOT_ADMITTED
    elif cause not in (None, Cause.NOT_STARTED):
        preemptions += 1
    elif not is_lost and not is_saved:
        failures += 1
        if failures > workload.spec.retry_failures or exit_code_of(seen) == EXIT_FOR_GOOD:
            phase, why = Phase.FAILED, Why.FAILED
    waits_until_us = 0
    goes_on = workload.promise is not None and cause is not None
    if _is_unadmitted(attempt, seen) and not phase.is_ended:
        waits_until_us = 0 if phase is Phase.PLACED else until_us(world, workload, at_us)
    elif not is_lost and not phase.is_ended and not goes_on:
        waits_until_us = not_before_us(world, workload, cause, at_us, is_saved=is_saved)
    return events.Ended(
        at_us=at_us,
        workload=workload.workload,
        attempt=attempt.attempt,
        phase=phase,
        why=why,
        cause=cause,
        summary=summary,
        exit_code=exit_code_of(seen),
        failures=failures,
        preemptions=preemptions,
        not_before_us=waits_until_us,
        is_saved=is_saved,
    )


def _is_saved(spec: Spec, attempt: Attempt, seen: ObservedAttempt) -> bool:
    """Whether it said that it saved what it had and is to be run again.

    Without a notice: 85 from one rank and 0 or 85 from the rest, with a checkpoint that this
    attempt reported. During a notice also without one, or 0 from all after our signal, or any end
    where the checkpoint report is newer than the notice. 0 from all is then saved only after our
    signal.
    """
    codes = [exit.code for exit in seen.exits]
    says_saved = EXIT_SAVED in codes and all(code in (0, EXIT_SAVED) for code in codes)
    if attempt.stop is None:
        return says_saved and attempt.checkpoint_us is not None
    if all_zero(seen):
        return seen.is_signalled and exit_zero_means(spec.checkpoint) is ExitZero.SAVED
    is_reported = (attempt.checkpoint_us or 0) > attempt.stop.noticed_us
    return says_saved or is_reported


def _why_expired(world: World, workload: Workload) -> Why:
    assert workload.attempt is not None and workload.attempt.stop is not None
    reservation = world.records.reservations.get(workload.spec.capacity.reservation or "")
    if reservation is not None and reservation.state is not ReservationState.IN_FORCE:
        return Why.RESERVATION_ENDED
    return Why.MAX_DURATION
