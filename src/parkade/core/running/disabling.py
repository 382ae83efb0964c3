"""The work of a disabled org ends, with its notice."""

from parkade.core.billing.charges import Postings
from parkade.core.running.ending import cancelled
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.disabling import disabled_us
from parkade.core.steps.notices import FINAL_CAUSES
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.workload import Workload


def work_ends_us(world: World, workload: Workload) -> int | None:
    """When it is cancelled because its org is disabled; None where it is not, or ends already. An
    array ends with its members; those that are not open are its own."""
    if workload.phase.is_ended:
        return None
    if workload.array is not None and not workload.array.waiting:
        return None
    attempt = workload.attempt
    if attempt is not None and attempt.stop is not None and attempt.stop.cause in FINAL_CAUSES:
        return None
    return disabled_us(world, workload.org)


def end_work(world: World, workload: Workload, at_us: int) -> tuple[events.AnyEvent, ...]:
    """As if its user had cancelled it."""
    if workload.array is None:
        return cancelled(world, Postings(world), workload, at_us, is_immediate=False)
    ended = events.MembersEnded(
        at_us=at_us,
        workload=workload.workload,
        members=workload.array.waiting,
        phase=Phase.CANCELLED,
        why=Why.CANCELLED,
    )
    return (ended,)
