"""The journal of drains: what was intended, done and undone on each node, and under which mark.

One JSON object a line, version 1, appended and flushed to disk. A drain is *intended* before its
command runs, *drained* once its mark was found in the node's reason, *undone* once it is ours no
more. One that is intended and no more is **unsure**: its command may have drained the node, or, of
a program that was killed, may run still. A mark is known as ours for ever: a command that ends long
after its program leaves a drain that is lifted like any other.

A torn last line, as a crash leaves it, is a command that was not begun.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal, NamedTuple, get_args

VERSION = 1
MOST_ROW = 65_536
"""Bytes of a line of the journal."""
Event = Literal["intended", "drained", "undone"]
EVENTS = frozenset(get_args(Event))


class DrainError(Exception):
    """A command or the journal failed; the message says which and how."""


class OwnDrain(NamedTuple):
    """A drain of ours, by the journal."""

    node: str
    mark: str
    verdict: str
    at_us: int


class DrainJournal:
    """See the module; its file belongs to one process. Raises DrainError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.own: dict[str, OwnDrain] = {}
        self.begun: list[tuple[str, int]] = []
        self._unsure: dict[str, OwnDrain] = {}
        self._marks: dict[str, dict[str, OwnDrain]] = {}
        for event, drained in _rows(path):
            self._note(event, drained)

    @property
    def unsure(self) -> tuple[OwnDrain, ...]:
        """Drains that were intended and neither seen to be done nor undone, oldest first."""
        return tuple(self._unsure.values())

    def ours_in(self, node: str, reason: str) -> OwnDrain | None:
        """The drain of ours whose mark stands in a node's reason, whatever became of it since."""
        marks = self._marks.get(node, {})
        return next((marks[mark] for mark in reversed(marks) if mark in reason), None)

    def write(self, event: Event, drained: OwnDrain) -> None:
        """On disk before it returns."""
        line = {"version": VERSION, "event": event, **drained._asdict()}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as handle:
                _end_last_line(handle)
                handle.write(json.dumps(line).encode() + b"\n")
                handle.flush()
                os.fsync(handle.fileno())
        except OSError as error:
            raise DrainError(f"{self._path} cannot be written: {error.strerror}") from error
        self._note(event, drained)

    def _note(self, event: str, drained: OwnDrain) -> None:
        node, mark = drained.node, drained.mark
        self._marks.setdefault(node, {})[mark] = drained
        self._unsure.pop(mark, None)
        if event == "intended":
            self.begun.append((node, drained.at_us))
            self._unsure[mark] = drained
        elif event == "drained":
            self.own[node] = drained
        elif node in self.own and self.own[node].mark == mark:
            del self.own[node]


def _end_last_line(handle: IO[bytes]) -> None:
    """What a crash tore off at the end of a journal is taken away: what follows is whole."""
    end = handle.seek(0, os.SEEK_END)
    handle.seek(max(0, end - MOST_ROW))
    torn = handle.read().rpartition(b"\n")[2]
    if not torn:
        return
    try:
        json.loads(torn)
    except ValueError:
        handle.truncate(end - len(torn))
    else:
        handle.write(b"\n")


def _rows(journal: Path) -> Iterator[tuple[str, OwnDrain]]:
    """The events of a journal, in their order. Raises DrainError for one of a newer version."""
    try:
        content = journal.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise DrainError(f"{journal} cannot be read: {error.strerror}") from error
    lines = content.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            row = json.loads(line)
            version, event = row["version"], row["event"]
            drained = OwnDrain(row["node"], row["mark"], row["verdict"], row["at_us"])
            if version == VERSION and event not in EVENTS:
                raise ValueError(event)
        except (ValueError, KeyError, TypeError):
            # Only what has no end was torn off; anything else was a line once.
            if number == len(lines):
                break
            raise DrainError(
                f"{journal}: line {number} is damaged; mend or move the file"
            ) from None
        if version != VERSION:
            raise DrainError(
                f"{journal}: line {number} is of version {version}; use a newer Parkade"
            )
        yield event, drained
