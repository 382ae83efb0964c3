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
from parkade.mars.machines import EveryLine, Lines, OneNode
from parkade.mars.scanning import SensorOutcome, kernel_symptoms
from parkade.mars.sensing import hardware_sensors
from parkade.ports import Sensor
from parkade.sensors.gpu.live import DcgmExporter
from parkade.sensors.kernel_log.files import lines_of
from parkade.sensors.kernel_log.journal import KernelJournalError, journal_lines
from parkade.sensors.kernel_log.live import KernelRing
from parkade.sensors.kernel_log.reading import LineTally
from parkade.sensors.polling import READ

Announce = Callable[[str], AbstractContextManager[object]]
"""Entered with a sensor's name while that sensor is read: what waits can be told."""


MOST_NAMED = 3
MOST_SHOWN = 80
"""Of a line that is told."""


class Sources:
    """What a scan reads of `node`; recorded lines are taken by `of`, by default the node's alone.
    Symptoms are drawn once; `sensors` is whole when they have been drawn."""

    def __init__(
        self,
        *,
        node: str,
        now_us: int,
        of: Lines | None = None,
        journal: Callable[[], Iterator[str]] = journal_lines,
        watch: Announce = nullcontext,
    ) -> None:
        self._journal_lines = journal
        self._watch = watch
        self.tally = LineTally()
        self.sensors: list[SensorOutcome] = []
        self._node = node
        self._of = OneNode(node) if of is None else of
        self._now_us = now_us

    def kernel_file(self, path: Path, *, may_be_empty: bool = False) -> Iterator[Symptom]:
        """A recorded log; `-` is stdin. Raises OSError where it cannot be opened."""
        tally = self.tally
        lines, formed, others = tally.lines, tally.formed, tally.others.lines
        symptoms, unplaced, programs = tally.symptoms, tally.unplaced, tally.programs
        with ExitStack() as stack:
            if str(path) == "-":
                handle = sys.stdin.buffer
                year = datetime.now(UTC).year
            else:
                handle = stack.enter_context(path.open("rb"))
                year = datetime.fromtimestamp(os.fstat(handle.fileno()).st_mtime, UTC).year
            yield from kernel_symptoms(
                lines_of(handle), self.tally, self._of, now_us=self._now_us, year=year
            )
        name = "stdin" if str(path) == "-" else str(path)
        lines, formed = tally.lines - lines, tally.formed - formed
        is_of_others = tally.others.lines > others and tally.symptoms == symptoms
        programs, unplaced = tally.programs - programs, tally.unplaced - unplaced
        why = self._why_no_log(lines, formed, programs, is_of_others)
        is_quiet = may_be_empty and not formed and programs == lines
        state = f"{READ}: {path}"
        if unplaced:
            is_left_out = self._of.unplaced is None
            state = self._unplaced(f"failed: {name}" if is_left_out else state, unplaced)
        elif why is not None and not is_quiet:
            state = f"failed: {name}: {why}"
        self.sensors.append(SensorOutcome(sensor="kernel_log", state=state))

    def _unplaced(self, state: str, lines: int) -> str:
        """With what became of lines that name their machine in a form that is not known."""
        of = self._of.unplaced
        became = "are left out" if of is None else f"are of `{of}`"
        return (
            f"{state}: {lines} of its lines may name a machine in a form that is not known and"
            f" {became}: {self.tally.first_unplaced[:MOST_SHOWN]!r}; dmesg and"
            " journalctl --output=short-iso print one that is"
        )

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
                    EveryLine(self._node),
                    now_us=self._now_us,
                    year=datetime.now(UTC).year,
                )
        except KernelJournalError as error:
            self.sensors.append(SensorOutcome(sensor="journal", state=f"failed: {error}"))
            return
        if self.tally.lines == lines:
            self.sensors.append(
                SensorOutcome(sensor="journal", state="failed: it holds no kernel line")
            )
        else:
            # It holds the same lines, so the kernel's log was read after all.
            ring = self.sensors.pop()
            state = f"{READ}: from the journal, since the ring is {ring.state}"
            self.sensors.append(SensorOutcome(sensor=ring.sensor, state=state))

    def _poll(self, sensor: Sensor) -> Iterator[Symptom]:
        """One look, in order of time."""
        with self._watch(sensor.name):
            found = sensor.poll(self._now_us)
        self.sensors.append(SensorOutcome(sensor=sensor.name, state=sensor.state))
        sensor.close()
        yield from sorted(found, key=lambda symptom: symptom.at_us)

    def _why_no_log(self, lines: int, formed: int, programs: int, is_of_others: bool) -> str | None:
        """Why what was read tells nothing of a machine; None where it is a kernel's log."""
        if not lines:
            return "no line; --allow-empty takes an empty log for a quiet one"
        seen = f"{lines} line" if lines == 1 else f"{lines} lines"
        if is_of_others and not self.tally.others.has_own:
            named = ", ".join(self.tally.others.hosts[:MOST_NAMED])
            return (
                f"{seen}, none of {self._node}; named are {named}: --host says under"
                " which name its lines stand, and without --node every machine is scanned"
            )
        if not formed and programs:
            return f"{seen}, none of the kernel's; --allow-empty takes such a log for a quiet one"
        if not formed:
            return f"{seen}, none in the form of a kernel's log, as dmesg or journalctl print"
        return None
