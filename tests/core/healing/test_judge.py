"""The judge: windows, bursts, repeats, the driver's wish, the ladder, and its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from parkade.core.healing.judge import close_windows, judge, next_close, note_repair
from parkade.core.healing.ladder import Repair, RepairResult
from parkade.core.healing.memory import MOST_BURSTS, MOST_TRACKS, empty_memory
from parkade.core.healing.policy import RepeatUnit
from parkade.core.healing.symptom import Fact, NodeCondition, RecoveryAction, Symptom
from parkade.core.healing.verdict import Action, Level
from parkade.core.units.time import DAY_US, SECOND_US
from tests.core.healing.builder import (
    GPU,
    OTHER_GPU,
    Bench,
    condition,
    policy,
    repeat,
    rule,
    symptom,
    wish,
    xid,
)

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
RULES = policy(
    rule("xid/79", Level.FATAL, Action.REBOOT),
    rule("xid/119", Level.FATAL, Action.RESET_GPU),
    rule(
        "xid/94",
        Level.WARN,
        Action.RESTART_APP,
        repeat(RepeatUnit.BURSTS, 2, Level.DEGRADED, Action.DIAGNOSE, 7 * DAY_US),
    ),
    rule(
        "xid/31",
        Level.INFO,
        Action.RESTART_APP,
        repeat(RepeatUnit.JOBS, 2, Level.DEGRADED, Action.DIAGNOSE),
        is_application_fault=True,
    ),
    rule(
        "xid/13",
        Level.INFO,
        Action.RESTART_APP,
        repeat(RepeatUnit.PLACES, 2, Level.DEGRADED, Action.DIAGNOSE),
        is_application_fault=True,
    ),
    rule("xid/109", Level.WARN, Action.RESTART_APP),
    rule("disk_error", Level.INFO, Action.NONE, devices="sda*"),
)


def test_symptoms_of_one_window_are_one_verdict_with_their_number() -> None:
    bench = Bench(RULES)
    assert bench.see(symptom(xid(94), 0), symptom(xid(94), 2), symptom(xid(94), 4.9)) == []
    assert next_close(bench.memory) == 5 * SECOND_US
    (verdict,) = bench.wait(5)
    assert (verdict.level, verdict.count, verdict.since_us) == (Level.WARN, 3, 0)
    assert [each.line for each in verdict.evidence] == ["line at 0", "line at 4.9"]
    assert next_close(bench.memory) is None


def test_a_fatal_verdict_does_not_wait_for_its_window() -> None:
    bench = Bench(RULES)
    (verdict,) = bench.see(symptom(xid(79), 1))
    assert (verdict.level, verdict.at_us) == (Level.FATAL, SECOND_US)
    assert bench.see(symptom(xid(79), 2)) == []
    assert bench.wait(HOUR_S) == []


def test_a_burst_is_told_once() -> None:
    bench = Bench(RULES)
    bench.see(*(symptom(xid(94), at) for at in range(0, 1_000, 60)))
    bench.wait(2_000)
    assert [verdict.level for verdict in bench.verdicts] == [Level.WARN]


def test_what_never_stops_counts_as_repeating_after_an_hour() -> None:
    bench = Bench(RULES)
    bench.see(*(symptom(xid(94), at) for at in range(0, HOUR_S + 200, 60)))
    bench.wait(2 * HOUR_S)
    assert [verdict.level for verdict in bench.verdicts] == [Level.WARN, Level.DEGRADED]


def test_two_bursts_in_seven_days_are_worse_than_one_and_after_eight_days_not() -> None:
    bench = Bench(RULES)
    bench.see(symptom(xid(94), 0), symptom(xid(94), DAY_S))
    (verdict,) = bench.wait(DAY_S + 10)
    assert (verdict.level, verdict.action) == (Level.DEGRADED, Action.DIAGNOSE)
    assert "2 bursts within 7 days" in verdict.reasons
    late = Bench(RULES)
    late.see(symptom(xid(94), 0), symptom(xid(94), 8 * DAY_S))
    (verdict,) = late.wait(8 * DAY_S + 10)
    assert verdict.level is Level.WARN


def test_an_application_fault_is_blamed_on_the_gpu_only_when_two_jobs_saw_it_there() -> None:
    bench = Bench(RULES)
    bench.see(*(symptom(xid(31), at * 600, job="a") for at in range(5)))
    bench.wait(HOUR_S)
    assert {verdict.level for verdict in bench.verdicts} == {Level.INFO}
    bench.see(symptom(xid(31), 2 * HOUR_S, job="b"))
    (verdict,) = bench.wait(2 * HOUR_S + 10)
    assert (verdict.level, verdict.jobs) == (Level.DEGRADED, ("b",))


def test_an_application_fault_of_unknown_jobs_stays_the_applications() -> None:
    bench = Bench(RULES)
    bench.see(*(symptom(xid(31), at * 600) for at in range(20)))
    bench.wait(DAY_S)
    assert {verdict.level for verdict in bench.verdicts} == {Level.INFO}


def test_a_bug_that_runs_on_every_gpu_blames_none() -> None:
    bench = Bench(RULES)
    for number, job in enumerate(("a", "b", "c")):
        at = number * HOUR_S
        bench.see(symptom(xid(31), at, job=job), symptom(xid(31), at, job=job, device=OTHER_GPU))
    bench.wait(DAY_S)
    assert {verdict.level for verdict in bench.verdicts} == {Level.INFO}


def test_the_same_unit_of_the_chip_in_two_jobs_is_hardware_and_different_units_are_not() -> None:
    same, different = Bench(RULES), Bench(RULES)
    for at, job in ((0, "a"), (HOUR_S, "b")):
        same.see(symptom(xid(13, place="GPC 1 TPC 2"), at, job=job))
        different.see(symptom(xid(13, place=f"GPC {at} TPC 2"), at, job=job))
    assert [each.level for each in same.wait(DAY_S)] == [Level.DEGRADED]
    assert [each.level for each in different.wait(DAY_S)] == [Level.INFO]


def test_the_drivers_wish_replaces_the_rows_action_up_and_down() -> None:
    up = Bench(RULES)
    up.see(symptom(wish(RecoveryAction.REBOOT), 0))
    (verdict,) = up.see(symptom(xid(119), 1))
    assert verdict.action is Action.REBOOT
    down = Bench(RULES)
    down.see(symptom(wish(RecoveryAction.RESET_GPU), 0))
    (verdict,) = down.see(symptom(xid(79), 1))
    assert verdict.action is Action.RESET_GPU
    assert "the driver asks for reset gpu" in verdict.reasons


def test_a_wish_supersedes_what_was_told_of_its_device_before() -> None:
    bench = Bench(RULES)
    (first,) = bench.see(symptom(xid(119), 0))
    (second,) = bench.see(symptom(wish(RecoveryAction.REBOOT), 1))
    assert (second.action, second.supersedes) == (Action.REBOOT, first.verdict)


def test_a_wish_taken_back_holds_no_more() -> None:
    bench = Bench(RULES)
    bench.see(symptom(wish(RecoveryAction.REBOOT), 0), symptom(wish(RecoveryAction.NONE), 1))
    (verdict,) = bench.see(symptom(xid(119), 2))
    assert verdict.action is Action.RESET_GPU


def test_a_wish_for_one_gpu_says_nothing_of_another() -> None:
    bench = Bench(RULES)
    bench.see(symptom(wish(RecoveryAction.REBOOT), 0))
    (verdict,) = bench.see(symptom(xid(119), 1, device=OTHER_GPU))
    assert verdict.action is Action.RESET_GPU


def test_a_warning_becomes_fatal_when_the_driver_asks_for_a_reset() -> None:
    bench = Bench(RULES)
    bench.see(symptom(xid(109), 0), symptom(wish(RecoveryAction.RESET_GPU), 1))
    told = [(each.signal, each.level, each.action) for each in (*bench.verdicts, *bench.wait(10))]
    assert ("xid/109", Level.FATAL, Action.RESET_GPU) in told


def test_a_reset_that_did_not_last_becomes_a_reboot_and_at_last_a_return() -> None:
    bench = Bench(RULES)
    actions = []
    for number in range(5):
        (verdict,) = bench.see(symptom(xid(119), number * HOUR_S))
        actions.append(verdict.action)
        bench.memory = note_repair(
            bench.memory,
            Repair(
                device=GPU,
                action=verdict.action,
                result=RepairResult.DONE,
                at_us=verdict.at_us + 60 * SECOND_US,
            ),
        )
    assert actions == [
        Action.RESET_GPU,
        Action.REBOOT,
        Action.REBOOT,
        Action.DIAGNOSE,
        Action.RMA,
    ]


def test_a_fault_right_after_a_repair_is_told_anew() -> None:
    bench = Bench(RULES)
    (first,) = bench.see(symptom(xid(119), 0))
    done = Repair(device=GPU, action=first.action, result=RepairResult.DONE, at_us=10 * SECOND_US)
    bench.memory = note_repair(bench.memory, done)
    (second,) = bench.see(symptom(xid(119), 20))
    assert second.action is Action.REBOOT
    assert second.verdict != first.verdict


def test_a_row_may_be_for_some_devices_only() -> None:
    bench = Bench(RULES)
    fact = condition(NodeCondition.DISK_ERROR)
    bench.see(symptom(fact, 0, device="sda1"), symptom(fact, 0, device="dm-0"))
    assert sorted(each.level for each in bench.wait(10)) == [Level.INFO, Level.WARN]


def test_every_verdict_keeps_evidence_and_versions() -> None:
    bench = Bench(RULES)
    (verdict,) = bench.see(symptom(xid(79), 3))
    assert verdict.policy == "test 1"
    assert [(each.parser, each.line) for each in verdict.evidence] == [("test/1", "line at 3")]


FACTS = st.one_of(
    st.sampled_from([13, 31, 79, 94, 109, 119, 7]).map(xid),
    st.sampled_from(list(RecoveryAction)).map(wish),
    st.sampled_from(list(NodeCondition)).map(condition),
)
SYMPTOMS = st.lists(
    st.builds(
        lambda fact, gap, device, job: (fact, gap, device, job),
        FACTS,
        st.sampled_from([0, 0.5, 4, 6, 100, 200, HOUR_S, DAY_S]),
        st.sampled_from([None, GPU, OTHER_GPU]),
        st.sampled_from([None, "a", "b"]),
    ),
    max_size=60,
)


def _timed(story: list[tuple[Fact, float, str | None, str | None]]) -> list[Symptom]:
    at, found = 0.0, []
    for fact, gap, device, job in story:
        at += gap
        found.append(symptom(fact, at, device=device, job=job))
    return found


@given(SYMPTOMS)
def test_within_a_burst_each_verdict_is_worse_than_the_last_or_of_another_action(
    story: list[tuple[Fact, float, str | None, str | None]],
) -> None:
    bench = Bench(RULES)
    bench.see(*_timed(story))
    bench.wait(100 * DAY_S)
    by_name = {verdict.verdict: verdict for verdict in bench.verdicts}
    assert len(by_name) == len(bench.verdicts)
    for verdict in bench.verdicts:
        if verdict.supersedes is None or verdict.signal.startswith("recovery/"):
            continue
        before = by_name[verdict.supersedes]
        assert before.level.rank <= verdict.level.rank
        assert (before.level, before.action) != (verdict.level, verdict.action)


@given(SYMPTOMS)
def test_every_symptom_is_in_a_verdict_once_all_windows_are_closed(
    story: list[tuple[Fact, float, str | None, str | None]],
) -> None:
    bench = Bench(RULES)
    symptoms = _timed(story)
    bench.see(*symptoms)
    bench.wait(100 * DAY_S)
    assert next_close(bench.memory) is None
    told = {(verdict.signal, verdict.device) for verdict in bench.verdicts}
    tracks = {(track.signal, track.device) for track in bench.memory.tracks}
    assert tracks == told


def test_the_memory_of_a_node_is_bounded() -> None:
    memory = empty_memory("n1")
    for number in range(MOST_TRACKS * 4):
        seen = symptom(xid(94), number * HOUR_S, device=f"gpu{number % (MOST_TRACKS * 2)}")
        memory, _ = judge(memory, seen, seen.at_us, policy=RULES)
    assert len(memory.tracks) == MOST_TRACKS
    assert memory.forgotten >= MOST_TRACKS
    for number in range(MOST_BURSTS * 3):
        seen = symptom(xid(94), 10_000_000 + number * HOUR_S)
        memory, _ = judge(memory, seen, seen.at_us, policy=RULES)
    assert max(len(track.bursts) for track in memory.tracks) == MOST_BURSTS


def test_nothing_due_changes_nothing() -> None:
    memory = empty_memory("n1")
    assert close_windows(memory, DAY_US, policy=RULES) == (memory, ())
