"""What follows where one workload is held or cancelled: its charges, its notice, its end."""

from parkade.core.billing.charges import Postings
from parkade.core.billing.settlements import settle_end
from parkade.core.running.promises import withdrawal_charge
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.notices import FINAL_CAUSES, order_stop
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.workload import Workload


def held(
    world: World, postings: Postings, workload: Workload, now_us: int
) -> tuple[events.AnyEvent, ...]:
    """One that waits is kept from starting; a promise for which others had to leave is charged."""
    assert workload.attempt is None
    assert workload.phase in (Phase.HELD, Phase.QUEUED, Phase.PLACED)
    change = events.PhaseChanged(
        at_us=now_us, workload=workload.workload, phase=Phase.HELD, why=Why.HELD
    )
    charge = withdrawal_charge(world, workload, postings, now_us)
    return (*charge, *settle_end(world, postings, workload, now_us), change)


def cancelled(
    world: World, postings: Postings, workload: Workload, now_us: int, *, is_immediate: bool
) -> tuple[events.AnyEvent, ...]:
    """At its end where nothing runs, else with its notice or, if asked, without one."""
    attempt = workload.attempt
    if attempt is None:
        change = events.PhaseChanged(
            at_us=now_us, workload=workload.workload, phase=Phase.CANCELLED, why=Why.CANCELLED
        )
        charge = withdrawal_charge(world, workload, postings, now_us)
        return (*charge, *settle_end(world, postings, workload, now_us), change)
    is_final = attempt.stop is not None and attempt.stop.cause in FINAL_CAUSES
    if is_final and not is_immediate:
        return ()
    stop = order_stop(world, workload, Cause.CANCELLED, at_us=now_us, is_immediate=is_immediate)
    return (*withdrawal_charge(world, workload, postings, now_us), stop)
