"""Drains nodes of a foreign cluster by that cluster's commands, and undoes only its own drains.

Each drain gets a reason with a mark of its own and is written to a journal before the command runs.
Undoing asks the cluster for the node's reason first: if no mark of ours is in it, another has
drained the node since, and it is left alone. A node that is drained already is never drained again,
so a person's drain stays a person's. A command that failed or hung may have drained, and one whose
program was killed may drain yet: where a look finds a mark of ours, that drain is done and ours.
"""

import enum
import threading
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from parkade.core.units.time import DAY_US
from parkade.mars.drain_journal import DrainError, DrainJournal, OwnDrain
from parkade.mars.run_file import DrainEntry
from parkade.sensors.command import CommandError, output_of

MARK = "parkade-mars:"
MOST_OUTPUT = 4_096
NOT_DRAINED = frozenset({"", "none", "(null)", "n/a"})
EXPECTED_US = DAY_US
"""So long after a drain was begun that was not seen to be done, it may still come."""


class DrainNotBegun(DrainError):
    """The program ends, and the drain was not begun."""


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
        self._journal = DrainJournal(journal)
        self._lifted: set[str] = set()
        self._intended: dict[str, OwnDrain] = {}
        self._stopping = threading.Event()
        self._running: RunningCommand | None = None

    def stop(self) -> None:
        """From now on no drain begins; the one under way ends after the command that runs, or if
        that is `set`, when its mark was looked up."""
        self._stopping.set()

    @property
    def own(self) -> tuple[OwnDrain, ...]:
        """Our drains that stand, by node: those done, but for the ones that another has lifted, as
        far as `find` has seen."""
        own = self._journal.own
        return tuple(own[node] for node in sorted(own.keys() - self._lifted))

    @property
    def done(self) -> tuple[OwnDrain, ...]:
        """Our drains that were done and not undone, by node, whatever became of them since."""
        own = self._journal.own
        return tuple(own[node] for node in sorted(own))

    @property
    def unsure(self) -> tuple[OwnDrain, ...]:
        """Drains that were begun and not seen to be done, oldest first."""
        return self._journal.unsure

    def expected(self, now_us: int) -> tuple[OwnDrain, ...]:
        """Those of them that may still come."""
        return tuple(it for it in self._journal.unsure if now_us - it.at_us < EXPECTED_US)

    def begun_within(self, window_us: int, now_us: int) -> tuple[tuple[str, int], ...]:
        """The nodes whose drains began within so long of now, by the journal, and when. One that
        is further ahead was noted by a clock that was wrong."""
        return tuple(it for it in self._journal.begun if abs(now_us - it[1]) <= window_us)

    def find(self, node: str) -> OwnDrain | None:
        """Asks the cluster for a drain of ours on a node: one that came late is done by now, one
        that another has lifted stands no more. Raises DrainError."""
        found = self._journal.ours_in(node, self._reason(node))
        if found is None:
            self._lifted.add(node)
        elif found != self._journal.own.get(node):
            self._done(found)
        else:
            self._lifted.discard(node)
        return found

    def drain(
        self, node: str, verdict: str, words: str, now_us: int
    ) -> DrainDone | DrainStands | DrainRefused:
        """Drains a node, for a verdict and with its words as the reason. Raises DrainError, where
        the node may be drained or not."""
        reason = self._reason(node)
        own, ours = self._journal.own.get(node), self._journal.ours_in(node, reason)
        if ours is not None:
            # Of one that is new here, the command failed or hung, and drained all the same.
            if ours != own:
                return self._done(ours)
            self._lifted.discard(node)
            return DrainStands(ours.mark)
        if own is not None:
            # A person lifted it, or took it over: it is ours no more.
            self._journal.write("undone", own._replace(at_us=now_us))
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
        """Lifts our drain of a node, whichever of ours stands there. Returns why nothing was
        lifted. Raises DrainError."""
        own, reason = self._journal.own.get(node), self._reason(node)
        ours = self._journal.ours_in(node, reason)
        if ours is not None:
            self._run(self._entry.undo, node=node, reason="")
            if ours.mark in self._reason(node):
                raise DrainError("`undo` ended well, and our mark still stands as the reason")
        for each in dict.fromkeys(filter(None, (own, ours))):
            self._journal.write("undone", each._replace(at_us=now_us))
        if ours is not None:
            return None
        if reason and own is not None:
            return f"another reason stands now: {reason[:200]}"
        if own is not None:
            return "not drained any more"
        unsure = [each for each in self.unsure if each.node == node]
        for each in unsure:
            if now_us - each.at_us >= EXPECTED_US:
                self._journal.write("undone", each._replace(at_us=now_us))
        if any(each.node == node for each in self.unsure):
            return (
                "not drained now. A drain of it was begun and not seen to be done: where it comes"
                " yet, `parkade mars undo` again lifts it"
            )
        return "not drained by Mars"

    def _intend(self, node: str, verdict: str, now_us: int) -> OwnDrain:
        """Written before the command runs, once for a verdict however often that fails. Another
        program's command may run still, so it has a mark of its own."""
        before = self._intended.get(node)
        if before is not None and before.verdict == verdict:
            return before
        intended = OwnDrain(node, f"{MARK}{uuid.uuid4().hex[:12]}", verdict, now_us)
        self._journal.write("intended", intended)
        self._intended[node] = intended
        return intended

    def _done(self, drained: OwnDrain) -> DrainDone:
        """Of a drain of ours whose mark stands in the node's reason."""
        self._intended.pop(drained.node, None)
        self._lifted.discard(drained.node)
        self._journal.write("drained", drained)
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
