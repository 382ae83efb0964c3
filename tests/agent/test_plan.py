"""What an agent does next, case by case."""

from typing import Any

import msgspec
import pytest

from parkade.agent.memory import Memory, load, save
from parkade.agent.plan import (
    STOPPED_BEFORE,
    Forget,
    HandOver,
    Launch,
    Refuse,
    plan,
    with_refusals,
)
from parkade.core.workloads.life import Cause
from parkade.ports import (
    DesiredAttempt,
    DesiredState,
    Observation,
    ObservedAttempt,
    Phase,
    Stop,
)
from tests import builders

ORDER = Stop(noticed_us=1, deadline_us=2, kill_us=3, cause=Cause.OUTBID)


def wanted(name: str, *, stop: Stop | None = None, generation: int = 1) -> DesiredAttempt:
    return builders.desired(name, stop=stop, generation=generation)


def seen(name: str, phase: Phase = Phase.RUNNING) -> ObservedAttempt:
    return builders.observed(name, phase=phase, released_us=2 if phase is Phase.RELEASED else None)


def state(*attempts: DesiredAttempt) -> DesiredState:
    return builders.desired_state("here", *attempts)


def observation(*attempts: ObservedAttempt, is_complete: bool = True) -> Observation:
    return Observation(pool="here", at_us=9, is_complete=is_complete, attempts=attempts)


def planned(desired: DesiredState, observed: Observation, **changes: Any) -> list[Any]:
    given: dict[str, Any] = {"launching": set(), "reported": set(), "now_us": 100}
    memory = changes.pop("memory", Memory())
    return list(plan(desired, observed, memory, **(given | changes)))


def test_what_is_missing_is_launched_once() -> None:
    desired = state(wanted("a"), wanted("b"), wanted("c"), wanted("d"))
    memory = Memory(refused={"b": "why"})
    actions = planned(desired, observation(seen("a")), memory=memory, launching={"c"})
    assert actions == [Launch(attempt=wanted("d"))]


def test_what_was_stopped_before_it_started_never_starts() -> None:
    actions = planned(state(wanted("a", stop=ORDER)), observation())
    assert actions == [Refuse(attempt="a", why=STOPPED_BEFORE)]


def test_an_order_is_handed_over_until_release() -> None:
    desired = state(wanted("a", stop=ORDER))
    assert planned(desired, observation(seen("a"))) == [HandOver(attempt="a", order=ORDER)]
    assert planned(desired, observation(seen("a", Phase.RELEASED))) == []


def test_another_generation_is_not_given_the_order_and_ends_as_undesired() -> None:
    desired = state(wanted("a", stop=ORDER, generation=2))
    (action,) = planned(desired, observation(seen("a")))
    assert isinstance(action, HandOver) and action.order.cause is Cause.OPERATOR


def test_a_stranger_is_stopped_once_and_keeps_the_order_that_it_has() -> None:
    (action,) = planned(state(), observation(seen("a")))
    assert isinstance(action, HandOver)
    assert action.order.deadline_us == 100 < action.order.kill_us
    assert planned(state(), observation(seen("a")), memory=Memory(ordered={"a"})) == []


def test_a_stranger_is_forgotten_only_after_its_release_was_reported() -> None:
    observed = observation(seen("a", Phase.RELEASED))
    assert planned(state(), observed) == []
    assert planned(state(), observed, reported={"a"}) == [Forget(attempt="a")]
    assert planned(state(wanted("a")), observed, reported={"a"}) == []


def test_from_an_incomplete_observation_only_orders_follow() -> None:
    desired = state(wanted("a", stop=ORDER), wanted("b"))
    observed = observation(seen("a"), seen("c"), is_complete=False)
    assert planned(desired, observed) == [HandOver(attempt="a", order=ORDER)]


def test_a_refusal_is_reported_as_released_while_it_is_desired() -> None:
    memory = Memory(refused={"a": "no such node", "b": "old", "c": "seen all the same"})
    observed = observation(seen("c"))
    told = with_refusals(observed, state(wanted("a"), wanted("c")), memory)
    assert [one.attempt for one in told.attempts] == ["c", "a"]
    refused = told.attempts[1]
    assert refused.phase is Phase.RELEASED
    assert refused.launch_error == "no such node"
    assert not refused.is_refused, "not said to be by no doing of its org"
    assert with_refusals(observed, None, memory) == observed


@pytest.mark.parametrize(
    ("epoch", "sequence", "is_stale"), [(1, 9, True), (2, 4, True), (2, 5, False), (3, 0, False)]
)
def test_order_is_epoch_then_sequence(epoch: int, sequence: int, is_stale: bool) -> None:
    told = builders.desired_state("here", epoch=epoch, sequence=sequence)
    assert (Memory(last=(2, 5)).why_refused(told) is not None) is is_stale
    assert Memory().why_refused(told) is None


def test_another_marketplace_and_a_copy_in_the_same_epoch_are_refused() -> None:
    memory = Memory()
    memory.accept(builders.desired_state("here", epoch=2, sequence=5))
    copy = builders.desired_state("here", epoch=2, sequence=9, lineage="x" * 32)
    other = builders.desired_state("here", epoch=3, sequence=9, installation="x" * 32)
    next_epoch = builders.desired_state("here", epoch=3, sequence=9, lineage="x" * 32)
    older = builders.desired_state("here", epoch=3, sequence=9, installation=None, lineage=None)
    assert "copy" in (memory.why_refused(copy) or "")
    assert "another marketplace" in (memory.why_refused(other) or "")
    assert memory.why_refused(next_epoch) is None
    assert memory.why_refused(older) is None


def test_an_attempt_waits_for_the_last_one_of_its_workload() -> None:
    desired = state(wanted("w1.2", generation=2), wanted("w2.1"))
    there = seen("w1.1")
    actions = planned(desired, observation(there), memory=Memory(ordered={"w1.1"}))
    assert actions == [Launch(attempt=wanted("w2.1"))]
    gone = seen("w1.1", Phase.RELEASED)
    actions = planned(desired, observation(gone), memory=Memory(ordered={"w1.1"}))
    assert actions == [Launch(attempt=it) for it in desired.attempts]


def test_memory_survives(tmp_path: Any) -> None:
    memory = Memory(last=(2, 5), refused={"a": "why"}, ordered={"b", "c"})
    assert load(tmp_path / "new") == Memory()
    save(tmp_path, memory)
    assert load(tmp_path) == memory
    memory.keep_only({"c"})
    assert (memory.refused, memory.ordered) == ({}, {"c"})
    assert msgspec.json.encode(memory)


def test_an_attempt_of_the_same_name_from_another_date_is_ended_before_it_is_forgotten() -> None:
    new = builders.desired("a", ordered_us=2, stop=ORDER)
    old = builders.observed("a", ordered_us=1)
    (action,) = planned(state(new), observation(old))
    assert isinstance(action, HandOver) and action.order.cause is Cause.OPERATOR
    gone = msgspec.structs.replace(old, phase=Phase.RELEASED)
    assert planned(state(new), observation(gone), reported={"a"}) == [Forget(attempt="a")]
    same = msgspec.structs.replace(old, ordered_us=2)
    assert planned(state(new), observation(same)) == [HandOver(attempt="a", order=ORDER)]
