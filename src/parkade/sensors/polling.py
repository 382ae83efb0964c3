"""How often sensors are polled: logs about each second, all others once a round.

A line of a kernel's log may be fatal, and a look for new ones costs little. So logs are polled by
themselves, and no verdict waits for a round of the other sensors, of which each may take until its
time-out. Where there are so many logs that a look takes a fiftieth of a second of the processor or
more, looks are rarer, so that they take at most `MOST_SHARE` of it, but never rarer than rounds.
Where a look left lines unread, the next one follows after as long as it took: what waits is read
with half a processor, and the rest of the program goes on in between.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from parkade.core.healing.symptom import Symptom
from parkade.ports import LogSensor, Sensor

READ = "read"
"""The state of a sensor that could be read."""
LOGS_EVERY_S = 1.0
MOST_SHARE = 1 / 50

Kind = TypeVar("Kind", bound=Sensor)


class Polled(NamedTuple):
    """What a poll of a group found. `states` are by node and name of the sensor; `took_s` by the
    clock on the wall, `spent_s` of a processor."""

    symptoms: list[Symptom]
    states: dict[tuple[str, str], str]
    took_s: float
    spent_s: float


def logs_pause_s(every_s: float, spent_s: float, *, is_behind: bool = False) -> float:
    """From one look at the logs to the next, where the last one cost `spent_s` of a processor and a
    round of the other sensors comes each `every_s`. `is_behind`: it left lines unread."""
    if is_behind:
        return min(every_s, LOGS_EVERY_S, spent_s)
    return min(every_s, max(LOGS_EVERY_S, spent_s / MOST_SHARE))


class SensorGroup(Generic[Kind]):
    """Sensors by the node that each speaks for, polled one after the other. A poll may be left
    behind in its thread: `close` then leaves the sensors to it."""

    def __init__(self, sensors: Iterable[tuple[str, Kind]]) -> None:
        self.sensors = tuple(sensors)
        self._polling = threading.Lock()
        self._is_closed = threading.Event()

    def poll(self, now: Callable[[], int]) -> Polled:
        """Each sensor once; nothing once the group is closed."""
        found: list[Symptom] = []
        states: dict[tuple[str, str], str] = {}
        began_s, before_s = time.monotonic(), time.thread_time()
        with self._polling:
            for node, sensor in self.sensors:
                if self._is_closed.is_set():
                    break
                found += sensor.poll(now())
                states[node, sensor.name] = sensor.state
        self._let_go()
        took_s, spent_s = time.monotonic() - began_s, time.thread_time() - before_s
        return Polled(found, states, took_s, spent_s)

    def close(self) -> None:
        """Closes the sensors: at once, or where a poll still waits for one, when that one ends."""
        self._is_closed.set()
        self._let_go()

    def _let_go(self) -> None:
        """Whichever of `close` and the last poll comes last closes the sensors."""
        if self._is_closed.is_set() and self._polling.acquire(blocking=False):
            with contextlib.ExitStack() as stack:
                stack.callback(self._polling.release)
                for _, sensor in self.sensors:
                    stack.callback(sensor.close)


class LogGroup(SensorGroup[LogSensor]):
    """The logs of several nodes."""

    @property
    def is_behind(self) -> bool:
        """Whether the last look left lines unread."""
        return any(log.backlog.unread_bytes for _, log in self.sensors)


def grouped(
    sensors: Mapping[str, Sequence[Sensor]],
) -> tuple[LogGroup, SensorGroup[Sensor]]:
    """The logs, and all others, in the order of the nodes."""
    logs: list[tuple[str, LogSensor]] = []
    others: list[tuple[str, Sensor]] = []
    for node, of_node in sensors.items():
        for sensor in of_node:
            if isinstance(sensor, LogSensor):
                logs.append((node, sensor))
            else:
                others.append((node, sensor))
    return LogGroup(logs), SensorGroup(others)
