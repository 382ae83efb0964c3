"""Effects on an array and on members that are not open: opened, ended unopened, retried, bid."""

from typing import TypeVar

from msgspec.structs import replace

from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.changes import note_begun
from parkade.core.steps.members import may_open, settled, with_ended
from parkade.core.units import indexes
from parkade.core.units.indexes import Spans
from parkade.core.workloads.array import ArrayState, member_name
from parkade.core.workloads.choices import with_limit_in
from parkade.core.workloads.entries import with_limit
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.spec import Spec
from parkade.core.workloads.workload import Workload

T = TypeVar("T")


def open_members(world: World, event: events.MembersOpened) -> None:
    """Each becomes a workload of its own, with the array's spec. Cost grows with those opened."""
    array = world.records.workloads[event.workload]
    state = array.array
    assert state is not None and array.phase is Phase.QUEUED
    assert not indexes.without(event.members, state.waiting), "a member is opened twice"
    world.put_workload(
        replace(
            array,
            array=replace(
                state,
                waiting=indexes.without(state.waiting, event.members),
                again=indexes.without(state.again, event.members),
            ),
        )
    )
    own = replace(array.spec, array=None, after=(), max_spend_micros=None)
    specs: dict[tuple[object, ...], Spec] = {}
    for index in indexes.indexes(event.members):
        limit = state.limit_micros(index) if state.limits else None
        in_markets = state.limits_of(index) if state.choice_limits else ()
        duration_us = state.duration_us(index, own.max_duration_us)
        alike = (limit, in_markets, duration_us)
        if alike not in specs:
            spec = own if limit is None else with_limit(own, limit)
            for market, there in in_markets:
                spec = with_limit_in(replace(array, spec=spec), market, there)
            specs[alike] = replace(spec, max_duration_us=duration_us)
        _open(world, array, specs[alike], index, event)


def _open(
    world: World, array: Workload, spec: Spec, index: int, event: events.MembersOpened
) -> None:
    """A member that ran before goes on with its checkpoints, and its attempts are numbered on."""
    assert array.array is not None
    name = member_name(array.workload, index)
    ran = indexes.both(array.array.again, ((index, index),))
    before = world.records.workloads.get(name)
    assert before is None or before.phase.is_ended, f"{name} is open"
    world.put_workload(
        replace(
            array,
            workload=name,
            spec=spec,
            why=Why.NEXT_CLEARING,
            array=None,
            member_of=array.workload,
            index=index,
            generation=array.array.generations if ran else 0,
            attempts_before=event.attempts_before if ran else 0,
            failures=0,
            preemptions=0,
            spent_micros=0,
            is_budget_noted=False,
            exit_summary="",
            exit_code=None,
            checkpoint_step=None if before is None else before.checkpoint_step,
            first_started_us=None,
            released_us=event.at_us,
        )
    )


def end_members(world: World, event: events.MembersEnded) -> None:
    """They will not be opened."""
    array = world.records.workloads[event.workload]
    state = array.array
    assert state is not None and not array.phase.is_ended
    assert not indexes.without(event.members, state.waiting), "an open member ends by itself"
    waiting = indexes.without(state.waiting, event.members)
    again = indexes.without(state.again, event.members)
    array = replace(array, array=replace(state, waiting=waiting, again=again))
    array = settled(world, with_ended(array, event.members, event.phase))
    if array.phase.is_ended:
        why = event.why if array.phase is event.phase else array.why
        array = replace(array, waits_for=(), why=why)
    world.put_workload(array)


def retry_members(world: World, event: events.MembersRetried) -> None:
    """They wait as at first; an array that had ended goes on."""
    array = world.records.workloads[event.workload]
    note_begun(world, array.org, event.at_us, submits=1)
    state = array.array
    assert state is not None
    assert not indexes.without(event.members, state.ended), "a member is retried that has not ended"
    left = {
        name: indexes.without(getattr(state, name), event.members)
        for name in ("succeeded", "failed", "cancelled", "expired")
    }
    joined = indexes.joined((*state.waiting, *event.members))
    again = indexes.joined((*state.again, *event.members))
    array = replace(array, array=replace(state, waiting=joined, again=again, **left))
    if array.phase.is_ended:
        array = replace(array, phase=Phase.QUEUED, why=Why.NEXT_CLEARING, ended_us=None)
    if not left["failed"]:
        array = replace(array, exit_summary="", exit_code=None)
    world.put_workload(may_open(array, world.records.now_us))


def change_bid_of_waiting(world: World, array: Workload, event: events.BidChanged) -> None:
    """Another limit of all that wait to be opened, or of some of them."""
    state = array.array
    assert state is not None and not array.phase.is_ended
    if event.market is not None:
        _change_bid_in(world, array, state, event, event.market)
        return
    if not event.members:
        spec = with_limit(array.spec, event.limit_price_micros)
        world.put_workload(replace(array, spec=spec, array=replace(state, limits=())))
        return
    others = _besides(state, state.limits, event.members)
    limits = (*others, (event.members, event.limit_price_micros))
    world.put_workload(replace(array, array=replace(state, limits=limits)))


def _change_bid_in(
    world: World, array: Workload, state: ArrayState, event: events.BidChanged, market: str
) -> None:
    """The same in one of several markets."""
    limit = event.limit_price_micros
    here = tuple(it for it in state.choice_limits if it[1][0] == market)
    others = tuple(it for it in state.choice_limits if it[1][0] != market)
    if not event.members:
        spec = with_limit_in(array, market, limit)
        world.put_workload(replace(array, spec=spec, array=replace(state, choice_limits=others)))
        return
    kept = _besides(state, here, event.members)
    limits = (*others, *kept, (event.members, (market, limit)))
    world.put_workload(replace(array, array=replace(state, choice_limits=limits)))


def change_bounds_of_waiting(world: World, array: Workload, event: events.BoundsChanged) -> None:
    """Another `max_duration` of all that wait to be opened, or of some; `max_spend` is of all."""
    state = array.array
    assert state is not None and not array.phase.is_ended
    if event.members:
        others = _besides(state, state.durations, event.members)
        durations = (*others, (event.members, event.max_duration_us))
        world.put_workload(replace(array, array=replace(state, durations=durations)))
        return
    assert event.must_end_us is None, "an array ends with its members"
    world.put_workload(with_bounds(array, event))


def with_bounds(workload: Workload, event: events.BoundsChanged) -> Workload:
    """The record with the bounds that the event tells."""
    spec = replace(
        workload.spec,
        max_spend_micros=event.max_spend_micros,
        max_duration_us=event.max_duration_us,
    )
    return replace(
        workload, spec=spec, must_end_us=event.must_end_us, is_budget_noted=event.is_budget_noted
    )


def _besides(
    state: ArrayState, values: tuple[tuple[Spans, T], ...], members: Spans
) -> list[tuple[Spans, T]]:
    """What is said of members that wait, besides these."""
    return [
        (left, value)
        for named, value in values
        if (left := indexes.both(indexes.without(named, members), state.waiting))
    ]
