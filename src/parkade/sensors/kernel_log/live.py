"""The kernel's log of a node, from its ring or a file: `ports.LogSensor` around the pure reader.

A poll gives what is new. `from_journal` has the same from the systemd journal.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from parkade.core.healing.symptom import Symptom
from parkade.core.units.time import SECOND_US
from parkade.ports import NO_BACKLOG, Backlog, Missed, OtherLines
from parkade.sensors.bookmarks import KERNEL_LOG
from parkade.sensors.kernel_log.files import KernelRecords, boot_id
from parkade.sensors.kernel_log.following import Follower
from parkade.sensors.kernel_log.hosts import Hosts
from parkade.sensors.kernel_log.reading import LineTally, ReadLine, read, symptom_of
from parkade.sensors.kernel_log.stamps import StampClock
from parkade.sensors.polling import READ

MOST_LINES_KEPT = 4_096


class KernelLogFile:
    """New lines of a file. A line's own wall-clock stamp is its instant, else that of reading.

    A path that a person wrote is never *absent*: where it is not there, reading it failed. Lines
    that name a machine which is none of `hosts`, by default the node, are left out. `sharing`: the
    names of all nodes whose lines stand in the file; then a line that names no machine is left out
    too, and those of the others are nothing to count. Where lines name machines, one that may name
    its own in a form that is not known is left out."""

    name = KERNEL_LOG

    def __init__(
        self,
        path: Path,
        *,
        node: str,
        from_end: bool = True,
        hosts: tuple[str, ...] = (),
        sharing: Hosts | None = None,
        olddir: Path | None = None,
        rests: bool = False,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally = LineTally()
        self._node, self._path = node, path
        self._hosts = Hosts(hosts or (node,))
        self._sharing = sharing
        self._follower = Follower(
            path, from_end=from_end, olddir=olddir, rests=rests, steady=steady
        )
        self.state = self._state()

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        try:
            lines = self._follower.poll()
            self.state = self._state()
        except OSError as error:
            self.state = f"failed: {error.strerror}"
            return []
        return symptoms_of_lines(
            lines, self.tally, self._node, now_us, hosts=self._hosts, sharing=self._sharing
        )

    @property
    def reads(self) -> str:
        """See `ports.LogSensor`."""
        return str(self._path)

    @property
    def bookmark(self) -> str | None:
        """See `ports.LogSensor`."""
        return self._follower.bookmark

    @property
    def unknown(self) -> int:
        """See `ports.LogSensor`."""
        return self.tally.unknown

    @property
    def others(self) -> OtherLines:
        """See `ports.LogSensor`."""
        return self.tally.others

    @property
    def missed(self) -> Missed | None:
        """See `ports.LogSensor`."""
        return self._follower.missed

    @property
    def backlog(self) -> Backlog:
        """See `ports.LogSensor`."""
        return self._follower.backlog

    def resume(self, bookmark: str) -> None:
        """See `ports.LogSensor`."""
        self._follower.resume(bookmark)

    def reread(self, now_us: int) -> list[Symptom]:  # noqa: ARG002 - of the protocol
        """See `ports.LogSensor`; a file may hold years, so it is not looked up."""
        return []

    def close(self) -> None:
        """See `ports.Sensor`."""
        self._follower.close()

    def _state(self) -> str:
        why = self._follower.unread
        return READ if why is None else f"failed: {why}"


class Records(Protocol):
    """Where a ring's records come from: `files.KernelRecords`, or a test."""

    def new(self) -> Iterator[str]:
        """Those since the last call, at first all that are held. Raises OSError."""
        ...

    def close(self) -> None:
        """Lets go of the device."""
        ...


class KernelRing:
    """New records of /dev/kmsg, known by their sequence numbers within one life of the kernel; the
    first poll gives all of them, or those behind what it resumed from."""

    name = KERNEL_LOG

    def __init__(
        self,
        *,
        node: str,
        records: Callable[[], Records] = KernelRecords,
        boot: Callable[[], str | None] = boot_id,
    ) -> None:
        self.tally = LineTally()
        self.state = READ
        self._boot = boot()
        self._node = node
        self._open = records
        self._records = records()
        self._last = -1
        self._is_begun = False
        self.missed: Missed | None = None
        self.backlog = NO_BACKLOG

    @property
    def reads(self) -> str:
        """See `ports.LogSensor`."""
        return f"ring of {self._node}"

    @property
    def bookmark(self) -> str | None:
        """See `ports.LogSensor`."""
        return None if self._boot is None or self._last < 0 else f"{self._boot}:{self._last}"

    @property
    def unknown(self) -> int:
        """See `ports.LogSensor`."""
        return self.tally.unknown

    def is_refused(self) -> bool:
        """Whether the device is there and cannot be opened or read by this process."""
        records = self._open()
        try:
            next(records.new(), None)
        except OSError as error:
            return not isinstance(error, FileNotFoundError)
        finally:
            records.close()
        return False

    @property
    def others(self) -> OtherLines:
        """See `ports.LogSensor`."""
        return self.tally.others

    def resume(self, bookmark: str) -> None:
        """See `ports.LogSensor`."""
        boot, _, number = bookmark.rpartition(":")
        if boot == self._boot and number.isdecimal():
            self._last, self._is_begun = int(number), True

    def reread(self, now_us: int) -> list[Symptom]:
        """See `ports.LogSensor`: what the kernel still holds."""
        again = self._open()
        try:
            held = list(numbered(again.new()))
        except OSError:
            return []
        finally:
            again.close()
        if self._last >= 0 and held and held[0][0] > self._last + 1:
            self._miss(held[0][0] - self._last - 1)
            self._is_begun = False
        lines = [record for number, record in held if number <= self._last]
        return symptoms_of_lines(lines, LineTally(), self._node, now_us)

    def _miss(self, records: int) -> None:
        """Notes how many records were overwritten before they were read."""
        before = 0 if self.missed is None else self.missed.spans
        why = f"the kernel's ring ran over, and {records} records of it were not read"
        self.missed = Missed(why, 0, before + 1)

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        lines = []
        try:
            for number, record in numbered(self._records.new()):
                if number > self._last:
                    if self._is_begun and number > self._last + 1:
                        self._miss(number - self._last - 1)
                    self._last, self._is_begun = number, True
                    lines.append(record)
            self.state = READ
        except FileNotFoundError:
            self.state = "absent: /dev/kmsg is not there"
        except OSError as error:
            self.state = f"failed: /dev/kmsg: {error.strerror}"
        return symptoms_of_lines(lines, self.tally, self._node, now_us)

    def close(self) -> None:
        """See `ports.Sensor`."""
        self._records.close()


_read_once = lru_cache(maxsize=MOST_LINES_KEPT)(read)
"""Nodes that share a log look at the same lines one after the other."""


def _is_own(seen: ReadLine, hosts: Hosts, sharing: Hosts | None, tally: LineTally) -> bool:
    """Whether a line is of these hosts. One that names none is, but where several write into the
    log and it says something of a machine."""
    if seen.host is not None:
        return hosts.has(seen.host)
    if seen.is_unplaced and tally.names_machines:
        return False
    return sharing is None or not (seen.fact is not None or seen.is_unknown)


def numbered(records: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Every record that has a sequence number."""
    for record in records:
        number = record.split(",", 2)[1] if record.count(",") > 2 else ""
        if number.isdecimal():
            yield int(number), record


def symptoms_of_lines(
    lines: Iterable[str],
    tally: LineTally,
    node: str,
    now_us: int,
    *,
    hosts: Hosts | None = None,
    sharing: Hosts | None = None,
) -> list[Symptom]:
    """Symptoms of lines that came by `now_us`; stamps since boot are put on the wall clock. Lines
    of other machines than `hosts` are left out; without any, each line is the node's. `sharing`:
    see `KernelLogFile`."""
    boot_us = now_us - time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000
    year = datetime.fromtimestamp(now_us / SECOND_US, UTC).year
    found = []
    read_line = read if sharing is None else _read_once
    for line in lines:
        seen = read_line(line, year=year)
        if hosts is not None and not _is_own(seen, hosts, sharing, tally):
            if seen.host is None or sharing is None or not sharing.has(seen.host):
                tally.leave_out(seen, line)
            continue
        tally.add(seen, line)
        at_us = now_us
        if seen.at_us is not None and seen.clock is StampClock.BOOT:
            at_us = boot_us + seen.at_us
        elif seen.at_us is not None:
            at_us = seen.at_us
        symptom = symptom_of(seen, line, node=node, reporter=node, at_us=min(at_us, now_us))
        if symptom is not None:
            found.append(symptom)
    return found
