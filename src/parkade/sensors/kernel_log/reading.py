"""Reads kernel lines into symptoms and keeps count of what it did not know.

Pure but for the counters it returns: `read` takes a line and says what it is, `LineTally` adds up.
Nothing is guessed: a line of a watched driver that no rule knows is counted, and the last few are
kept.
"""

from collections import deque
from itertools import islice
from typing import NamedTuple

from parkade.core.healing.symptom import (
    MOST_NAME_CHARACTERS,
    ConditionFact,
    Evidence,
    Fact,
    NodeCondition,
    Source,
    Symptom,
    bounded,
)
from parkade.ports import OtherLines
from parkade.sensors.kernel_log.codes import device_of, read_sxid, read_xid
from parkade.sensors.kernel_log.lines import is_watched, read_line
from parkade.sensors.kernel_log.stamps import StampClock, is_unplaced, take_stamp

PARSER = "kernel_log/2"
MOST_LINE = 8_192
"""Characters of a line that are looked at; no driver's line is longer."""
MOST_UNKNOWN_KEPT = 100
MOST_HOSTS = 1_000
"""Other machines that are told apart in one log."""
MOST_HOSTS_NAMED = 20
_PCI_CONDITIONS = frozenset(
    {
        NodeCondition.GPU_LOST,
        NodeCondition.GPU_INIT_FAILED,
        NodeCondition.PCIE_WIDTH,
        NodeCondition.PCIE_ERROR,
    }
)


class ReadLine(NamedTuple):
    """What a line is. `fact` None: no rule knows it; then `is_unknown` says that it comes from a
    watched driver. `at_us` counts from `clock`'s beginning; both are None without a stamp. `host`:
    the machine that the line names, None where it names none. `is_program`: a program wrote it, not
    the kernel. `is_unplaced`: it says something of a machine and may name it in a form that is not
    known, see `stamps`."""

    fact: Fact | None
    device: str | None
    is_unknown: bool
    at_us: int | None
    clock: StampClock | None
    host: str | None = None
    is_program: bool = False
    is_unplaced: bool = False


def read(line: str, *, year: int = 1970) -> ReadLine:
    """Says what a line is. Never raises; its cost is bounded by MOST_LINE."""
    stamped = take_stamp(line[:MOST_LINE], year=year)
    device, fact = _fact(stamped.text) or (None, None)
    is_unknown = fact is None and is_watched(stamped.text)
    return ReadLine(
        fact,
        device,
        is_unknown,
        stamped.at_us,
        stamped.clock,
        stamped.host,
        stamped.is_program,
        (fact is not None or is_unknown) and is_unplaced(stamped),
    )


def _fact(text: str) -> tuple[str | None, Fact] | None:
    if "Xid (" in text:
        coded = read_xid(text) or read_sxid(text)
        if coded is not None:
            return coded
    plain = read_line(text)
    if plain is None:
        return None
    condition, device, amount = plain
    if device is not None:
        device = device_of(device) if condition in _PCI_CONDITIONS else bounded(device, 64)
    return device, ConditionFact(condition=condition, amount=amount)


def symptom_of(
    seen: ReadLine, line: str, *, node: str, reporter: str, at_us: int
) -> Symptom | None:
    """The symptom of a line that was read, None where there is none."""
    if seen.fact is None:
        return None
    evidence = Evidence(
        line=bounded(line.rstrip("\n")),
        source=Source.KERNEL_LOG,
        reporter=reporter,
        parser=PARSER,
        at_us=at_us,
    )
    return Symptom(node=node, device=seen.device, fact=seen.fact, job=None, evidence=evidence)


class LineTally:
    """Counts of lines, and the last unknown ones. `formed`: lines that look like a kernel's, by a
    stamp or by their text; `programs`: those that other programs wrote. `unplaced`: see `ReadLine`,
    and `first_unplaced` is the first of them. `others`: lines that were left out as another
    machine's; they count as nothing else."""

    def __init__(self) -> None:
        self.lines = 0
        self.formed = 0
        self.programs = 0
        self.unplaced = 0
        self.first_unplaced = ""
        self.symptoms = 0
        self.unknown = 0
        self._others = 0
        self._other_hosts: dict[str, None] = {}
        self._has_own = False
        self.kept: deque[str] = deque(maxlen=MOST_UNKNOWN_KEPT)

    def add(self, seen: ReadLine, line: str) -> None:
        """One more line."""
        self.lines += 1
        self._has_own = self._has_own or seen.host is not None
        self._place(seen, line)
        if seen.is_program:
            self.programs += 1
        else:
            self.formed += seen.at_us is not None or seen.fact is not None or seen.is_unknown
        if seen.fact is not None:
            self.symptoms += 1
        elif seen.is_unknown:
            self.unknown += 1
            self.kept.append(bounded(line.rstrip("\n")))

    def leave_out(self, seen: ReadLine, line: str) -> None:
        """One more line, of another machine, or of none that it names."""
        host = seen.host or ""
        self.lines += 1
        self._place(seen, line)
        self._others += 1
        if len(self._other_hosts) < MOST_HOSTS:
            self._other_hosts[bounded(host, MOST_NAME_CHARACTERS)] = None

    @property
    def names_machines(self) -> bool:
        """Whether a line so far named a machine, the node's own or another."""
        return self._has_own or any(self._other_hosts)

    @property
    def others(self) -> OtherLines:
        """What was left out."""
        hosts = tuple(islice(self._other_hosts, MOST_HOSTS_NAMED))
        return OtherLines(self._others, hosts, len(self._other_hosts), has_own=self._has_own)

    def join(self, other: "LineTally") -> None:
        """The lines of another tally too."""
        self.lines += other.lines
        self.formed += other.formed
        self.programs += other.programs
        self.symptoms += other.symptoms
        self.unknown += other.unknown
        self.kept.extend(other.kept)

    def _place(self, seen: ReadLine, line: str) -> None:
        if seen.is_unplaced:
            self.unplaced += 1
            self.first_unplaced = self.first_unplaced or bounded(line.rstrip("\n"))
