"""The sensors of this machine: each implements `ports.Sensor` around a pure parser and a reader.

A sensor keeps what it needs to compare two readings and is polled by one thread.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from parkade.core.healing.symptom import (
    Condition,
    ConditionFact,
    Evidence,
    Source,
    Symptom,
    bounded,
)
from parkade.core.units.time import MINUTE_US, SECOND_US
from parkade.sensors.clock import ReadClock, kernel_clock
from parkade.sensors.gpu import dcgm, nvml
from parkade.sensors.gpu.meaning import gpu_symptoms
from parkade.sensors.gpu.readings import NodeReading
from parkade.sensors.kernel_log.files import Follower, boot_id, kernel_ring
from parkade.sensors.kernel_log.reading import Tally, read, symptom_of
from parkade.sensors.kernel_log.stamps import Clock
from parkade.sensors.machine import machine_symptoms, read_machine
from parkade.sensors.network.infiniband import ROOT, PortMemory, port_symptoms, read_ports
from parkade.sensors.slurm_nodes import COMMAND, node_symptoms

READ = "read"
ENGINE_REPORTER = "engine"
"""The reporter that speaks for every node of an engine."""
ABSENT_US = 5 * MINUTE_US
MOUNTS = (Path("/"), Path("/tmp"), Path("/var"))


class KernelLogFile:
    """New lines of a file. A line's own wall-clock stamp is its instant, else that of reading.

    A path that a person wrote is never *absent*: where it is not there, reading it failed."""

    name = "kernel_log"

    def __init__(self, path: Path, *, node: str, from_end: bool = True) -> None:
        self.tally = Tally()
        self._node = node
        self._follower = Follower(path, from_end=from_end)
        self.state = self._state()

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        try:
            lines = self._follower.poll()
            self.state = self._state()
        except OSError as error:
            self.state = f"failed: {error.strerror}"
            return []
        return _symptoms(lines, self.tally, self._node, now_us)

    @property
    def bookmark(self) -> str | None:
        """See `ports.Resumes`."""
        return self._follower.bookmark

    def resume(self, bookmark: str) -> None:
        """See `ports.Resumes`."""
        self._follower.resume(bookmark)

    def close(self) -> None:
        """See `ports.Sensor`."""
        self._follower.close()

    def _state(self) -> str:
        why = self._follower.unread
        return READ if why is None else f"failed: {why}"


class KernelRing:
    """New records of /dev/kmsg, known by their sequence numbers within one life of the kernel; the
    first poll gives all of them, or those behind what it resumed from."""

    name = "kernel_log"

    def __init__(
        self,
        *,
        node: str,
        records: Callable[[], Iterator[str]] = kernel_ring,
        boot: Callable[[], str | None] = boot_id,
    ) -> None:
        self.tally = Tally()
        self._boot = boot()
        self.state = READ
        self._node = node
        self._records = records
        self._last = -1

    @property
    def bookmark(self) -> str | None:
        """See `ports.Resumes`."""
        return None if self._boot is None or self._last < 0 else f"{self._boot}:{self._last}"

    def resume(self, bookmark: str) -> None:
        """See `ports.Resumes`."""
        boot, _, number = bookmark.rpartition(":")
        if boot == self._boot and number.isdecimal():
            self._last = int(number)

    def reread(self, now_us: int) -> list[Symptom]:
        """What the kernel still holds of the records that are not given again."""
        try:
            lines = [record for number, record in self._numbered() if number <= self._last]
        except OSError:
            return []
        return _symptoms(lines, Tally(), self._node, now_us)

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        lines = []
        try:
            for number, record in self._numbered():
                if number > self._last:
                    self._last = number
                    lines.append(record)
            self.state = READ
        except FileNotFoundError:
            self.state = "absent: /dev/kmsg is not there"
        except OSError as error:
            self.state = f"failed: /dev/kmsg: {error.strerror}"
        return _symptoms(lines, self.tally, self._node, now_us)

    def _numbered(self) -> Iterator[tuple[int, str]]:
        """Every record that has a sequence number."""
        for record in self._records():
            number = record.split(",", 2)[1] if record.count(",") > 2 else ""
            if number.isdecimal():
                yield int(number), record

    def close(self) -> None:
        """See `ports.Sensor`; nothing is held open."""


class Nvml:
    """All GPUs of this machine through NVML.

    A reading starts a process, so there is at most one each `every_us`; a machine that has shown no
    GPU and of which none is expected is asked each `ABSENT_US`. In between there is no news.
    """

    name = "nvml"

    def __init__(
        self,
        *,
        node: str,
        expected: int | None = None,
        reader: nvml.NvmlReader | None = None,
        every_us: int = 0,
    ) -> None:
        self.state = READ
        self._node = node
        self._expected = expected
        self._reader = reader or nvml.NvmlReader()
        self._before: NodeReading | None = None
        self._every_us = every_us
        self._read_us: int | None = None

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        is_absent = self.state.startswith("absent") and self._before is None
        wait_us = max(self._every_us, ABSENT_US if is_absent else 0)
        if self._read_us is not None and 0 <= now_us - self._read_us < wait_us:
            return []
        self._read_us = now_us
        try:
            now = self._reader.read()
        except nvml.NoGpu as why:
            is_configured = self._expected is not None
            self.state = f"{'failed' if is_configured else 'absent'}: {why}"
            return _silence(self, self._before, self._node, Source.NVML, now_us)
        except nvml.NvmlHung as why:
            self.state = f"failed: {why}"
            return [nvml.hung_symptom(str(why), node=self._node, at_us=now_us)]
        except nvml.NvmlFailed as why:
            self.state = f"failed: {why}"
            return _silence(self, self._before, self._node, Source.NVML, now_us)
        self.state = READ
        before, self._before = self._before, now
        return gpu_symptoms(
            before,
            now,
            node=self._node,
            source=Source.NVML,
            parser=nvml.PARSER,
            expected=self._expected,
        )

    def close(self) -> None:
        """See `ports.Sensor`; no process outlives its reading."""


class DcgmExporter:
    """A node's GPUs through DCGM's exporter."""

    name = "dcgm"

    def __init__(
        self,
        url: str,
        *,
        node: str,
        expected: int | None = None,
        scrape: Callable[[str], str] = dcgm.scrape,
    ) -> None:
        self.state = READ
        self._url = url
        self._node = node
        self._expected = expected
        self._scrape = scrape
        self._before: NodeReading | None = None

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        try:
            now = dcgm.parse_text(self._scrape(self._url), at_us=now_us)
        except dcgm.DcgmError as why:
            self.state = f"failed: {why}"
            return _silence(self, self._before, self._node, Source.DCGM, now_us)
        self.state = READ
        before, self._before = self._before, now
        return gpu_symptoms(
            before,
            now,
            node=self._node,
            source=Source.DCGM,
            parser=dcgm.PARSER,
            expected=self._expected,
        )

    def close(self) -> None:
        """See `ports.Sensor`; nothing is held open."""


class InfiniBand:
    """The InfiniBand ports of this machine."""

    name = "infiniband"

    def __init__(self, *, node: str, root: Path = ROOT) -> None:
        self.state = READ
        self._node = node
        self._root = root
        self._ports: tuple[PortMemory, ...] = ()

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        readings = read_ports(self._root)
        self.state = READ
        if readings is None:
            self.state = f"absent: {self._root} is not there"
        elif not readings and not self._ports:
            self.state = f"absent: {self._root} has no port"
        self._ports, symptoms = port_symptoms(self._ports, readings or (), now_us, node=self._node)
        return symptoms

    def close(self) -> None:
        """See `ports.Sensor`; nothing is held open."""


class SlurmNodes:
    """What Slurm says of its nodes. `command` prints them as `slurm_nodes.COMMAND` does."""

    name = "engine"

    def __init__(self, *, command: tuple[str, ...] = COMMAND, timeout_s: float = 30.0) -> None:
        self.state = READ
        self._command = command
        self._timeout_s = timeout_s

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`; where Slurm does not answer, nothing is said of any node."""
        try:
            done = subprocess.run(
                self._command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._timeout_s,
                check=True,
            )
        except FileNotFoundError:
            self.state = f"failed: {self._command[0]} is not there"
            return []
        except (OSError, subprocess.SubprocessError) as error:
            self.state = f"failed: {bounded(str(error), 200)}"
            return []
        self.state = READ
        text = done.stdout.decode("utf-8", "replace")
        return node_symptoms(text, reporter=ENGINE_REPORTER, at_us=now_us)

    def close(self) -> None:
        """See `ports.Sensor`; nothing is held open."""


class Machine:
    """Disks, memory and clock of this machine."""

    name = "machine"

    def __init__(
        self,
        *,
        node: str,
        mounts: tuple[Path, ...] = MOUNTS,
        read_clock: ReadClock = kernel_clock,
    ) -> None:
        self.state = READ
        self._node = node
        self._mounts = mounts
        self._read_clock = read_clock

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        reading = read_machine(self._mounts, at_us=now_us, clock=self._read_clock())
        return machine_symptoms(reading, node=self._node)

    def close(self) -> None:
        """See `ports.Sensor`; nothing is held open."""


def _symptoms(lines: list[str], tally: Tally, node: str, now_us: int) -> list[Symptom]:
    """Symptoms of lines; stamps since boot are put on the wall clock."""
    boot_us = now_us - time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000
    year = datetime.fromtimestamp(now_us / SECOND_US, UTC).year
    found = []
    for line in lines:
        seen = read(line, year=year)
        tally.add(seen, line)
        at_us = now_us
        if seen.at_us is not None and seen.clock is Clock.BOOT:
            at_us = boot_us + seen.at_us
        elif seen.at_us is not None:
            at_us = seen.at_us
        symptom = symptom_of(seen, line, node=node, reporter=node, at_us=min(at_us, now_us))
        if symptom is not None:
            found.append(symptom)
    return found


def _silence(
    sensor: Nvml | DcgmExporter,
    before: NodeReading | None,
    node: str,
    source: Source,
    now_us: int,
) -> list[Symptom]:
    """A sensor that told before and tells nothing now."""
    if before is None:
        return []
    evidence = Evidence(
        line=bounded(f"{sensor.name}: {sensor.state}"),
        source=source,
        reporter=node,
        parser=f"{sensor.name}/1",
        at_us=now_us,
    )
    fact = ConditionFact(condition=Condition.SENSOR_SILENT, amount=None)
    return [Symptom(node=node, device=None, fact=fact, job=None, evidence=evidence)]
