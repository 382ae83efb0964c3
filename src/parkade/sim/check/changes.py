"""Work that changes: another `max_duration`, a second life after its end, a cap on its org.

What may be asked, what of it belongs to the form of a state, and the rules. The rules read records
and events alone. Money is ample here as everywhere in a search, so of caps only those on GPUs are
set, and of bounds only those by the clock.

Example. Cedar's bid has run for 20 of 60 s. Its `max_duration` becomes 120 s, so it must be gone
100 s from now. It is cancelled, and submitted again: its next attempt has a number that none had.
"""

from collections.abc import Iterator
from typing import Any

from parkade.core.state import commands, events, lines
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload
from parkade.sim.check.breach import require
from parkade.sim.check.scenarios import GUEST, TICK_US

LASTS_US = (8 * TICK_US, 16 * TICK_US)
"""What `max_duration` may be changed to, and from."""
MOST_GPUS = 2
"""Of the guest's org, while it has a cap."""
CAP = 38


def asked_of_bounds(workload: Workload) -> Iterator[commands.AnyCommand]:
    """Another `max_duration` for a bid that has one."""
    lasts_us = workload.spec.max_duration_us
    if workload.spec.capacity.kind is CapacityKind.SPOT and lasts_us in LASTS_US:
        other_us = LASTS_US[1 - LASTS_US.index(lasts_us)]
        yield commands.ChangeBounds(
            by=None, workload=workload.workload, max_duration_us=commands.NewBound(value=other_us)
        )


def ended_bid(world: World) -> Workload | None:
    """The guest's youngest bid where it has ended; only that one is submitted again here."""
    for workload in reversed(world.records.workloads.values()):
        if workload.spec.capacity.kind is CapacityKind.SPOT and workload.org == GUEST:
            return workload if workload.phase.is_ended else None
    return None


def form_of_changes(world: World) -> tuple[Any, ...]:
    """What else a state is: the bid that may be submitted again, and the cap."""
    ended = ended_bid(world)
    again = None
    if ended is not None:
        spec = ended.spec
        again = (spec.nodes, spec.limit_price_micros, spec.max_duration_us)
    cap = world.records.orgs[GUEST].cap
    return (again, None if cap is None else cap.most_gpus)


def look_at_resubmitted(world: World, event: events.Resubmitted) -> None:
    """It had ended, is the same work, and its attempts are numbered on."""
    again, name = event.workload, event.workload.workload
    before = world.records.workloads.get(name)
    require(before is not None, 22, f"{name} is submitted again and was never submitted")
    assert before is not None
    require(before.phase.is_ended, 6, f"{name} is {before.phase} and is submitted again")
    says = f"{name} is numbered on from {again.generation}, and had {before.generation} attempts"
    require(again.generation == before.generation, 22, says)
    is_same = (again.org, again.user, again.spec.command) == (
        before.org,
        before.user,
        before.spec.command,
    )
    require(is_same, 22, f"{name} is submitted again as other work")
    says = f"{name} cost {before.spent_micros}, and {again.spent_micros} of it are remembered"
    require(again.spent_micros == before.spent_micros, 13, says)
    has_none = again.attempt is None and again.promise is None
    require(has_none, 3, f"{name} is submitted again and has seats")


def look_at_bounds(world: World, event: events.BoundsChanged) -> None:
    """An end by the clock follows from the first start, and leaves notice and kill."""
    workload, name = world.records.workloads[event.workload], event.workload
    if workload.array is not None:
        return
    stop = None if workload.attempt is None else workload.attempt.stop
    is_leaving = stop is not None and stop.cause is Cause.EXPIRED
    require(not is_leaving, 8, f"{name} has its notice to end, and its end is moved")
    first_us, lasts_us = workload.first_started_us, event.max_duration_us
    ends_us = None if first_us is None or lasts_us is None else first_us + lasts_us
    says = f"{name} must end at {event.must_end_us}, and by its max_duration at {ends_us}"
    if workload.spec.capacity.kind is CapacityKind.SPOT:
        require(event.must_end_us == ends_us, 11, says)
    terms = world.records.markets[workload.market].terms
    if event.must_end_us is None or workload.must_end_us is None:
        return
    if event.must_end_us < workload.must_end_us:
        least_us = event.at_us + terms.notice_us + terms.kill_us
        says = f"{name} must end before its notice could be over"
        require(event.must_end_us >= least_us, 11, says)


def look_at_expiry(world: World, event: events.StopOrdered) -> None:
    """Work is told to end by the clock in time, and no sooner than its notice takes."""
    if event.stop.cause is not Cause.EXPIRED:
        return
    workload = world.records.workloads[event.workload]
    ends_us = workload.must_end_us
    if ends_us is None:
        return
    terms = world.records.markets[workload.market].terms
    assert workload.attempt is not None
    due_us = max(ends_us - terms.notice_us - terms.kill_us, workload.attempt.ordered_us)
    says = f"{event.workload} is told to end at {event.at_us}, which is due at {due_us}"
    require(event.at_us >= due_us, 11, says)


def look_at_caps(world: World, event: events.Cleared) -> None:
    """A bid that had no seats gets some only where all that its org then holds is within its cap.
    Seats that are being left count until they are free."""
    cap = world.records.orgs[GUEST].cap
    if cap is None or cap.most_gpus is None:
        return
    promised = {
        lines.name_of(won.demand): sum(seat.gpus for seat in won.promise.seats) for won in event.won
    }
    dropped = {lines.name_of(it.demand) for it in event.left if it.stop is None}
    begins, held = [], 0
    for name in world.live_of_org.get(GUEST, {}):
        workload = world.records.workloads[name]
        if workload.spec.capacity.kind is CapacityKind.RESERVATION:
            continue
        attempt, promise = workload.attempt, workload.promise
        now = 0 if attempt is None else sum(seat.gpus for seat in attempt.seats)
        had = now if promise is None else max(now, sum(seat.gpus for seat in promise.seats))
        if name in promised:
            held += max(now, promised[name])
            if promised[name] > had:
                begins.append(name)
        else:
            held += now if name in dropped else had
    says = f"{', '.join(begins)} begins, and {GUEST} then holds {held} of {cap.most_gpus} GPUs"
    require(not begins or held <= cap.most_gpus, CAP, says)
