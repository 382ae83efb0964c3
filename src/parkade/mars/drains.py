"""Drains nodes of a foreign cluster by that cluster's commands, and undoes only its own drains.

Each drain gets a reason with a mark of its own and is written to a journal before the command runs.
Undoing asks the cluster for the node's reason first: if the mark is not in it, another has
drained the node since, and it is left alone. A node that is drained already is never drained again,
so a person's drain stays a person's. A command that failed or hung may have drained: where the next
look finds the mark of that drain, it is done and ours.

The journal is one JSON object a line, version 1, appended and flushed to disk. A torn last line, as
a crash leaves it, is a command that may have run: it is looked up by its reason like any other.
"""

import enum
import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from parkade.mars.run_file import DrainEntry
from parkade.sensors.command import CommandError, output_of

VERSION = 1
MARK = "parkade-mars:"
MOST_OUTPUT = 4_096
MOST_ROW = 65_536
"""Bytes of a line of the journal."""
NOT_DRAINED = frozenset({"", "none", "(null)", "n/a"})


class DrainError(Exception):
    """A command or the journal failed; the message says which and how."""


class DrainNotBegun(DrainError):
    """The program ends, and the drain was not begun."""


class OwnDrain(NamedTuple):
    """A drain of ours that stands, by the journal."""

    node: str
    mark: str
    verdict: str
    at_us: int


class RunningCommand(NamedTuple):
    """A command that works on a node, its program, and when it is ended at the latest, by the
    steady clock."""

    node: str
    program: str
    ends_s: float


class RefusalReason(enum.StrEnum):
    """Why a drain is left undone; the label of a metric."""

    ALREADY_DRAINED = "already_drained"
    MOST_DRAINED = "most_drained"


class DrainDone(NamedTuple):
    """The node was drained now; `mark` stands in its reason."""

    mark: str


class DrainStands(NamedTuple):
    """A drain of ours stands since before."""

    mark: str


class DrainRefused(NamedTuple):
    """The node was left as it is."""

    reason: RefusalReason
    why: str


class NotRefused(NamedTuple):
    """The cluster would let the node be drained; nothing was done."""


class Drains:
    """Implements drain, undo and a list of our own; its file belongs to one process, and a drain or
    an undo is over before the next one begins."""

    def __init__(self, entry: DrainEntry, journal: Path) -> None:
        self._entry = entry
        self._journal = journal
        rows = tuple(_rows(journal))
        self._own = _standing(rows)
        self._begun = [(row.node, row.at_us) for event, row in rows if event == "intended"]
        self._intended: dict[str, OwnDrain] = {}
        self._stopping = threading.Event()
        self._running: RunningCommand | None = None

    def stop(self) -> None:
        """From now on no drain begins; the one under way ends after the command that runs, or if
        that is `set`, when its mark was looked up."""
        self._stopping.set()

    @property
    def own(self) -> tuple[OwnDrain, ...]:
        """Our drains that stand, by node."""
        return tuple(self._own[node] for node in sorted(self._own))

    def begun_since(self, at_us: int) -> tuple[tuple[str, int], ...]:
        """The nodes whose drains began from then on, by the journal, and when."""
        return tuple(each for each in self._begun if each[1] >= at_us)

    def drain(
        self, node: str, verdict: str, words: str, now_us: int
    ) -> DrainDone | DrainStands | DrainRefused:
        """Drains a node, for a verdict and with its words as the reason. Raises DrainError, where
        the node may be drained or not."""
        reason = self._reason(node)
        own = self._own.get(node)
        if own is not None and own.mark in reason:
            return DrainStands(own.mark)
        if own is not None:
            # A person lifted it, or took it over: it is ours no more.
            self._write("undone", own._replace(at_us=now_us))
            del self._own[node]
        intended = self._intended.get(node)
        if intended is not None and intended.mark in reason:
            # The command failed or hung, and drained the node all the same.
            return self._done(intended)
        refused = self._refused(node, reason)
        if refused is not None:
            return refused
        if self._stopping.is_set():
            raise DrainNotBegun("not begun, since the program ends")
        drained = self._intend(node, verdict, now_us)
        self._run(self._entry.set, node=node, reason=f"{drained.mark} {words}"[:300])
        if drained.mark not in self._reason(node):
            raise DrainError(
                f"`set` ended well, but `reason` does not print its mark for {node}: is it drained?"
            )
        return self._done(drained)

    def look(self, node: str) -> DrainRefused | NotRefused:
        """Whether a drain would be refused now. Changes nothing; raises DrainError."""
        return self._refused(node, self._reason(node)) or NotRefused()

    def _refused(self, node: str, reason: str) -> DrainRefused | None:
        """Why a node is left as it is, which is drained for a reason that is not ours."""
        if reason:
            why = f"already drained: {reason[:200]}"
            return DrainRefused(RefusalReason.ALREADY_DRAINED, why)
        if self._entry.count is not None and self._entry.most is not None:
            count = self._run(self._entry.count, node=node, reason="")
            if not count.isdecimal():
                raise DrainError(f"`count` printed {count[:40]!r}, not a number")
            if int(count) >= self._entry.most:
                why = f"{count} nodes are drained already, at most {self._entry.most} may be"
                return DrainRefused(RefusalReason.MOST_DRAINED, why)
        return None

    def undo(self, node: str, now_us: int) -> str | None:
        """Lifts our drain of a node. Returns why it was not lifted. Raises DrainError."""
        drained = self._own.get(node)
        if drained is None:
            return "not drained by Mars"
        reason = self._reason(node)
        if drained.mark in reason:
            self._run(self._entry.undo, node=node, reason="")
            if drained.mark in self._reason(node):
                raise DrainError("`undo` ended well, and our mark still stands as the reason")
        self._write("undone", drained._replace(at_us=now_us))
        del self._own[node]
        return None if drained.mark in reason else f"another reason stands now: {reason[:200]}"

    def _intend(self, node: str, verdict: str, now_us: int) -> OwnDrain:
        """Written before the command runs, once for a verdict however often that fails."""
        before = self._intended.get(node)
        if before is not None and before.verdict == verdict:
            return before
        intended = OwnDrain(node, f"{MARK}{uuid.uuid4().hex[:12]}", verdict, now_us)
        self._write("intended", intended)
        self._intended[node] = intended
        return intended

    def _done(self, drained: OwnDrain) -> DrainDone:
        """Of an intended drain whose mark stands in the node's reason."""
        del self._intended[drained.node]
        self._own[drained.node] = drained
        self._write("drained", drained)
        return DrainDone(drained.mark)

    def _reason(self, node: str) -> str:
        """Why a node is drained now, empty if it is not. Slurm prints a line for each partition of
        a node."""
        lines = self._run(self._entry.reason, node=node, reason="").splitlines()
        reasons = dict.fromkeys(line.strip() for line in lines)
        return "; ".join(each for each in reasons if each.lower() not in NOT_DRAINED)

    def _run(self, command: tuple[str, ...], *, node: str, reason: str) -> str:
        """A command's output. No shell reads it, so a reason is never more than one word."""
        words = [word.replace("{node}", node).replace("{reason}", reason) for word in command]
        timeout_s = self._entry.timeout.total_seconds()
        self._running = RunningCommand(node, words[0], time.monotonic() + timeout_s)
        try:
            return output_of(words, timeout_s=timeout_s)[:MOST_OUTPUT].strip()
        except CommandError as error:
            raise DrainError(str(error)) from error
        finally:
            self._running = None

    @property
    def running(self) -> RunningCommand | None:
        """The command that runs now; asked by another thread."""
        return self._running

    def _write(self, event: str, drained: OwnDrain) -> None:
        line = {"version": VERSION, "event": event, **drained._asdict()}
        try:
            self._journal.parent.mkdir(parents=True, exist_ok=True)
            with self._journal.open("a+b") as handle:
                _end_last_line(handle)
                handle.write(json.dumps(line).encode() + b"\n")
                handle.flush()
                os.fsync(handle.fileno())
        except OSError as error:
            raise DrainError(f"{self._journal} cannot be written: {error.strerror}") from error


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
        lines = journal.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DrainError(f"{journal} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            version, event = row["version"], row["event"]
            drained = OwnDrain(row["node"], row["mark"], row["verdict"], row["at_us"])
        except (ValueError, KeyError, TypeError):
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


def _standing(rows: Iterable[tuple[str, OwnDrain]]) -> dict[str, OwnDrain]:
    """What was intended or done and not undone, by node."""
    found: dict[str, OwnDrain] = {}
    for event, drained in rows:
        if event == "undone":
            found.pop(drained.node, None)
        else:
            found[drained.node] = drained
    return found
