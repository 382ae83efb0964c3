"""Arrays: which members are opened, what commands on all or some of them do, how arrays end."""

import pytest
from msgspec.structs import replace

from parkade.core.kernel.decide import decide
from parkade.core.state import commands
from parkade.core.state.codec import decode_snapshot, encode_event, encode_snapshot
from parkade.core.units import indexes
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.workloads.array import LEAST_WAITING, ArrayState
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.spec import Spec
from tests.core.kernel.story import Parkade


@pytest.fixture
def parkade() -> Parkade:
    made = Parkade(fabrics={"a": 4}, buffer_nodes=0)
    made.org("lab")
    return made


def members(parkade: Parkade, array: str) -> dict[str, Phase]:
    return {name: parkade.phase(name) for name in parkade.world.members.of(array).names}


def state(parkade: Parkade, array: str) -> ArrayState:
    found = parkade.workload(array).array
    assert found is not None
    return found


def running(parkade: Parkade, array: str) -> list[str]:
    return [name for name, phase in members(parkade, array).items() if phase is Phase.RUNNING]


def end_all(parkade: Parkade, array: str, *, code: int = 0) -> None:
    while (names := running(parkade, array)) or members(parkade, array):
        for name in names:
            parkade.ended(name, code=code)
        parkade.run(60)


def test_members_are_placed_like_workloads_and_share_one_record(parkade: Parkade) -> None:
    array = parkade.bid("lab", 9, array="0-9")
    parkade.run(60)
    assert running(parkade, array) == [f"{array}_{index}" for index in range(4)]
    assert len(members(parkade, array)) == 10
    assert parkade.workload(array).phase is Phase.QUEUED
    assert parkade.workload(array).attempt is None
    end_all(parkade, array)
    assert parkade.phase(array) is Phase.SUCCEEDED
    assert state(parkade, array).succeeded == ((0, 9),)
    spent = sum(
        it.spent_micros for it in parkade.world.records.workloads.values() if it.member_of == array
    )
    assert parkade.workload(array).spent_micros == spent > 0
    assert decode_snapshot(encode_snapshot(parkade.world)).records == parkade.world.records
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_members_are_charged_no_more_than_the_max_spend_of_their_array_after_a_standstill(
    parkade: Parkade,
) -> None:
    array = parkade.bid("lab", 9, array="0-3", max_spend=20)
    parkade.run(60)
    parkade.tick(4 * 3600)
    parkade.heard()
    for name in running(parkade, array):
        parkade.ended(name)
    assert parkade.workload(array).spent_micros == 20 * MICROS
    parkade.clear()


def test_at_most_so_many_members_are_open_at_once(parkade: Parkade) -> None:
    array = parkade.bid("lab", 9, array="0-9%3")
    parkade.run(60)
    assert len(members(parkade, array)) == len(running(parkade, array)) == 3
    parkade.ended(running(parkade, array)[0])
    assert len(members(parkade, array)) == 3
    assert indexes.count(state(parkade, array).waiting) == 6


def test_an_array_costs_as_much_to_submit_as_a_workload_and_opens_what_the_market_can_use(
    parkade: Parkade,
) -> None:
    before = len(parkade.journal)
    array = parkade.bid("lab", 9, array="0-9999")
    made = parkade.journal[before:]
    assert [type(it).__name__ for it in made] == ["Submitted", "MembersOpened"]
    assert sum(len(encode_event(it)) for it in made) < 2000
    assert len(members(parkade, array)) == LEAST_WAITING
    parkade.run(60)
    assert len(members(parkade, array)) == LEAST_WAITING + 4


def test_an_array_that_wins_opens_as_many_as_have_seats() -> None:
    parkade = Parkade(fabrics={"a": 200}, gpus=1, buffer_nodes=0)
    array = parkade.bid("lab", 9, gpus=1, array="0-999")
    parkade.clear()
    counted = parkade.world.members.of(array)
    assert counted.seated == 64 and len(counted.names) == 128
    parkade.clear()
    counted = parkade.world.members.of(array)
    assert counted.seated == 128 and len(counted.names) == 256


@pytest.mark.parametrize(
    ("codes", "phase"),
    [
        ((0, 0, 0), Phase.SUCCEEDED),
        ((0, 3, 0), Phase.FAILED),
        ((7, 3, 0), Phase.FAILED),
    ],
)
def test_an_array_ends_with_its_last_member_and_fails_with_any(
    parkade: Parkade, codes: tuple[int, ...], phase: Phase
) -> None:
    array = parkade.bid("lab", 9, array="5,7,9")
    parkade.run(60)
    for name, code in zip(running(parkade, array), codes, strict=True):
        assert parkade.workload(array).ended_us is None
        parkade.ended(name, code=code)
    ended = parkade.workload(array)
    assert ended.phase is phase and ended.ended_us is not None
    assert ended.exit_code == next(filter(None, codes), None)


def test_some_members_are_cancelled_whether_they_are_open_or_not(parkade: Parkade) -> None:
    array = parkade.bid("lab", 9, array="0-9%5")
    parkade.run(60)
    chosen = indexes.parse_indexes("0,4,7-8")
    parkade.do(commands.Cancel(by=None, workload=array, now=True, members=chosen))
    assert parkade.phase(f"{array}_0") is Phase.STOPPING
    assert parkade.phase(f"{array}_4") is Phase.CANCELLED
    assert state(parkade, array).cancelled == ((4, 4), (7, 8))
    parkade.run(60)
    end_all(parkade, array)
    assert state(parkade, array).cancelled == ((0, 0), (4, 4), (7, 8))
    assert parkade.phase(array) is Phase.CANCELLED


def test_an_array_is_cancelled_by_one_event_for_all_that_wait(parkade: Parkade) -> None:
    array = parkade.bid("lab", 9, array="0-9999%4")
    parkade.run(60)
    before = len(parkade.journal)
    parkade.do(commands.Cancel(by=None, workload=array, now=False))
    assert len(parkade.journal) - before <= 10
    assert parkade.workload(array).ended_us is None
    parkade.run(60)
    assert parkade.phase(array) is Phase.CANCELLED
    assert state(parkade, array).waiting == ()


def test_a_held_array_opens_no_member_and_what_runs_goes_on(parkade: Parkade) -> None:
    array = parkade.bid("lab", 9, array="0-9%6")
    parkade.run(60)
    parkade.do(commands.Hold(by=None, workload=array))
    phases = list(members(parkade, array).values())
    assert phases.count(Phase.RUNNING) == 4 and phases.count(Phase.HELD) == 2
    parkade.ended(f"{array}_0")
    assert len(members(parkade, array)) == 5
    parkade.do(commands.Release(by=None, workload=array))
    assert Phase.HELD not in members(parkade, array).values()
    assert len(members(parkade, array)) == 6


def test_a_limit_is_changed_for_all_members_or_for_some(parkade: Parkade) -> None:
    array = parkade.bid("lab", 9, array="0-9%5")
    parkade.run(60)
    parkade.do(_bid(array, 12, "4-7"))
    parkade.do(_bid(array, 11, "7-8"))
    limits = {0: 9, 4: 12, 5: 12, 6: 12, 7: 11, 8: 11, 9: 9}
    end_all(parkade, array)
    found = {
        it.index: it.spec.limit_price_micros
        for it in parkade.world.records.workloads.values()
        if it.member_of == array
    }
    assert {index: found[index] for index in limits} == {
        index: limit * MICROS for index, limit in limits.items()
    }
    second = parkade.bid("lab", 9, array="0-9%5")
    parkade.run(60)
    parkade.do(_bid(second, 12, "8"))
    parkade.do(commands.ChangeBid(by=None, workload=second, limit_price_micros=10 * MICROS))
    end_all(parkade, second)
    found = {
        it.index: it.spec.limit_price_micros
        for it in parkade.world.records.workloads.values()
        if it.member_of == second
    }
    assert set(found.values()) == {10 * MICROS}


def _bid(array: str, limit: int, chosen: str) -> commands.ChangeBid:
    return commands.ChangeBid(
        by=None,
        workload=array,
        limit_price_micros=limit * MICROS,
        members=indexes.parse_indexes(chosen),
    )


def test_members_that_failed_are_retried_under_new_attempts(parkade: Parkade) -> None:
    array = parkade.bid("lab", 9, array="0-3")
    parkade.run(60)
    for name in running(parkade, array):
        parkade.saved(name, 5)
    for name, code in zip(running(parkade, array), (0, 3, 0, 4), strict=True):
        parkade.ended(name, code=code)
    assert parkade.phase(array) is Phase.FAILED
    parkade.do(commands.Retry(by=None, workload=array, members=None))
    assert parkade.phase(array) is Phase.QUEUED and parkade.workload(array).ended_us is None
    parkade.run(60)
    assert running(parkade, array) == [f"{array}_1", f"{array}_3"]
    assert parkade.attempt(f"{array}_1").attempt == f"{array}_1.2"
    assert parkade.workload(f"{array}_1").checkpoint_step == 5
    end_all(parkade, array)
    assert parkade.phase(array) is Phase.SUCCEEDED
    parkade.do(commands.Retry(by=None, workload=array, members=((2, 2),)))
    parkade.run(60)
    assert running(parkade, array) == [f"{array}_2"]


def test_a_retried_member_waits_after_its_first_85_as_a_new_one_does() -> None:
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0)
    parkade.org("lab")
    array = parkade.bid("lab", 9, array="0")
    member = f"{array}_0"
    for _ in range(4):
        parkade.run(60)
        parkade.ended(member, code=3)
        parkade.do(commands.Retry(by=None, workload=array, members=None))
    parkade.run(60)
    assert parkade.attempt(member).generation == 5
    parkade.saved(member, 1)
    parkade.ended(member, code=85)
    waits_us = parkade.workload(member).not_before_us - parkade.now_us
    assert waits_us == parkade.world.records.markets["pool"].terms.backoff_us


def test_members_are_cancelled_by_index_also_after_one_was_retried_and_a_restart(
    parkade: Parkade,
) -> None:
    array = parkade.bid("lab", 9, array="0-2")
    parkade.run(60)
    parkade.ended(f"{array}_0", code=3)
    parkade.do(commands.Retry(by=None, workload=array, members=None))
    command = commands.Cancel(by=None, workload=array, now=False)
    restarted = decode_snapshot(encode_snapshot(parkade.world))
    assert list(restarted.live) != list(parkade.world.live)
    told = [decide(world, command, parkade.now_us) for world in (parkade.world, restarted)]
    assert told[0] == told[1]


def test_a_restart_does_not_change_which_member_has_the_money_that_is_left() -> None:
    """The org can pay for three nodes: one for each member, and one more. After a restart a member
    that was retried comes before the other in the world's index."""
    parkade = Parkade(fabrics={"a": 8}, buffer_nodes=0, public_floor_micros=MICROS)
    parkade.org("lab", deposit=2)
    array = parkade.bid("lab", 5, array="0-1", most_nodes=4)
    parkade.run(60)
    parkade.ended(f"{array}_0", code=3)
    parkade.do(commands.Retry(by=None, workload=array, members=None))
    restarted = decode_snapshot(encode_snapshot(parkade.world))
    assert list(restarted.live) != list(parkade.world.live)
    command = commands.RunClearing(by=None, market="pool")
    told = [decide(world, command, parkade.now_us) for world in (parkade.world, restarted)]
    assert told[0] == told[1]


def test_a_retried_member_that_was_forgotten_has_attempts_of_its_own() -> None:
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0, retention_us=60_000_000)
    array = parkade.bid("lab", 9, array="0-1%1")
    parkade.run(60)
    parkade.ended(f"{array}_0", code=3)
    parkade.run(300)
    assert f"{array}_0" not in parkade.world.records.workloads
    parkade.do(commands.Retry(by=None, workload=array, members=None))
    parkade.ended(f"{array}_1")
    parkade.run(60)
    assert parkade.attempt(f"{array}_0").attempt == f"{array}_0.2"


@pytest.mark.parametrize("how", ["succeeded", "failed"])
def test_what_waits_for_an_array_waits_for_all_its_members(parkade: Parkade, how: str) -> None:
    array = parkade.bid("lab", 9, array="0-1")
    waits = parkade.bid("lab", 9, after=(("after_ok", array),))
    started = parkade.bid("lab", 9, after=(("after", array),))
    parkade.clear()
    parkade.started(f"{array}_0")
    assert parkade.phase(started) is Phase.HELD
    parkade.started(f"{array}_1")
    assert parkade.phase(started) is not Phase.HELD
    parkade.ended(f"{array}_0")
    assert parkade.phase(waits) is Phase.HELD
    parkade.ended(f"{array}_1", code=0 if how == "succeeded" else 3)
    expected = Phase.CANCELLED if how == "failed" else Phase.QUEUED
    assert parkade.phase(waits) in (expected, Phase.STARTING)


def test_an_array_that_waits_opens_no_member_before(parkade: Parkade) -> None:
    first = parkade.bid("lab", 9)
    array = parkade.bid("lab", 9, array="0-1", after=(("after_ok", first),))
    parkade.run(60)
    assert members(parkade, array) == {}
    parkade.ended(first)
    assert len(members(parkade, array)) == 2


def test_an_array_that_waits_for_what_failed_is_cancelled_whole(parkade: Parkade) -> None:
    first = parkade.bid("lab", 9)
    array = parkade.bid("lab", 9, array="0-9999", after=(("after_ok", first),))
    parkade.run(60)
    parkade.ended(first, code=3)
    assert parkade.phase(array) is Phase.CANCELLED
    assert parkade.workload(array).why == Why.DEPENDENCY_FAILED


def test_max_spend_is_for_all_members_together() -> None:
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0)
    array = parkade.bid("lab", 9, array="0-9", max_spend=3)
    for _ in range(60):
        parkade.run(120)
    assert parkade.workload(array).spent_micros <= 3 * MICROS
    assert parkade.workload(array).is_budget_noted
    assert state(parkade, array).expired and not running(parkade, array)
    assert {parkade.workload(name).why for name in members(parkade, array)} == {Why.MAX_SPEND}


@pytest.mark.parametrize(
    ("spec", "reason", "says"),
    [
        ({"array": "0-9", "capacity": "on-demand"}, Reason.UNSUPPORTED, "on-demand"),
        ({"array": "0-9", "env": 20_000}, Reason.INVALID, "16,384 characters"),
    ],
)
def test_an_array_that_cannot_be_is_refused(
    parkade: Parkade, spec: dict[str, object], reason: Reason, says: str
) -> None:
    made = parkade.spec(limit=9, array=str(spec["array"]))
    if "capacity" in spec:
        made = parkade.spec(on_demand_hours=1, array=str(spec["array"]))
    if "env" in spec:
        made = _with_env(made, 20_000)
    refusal = parkade.refused(
        commands.Submit(by=None, org="lab", market=None, spec=made, is_held=False)
    )
    assert refusal.reason is reason and says in refusal.detail


def _with_env(spec: Spec, size: int) -> Spec:
    return replace(spec, env=(("A", "x" * size),))


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (lambda w: commands.Cancel(by=None, workload=w, now=False, members=((9, 12),)), "invalid"),
        (lambda w: commands.Retry(by=None, workload=w, members=((2, 2),)), "conflict"),
        (lambda w: commands.Retry(by=None, workload=w, members=None), "conflict"),
        (lambda w: commands.Retry(by=None, workload="w1", members=None), "unsupported"),
        (lambda w: commands.Cancel(by=None, workload="w1", now=True, members=((0, 0),)), "invalid"),
    ],
)
def test_a_command_that_means_no_member_is_refused(
    parkade: Parkade, command: object, reason: str
) -> None:
    parkade.bid("lab", 9)
    array = parkade.bid("lab", 9, array="0-9")
    parkade.clear()
    assert parkade.refused(command(array)).reason == reason  # type: ignore[operator]


def test_a_name_means_the_array_and_not_its_members(parkade: Parkade) -> None:
    parkade.bid("lab", 9, array="0-9")
    waits = parkade.bid("lab", 9, after=(("after_any", "job"),))
    assert parkade.workload(waits).waits_for[0].workload == "w1"
