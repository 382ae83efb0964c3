"""What observations and silence mean for the core."""

from typing import Any

import msgspec
import pytest

from parkade.control.answers import Decided
from parkade.control.intake import Intake
from parkade.core.state.commands import ReportAttempts
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.observed import ObservedAttempt
from parkade.core.workloads.saving import CheckpointTerms
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.ports import Observation
from tests import builders

RUNNING = builders.observed("w.1")
SPEC = builders.spec(capacity=Capacity(kind=CapacityKind.ON_DEMAND), limit_price_micros=None)
DECIDED = Decided(sequence=1, events=())


def intake() -> Intake:
    return Intake(repeat_us=10, silence_us=15, started_us=100)


def observation(at_us: int, *attempts: ObservedAttempt, **changes: Any) -> Observation:
    whole = Observation(pool="m", at_us=at_us, is_complete=True, attempts=attempts)
    return msgspec.structs.replace(whole, **changes)


def test_a_pool_is_silent_once_it_was_not_heard_for_long_and_until_it_is_heard() -> None:
    found = intake()
    assert list(found.reachability([builders.pool("m")], 115)) == []
    (silent,) = found.reachability([builders.pool("m")], 116)
    assert (silent.pool, silent.is_reachable) == ("m", False)
    assert found.take(observation(5), desired=1, now_us=10**9, steady_us=120).is_heard_again
    known = builders.pool("m", first_heard_us=1)
    assert list(found.reachability([known], 121)) == []
    (heard,) = found.reachability([msgspec.structs.replace(known, is_reachable=False)], 121)
    assert heard.is_reachable


def test_the_first_word_of_an_agent_is_told_though_its_pool_counted_as_reachable() -> None:
    found = intake()
    found.heard("m", 101)
    (first,) = found.reachability([builders.pool("m")], 102)
    assert (first.pool, first.is_reachable) == ("m", True)


@pytest.mark.parametrize(
    ("later", "desired"),
    [(observation(4), 1), (observation(9, is_complete=False), 1), (observation(9), None)],
    ids=["straggler", "partial", "unknown pool"],
)
def test_nothing_follows_from_it(later: Observation, desired: int | None) -> None:
    found = intake()
    found.take(observation(5), desired=1, now_us=10**9, steady_us=100)
    taken = found.take(later, desired=desired, now_us=10**9, steady_us=200)
    assert (taken.command, taken.is_heard_again) == (None, False)
    assert found.is_silent("m", 200)


def test_an_agent_whose_clock_was_set_far_back_is_heard() -> None:
    found = intake()
    found.take(observation(10**9), desired=1, now_us=10**9, steady_us=100)
    assert found.take(observation(5), desired=1, now_us=10**9, steady_us=200).is_heard_again


def test_an_agent_whose_clock_was_set_back_a_little_is_heard_again_before_it_counts_as_silent() -> (
    None
):
    found = Intake(repeat_us=10, silence_us=15 * SECOND_US, started_us=0)
    found.take(observation(300 * SECOND_US), desired=1, now_us=10**9, steady_us=0)
    for second in range(1, 15):
        later = observation(second * SECOND_US)
        found.take(later, desired=1, now_us=10**9, steady_us=second * SECOND_US)
        assert not found.is_silent("m", second * SECOND_US)
    assert not found.is_silent("m", 25 * SECOND_US)


@pytest.mark.parametrize(
    ("later", "desired", "steady_us", "is_passed_on"),
    [
        (observation(6, RUNNING), 1, 109, False),
        (observation(6, RUNNING), 2, 109, True),
        (observation(6), 1, 109, True),
        (observation(6, RUNNING), 1, 110, True),
    ],
    ids=["unchanged", "desired changed", "other attempts", "after a while"],
)
def test_an_observation_is_passed_on_where_it_may_say_something_new(
    later: Observation, desired: int, steady_us: int, is_passed_on: bool
) -> None:
    found, first = intake(), observation(5, RUNNING)
    command = found.take(first, desired=1, now_us=10**9, steady_us=100).command
    assert command == ReportAttempts(by=None, pool="m", attempts=(RUNNING,))
    found.decided(first, DECIDED, desired=1, steady_us=100)
    taken = found.take(later, desired=desired, now_us=10**9, steady_us=steady_us)
    assert (taken.command is not None) is is_passed_on


def test_an_observation_that_the_core_refused_is_passed_on_again() -> None:
    found, same = intake(), observation(5, RUNNING)
    found.take(same, desired=1, now_us=10**9, steady_us=100)
    refusal = Refusal(reason=Reason.INTERNAL, detail="a bug")
    found.decided(same, refusal, desired=1, steady_us=100)
    assert found.take(same, desired=1, now_us=10**9, steady_us=101).command is not None


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("env_file", {"env_file": "~/x"}),
        ("image", {"image": "torch.sif"}),
        ("storage", {"storage": ("home",)}),
        ("nodes", {"nodes": 2}),
        ("checkpoint", {"checkpoint": CheckpointTerms(signal="SIGUSR1", needs_us=1)}),
    ],
)
def test_a_key_that_the_engine_cannot_honour_is_refused_by_name(
    key: str, changes: dict[str, Any]
) -> None:
    found = intake()
    asks = msgspec.structs.replace(SPEC, **changes)
    assert found.unsupported(asks, ["m"], has_unix_name=True) is None, (
        "the engine was not heard yet"
    )
    found.take(
        observation(5, capabilities=builders.capabilities(unsupported_keys=(key,))),
        desired=1,
        now_us=10**9,
        steady_us=100,
    )
    refusal = found.unsupported(asks, ["m"], has_unix_name=True)
    assert refusal is not None
    assert (refusal.reason, refusal.field) == (Reason.UNSUPPORTED, f"spec.{key}")
    assert key in refusal.detail and "tiny" in refusal.detail
    assert found.unsupported(SPEC, ["m"], has_unix_name=True) is None


def test_an_image_that_is_refused_names_the_option_that_a_pool_lacks() -> None:
    found = intake()
    found.take(
        observation(5, capabilities=builders.capabilities(unsupported_keys=("image",))),
        desired=1,
        now_us=10**9,
        steady_us=100,
    )
    asks = msgspec.structs.replace(SPEC, image="torch.sif")
    refusal = found.unsupported(asks, ["m"], has_unix_name=True)
    assert refusal is not None and "the option `container`" in refusal.detail


def test_one_able_engine_is_enough() -> None:
    found = intake()
    asks = msgspec.structs.replace(SPEC, nodes=2)
    found.take(
        observation(5, capabilities=builders.capabilities(unsupported_keys=("nodes",))),
        desired=1,
        now_us=10**9,
        steady_us=100,
    )
    able = observation(5, capabilities=builders.capabilities(), pool="n")
    found.take(able, desired=1, now_us=10**9, steady_us=100)
    assert found.unsupported(asks, ["m", "n"], has_unix_name=True) is None
    assert found.unsupported(asks, ["m"], has_unix_name=True) is not None


def test_one_dated_in_the_future_makes_no_straggler_of_the_next() -> None:
    found = intake()
    found.take(observation(10**40), desired=1, now_us=50, steady_us=100)
    taken = found.take(observation(51), desired=1, now_us=60, steady_us=200)
    assert taken.command is not None
    assert not found.is_silent("m", 205)


def test_an_agent_that_is_root_takes_no_workload_of_a_user_without_a_unix_name() -> None:
    found = intake()
    as_root = builders.capabilities(needs_unix_names=True)
    found.take(observation(1, capabilities=as_root), desired=1, now_us=10, steady_us=1)
    assert found.unsupported(SPEC, ["m"], has_unix_name=True) is None
    refusal = found.unsupported(SPEC, ["m"], has_unix_name=False)
    assert refusal is not None and refusal.reason is Reason.UNSUPPORTED
    assert "parkade user unix-name" in refusal.detail


def test_what_the_engine_can_is_said_where_the_world_does_not_know_it() -> None:
    found = intake()
    able = builders.capabilities(resizes_live=True)
    pool = builders.pool("m", first_heard_us=1)
    found.take(observation(5), desired=1, now_us=10**9, steady_us=101)
    assert list(found.reachability([pool], 102)) == [], "it did not say"
    found.take(observation(6, capabilities=able), desired=1, now_us=10**9, steady_us=103)
    (able_now,) = found.reachability([pool], 104)
    assert (able_now.is_reachable, able_now.resizes_live) == (True, True)
    known = msgspec.structs.replace(pool, resizes_live=True)
    assert list(found.reachability([known], 105)) == []
    (silent,) = found.reachability([known], 200)
    assert (silent.is_reachable, silent.resizes_live) == (False, None)
