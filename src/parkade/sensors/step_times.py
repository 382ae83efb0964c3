"""Step times that programs tell, in a file that grows: a JSON object a line.

    {"job": "w7", "at": 1764201600.25, "work": {"gpu-001": 1.92, "gpu-002": 1.95}}

`at` is the end of a step in seconds since 1970, `work` each node's own work in it in seconds (what
it did before it waited for others). One rank of a job writes a line each step, or each tenth.

A program that has no such file may tell the same with its checkpoints: `work` beside `step` and
`at` in `.parkade.json`, each node's own work by step since the last report. Without `work` a report
tells of the slowest node only, and not which it is.

What is slow, and for how long it must be, is decided in `stragglers`.
"""

import os
import stat
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from parkade.core.healing.symptom import MOST_NAME_CHARACTERS, Symptom, bounded
from parkade.core.units.time import SECOND_US
from parkade.sensors.kernel_log.following import Follower
from parkade.sensors.polling import READ
from parkade.sensors.stragglers import GangMemory, GangStep, straggler_symptoms

REPORTER = "steps"
MOST_JOBS = 1_000
MOST_NODES = 20_000
REPORT = ".parkade.json"
MOST_BYTES = 64 * 1024


class _Report(msgspec.Struct, frozen=True):
    step: int
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    work: dict[str, float]


class _Line(msgspec.Struct, frozen=True):
    job: str
    at: float
    work: dict[str, float]


class StepTimes:
    """Implements `ports.Sensor`. `bad_lines` counts those that are no step."""

    name = "steps"

    def __init__(self, path: Path) -> None:
        self.bad_lines = 0
        self._follower = Follower(path, from_end=True)
        self._gangs = _Gangs()
        self.state = self._follower.state

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`. A step of the future counts as one of now."""
        try:
            lines = self._follower.poll()
            self.state = self._follower.state
        except OSError as error:
            self.state = f"failed: {error.strerror}"
            return []
        found: list[Symptom] = []
        for line in lines:
            step = _step(line, now_us)
            if step is None:
                self.bad_lines += 1
                continue
            found += self._gangs.take(step)
        return found

    def close(self) -> None:
        """See `ports.Sensor`."""
        self._follower.close()


class CheckpointSteps:
    """Implements `ports.Sensor` over the checkpoint reports of what runs in an engine's folder;
    those without `work` say nothing here. The folders are the users': no link in them is followed,
    and sizes are bounded. Cost grows with what runs."""

    name = "steps"

    def __init__(self, engine: Path) -> None:
        self.state = READ
        self._live = engine / "live"
        self._gangs = _Gangs()
        self._seen: dict[str, datetime] = {}

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`. Each report counts once."""
        try:
            homes = [link.resolve() for link in sorted(self._live.iterdir())[:MOST_JOBS]]
        except OSError as error:
            self.state = f"failed: {error.strerror}"
            return []
        self.state = READ
        found: list[Symptom] = []
        seen: dict[str, datetime] = {}
        for folder in dict.fromkeys(home.parents[1] for home in homes):
            report = _report(folder / "checkpoints" / REPORT)
            if report is None:
                continue
            seen[folder.name] = report.at
            if self._seen.get(folder.name) == report.at:
                continue
            step = _checked(folder.name, report.at.timestamp(), report.work, now_us)
            found += [] if step is None else self._gangs.take(step)
        self._seen = seen
        return found

    def close(self) -> None:
        """See `ports.Sensor`; nothing is held open."""


class _Gangs:
    """What is remembered of each job, the last `MOST_JOBS`."""

    def __init__(self) -> None:
        self._known: dict[str, GangMemory] = {}

    def take(self, step: GangStep) -> list[Symptom]:
        """The nodes that have been slow for long."""
        before = self._known.pop(step.job, None)
        memory, symptoms = straggler_symptoms(before, step, reporter=REPORTER)
        self._known[step.job] = memory
        while len(self._known) > MOST_JOBS:
            del self._known[next(iter(self._known))]
        return symptoms


def _report(file: Path) -> _Report | None:
    """None where there is no small regular file that is such a report."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as opened:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            return None
        return msgspec.json.decode(content, type=_Report)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _step(line: str, now_us: int) -> GangStep | None:
    """None where the line is no step: no object, no number, or a number that is no time."""
    try:
        read = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, ValueError):
        return None
    return _checked(read.job, read.at, read.work, now_us)


def _checked(job: str, at_s: float, work: dict[str, float], now_us: int) -> GangStep | None:
    """None where a number is no time, or there are too many of them."""
    try:
        at_us = round(at_s * SECOND_US)
        work_us = tuple(
            (bounded(node, MOST_NAME_CHARACTERS), round(seconds * SECOND_US))
            for node, seconds in work.items()
        )
    except (ValueError, OverflowError):
        return None
    is_sane = at_us >= 0 and len(work_us) <= MOST_NODES and all(each >= 0 for _, each in work_us)
    if not is_sane or not job:
        return None
    return GangStep(
        job=bounded(job, MOST_NAME_CHARACTERS), at_us=min(at_us, now_us), work_us=work_us
    )
