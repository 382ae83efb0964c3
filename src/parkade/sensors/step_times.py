"""Step times that programs tell, in a file that grows: a JSON object a line.

    {"job": "w7", "at": 1764201600.25, "work": {"gpu-001": 1.92, "gpu-002": 1.95}}

`at` is the end of a step in seconds since 1970, `work` each node's own work in it in seconds (what
it did before it waited for others). One rank of a job writes a line each step, or each tenth. What
is slow, and for how long it must be, is decided in `stragglers`.
"""

from pathlib import Path

import msgspec

from parkade.core.healing.symptom import MOST_NAME_CHARACTERS, Symptom, bounded
from parkade.core.units.time import SECOND_US
from parkade.sensors.kernel_log.files import Follower
from parkade.sensors.stragglers import GangMemory, Step, straggler_symptoms

READ = "read"
REPORTER = "steps"
MOST_JOBS = 1_000
MOST_NODES = 20_000


class _Line(msgspec.Struct, frozen=True):
    job: str
    at: float
    work: dict[str, float]


class StepTimes:
    """Implements `ports.Sensor`. `bad_lines` counts those that are no step."""

    name = "steps"

    def __init__(self, path: Path, *, from_end: bool = True) -> None:
        self.bad_lines = 0
        self._follower = Follower(path, from_end=from_end)
        self._gangs: dict[str, GangMemory] = {}
        self.state = self._state()

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`. A step of the future counts as one of now."""
        try:
            lines = self._follower.poll()
            self.state = self._state()
        except OSError as error:
            self.state = f"failed: {error.strerror}"
            return []
        found: list[Symptom] = []
        for line in lines:
            step = _step(line, now_us)
            if step is None:
                self.bad_lines += 1
                continue
            before = self._gangs.pop(step.job, None)
            memory, symptoms = straggler_symptoms(before, step, reporter=REPORTER)
            self._gangs[step.job] = memory
            found += symptoms
            while len(self._gangs) > MOST_JOBS:
                del self._gangs[next(iter(self._gangs))]
        return found

    def close(self) -> None:
        """See `ports.Sensor`."""
        self._follower.close()

    def _state(self) -> str:
        why = self._follower.unread
        return READ if why is None else f"failed: {why}"


def _step(line: str, now_us: int) -> Step | None:
    """None where the line is no step: no object, no number, or a number that is no time."""
    try:
        line_read = msgspec.json.decode(line, type=_Line)
        at_us = round(line_read.at * SECOND_US)
        work = tuple(
            (bounded(node, MOST_NAME_CHARACTERS), round(seconds * SECOND_US))
            for node, seconds in line_read.work.items()
        )
    except (msgspec.DecodeError, ValueError, OverflowError):
        return None
    is_sane = at_us >= 0 and len(work) <= MOST_NODES and all(each >= 0 for _, each in work)
    if not is_sane or not line_read.job:
        return None
    return Step(
        job=bounded(line_read.job, MOST_NAME_CHARACTERS), at_us=min(at_us, now_us), work_us=work
    )
