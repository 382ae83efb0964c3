"""A workload that waits for others: which ones it means, and what follows when they go on or end.

It is held (`Why.DEPENDENCY`) and makes no bid until all its conditions are met; then it is queued
by itself. As soon as one can no longer be met it is cancelled, so that nothing waits for ever, and
so is what waits for its success. Each condition is met in an event of its own, because the other
workload's record is forgotten sooner or later.
"""

from msgspec.structs import replace

from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.changes import step
from parkade.core.steps.members import may_open
from parkade.core.steps.refusals import invalid, not_found
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.dependency import Dependency, Settled, settled
from parkade.core.workloads.entries import needs_window
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.spec import Spec
from parkade.core.workloads.workload import Workload


def with_ids(world: World, spec: Spec, org: str) -> Spec | Refusal:
    """The spec with the id of each workload that it names."""
    if spec.after and needs_window(spec):
        return Refusal(
            reason=Reason.UNSUPPORTED,
            detail="on-demand does not wait: its window and price run from now on; submit it when"
            " it is to run, or bid for spot",
            field=spec.after[0].condition.value,
        )
    found: dict[Dependency, None] = {}
    for each in spec.after:
        other = _meant(world, each, org)
        if isinstance(other, Refusal):
            return other
        found[replace(each, workload=other.workload)] = None
    return replace(spec, after=tuple(found))


def _meant(world: World, each: Dependency, org: str) -> Workload | Refusal:
    """The org's own workload of that id, or its only live one of that name, or the only one that
    ended. Cost of a name that none has that lives: a look at all workloads."""
    workloads, field = world.records.workloads, each.condition.value
    by_id = workloads.get(each.workload)
    if by_id is not None and by_id.org == org:
        return by_id
    live = [workloads[name] for name in world.live_of_org.get(org, {})]
    named = [it for it in live if it.spec.name == each.workload and it.member_of is None]
    if len(named) > 1:
        ids = ", ".join(it.workload for it in named[:5])
        return invalid(field, f"{len(named)} live workloads are {each.workload!r}: name one, {ids}")
    if named:
        return named[0]
    ended = [
        it
        for it in workloads.values()
        if it.org == org and it.spec.name == each.workload and it.member_of is None
    ]
    if len(ended) == 1:
        return ended[0]
    refusal = not_found("workload", each.workload)
    detail = f"{refusal.detail}; of several that have ended write the id"
    return replace(refusal, detail=detail, field=field)


def still_open(world: World, spec: Spec) -> tuple[Dependency, ...] | Refusal:
    """The conditions that are not met yet; refused where one never will be."""
    found = []
    for each in spec.after:
        other = world.records.workloads[each.workload]
        state = settled(other, each.condition)
        if state is None:
            found.append(each)
        elif not state.is_met:
            return Refusal(
                reason=Reason.CONFLICT,
                detail=f"{each} can never be met: {other.workload} {other.phase}",
                field=each.condition.value,
            )
    return tuple(found)


def dependency_due_us(world: World, workload: Workload) -> int | None:
    """When the first of its open conditions was settled; None while all are open."""
    if workload.phase.is_ended:
        return None
    states = [_state(world, it) for it in workload.waits_for]
    return min((it.at_us for it in states if it is not None), default=None)


def settle_dependencies(
    world: World, workload: Workload, at_us: int
) -> tuple[events.AnyEvent, ...]:
    """What was settled by then is met, or the workload is cancelled."""
    assert workload.phase is Phase.HELD and workload.short_us is None, "it never made a bid"
    met = []
    for each in workload.waits_for:
        state = _state(world, each)
        if state is None or state.at_us > at_us:
            continue
        if not state.is_met and workload.array is not None:
            ended = events.MembersEnded(
                at_us=at_us,
                workload=workload.workload,
                members=workload.array.waiting,
                phase=Phase.CANCELLED,
                why=Why.DEPENDENCY_FAILED,
            )
            return (ended,)
        if not state.is_met:
            change = events.PhaseChanged(
                at_us=at_us,
                workload=workload.workload,
                phase=Phase.CANCELLED,
                why=Why.DEPENDENCY_FAILED,
            )
            return (change,)
        met.append(each)
    assert met, "a deadline has its reason"
    is_free = len(met) == len(workload.waits_for) and workload.why == Why.DEPENDENCY
    return (
        events.DependenciesMet(
            at_us=at_us,
            workload=workload.workload,
            met=tuple(met),
            phase=Phase.QUEUED if is_free else workload.phase,
            why=Why.NEXT_CLEARING if is_free else workload.why,
        ),
    )


def note_met(world: World, event: events.DependenciesMet) -> None:
    """They are waited for no more; after the last the workload is queued, unless its user holds
    it."""
    workload = world.records.workloads[event.workload]
    assert workload.phase is Phase.HELD and set(event.met) <= set(workload.waits_for)
    is_released = event.phase is Phase.QUEUED
    after = replace(
        workload,
        phase=event.phase,
        why=event.why,
        waits_for=tuple(it for it in workload.waits_for if it not in event.met),
        released_us=event.at_us if is_released else workload.released_us,
    )
    if workload.array is not None:
        after = may_open(after, world.records.now_us)
    step(world, workload, after)


def _state(world: World, each: Dependency) -> Settled | None:
    other = world.records.workloads.get(each.workload)
    assert other is not None, "what is waited for is settled before it is forgotten"
    return settled(other, each.condition)
