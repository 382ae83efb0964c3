"""Notices: what must leave, and by when. A notice once given is only ever brought forward."""

from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.observed import ObservedAttempt
from parkade.core.workloads.workload import Attempt, Stop, Workload

FINAL_CAUSES = frozenset({Cause.EXPIRED, Cause.CANCELLED})


def notice(attempt: Attempt, cause: Cause, *, at_us: int, notice_us: int, kill_us: int) -> Stop:
    """The stop of an attempt that must leave from now on."""
    assert notice_us >= 0 and kill_us >= 0
    deadline_us = at_us + notice_us
    before = attempt.stop
    if before is None:
        return Stop(
            noticed_us=at_us, deadline_us=deadline_us, kill_us=deadline_us + kill_us, cause=cause
        )
    return Stop(
        noticed_us=before.noticed_us,
        deadline_us=min(before.deadline_us, deadline_us),
        kill_us=min(before.kill_us, deadline_us + kill_us),
        cause=cause,
    )


def reported_notice(attempt: Attempt, seen: ObservedAttempt) -> tuple[Cause, int] | None:
    """Why and when it had a notice that the control plane did not give; the earliest one counts."""
    given = []
    if seen.lapsed_us is not None and attempt.lease_us is not None:
        given.append((Cause.LAPSED, seen.lapsed_us))
    if seen.operator_ended_us is not None:
        given.append((Cause.OPERATOR, seen.operator_ended_us))
    return min(given, key=lambda it: it[1], default=None)


def reported_stop(
    world: World, workload: Workload, cause: Cause, noticed_us: int, *, gone_us: int | None
) -> events.StopOrdered:
    """A notice that was given without the control plane: by the engine, which did not hear it for
    the lease of a guest, or by a person at the machine. It is dated then, but no earlier than what
    was seen to run and charged for: a node's clock may have been set back. A person's notice is not
    dated so that it was over before the work was gone: so nothing that was used is free, whatever
    wrote the date."""
    attempt = workload.attempt
    assert attempt is not None and attempt.stop is None
    assert cause is Cause.OPERATOR or attempt.lease_us is not None, "only a guest has a lease"
    at_us = max(noticed_us, attempt.ordered_us, attempt.charged_until_us)
    if cause is Cause.OPERATOR and gone_us is not None:
        terms = world.records.markets[workload.market].terms
        at_us = max(at_us, gone_us - terms.notice_us - terms.kill_us)
    return order_stop(world, workload, cause, at_us=at_us, becomes=Phase.PREEMPTING)


def order_stop(
    world: World,
    workload: Workload,
    cause: Cause,
    *,
    at_us: int,
    is_immediate: bool = False,
    becomes: Phase = Phase.STOPPING,
) -> events.StopOrdered:
    """A stop outside a clearing, with the market's notice unless `is_immediate`."""
    attempt = workload.attempt
    assert attempt is not None
    terms = world.records.markets[workload.market].terms
    stop = notice(
        attempt,
        cause,
        at_us=at_us,
        notice_us=0 if is_immediate else terms.notice_us,
        kill_us=terms.kill_us,
    )
    return events.StopOrdered(at_us=at_us, workload=workload.workload, stop=stop, phase=becomes)
