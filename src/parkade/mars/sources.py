"""What a scan reads: recorded logs, DCGM's exporter, this machine; each says how it went.

A sensor that this machine does not have is *absent*, one that went wrong is *failed*; neither is
health, and both are shown. A log without a line, or without a line that looks like a kernel's, has
*failed*: a broken pipe and a wrong file look the same as a machine without faults.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from parkade.core.healing.symptom import Symptom
from parkade.mars.scanning import Sensor, kernel_symptoms
from parkade.mars.sensing import hardware_sensors
from parkade.ports import Sensor as LiveSensor
from parkade.sensors.gpu.live import DcgmExporter
from parkade.sensors.kernel_log.files import lines_of
from parkade.sensors.kernel_log.journal import JournalError, journal_lines
from parkade.sensors.kernel_log.live import KernelRing
from parkade.sensors.kernel_log.reading import Tally
from parkade.sensors.polling import READ

Watch = Callable[[str], AbstractContextManager[object]]
"""Entered with a sensor's name while that sensor is read: what waits can be told."""


class Sources:
    """What a scan reads. Symptoms are drawn once; `sensors` is whole when they have been drawn."""

    def __init__(
        self,
        *,
        node: str,
        now_us: int,
        journal: Callable[[], Iterator[str]] = journal_lines,
        watch: Watch = nullcontext,
    ) -> None:
        self._journal_lines = journal
        self._watch = watch
        self.tally = Tally()
        self.sensors: list[Sensor] = []
        self._node = node
        self._now_us = now_us

    def kernel_file(self, path: Path, *, may_be_empty: bool = False) -> Iterator[Symptom]:
        """A recorded log; `-` is stdin. Raises OSError where it cannot be opened."""
        lines, formed = self.tally.lines, self.tally.formed
        with ExitStack() as stack:
            if str(path) == "-":
                handle = sys.stdin.buffer
                year = datetime.now(UTC).year
            else:
                handle = stack.enter_context(path.open("rb"))
                year = datetime.fromtimestamp(os.fstat(handle.fileno()).st_mtime, UTC).year
            yield from kernel_symptoms(
                lines_of(handle), self.tally, node=self._node, now_us=self._now_us, year=year
            )
        name = "stdin" if str(path) == "-" else str(path)
        lines, formed = self.tally.lines - lines, self.tally.formed - formed
        why = None if may_be_empty and not lines else _why_no_log(lines, formed)
        state = f"{READ}: {path}" if why is None else f"failed: {name}: {why}"
        self.sensors.append(Sensor(sensor="kernel_log", state=state))

    def dcgm(self, url: str) -> Iterator[Symptom]:
        """A node's GPUs through DCGM's exporter: what holds now, since one look tells no rise."""
        yield from self._poll(DcgmExporter(url, node=self._node))

    def this_machine(self) -> Iterator[Symptom]:
        """Every sensor of this machine."""
        ring = KernelRing(node=self._node)
        yield from self._poll(ring)
        self.tally.join(ring.tally)
        if ring.state != READ:
            yield from self._journal()
        for sensor in hardware_sensors(self._node):
            yield from self._poll(sensor)

    def _journal(self) -> Iterator[Symptom]:
        """The systemd journal, where the kernel's own records cannot be read."""
        lines = self.tally.lines
        try:
            with self._watch("journal"):
                yield from kernel_symptoms(
                    self._journal_lines(),
                    self.tally,
                    node=self._node,
                    now_us=self._now_us,
                    year=datetime.now(UTC).year,
                )
        except JournalError as error:
            self.sensors.append(Sensor(sensor="journal", state=f"failed: {error}"))
            return
        if self.tally.lines == lines:
            self.sensors.append(Sensor(sensor="journal", state="failed: it holds no kernel line"))
        else:
            # It holds the same lines, so the kernel's log was read after all.
            ring = self.sensors.pop()
            state = f"{READ}: from the journal, since the ring is {ring.state}"
            self.sensors.append(Sensor(sensor=ring.sensor, state=state))

    def _poll(self, sensor: LiveSensor) -> Iterator[Symptom]:
        """One look, in order of time."""
        with self._watch(sensor.name):
            found = sensor.poll(self._now_us)
        self.sensors.append(Sensor(sensor=sensor.name, state=sensor.state))
        sensor.close()
        yield from sorted(found, key=lambda symptom: symptom.at_us)


def _why_no_log(lines: int, formed: int) -> str | None:
    """Why what was read tells nothing of a machine; None where it is a kernel's log."""
    if not lines:
        return "no line; --allow-empty takes an empty log for a quiet one"
    if not formed:
        return f"none of {lines} lines has the form of a kernel's log, as dmesg or journalctl print"
    return None
