"""The queue: messages wait on disk until their receiver heard them. Each is sent at least once: a
receiver that heard one just before the process died, or answered too late, gets it again under the
same name.

A message has a `name` that never changes and a `receiver`. Putting a name in twice for a receiver
is putting it in once, also after it was sent or given up: names are remembered for `KEPT_US` after
that. A message that fails is tried again after 5 s, 10 s, … at most 10 minutes apart. It is given
up when it is a day old, when its receiver answers that it will never take it, when it is the oldest
of more than `MOST_WAITING` of its receiver, and when its receiver was removed. What is given up is
counted and told to `say`. A receiver that fails is left alone for its pause, whatever waits
for it, so it delays no other.

The file is one SQLite database of its own: it is no part of the journal, and a backup without it
loses only what was still waiting.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import msgspec

from parkade.core.units.time import DAY_US, MINUTE_US, SECOND_US

FIRST_US = 5 * SECOND_US
LONGEST_PAUSE_US = 10 * MINUTE_US
LONGEST_AGE_US = DAY_US
KEPT_US = 7 * DAY_US
MOST_WAITING = 10_000
MOST_POSITIONS = 1_000
SENT_AT_ONCE = 8


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


class MessageQueue:
    """See the module. `senders` by the receiver's name. Any thread may put in; one sends.

    `say` hears (receiver, why) of each failure, from either thread. Counters since the start:
    `sent`, `failed` (tries), `given_up`.
    """

    def __init__(
        self,
        path: Path,
        senders: Mapping[str, Sender],
        *,
        say: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self.sent = self.failed = self.given_up = 0
        self._senders = senders
        self._resumes_us: dict[str, int] = {}
        self._say = say
        self._lock = threading.Lock()
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._run("PRAGMA journal_mode=WAL")
        self._run(
            "CREATE TABLE IF NOT EXISTS messages (receiver TEXT, name TEXT, kind TEXT,"
            " subject TEXT, body TEXT, at_us INTEGER, due_us INTEGER, tries INTEGER,"
            " ended_us INTEGER, PRIMARY KEY (receiver, name))"
        )
        self._run("CREATE TABLE IF NOT EXISTS passed (sequence INTEGER PRIMARY KEY, digest TEXT)")

    def send_by(self, senders: Mapping[str, Sender]) -> None:
        """These are the receivers from now on."""
        self._senders = senders

    def put(self, message: Message, receivers: Iterable[str] | None = None) -> None:
        """For these receivers, None: for every one; one that has it, waiting or sent, gets it no
        second time. Beyond MOST_WAITING of a receiver its oldest is given up."""
        for receiver in self._senders if receivers is None else receivers:
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
            self._make_room(receiver, message.at_us)

    def positions(self) -> list[tuple[int, str | None]]:
        """Up to where in the journal messages were put in, with the entry's digest, newest first:
        the newest MOST_POSITIONS such instants, so that a restored journal finds its own. None: the
        journal had no such entry. Empty in a new queue."""
        return self._run("SELECT sequence, digest FROM passed ORDER BY sequence DESC")

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

    def send_due(self, now_us: int, *, is_over: Callable[[], bool] = lambda: False) -> int | None:
        """Tries what is due, oldest first for each receiver, until `is_over`. When the next is due;
        None where nothing waits."""
        self._forget_removed(now_us)
        senders = self._senders
        due = self._run(
            "SELECT DISTINCT receiver FROM messages WHERE ended_us IS NULL AND due_us <= ?",
            (now_us,),
        )
        # A receiver that takes its time delays those few that share its thread.
        with ThreadPoolExecutor(SENT_AT_ONCE, "parkade-messages") as pool:
            sending = [
                pool.submit(self._send_to, name, senders[name], now_us, is_over)
                for (name,) in due
                if name in senders
            ]
        for each in sending:
            each.result()
        self._run("DELETE FROM messages WHERE ended_us < ?", (now_us - KEPT_US,))
        found = self._run(
            "SELECT receiver, min(due_us) FROM messages WHERE ended_us IS NULL GROUP BY receiver"
        )
        return min(
            (max(int(due), self._resumes_us.get(name, 0)) for name, due in found), default=None
        )

    def _send_to(
        self, receiver: str, sender: Sender, now_us: int, is_over: Callable[[], bool]
    ) -> None:
        if now_us < self._resumes_us.get(receiver, 0):
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
                sender.send(message, now_us)
            except NotHeard as error:
                self.failed += 1
                self._failed(receiver, message, tries, now_us, error)
                if not error.is_final:
                    # The others would wait for the same time-out.
                    return
            else:
                self.sent += 1
                self._end(receiver, name, now_us)

    def _forget_removed(self, now_us: int) -> None:
        """Gives up what waits for receivers that are no more."""
        waiting = self._run("SELECT DISTINCT receiver FROM messages WHERE ended_us IS NULL")
        for receiver in {name for (name,) in waiting} - self._senders.keys():
            left = self._run(
                "SELECT name FROM messages WHERE receiver = ? AND ended_us IS NULL", (receiver,)
            )
            for (name,) in left:
                self._give_up(receiver, name, now_us, why="the receiver was removed")

    def _make_room(self, receiver: str, now_us: int) -> None:
        where = "FROM messages WHERE receiver = ? AND ended_us IS NULL"
        over = int(self._run(f"SELECT count(*) {where}", (receiver,))[0][0]) - MOST_WAITING
        if over > 0:
            oldest = self._run(
                f"SELECT name {where} ORDER BY at_us, name LIMIT ?", (receiver, over)
            )
            for (name,) in oldest:
                why = f"more than {MOST_WAITING} messages wait"
                self._give_up(receiver, name, now_us, why=why)

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._file.close()

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """One statement, whole; the lock is never held while a receiver is asked."""
        with self._lock:
            return self._file.execute(statement, values).fetchall()

    def _failed(
        self, receiver: str, message: Message, tries: int, now_us: int, error: NotHeard
    ) -> None:
        if error.is_final:
            self._give_up(receiver, message.name, now_us, why=str(error))
            return
        old = self._run(
            "SELECT name FROM messages WHERE receiver = ? AND at_us <= ? AND ended_us IS NULL",
            (receiver, now_us - LONGEST_AGE_US),
        )
        for (name,) in old:
            self._give_up(receiver, name, now_us, why=str(error))
        if not old:
            self._say(receiver, str(error))
        pause_us = min(LONGEST_PAUSE_US, FIRST_US << min(tries, 16))
        self._resumes_us[receiver] = now_us + pause_us
        self._run(
            "UPDATE messages SET due_us = ?, tries = ? WHERE receiver = ? AND name = ?",
            (now_us + pause_us, tries + 1, receiver, message.name),
        )

    def _give_up(self, receiver: str, name: str, now_us: int, *, why: str) -> None:
        self.given_up += 1
        self._say(receiver, f"{why}; {name} is given up")
        self._end(receiver, name, now_us)

    def _end(self, receiver: str, name: str, now_us: int) -> None:
        self._run(
            "UPDATE messages SET ended_us = ? WHERE receiver = ? AND name = ?",
            (now_us, receiver, name),
        )
