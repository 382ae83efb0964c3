"""Step times that programs tell, read from a file that grows."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from parkade.core.healing.judge import judge
from parkade.core.healing.memory import empty_memory
from parkade.core.healing.symptom import ConditionFact, NodeCondition
from parkade.core.healing.verdict import Level, Verdict
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.mars.policy_file import shipped_policy
from parkade.sensors.gpu.driver import driver_version
from parkade.sensors.step_times import CheckpointSteps, StepTimes

START_S = 1_764_000_000
NODES = ("n1", "n2", "n3", "n4")


def steps(job: str, *, slow: str, minutes: int, start_s: float = START_S) -> list[str]:
    """A job's lines, one a minute, in which one node takes half as long again."""
    return [
        json.dumps(
            {
                "job": job,
                "at": start_s + 60 * minute,
                "work": {node: 1.5 if node == slow else 1.0 for node in NODES},
            }
        )
        for minute in range(minutes)
    ]


def test_a_node_that_is_slow_for_minutes_in_two_jobs_is_degraded(tmp_path: Path) -> None:
    file = tmp_path / "steps.jsonl"
    file.touch()
    sensor = StepTimes(file)
    memory, policy = empty_memory("n3"), shipped_policy()
    levels: list[Verdict] = []
    for number, job in enumerate(("w1", "w2")):
        start_s = START_S + number * 7200
        with file.open("a") as out:
            out.writelines(
                f"{line}\n" for line in steps(job, slow="n3", minutes=9, start_s=start_s)
            )
        now_us = (start_s + 600) * SECOND_US
        found = sensor.poll(now_us)
        assert {it.node for it in found} == {"n3"}
        assert found[0].fact == ConditionFact(condition=NodeCondition.STRAGGLER, amount=1500)
        for symptom in found:
            judged = judge(memory, symptom, now_us, policy=policy)
            memory = judged.memory
            levels += judged.verdicts
        if number == 0:
            assert all(it.level is Level.INFO for it in levels), "one job may be at fault itself"
    closing = judge(memory, found[-1], now_us + 2 * HOUR_US, policy=policy)
    assert Level.DEGRADED in {it.level for it in (*levels, *closing.verdicts)}
    sensor.close()


def test_a_single_slow_step_is_nothing(tmp_path: Path) -> None:
    file = tmp_path / "steps.jsonl"
    file.touch()
    sensor = StepTimes(file)
    file.write_text("\n".join(steps("w1", slow="n3", minutes=2)) + "\n")
    assert sensor.poll(START_S * SECOND_US + 9 * MINUTE_US) == []
    sensor.close()


@pytest.mark.parametrize(
    "line",
    ["", "no object", "[]", "{}", '{"job": "w", "at": 1e400, "work": {}}',
     '{"job": "", "at": 1, "work": {}}', '{"job": "w", "at": -1, "work": {}}',
     '{"job": "w", "at": 1, "work": {"n": -1}}', '{"job": "w", "at": "x", "work": {}}'],
)  # fmt: skip
def test_what_is_no_step_is_counted_and_said_nothing_of(tmp_path: Path, line: str) -> None:
    file = tmp_path / "steps.jsonl"
    file.touch()
    sensor = StepTimes(file)
    file.write_text(line + "\n")
    assert sensor.poll(1) == [] and sensor.bad_lines == 1
    sensor.close()


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    sensor = StepTimes(tmp_path / "none.jsonl")
    assert sensor.poll(1) == [] and sensor.state.startswith("failed")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.10  Thu Jan 23\nGCC\n",
            "570.86.10",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release",
            "580.65.06",
        ),
        ("something else", None),
    ],
)
def test_the_drivers_version_is_read(tmp_path: Path, text: str, version: str | None) -> None:
    (tmp_path / "version").write_text(text)
    assert driver_version(tmp_path / "version") == version
    assert driver_version(tmp_path / "absent") is None


def test_a_slow_node_is_found_in_checkpoint_reports_that_tell_each_nodes_work(
    tmp_path: Path,
) -> None:
    home = tmp_path / "orgs" / "lab" / "workloads" / "w7" / "attempts" / "w7.1"
    checkpoints = home.parents[1] / "checkpoints"
    for folder in (home, checkpoints, tmp_path / "live"):
        folder.mkdir(parents=True)
    (tmp_path / "live" / "w7.1").symlink_to(home)
    sensor = CheckpointSteps(tmp_path)
    assert (sensor.poll(0), sensor.state) == ([], "read"), "nothing was saved yet"
    report = checkpoints / ".parkade.json"
    seen = []
    for turn in range(4):
        at = datetime.fromtimestamp(START_S + 600 * turn, UTC)
        work = {node: 1.5 if node == "n3" else 1.0 for node in NODES}
        report.write_text(json.dumps({"step": turn, "at": at.isoformat(), "work": work}))
        now_us = (START_S + 9_000) * SECOND_US
        seen += [[it.node for it in sensor.poll(now_us)] for _ in range(2)]
    assert seen == [[], [], ["n3"], [], ["n3"], [], ["n3"], []], "each report counts once"
    bare = {"step": 9, "at": "2026-01-01T00:00:00Z"}
    for content in (
        json.dumps(bare),
        "{",
        "[" * 99_999,
        json.dumps({**bare, "work": {"n1": 1e999}}),
    ):
        report.write_text(content)
        assert sensor.poll((START_S + 9_000) * SECOND_US) == []
    (tmp_path / "secret").write_text(json.dumps({**bare, "work": {}}))
    report.unlink()
    report.symlink_to(tmp_path / "secret")
    assert sensor.poll((START_S + 9_000) * SECOND_US) == []
    assert CheckpointSteps(tmp_path / "nowhere").poll(0) == []
