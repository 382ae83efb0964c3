"""What becomes of an array as its members change, whichever event changes them.

The array's record follows at once: what ended is noted, costs and counts are added up, and the
array ends with its last member. So no event of its own is needed for each member.
"""

from msgspec.structs import replace

from parkade.core.state.world import World
from parkade.core.units import indexes
from parkade.core.units.indexes import Spans
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.workload import Workload

ENDS = (
    (Phase.FAILED, "failed", Why.FAILED.value),
    (Phase.EXPIRED, "expired", Cause.EXPIRED.value),
    (Phase.CANCELLED, "cancelled", Why.CANCELLED.value),
    (Phase.SUCCEEDED, "succeeded", Why.SUCCEEDED.value),
)
"""How an array ends: as the first of these that a member did. (phase, field of `ArrayState`,
why)."""


def note_member(world: World, before: Workload, after: Workload) -> None:
    """The record of an open member was replaced. Cost grows with the spans of the array."""
    assert after.member_of is not None and after.index is not None
    array = world.records.workloads[after.member_of]
    changed = replace(
        array,
        failures=array.failures + after.failures - before.failures,
        preemptions=array.preemptions + after.preemptions - before.preemptions,
    )
    if after.phase.is_ended:
        changed = _with_end(changed, after, ((after.index, after.index),))
        changed = may_open(changed, world.records.now_us)
    elif not _has_seats(before) and _has_seats(after):
        changed = may_open(changed, world.records.now_us)
    changed = settled(world, changed)
    if changed != array:
        world.put_workload(changed)


def with_ended(array: Workload, members: Spans, phase: Phase) -> Workload:
    """The array's record once these members have ended so."""
    assert array.array is not None and phase.is_ended
    (name,) = (field for each, field, _ in ENDS if each is phase)
    ended = indexes.joined((*getattr(array.array, name), *members))
    return replace(array, array=replace(array.array, **{name: ended}))


def may_open(array: Workload, now_us: int) -> Workload:
    """The array's record once something happened that may let more members be opened."""
    assert array.array is not None
    return replace(array, array=replace(array.array, since_us=now_us))


def settled(world: World, array: Workload) -> Workload:
    """The array's record as it stands with its open members: ended with the last of them, and
    started once each member has."""
    state, open_members = array.array, world.members.of(array.workload)
    assert state is not None
    if state.waiting:
        return array
    now_us = world.records.now_us
    if open_members.unstarted == 0 and array.first_started_us is None:
        array = replace(array, first_started_us=now_us)
    if open_members.names or array.phase.is_ended:
        return array
    phase, why = next((phase, why) for phase, field, why in ENDS if getattr(state, field))
    return replace(array, phase=phase, why=why, ended_us=now_us)


def _with_end(array: Workload, member: Workload, index: Spans) -> Workload:
    """With a member's end: the first failure is what the array says of its own end."""
    assert array.array is not None
    is_first = member.phase is Phase.FAILED and not array.array.failed
    array = with_ended(array, index, member.phase)
    assert array.array is not None
    most = max(array.array.generations, member.generation)
    array = replace(array, array=replace(array.array, generations=most))
    if not is_first:
        return array
    return replace(
        array,
        exit_code=member.exit_code,
        exit_summary=f"{member.workload}: {member.exit_summary}",
    )


def _has_seats(workload: Workload) -> bool:
    return workload.attempt is not None or workload.promise is not None
