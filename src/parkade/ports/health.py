"""What watches and repairs machines: sensors, repairs, and an agent's report of health."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from parkade.core.healing.incident import RepairKind, RepairOrder, RepairReport
from parkade.core.healing.symptom import Symptom
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.verdict import Verdict


class Sensor(Protocol):
    """Sees symptoms on the machines it watches. It never raises for what it finds or cannot find: a
    sensor that fails says so by a symptom, one that this machine lacks says so in `state`."""

    @property
    def name(self) -> str:
        """What it is called in metrics and answers: `kernel_log`, `nvml`."""
        ...

    @property
    def state(self) -> str:
        """`read`, or why not: `absent: no NVIDIA driver`."""
        ...

    def poll(self, now_us: int) -> Sequence[Symptom]:
        """What it saw since the last call. Returns within its own time-out."""
        ...

    def close(self) -> None:
        """Lets go of files and processes."""
        ...


class Backlog(NamedTuple):
    """What of a log waits to be read: how many bytes, and since how many seconds its end was not
    reached."""

    unread_bytes: int
    behind_s: float


NO_BACKLOG = Backlog(0, 0.0)


class Missed(NamedTuple):
    """The last span of a log that may hold lines which were not read. `why`: which, in words;
    `since_s`: the second of the wall clock when the last line before it was read, 0 unknown;
    `spans`: how many there have been."""

    why: str
    since_s: int
    spans: int


class OtherLines(NamedTuple):
    """Lines of a log that were left out, since they name a machine that is none of those that the
    log is of, or where several write into it, none. `hosts` are the first few names, in the order
    in which they came, "" for none; `machines` is how many, up to a bound. `has_own`: a line named
    the node itself."""

    lines: int
    hosts: tuple[str, ...]
    machines: int
    has_own: bool


NO_OTHERS = OtherLines(0, (), 0, has_own=False)
"""Of a log that one machine alone writes."""


@runtime_checkable
class LogSensor(Sensor, Protocol):
    """A sensor that reads a kernel's log: it is polled about each second, and after a restart it
    goes on where it was."""

    @property
    def reads(self) -> str:
        """What it reads, for people: a path, or whose ring or journal."""
        ...

    @property
    def bookmark(self) -> str | None:
        """How far it has read; None where it cannot say."""
        ...

    @property
    def unknown(self) -> int:
        """How many lines of watched drivers it has read that no rule knows."""
        ...

    @property
    def others(self) -> OtherLines:
        """The lines that it left out as another machine's."""
        ...

    def resume(self, bookmark: str) -> None:
        """To go on behind what was read before. One that is not of this log changes nothing."""
        ...

    @property
    def missed(self) -> Missed | None:
        """What came and was not read; None where all was."""
        ...

    @property
    def backlog(self) -> Backlog:
        """What the last look left unread."""
        ...

    def reread(self, now_us: int) -> Sequence[Symptom]:
        """What the log still holds from before its bookmark and `poll` does not give again; none
        where that is not looked up."""
        ...


class Repairs(Protocol):
    """What an agent can do with a node: a repair or a check, once for each order."""

    @property
    def kinds(self) -> tuple[RepairKind, ...]:
        """What is configured here."""
        ...

    async def carry_out(self, order: RepairOrder) -> RepairReport:
        """Does it, within its own time-out. It never raises for what it finds or cannot do: the
        report says so."""
        ...


class SensorState(msgspec.Struct, frozen=True, kw_only=True):
    """One sensor of a node: `read`, or why not."""

    node: str
    sensor: str
    state: str


class LogStates(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent keeps up with the logs that it reads. `behind_us`: since when the one that is
    most behind was not read to its end; `gaps`: spans that may hold lines which were not read,
    since the agent began; `gap_end_us`: when the last of them was noticed."""

    unread_bytes: int = 0
    behind_us: int = 0
    gaps: int = 0
    gap_end_us: int | None = None


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says of its nodes' health. Repeated until it was heard, which changes nothing:
    verdicts and repairs are known by their names. `symptoms`: (source, how many were seen since
    the agent began). `logs`: None from an agent that reads none, or that says nothing of it."""

    pool: str
    at_us: int
    verdicts: tuple[Verdict, ...]
    repairs: tuple[RepairReport, ...]
    kinds: tuple[RepairKind, ...]
    sensors: tuple[SensorState, ...] = ()
    symptoms: tuple[tuple[str, int], ...] = ()
    surroundings: tuple[Surroundings, ...] = ()
    logs: LogStates | None = None
