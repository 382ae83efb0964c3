"""What of a record may be due by itself, so that the agenda is to look at it."""

from parkade.core.reservations.reservation import Claim
from parkade.core.state.agenda import Agenda, Entry
from parkade.core.workloads.workload import Workload


def wake_workload(agenda: Agenda, workload: Workload) -> None:
    """Its end by the clock, its launch, and what else may come of it by itself."""
    name, add = workload.workload, agenda.add
    if workload.phase.is_ended:
        add(Entry.FORGET, name)
        if workload.spec.capacity.reservation is not None:
            add(Entry.RESERVATION, workload.spec.capacity.reservation)
        return
    if workload.attempt is not None:
        if workload.attempt.lease_us is not None:
            add(Entry.LAPSE, name)
        starts = (it.has_begun for it in workload.attempt.ranks)
        if workload.attempt.started_us is None or not all(starts):
            add(Entry.START_LIMIT, name)
    if workload.promise is not None:
        add(Entry.LAUNCH, name)
        add(Entry.OVERDUE, name)
    if workload.must_end_us is not None:
        add(Entry.EXPIRY, name)
    if workload.fallback is not None:
        add(Entry.FALLBACK, name)
    if workload.waits_for:
        add(Entry.DEPENDENCY, name)


def wake_claim(agenda: Agenda, claim: Claim) -> None:
    """The handing over of what it is promised."""
    if claim.promised:
        agenda.add(Entry.LAUNCH, claim.claim)
        agenda.add(Entry.OVERDUE, claim.claim)
