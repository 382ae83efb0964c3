"""The kernel's log of this machine from the systemd journal: for a program that may not read the
ring (root alone may, on most machines) but is in the group `systemd-journal` or `adm`.

The first poll asks once for what the journal holds of this boot, or holds behind the bookmark; then
one `journalctl` goes on telling what comes. Each entry has a cursor, which is the bookmark. A
journal without a kernel line of this boot is one that may not be read: it tells so by nothing else.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from parkade.core.healing.symptom import Symptom
from parkade.core.units.time import MINUTE_US, SECOND_US
from parkade.ports import NO_BACKLOG, NO_OTHERS, Backlog, Missed, OtherLines
from parkade.sensors.bookmarks import KERNEL_LOG
from parkade.sensors.kernel_log.journal import ComingLines, KernelJournalError, journal_lines
from parkade.sensors.kernel_log.live import symptoms_of_lines
from parkade.sensors.kernel_log.reading import LineTally
from parkade.sensors.polling import READ

ENTRIES = (
    "journalctl",
    "--dmesg",
    "--output=json",
    "--output-fields=MESSAGE,_HOSTNAME",
    "--all",
    "--no-pager",
    "--quiet",
)
RETRY_US = MINUTE_US
"""After a failure; each try starts a program."""
PREFIX = "journal:"
"""Of bookmarks, so that none of another kind of log is taken for a cursor."""


class _Entry(msgspec.Struct, frozen=True):
    """`message` is a list of bytes where it is no text, None where it is too long."""

    cursor: str = msgspec.field(name="__CURSOR")
    at_us: str = msgspec.field(name="__REALTIME_TIMESTAMP")
    message: str | tuple[int, ...] | None = msgspec.field(name="MESSAGE", default=None)
    host: str | None = msgspec.field(name="_HOSTNAME", default=None)


class KernelJournal:
    """Implements `ports.LogSensor`; see the module."""

    name = KERNEL_LOG

    def __init__(self, *, node: str, command: tuple[str, ...] = ENTRIES) -> None:
        self.tally = LineTally()
        self.state = READ
        self._node = node
        self._command = command
        self._cursor: str | None = None
        self._coming: ComingLines | None = None
        self._failed_us: int | None = None

    @property
    def reads(self) -> str:
        """See `ports.LogSensor`."""
        return f"journal of {self._node}"

    @property
    def bookmark(self) -> str | None:
        """See `ports.LogSensor`."""
        return None if self._cursor is None else f"{PREFIX}{self._cursor}"

    @property
    def unknown(self) -> int:
        """See `ports.LogSensor`."""
        return self.tally.unknown

    @property
    def others(self) -> OtherLines:
        """See `ports.LogSensor`; this machine alone writes its journal's."""
        return NO_OTHERS

    @property
    def missed(self) -> Missed | None:
        """See `ports.LogSensor`; what journald dropped is not known."""
        return None

    @property
    def backlog(self) -> Backlog:
        """See `ports.LogSensor`; `journalctl` tells no size."""
        return NO_BACKLOG

    def resume(self, bookmark: str) -> None:
        """See `ports.LogSensor`."""
        if bookmark.startswith(PREFIX):
            self._cursor = bookmark.removeprefix(PREFIX)

    def reread(self, now_us: int) -> list[Symptom]:
        """See `ports.LogSensor`: of this boot; none where the bookmark's entry is not there."""
        lines: list[str] = []
        with contextlib.suppress(KernelJournalError):
            for text in journal_lines(self._command):
                entry = _entry(text)
                if entry is not None:
                    lines.append(_line(entry))
                    if entry.cursor == self._cursor:
                        return symptoms_of_lines(lines, LineTally(), self._node, now_us)
        return []

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        if self._failed_us is not None and 0 <= now_us - self._failed_us < RETRY_US:
            return []
        self._failed_us = None
        return symptoms_of_lines(self._new(now_us), self.tally, self._node, now_us)

    def close(self) -> None:
        """See `ports.Sensor`."""
        if self._coming is not None:
            self._coming.close()
            self._coming = None

    def _new(self, now_us: int) -> Iterator[str]:
        """The lines since the last call; what failed is in `state`, and loses none before it."""
        try:
            texts = journal_lines(self._after()) if self._coming is None else self._coming.new()
            for text in texts:
                entry = _entry(text)
                if entry is not None:
                    self._cursor = entry.cursor
                    yield _line(entry)
            if self._cursor is None:
                raise KernelJournalError(f"{self._command[0]} shows no kernel line of this boot")
            if self._coming is None:
                self._coming = ComingLines((*self._after(), "--follow", "--lines=all"))
            self.state = READ
        except KernelJournalError as why:
            self.state = f"failed: {why}"
            self._failed_us = now_us
            self.close()

    def _after(self) -> tuple[str, ...]:
        more = () if self._cursor is None else (f"--after-cursor={self._cursor}",)
        return (*self._command, *more)


def _entry(text: str | bytes) -> _Entry | None:
    """None where the text is no entry of a journal."""
    try:
        return msgspec.json.decode(text, type=_Entry)
    except msgspec.DecodeError:
        return None


def _line(entry: _Entry) -> str:
    """As `journalctl --output=short-iso-precise` prints it."""
    message = entry.message or ""
    if isinstance(message, tuple):
        message = bytes(each & 0xFF for each in message).decode("utf-8", "replace")
    at_us = int(entry.at_us[:16]) if entry.at_us.isdecimal() else 0
    at = datetime.fromtimestamp(at_us / SECOND_US, UTC).isoformat(timespec="microseconds")
    return f"{at} {entry.host or 'localhost'} kernel: {' '.join(message.splitlines())}"
