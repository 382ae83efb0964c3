"""Workloads that wait for others: when they bid, when they are cancelled, whom they may name."""

import pytest

from parkade.core.state import commands, events
from parkade.core.state.codec import decode_snapshot, encode_snapshot
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.life import Phase, Why
from tests.core.kernel.story import Parkade


@pytest.fixture
def parkade() -> Parkade:
    made = Parkade(fabrics={"a": 4}, buffer_nodes=0)
    made.org("lab")
    return made


def bid_after(parkade: Parkade, condition: str, *names: str, org: str = "lab") -> str:
    return parkade.bid(org, 9, after=tuple((condition, name) for name in names))


def running(parkade: Parkade) -> str:
    name = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(name)
    return name


def is_waiting(parkade: Parkade, name: str) -> bool:
    workload = parkade.workload(name)
    return workload.phase is Phase.HELD and workload.why == Why.DEPENDENCY


def has_gone_on(parkade: Parkade, name: str) -> bool:
    assert parkade.workload(name).waits_for == ()
    return parkade.phase(name) in (Phase.QUEUED, Phase.PLACED, Phase.STARTING)


def end(parkade: Parkade, name: str, how: str) -> None:
    if how == "cancelled":
        parkade.do(commands.Cancel(by=None, workload=name, now=True))
        parkade.ended(name, signal=9)
    else:
        parkade.ended(name, code=0 if how == "succeeded" else 3)
    assert parkade.phase(name) == how


@pytest.mark.parametrize(
    ("condition", "how", "goes_on"),
    [
        ("after_ok", "succeeded", True),
        ("after_ok", "failed", False),
        ("after_ok", "cancelled", False),
        ("after_not_ok", "succeeded", False),
        ("after_not_ok", "failed", True),
        ("after_not_ok", "cancelled", True),
        ("after_any", "succeeded", True),
        ("after_any", "failed", True),
        ("after_any", "cancelled", True),
    ],
)
def test_an_end_starts_what_waited_for_it_or_cancels_it(
    parkade: Parkade, condition: str, how: str, goes_on: bool
) -> None:
    first = running(parkade)
    second = bid_after(parkade, condition, first)
    parkade.run(120)
    assert is_waiting(parkade, second)
    end(parkade, first, how)
    if goes_on:
        assert has_gone_on(parkade, second)
    else:
        assert parkade.phase(second) is Phase.CANCELLED
        assert parkade.workload(second).why == Why.DEPENDENCY_FAILED


def test_after_waits_for_a_first_process_and_not_for_the_seats(parkade: Parkade) -> None:
    first = parkade.bid("lab", 9)
    second = bid_after(parkade, "after", first)
    parkade.clear()
    assert parkade.phase(first) is Phase.STARTING and is_waiting(parkade, second)
    parkade.started(first)
    assert has_gone_on(parkade, second)


def test_after_is_met_by_one_that_started_once_and_waits_again(parkade: Parkade) -> None:
    first = running(parkade)
    parkade.bid("rich", 90, nodes=4)
    parkade.run(120)
    assert parkade.phase(first) is Phase.QUEUED
    second = bid_after(parkade, "after", first)
    assert has_gone_on(parkade, second)


def test_after_is_met_by_one_that_ends_without_a_start(parkade: Parkade) -> None:
    first = parkade.bid("lab", 9)
    second = bid_after(parkade, "after", first)
    parkade.do(commands.Cancel(by=None, workload=first, now=False))
    assert has_gone_on(parkade, second)


def test_all_of_several_have_to_be_met_also_where_the_first_is_forgotten() -> None:
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0, retention_us=60_000_000)
    first, second = running(parkade), running(parkade)
    third = bid_after(parkade, "after_ok", first, second)
    end(parkade, first, "succeeded")
    assert is_waiting(parkade, third)
    assert [str(it) for it in parkade.workload(third).waits_for] == [f"after_ok {second}"]
    parkade.run(300)
    assert first not in parkade.world.records.workloads
    end(parkade, second, "succeeded")
    assert has_gone_on(parkade, third)


def test_a_failure_cancels_the_whole_chain_at_once(parkade: Parkade) -> None:
    first = running(parkade)
    second = bid_after(parkade, "after_ok", first)
    third = bid_after(parkade, "after_ok", second)
    beside = bid_after(parkade, "after_any", second)
    end(parkade, first, "failed")
    assert parkade.phase(second) is parkade.phase(third) is Phase.CANCELLED
    assert has_gone_on(parkade, beside)


def test_a_retry_is_no_end(parkade: Parkade) -> None:
    first = parkade.bid("lab", 9, failures=1)
    parkade.clear()
    parkade.started(first)
    second = bid_after(parkade, "after_not_ok", first)
    parkade.ended(first, code=3)
    assert is_waiting(parkade, second)


def test_what_its_user_holds_stays_held_when_all_is_met(parkade: Parkade) -> None:
    first = running(parkade)
    second = bid_after(parkade, "after_ok", first)
    parkade.do(commands.Hold(by=None, workload=second))
    assert parkade.workload(second).why == Why.HELD
    end(parkade, first, "succeeded")
    assert parkade.phase(second) is Phase.HELD and parkade.workload(second).waits_for == ()
    parkade.do(commands.Release(by=None, workload=second))
    assert has_gone_on(parkade, second)


def test_releasing_what_still_waits_leaves_it_waiting(parkade: Parkade) -> None:
    first = running(parkade)
    second = bid_after(parkade, "after_ok", first)
    assert parkade.do(commands.Release(by=None, workload=second)) == ()
    parkade.do(commands.Hold(by=None, workload=second))
    parkade.do(commands.Release(by=None, workload=second))
    parkade.clear()
    assert is_waiting(parkade, second)
    end(parkade, first, "succeeded")
    assert has_gone_on(parkade, second)


def test_what_waits_can_be_cancelled_and_does_not_come_back(parkade: Parkade) -> None:
    first = running(parkade)
    second = bid_after(parkade, "after_ok", first)
    parkade.do(commands.Cancel(by=None, workload=second, now=False))
    end(parkade, first, "succeeded")
    assert parkade.phase(second) is Phase.CANCELLED
    assert parkade.world.waiters == {}


def test_a_condition_that_is_met_already_is_not_waited_for(parkade: Parkade) -> None:
    first = running(parkade)
    end(parkade, first, "succeeded")
    assert parkade.phase(bid_after(parkade, "after_ok", first)) is Phase.QUEUED


def test_a_condition_that_can_never_be_met_is_refused(parkade: Parkade) -> None:
    first = running(parkade)
    end(parkade, first, "failed")
    refusal = refused(parkade, "after_ok", first)
    assert refusal.reason is Reason.CONFLICT and refusal.field == "after_ok"
    assert "can never be met" in refusal.detail


def refused(parkade: Parkade, condition: str, name: str) -> Refusal:
    spec = parkade.spec(limit=9, after=((condition, name),))
    submit = commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)
    return parkade.refused(submit)


def test_a_name_means_the_only_live_workload_of_the_org_that_has_it(parkade: Parkade) -> None:
    first = running(parkade)
    name = parkade.workload(first).spec.name
    second = bid_after(parkade, "after_ok", name)
    assert [it.workload for it in parkade.workload(second).spec.after] == [first]
    refusal = refused(parkade, "after_ok", name)
    assert refusal.reason is Reason.INVALID and first in refusal.detail


def test_what_others_have_is_as_if_it_were_not_there(parkade: Parkade) -> None:
    foreign = parkade.bid("acme", 9)
    here, nowhere = refused(parkade, "after", foreign), refused(parkade, "after", "w999")
    assert here.reason is nowhere.reason is Reason.NOT_FOUND
    assert here.detail.replace(foreign, "w999") == nowhere.detail


def test_on_demand_does_not_wait(parkade: Parkade) -> None:
    first = running(parkade)
    spec = parkade.spec(on_demand_hours=1, after=(("after_ok", first),))
    submit = commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)
    assert parkade.refused(submit).reason is Reason.UNSUPPORTED


def test_work_on_a_reservation_waits_too_and_leaves_its_nodes_to_guests(parkade: Parkade) -> None:
    parkade.reserve("acme", 1)
    parkade.lend("acme", 1)
    first = parkade.on_reservation("acme", "acme")
    parkade.clear()
    parkade.started(first)
    second = parkade.on_reservation("acme", "acme", after=(("after_ok", first),))
    parkade.run(120)
    assert is_waiting(parkade, second)
    parkade.ended(first)
    parkade.run(60)
    assert parkade.phase(second) is Phase.RUNNING


def test_a_snapshot_goes_on_waiting(parkade: Parkade) -> None:
    first = running(parkade)
    second = bid_after(parkade, "after_ok", first)
    parkade.world = decode_snapshot(encode_snapshot(parkade.world))
    end(parkade, first, "succeeded")
    assert has_gone_on(parkade, second)


def test_a_clearing_says_nothing_of_those_that_wait_for_others(parkade: Parkade) -> None:
    first = running(parkade)
    bid_after(parkade, "after_ok", first)
    parkade.clear()
    (*_, cleared) = (it for it in parkade.journal if isinstance(it, events.Cleared))
    assert cleared.waiting == ()


def test_two_conditions_on_one_workload_are_both_met_or_fail_together(parkade: Parkade) -> None:
    for how in ("succeeded", "failed"):
        first = running(parkade)
        both = (("after_ok", first), ("after_any", first))
        second = parkade.bid("lab", 9, after=both)
        end(parkade, first, how)
        assert parkade.world.waiters == {}
        if how == "succeeded":
            assert has_gone_on(parkade, second)
        else:
            assert parkade.phase(second) is Phase.CANCELLED
