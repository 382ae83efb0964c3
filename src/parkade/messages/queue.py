"""The queue: messages wait on disk until their receiver heard them. Each is sent at least once: a
receiver that heard one just before the process died, or answered too late, gets it again under the
same name.

A message has a `name` that never changes and a `receiver`. Putting a name in twice for a receiver
is putting it in once, also after it was sent or given up: names are remembered for `KEPT_US` after
that. A message that fails is tried again after 5 s, 10 s, … at most 10 minutes apart. It is given
up when it is a day old, when its receiver answers that it will never take it, when it is the oldest
of more than `MOST_WAITING` of its receiver, and when its receiver was removed. What is given up is
counted and told to `say`.

No receiver delays another, nor ends what others are sent, however its sender fails. One that
fails is left alone for its pause, whatever waits for it. One that takes its time has a turn of a
second, or of one message, and then the others have theirs; once it took so long for a message it is
*slow*, and has its turns in threads that only slow ones share.

It stands in a database: an SQLite file of its own, or, where two servers have one journal in
PostgreSQL, in tables beside the journal, so that the one that leads next sends what waits. It is no
part of the journal, and a backup without it loses only what was still waiting. One that does not
answer raises `QueueUnreachable`; what was asked may be asked again.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import sqlalchemy as sa

from parkade.core.units.time import DAY_US, MINUTE_US, SECOND_US
from parkade.messages.queue_file import QueueUnreachable, queue_file
from parkade.messages.tables import failures, messages, metadata, passed

FIRST_US = 5 * SECOND_US
LONGEST_PAUSE_US = 10 * MINUTE_US
LONGEST_AGE_US = DAY_US
KEPT_US = 7 * DAY_US
MOST_WAITING = 10_000
MOST_POSITIONS = 1_000
SENT_AT_ONCE = 8
SLOW_AT_ONCE = 4
TURN_S = 1.0


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is unique for ever; `body` is what the receiver gets, as JSON; `subject` one line."""

    name: str
    kind: str
    subject: str
    body: Mapping[str, Any]
    at_us: int


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver has not heard: so many messages, none where it heard all. `says`: why the
    last try failed, at `failed_us`, and it is tried again at `again_us`; None: it did not fail, or
    was heard since."""

    messages: int
    says: str | None = None
    failed_us: int | None = None
    again_us: int | None = None


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


_T = TypeVar("_T")
_WAITS = messages.c.ended_us.is_(None)


class MessageQueue:
    """See the module. `senders` by the receiver's name. Any thread may put in; one sends. The
    engine is the queue's own: `close` lets go of it.

    `say` hears (receiver, why) of each failure, from either thread. Counters since the start:
    `sent`, `failed` (tries), `given_up`.
    """

    def __init__(
        self,
        engine: sa.Engine,
        senders: Mapping[str, Sender],
        *,
        say: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self.sent = self.failed = self.given_up = 0
        self._senders = senders
        self._resumes_us: dict[str, int] = {}
        self._failures: dict[str, tuple[str, int]] = {}
        self._say = say
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._slow: set[str] = set()
        self._troubles: list[BaseException] = []
        self._quick_lane = ThreadPoolExecutor(SENT_AT_ONCE, "parkade-messages")
        self._slow_lane = ThreadPoolExecutor(SLOW_AT_ONCE, "parkade-messages-slow")
        self._engine = engine
        self._do(metadata.create_all)
        self._read_failures()

    def send_by(self, senders: Mapping[str, Sender]) -> None:
        """These are the receivers from now on."""
        self._senders = senders

    def put(self, message: Message, receivers: Iterable[str] | None = None) -> None:
        """For these receivers, None: for every one; one that has it, waiting or sent, gets it no
        second time. Beyond MOST_WAITING of a receiver its oldest is given up."""
        for receiver in self._senders if receivers is None else receivers:
            row = {
                "receiver": receiver,
                "name": message.name,
                "kind": message.kind,
                "subject": message.subject,
                "body": json.dumps(dict(message.body)),
                "at_us": message.at_us,
                "due_us": message.at_us,
                "tries": 0,
                "ended_us": None,
            }
            self._do(lambda it, row=row: _insert(it, messages, row))  # type: ignore[misc]
            self._make_room(receiver, message.at_us)

    def adopt(self, path: Path) -> None:
        """Takes what stands in the file of a queue before, and renames that file; nothing where
        there is none."""
        if not path.exists():
            return
        engine = queue_file(path)
        try:
            metadata.create_all(engine)
            with engine.connect() as connection:
                found = [
                    (table, [dict(row) for row in connection.execute(sa.select(table)).mappings()])
                    for table in (messages, passed, failures)
                ]
        except sa.exc.DatabaseError as error:
            raise QueueUnreachable(f"{path}: {error.orig}") from error
        finally:
            engine.dispose()
        for table, rows in found:
            for row in rows:
                self._do(lambda it, table=table, row=row: _insert(it, table, row))  # type: ignore[misc]
        self._read_failures()
        path.replace(path.with_name(f"{path.name}.moved"))

    def positions(self) -> list[tuple[int, str | None]]:
        """Up to where in the journal messages were put in, with the entry's digest, newest first:
        the newest MOST_POSITIONS such instants, so that a restored journal finds its own. None: the
        journal had no such entry. Empty in a new queue."""
        query = sa.select(passed.c.sequence, passed.c.digest).order_by(passed.c.sequence.desc())
        return [(row.sequence, row.digest) for row in self._rows(query)]

    def advance(self, sequence: int, digest: str | None) -> None:
        """Everything up to there was put in; what stood beyond is of a journal that is no more."""

        def do(connection: sa.Connection) -> None:
            connection.execute(passed.delete().where(passed.c.sequence >= sequence))
            connection.execute(passed.insert().values(sequence=sequence, digest=digest))
            kept = passed.alias()
            newest = sa.select(kept.c.sequence).order_by(kept.c.sequence.desc())
            first_over = newest.limit(1).offset(MOST_POSITIONS).scalar_subquery()
            connection.execute(passed.delete().where(passed.c.sequence <= first_over))

        self._do(do)

    def waiting_of_each(self) -> dict[str, Waiting]:
        """What each receiver has not heard, of those that have something to hear or failed last.
        Grows with the messages that wait."""
        counted = sa.select(messages.c.receiver, sa.func.count().label("waiting"))
        rows = self._rows(counted.where(_WAITS).group_by(messages.c.receiver))
        several = {row.receiver: int(row.waiting) for row in rows}
        failures = dict(self._failures)
        found = {}
        for receiver in sorted(several.keys() | (failures.keys() & self._senders.keys())):
            says, failed_us = failures.get(receiver, (None, None))
            waits = several.get(receiver, 0)
            again_us = self._resumes_us.get(receiver) if says is not None and waits else None
            found[receiver] = Waiting(
                messages=waits, says=says, failed_us=failed_us, again_us=again_us
            )
        return found

    def waiting(self) -> int:
        """How many messages are not heard yet, over all receivers."""
        return self._count(_WAITS)

    def send_due(
        self,
        now_us: int,
        *,
        is_over: Callable[[], bool] = lambda: False,
        within_s: float | None = None,
    ) -> int | None:
        """Gives each receiver for which something is due its turn, oldest messages first, until
        `is_over`. Waits so long for the turns to end, None: until they did; those that go on are
        left to. When the next is due; None where nothing waits."""
        self._forget_removed(now_us)
        senders = self._senders
        due = self._rows(
            sa.select(messages.c.receiver).where(_WAITS, messages.c.due_us <= now_us).distinct()
        )
        turns = []
        for (name,) in due:
            if name in senders and name not in self._busy:
                lane = self._slow_lane if name in self._slow else self._quick_lane
                self._busy.add(name)
                turns.append(lane.submit(self._take_turn, name, senders[name], now_us, is_over))
        wait(turns, timeout=within_s)
        if self._troubles:
            raise self._troubles.pop()
        self._do(
            lambda it: it.execute(messages.delete().where(messages.c.ended_us < now_us - KEPT_US))
        )
        first = sa.func.min(messages.c.due_us)
        next_of_each = sa.select(messages.c.receiver, first.label("due_us"))
        found = self._rows(next_of_each.where(_WAITS).group_by(messages.c.receiver))
        return min(
            (max(int(row.due_us), self._resumes_us.get(row.receiver, 0)) for row in found),
            default=None,
        )

    def _take_turn(
        self, receiver: str, sender: Sender, now_us: int, is_over: Callable[[], bool]
    ) -> None:
        try:
            self._send_to(receiver, sender, now_us, is_over)
        except BaseException as error:  # noqa: BLE001 - raised by `send_due`, this one or the next
            self._troubles.append(error)
        finally:
            self._busy.discard(receiver)

    def _send_to(
        self, receiver: str, sender: Sender, now_us: int, is_over: Callable[[], bool]
    ) -> None:
        if now_us < self._resumes_us.get(receiver, 0):
            return
        due = self._rows(
            sa.select(messages)
            .where(messages.c.receiver == receiver, _WAITS, messages.c.due_us <= now_us)
            .order_by(messages.c.at_us, messages.c.name)
            .limit(100)
        )
        ends_s = time.monotonic() + TURN_S
        for row in due:
            began_s = time.monotonic()
            if is_over() or began_s >= ends_s:
                return
            try:
                _send(sender, row, now_us)
            except NotHeard as error:
                self.failed += 1
                self._failed(receiver, row.name, row.tries, now_us, error)
                self._note_failure(receiver, str(error), now_us)
                if not error.is_final:
                    # The others would wait for the same time-out.
                    return
            else:
                self.sent += 1
                self._forget_failure(receiver)
                self._end(receiver, row.name, now_us)
            finally:
                self._note_pace(receiver, time.monotonic() - began_s)

    def _read_failures(self) -> None:
        """What the server before knew of receivers that failed, so that its successor says it too,
        and leaves them alone for as long."""
        for row in self._rows(sa.select(failures)):
            self._failures[row.receiver] = (row.says, int(row.failed_us))
            if row.resumes_us is not None:
                self._resumes_us[row.receiver] = int(row.resumes_us)

    def _note_failure(self, receiver: str, says: str, now_us: int) -> None:
        resumes_us = self._resumes_us.get(receiver)
        row = {
            "receiver": receiver,
            "says": says,
            "failed_us": now_us,
            "resumes_us": resumes_us,
        }

        def do(connection: sa.Connection) -> None:
            connection.execute(failures.delete().where(failures.c.receiver == receiver))
            connection.execute(failures.insert().values(**row))

        self._failures[receiver] = (says, now_us)
        self._do(do)

    def _forget_failure(self, receiver: str) -> None:
        if self._failures.pop(receiver, None) is not None:
            which = failures.c.receiver == receiver
            self._do(lambda it: it.execute(failures.delete().where(which)))

    def _note_pace(self, receiver: str, took_s: float) -> None:
        if took_s >= TURN_S:
            self._slow.add(receiver)
        else:
            self._slow.discard(receiver)

    def _forget_removed(self, now_us: int) -> None:
        """Gives up what waits for receivers that are no more."""
        waiting = self._rows(sa.select(messages.c.receiver).where(_WAITS).distinct())
        for receiver in {name for (name,) in waiting} - self._senders.keys():
            left = sa.select(messages.c.name).where(messages.c.receiver == receiver, _WAITS)
            for (name,) in self._rows(left):
                self._give_up(receiver, name, now_us, why="the receiver was removed")
        for receiver in self._failures.keys() - self._senders.keys():
            self._forget_failure(receiver)

    def _make_room(self, receiver: str, now_us: int) -> None:
        where = (messages.c.receiver == receiver, _WAITS)
        over = self._count(*where) - MOST_WAITING
        if over > 0:
            oldest = sa.select(messages.c.name).where(*where)
            oldest = oldest.order_by(messages.c.at_us, messages.c.name).limit(over)
            for (name,) in self._rows(oldest):
                why = f"more than {MOST_WAITING} messages wait"
                self._give_up(receiver, name, now_us, why=why)

    def close(self) -> None:
        """Lets go of the database, once what is being sent was heard or failed."""
        for lane in (self._quick_lane, self._slow_lane):
            lane.shutdown(cancel_futures=True)
        with self._lock:
            self._engine.dispose()

    def _do(self, statements: Callable[[sa.Connection], _T]) -> _T:
        """Some statements, all or none; the lock is never held while a receiver is asked."""
        try:
            with self._lock, self._engine.begin() as connection:
                return statements(connection)
        except sa.exc.DBAPIError as error:
            raise QueueUnreachable(str(error.orig)) from error

    def _rows(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        return self._do(lambda connection: list(connection.execute(query)))

    def _count(self, *where: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(messages).where(*where)
        return int(self._rows(query)[0][0])

    def _failed(self, receiver: str, name: str, tries: int, now_us: int, error: NotHeard) -> None:
        if error.is_final:
            self._give_up(receiver, name, now_us, why=str(error))
            return
        is_old = messages.c.at_us <= now_us - LONGEST_AGE_US
        old = self._rows(
            sa.select(messages.c.name).where(messages.c.receiver == receiver, is_old, _WAITS)
        )
        for (old_name,) in old:
            self._give_up(receiver, old_name, now_us, why=str(error))
        if not old:
            self._say(receiver, str(error))
        pause_us = min(LONGEST_PAUSE_US, FIRST_US << min(tries, 16))
        self._resumes_us[receiver] = now_us + pause_us
        self._change(receiver, name, due_us=now_us + pause_us, tries=tries + 1)

    def _give_up(self, receiver: str, name: str, now_us: int, *, why: str) -> None:
        self.given_up += 1
        self._say(receiver, f"{why}; {name} is given up")
        self._end(receiver, name, now_us)

    def _end(self, receiver: str, name: str, now_us: int) -> None:
        """Its name is remembered, so that it is not told twice, and what it says is not: a code
        may stand there."""
        self._change(receiver, name, ended_us=now_us, subject="", body="null")

    def _change(self, receiver: str, name: str, **values: int | str) -> None:
        which = (messages.c.receiver == receiver, messages.c.name == name)
        self._do(lambda it: it.execute(messages.update().where(*which).values(**values)))


def _send(sender: Sender, row: sa.Row[Any], now_us: int) -> None:
    """Sends what stands in a row. NotHeard for any failure: what a receiver's address or message
    does to its sender is that receiver's alone."""
    try:
        message = Message(
            name=row.name,
            kind=row.kind,
            subject=row.subject,
            body=json.loads(row.body),
            at_us=row.at_us,
        )
        sender.send(message, now_us)
    except NotHeard:
        raise
    except Exception as error:
        raise NotHeard(f"it could not be sent: {type(error).__name__}") from error


def _insert(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """A row, unless one of its key is there. The queue puts in one at a time; a second server that
    does at that moment fails by the key, and asks again."""
    key = [column == row[column.name] for column in table.primary_key.columns]
    if connection.execute(sa.select(sa.literal(1)).select_from(table).where(*key)).first() is None:
        connection.execute(table.insert().values(**row))
