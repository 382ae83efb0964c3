"""The outbox: messages wait on disk until their receiver heard them, each sent once.

A message has a `name` that never changes and a `receiver`. Putting a name in twice for a receiver
is putting it in once, also after it was sent: names that were sent are remembered for `KEPT_US`. A
message that fails is tried again after 5 s, 10 s, … at most 10 minutes apart, and given up when it
is a day old; what was given up is counted and logged, never silently lost. A receiver that answers
that it will never take it (4xx but 408 and 429) is not asked again. One that fails is left alone
for its pause, whatever waits for it, so it delays no other; what waits for a receiver that is no
more is given up.

The file is one SQLite database of its own: it is no part of the journal, and a backup without it
loses only what was still waiting.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from parkade.core.units.time import DAY_US, MINUTE_US, SECOND_US

FIRST_US = 5 * SECOND_US
MOST_US = 10 * MINUTE_US
LONGEST_US = DAY_US
KEPT_US = 7 * DAY_US
MOST_WAITING = 10_000
MOST_POSITIONS = 1_000


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is unique for ever; `body` is what the receiver gets, as JSON; `subject` one line."""

    name: str
    kind: str
    subject: str
    body: Mapping[str, Any]
    at_us: int


class NotHeard(Exception):
    """The receiver did not take it; `is_final`: it never will."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


class Sender(Protocol):
    """One receiver. `send` returns once it was heard, or raises NotHeard."""

    def send(self, message: Message, now_us: int) -> None:
        """Within its own time-out; it may be repeated."""
        ...


class Outbox:
    """See the module. `senders` by the receiver's name. Any thread may put in; one sends."""

    def __init__(self, path: Path, senders: Mapping[str, Sender]) -> None:
        self.sent = self.failed = self.given_up = 0
        self._senders = senders
        self._resumes_us = dict.fromkeys(senders, 0)
        self._lock = threading.Lock()
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._run("PRAGMA journal_mode=WAL")
        self._run(
            "CREATE TABLE IF NOT EXISTS messages (receiver TEXT, name TEXT, kind TEXT,"
            " subject TEXT, body TEXT, at_us INTEGER, due_us INTEGER, tries INTEGER,"
            " ended_us INTEGER, PRIMARY KEY (receiver, name))"
        )

        self._run("CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY, sequence INTEGER)")
        self._run("CREATE TABLE IF NOT EXISTS passed (sequence INTEGER PRIMARY KEY, digest TEXT)")

    def put(self, message: Message) -> None:
        """For every receiver; one that has it, waiting or sent, gets it no second time. Beyond
        MOST_WAITING of a receiver its oldest is given up."""
        for receiver in self._senders:
            self._run(
                "INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, 0, NULL)",
                (
                    receiver,
                    message.name,
                    message.kind,
                    message.subject,
                    json.dumps(dict(message.body)),
                    message.at_us,
                    message.at_us,
                ),
            )
            self._make_room(receiver)

    def positions(self) -> list[tuple[int, str | None]]:
        """Up to where in the journal messages were put in, with the entry's digest, newest first:
        the newest MOST_POSITIONS such instants, so that a restored journal finds its own. None as
        digest was written by an older version. Empty in a new outbox."""
        found = self._run("SELECT sequence, digest FROM passed ORDER BY sequence DESC")
        return found or self._run("SELECT sequence, NULL FROM position")

    def advance(self, sequence: int, digest: str | None) -> None:
        """Everything up to there was put in; what stood beyond is of a journal that is no more."""
        self._run("DELETE FROM passed WHERE sequence > ?", (sequence,))
        self._run("INSERT OR REPLACE INTO passed VALUES (?, ?)", (sequence, digest))
        self._run(
            "DELETE FROM passed WHERE sequence <= (SELECT sequence FROM passed"
            " ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
            (MOST_POSITIONS,),
        )

    def waiting(self) -> int:
        """How many messages are not heard yet, over all receivers."""
        found = self._run("SELECT count(*) FROM messages WHERE ended_us IS NULL")
        return int(found[0][0])

    def send_due(
        self,
        now_us: int,
        *,
        say: Callable[[str, str], None] = lambda *_: None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> int | None:
        """Tries what is due, for each receiver its oldest first, until `is_over`; `say` hears
        (receiver, why) of each failure. When the next is due; None where nothing waits."""
        self._forget_removed(now_us, say)
        for receiver in self._senders:
            self._send_to(receiver, now_us, say, is_over)
        self._run("DELETE FROM messages WHERE ended_us < ?", (now_us - KEPT_US,))
        found = self._run(
            "SELECT receiver, min(due_us) FROM messages WHERE ended_us IS NULL GROUP BY receiver"
        )
        return min(
            (max(int(due), self._resumes_us.get(name, 0)) for name, due in found), default=None
        )

    def _send_to(
        self,
        receiver: str,
        now_us: int,
        say: Callable[[str, str], None],
        is_over: Callable[[], bool],
    ) -> None:
        """Until one message fails for now: the others would wait for the same time-out."""
        if now_us < self._resumes_us[receiver]:
            return
        due = self._run(
            "SELECT name, kind, subject, body, at_us, tries FROM messages WHERE receiver = ?"
            " AND ended_us IS NULL AND due_us <= ? ORDER BY at_us, name LIMIT 100",
            (receiver, now_us),
        )
        for name, kind, subject, body, at_us, tries in due:
            if is_over():
                return
            message = Message(
                name=name, kind=kind, subject=subject, body=json.loads(body), at_us=at_us
            )
            try:
                self._senders[receiver].send(message, now_us)
            except NotHeard as error:
                say(receiver, str(error))
                self.failed += 1
                self._failed(receiver, message, tries, now_us, is_final=error.is_final)
                if not error.is_final:
                    return
            else:
                self.sent += 1
                self._end(receiver, name, now_us)

    def _forget_removed(self, now_us: int, say: Callable[[str, str], None]) -> None:
        """Gives up what waits for receivers that are no more."""
        waiting = self._run(
            "SELECT receiver, count(*) FROM messages WHERE ended_us IS NULL GROUP BY receiver"
        )
        for receiver, count in waiting:
            if receiver not in self._senders:
                self.given_up += count
                say(receiver, f"the receiver was removed; {count} messages are given up")
                self._run(
                    "UPDATE messages SET ended_us = ? WHERE receiver = ? AND ended_us IS NULL",
                    (now_us, receiver),
                )

    def _make_room(self, receiver: str) -> None:
        found = self._run(
            "SELECT count(*) FROM messages WHERE receiver = ? AND ended_us IS NULL", (receiver,)
        )
        over = int(found[0][0]) - MOST_WAITING
        if over > 0:
            self.given_up += over
            self._run(
                "DELETE FROM messages WHERE rowid IN (SELECT rowid FROM messages"
                " WHERE receiver = ? AND ended_us IS NULL ORDER BY at_us LIMIT ?)",
                (receiver, over),
            )

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._file.close()

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """One statement, whole; the lock is never held while a receiver is asked."""
        with self._lock:
            return self._file.execute(statement, values).fetchall()

    def _failed(
        self, receiver: str, message: Message, tries: int, now_us: int, *, is_final: bool
    ) -> None:
        if is_final:
            self.given_up += 1
            self._end(receiver, message.name, now_us)
            return
        # Also what waits behind it: one pause for each would keep them for long after their day.
        old = self._run(
            "UPDATE messages SET ended_us = ? WHERE receiver = ? AND at_us <= ?"
            " AND ended_us IS NULL RETURNING 1",
            (now_us, receiver, now_us - LONGEST_US),
        )
        self.given_up += len(old)
        pause_us = min(MOST_US, FIRST_US << min(tries, 16))
        self._resumes_us[receiver] = now_us + pause_us
        self._run(
            "UPDATE messages SET due_us = ?, tries = ? WHERE receiver = ? AND name = ?",
            (now_us + pause_us, tries + 1, receiver, message.name),
        )

    def _end(self, receiver: str, name: str, now_us: int) -> None:
        self._run(
            "UPDATE messages SET ended_us = ? WHERE receiver = ? AND name = ?",
            (now_us, receiver, name),
        )
