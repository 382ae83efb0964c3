"""Step times that programs tell, read from a file that grows."""

import json
from pathlib import Path

import pytest

from parkade.core.healing.judge import judge
from parkade.core.healing.memory import empty_memory
from parkade.core.healing.symptom import Condition, ConditionFact
from parkade.core.healing.verdict import Level, Verdict
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.mars.policy_file import shipped_policy
from parkade.sensors.gpu.driver import driver_version
from parkade.sensors.step_times import StepTimes

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
        assert found[0].fact == ConditionFact(condition=Condition.STRAGGLER, amount=1500)
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
