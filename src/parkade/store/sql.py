"""The store over SQLAlchemy Core: the same statements for every database.

A commit first looks whether the journal ends where this writer believes; the journal's primary
key refuses what still slips through. Either way the writer is `Fenced`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog

from parkade.ports import (
    Batch,
    DamagedAnswer,
    Fenced,
    JournalEntry,
    Moved,
    Segment,
    StatedTransfer,
    StoredAnswer,
    StoredSnapshot,
    StoreError,
)
from parkade.store import receivers, segments, statements, terms
from parkade.store.copying import copy_tables
from parkade.store.driver_error import line_of
from parkade.store.head import Head, HeadFile, refuse_broken
from parkade.store.many_rows import add_rows
from parkade.store.migrations import migrate, require_newest
from parkade.store.rows import answer_of, row_of, row_of_answer, row_of_transfer, stated_of
from parkade.store.tables import OWNER, answers, journal, meta, snapshots, transfers

_log = structlog.get_logger(__name__)

# Marks a transaction that writes; `sqlite.py` begins such a one with the lock already taken.
WRITES = {"parkade_writes": True}
_ONE_MOMENT = {"isolation_level": "REPEATABLE READ"}
_PAGE = 2_000


def no_crash_point(_name: str) -> None:
    """Nothing is called at the seams of a commit."""


class SqlStore:
    """A store in an SQL database; tests hear of each place of a commit by `crash_point`.

    With `is_read_only` nothing is migrated, and a database that would need it is refused.
    """

    def __init__(
        self,
        engine: sa.Engine,
        *,
        head: HeadFile,
        crash_point: Callable[[str], None],
        is_read_only: bool = False,
        segment_entries: int = segments.ENTRIES,
    ) -> None:
        # What is read in several statements is of one moment; in SQLite it always is.
        one_moment = {} if engine.dialect.name == "sqlite" else _ONE_MOMENT
        self._readers = engine.execution_options(**one_moment)
        self._folded = segments.Folded(entries=segment_entries)
        self._writer = engine.execution_options(**WRITES)
        # A file needs no look whether it is still there; a database elsewhere may have restarted.
        self._keeps_connection = engine.dialect.name == "sqlite"
        self._kept: sa.Connection | None = None
        self._head = head
        self._term: int | None = None
        self._crash_point = crash_point
        if is_read_only:
            with self._reading() as connection:
                require_newest(connection)
        else:
            with self._writer.begin() as connection:
                migrate(connection)
        self._check_head()

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """A connection that reads; StoreError where the database cannot be read."""
        try:
            with self._readers.connect() as connection:
                yield connection
        except sa.exc.DatabaseError as error:
            raise StoreError(
                f"the journal could not be read: {line_of(error)}; where its file is damaged,"
                " restore a backup"
            ) from error

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction; StoreError where the database cannot be written, and nothing is then."""
        with self._telling(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _committing(self) -> Iterator[sa.Connection]:
        """The same for the journal's one writer: to take a connection and to give it back costs as
        much as what a small commit writes."""
        if not self._keeps_connection:
            with self._writing() as connection:
                yield connection
            return
        with self._telling():
            if self._kept is None:
                self._kept = self._writer.connect()
            with self._kept.begin():
                yield self._kept

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """See `_writing`: how its errors are told."""
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except sa.exc.DatabaseError as error:
            raise StoreError(
                f"the journal could not be written: {line_of(error)}. Nothing that was answered is"
                f" lost. Make room where {self._head.path.parent} is, or mend what is wrong with"
                " it, and start the server again"
            ) from error

    def _check_head(self) -> None:
        """StoreError where the journal's end is not what was committed last."""
        head, last = self._head.read(), self.last_sequence()
        at_head = self.entries(after=head.sequence - 1, limit=1) if head is not None else ()
        digest = at_head[0].digest if at_head else None
        refuse_broken(head, last=last, digest_at_head=digest, path=self._head.path)

    def commit(self, batch: Batch) -> None:
        """Adds all of it durably, or nothing. Fenced where `after` is not the journal's end."""
        self._crash_point("before_commit")
        try:
            with self._committing() as connection:
                self._add(connection, batch)
                self._crash_point("inside_commit")
        except sa.exc.IntegrityError as error:
            raise _fenced(batch.after, None) from error
        if batch.entries:
            last = batch.entries[-1]
            try:
                self._head.write(Head(sequence=last.sequence, digest=last.digest))
            except OSError as error:
                raise StoreError(
                    f"{self._head.path} could not be written: {error.strerror}. Nothing that was"
                    " answered is lost. Make room there and start the server again"
                ) from error
        self._crash_point("after_commit")

    def _add(self, connection: sa.Connection, batch: Batch) -> None:
        self._require_term(connection)
        last = segments.last_sequence(connection)
        if last != batch.after:
            raise _fenced(batch.after, last)
        add_rows(connection, journal, [row_of(entry) for entry in batch.entries])
        add_rows(connection, transfers, [row_of_transfer(stated) for stated in batch.transfers])
        add_rows(connection, answers, [row_of_answer(answer) for answer in batch.answers])

    def begin_term(self, address: str) -> None:
        """Only this store commits from now on: a writer of an earlier term is `Fenced`. `address`:
        where this writer is reached, for others to read."""
        with self._writing() as connection:
            self._term = terms.begin(connection, address)

    def leader_address(self) -> str | None:
        """Where the writer of the newest term is reached; None where it told nothing."""
        with self._reading() as connection:
            return terms.address(connection)

    def follow_head(self, sequence: int, digest: str) -> None:
        """The head file says that the journal reaches so far, as others wrote it."""
        self._head.write(Head(sequence=sequence, digest=digest))

    def copy_to(self, other: "SqlStore") -> None:
        """Every row to a store that holds none yet, as of one moment."""
        copy_tables(self._readers, other._writer)

    def receivers(self) -> Sequence[bytes]:
        """Receivers of people's messages, encoded."""
        with self._reading() as connection:
            return receivers.rows(connection)

    def keep_receiver(self, receiver: str, body: bytes) -> None:
        """Keeps one more; Fenced where another server leads."""
        with self._writing() as connection:
            self._require_term(connection)
            receivers.keep(connection, receiver, body)

    def change_receiver(self, receiver: str, body: bytes) -> None:
        """Keeps another body of one; Fenced where another server leads."""
        with self._writing() as connection:
            self._require_term(connection)
            receivers.change(connection, receiver, body)

    def forget_receiver(self, receiver: str) -> None:
        """Forgets one; Fenced where another server leads."""
        with self._writing() as connection:
            self._require_term(connection)
            receivers.forget(connection, receiver)

    def _require_term(self, connection: sa.Connection) -> None:
        if self._term is not None:
            terms.require(connection, self._term)

    def owner(self) -> str | None:
        """The data folder's mark that `keep_owner` kept; None where there is none."""
        query = sa.select(meta.c.value).where(meta.c.name == OWNER)
        with self._reading() as connection:
            found: str | None = connection.execute(query).scalar()
            return found

    def keep_owner(self, mark: str) -> None:
        """Keeps a mark of the one data folder that belongs to this journal."""
        with self._writing() as connection:
            connection.execute(meta.delete().where(meta.c.name == OWNER))
            connection.execute(meta.insert(), [{"name": OWNER, "value": mark}])

    def last_sequence(self) -> int:
        """The journal's end, 0 when it is empty."""
        with self._reading() as connection:
            return segments.last_sequence(connection)

    def entries(self, *, after: int, limit: int) -> Sequence[JournalEntry]:
        """The entries that follow `after`, in order, at most `limit`."""
        with self._reading() as connection:
            return self._folded.page(connection, after=after, limit=limit)

    def entries_of(self, kind: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        """Those of one type that follow `after`, in order, at most `limit`.

        Costs a pass over the entries from `after` to the last that is found, but for segments
        without the type.
        """
        with self._reading() as connection:
            return self._folded.page(connection, after=after, limit=limit, kind=kind)

    def foldable(self, *, before_us: int) -> Iterator[Segment]:
        """The segments that `fold` would make, packed and thrown away."""
        after = None
        while made := self._packed(after, before_us):
            yield made.segment
            after = made.segment.last

    def fold(self, *, before_us: int) -> Segment | None:
        """Folds the oldest rows into the next segment; None where too few are old enough. A commit
        waits for no more than what adds one row and removes those of its entries."""
        made = self._packed(None, before_us)
        if made is None:
            return None
        self._crash_point("before_fold")
        with self._writing() as connection:
            self._require_term(connection)
            segments.add(connection, made.row)
            self._crash_point("inside_fold")
            segments.remove_rows(connection, made.row)
            self._crash_point("end_of_fold")
        self._crash_point("after_fold")
        return made.segment

    def _packed(self, after: int | None, before_us: int) -> segments.Made | None:
        with self._reading() as connection:
            after = segments.folded_until(connection) if after is None else after
            return self._folded.packed(connection, after=after, before_us=before_us)

    def answer(self, principal: str, key: str) -> StoredAnswer | None:
        """What was answered under this key; DamagedAnswer where it is not what was written."""
        query = sa.select(answers).where(answers.c.principal == principal, answers.c.key == key)
        with self._reading() as connection:
            row = connection.execute(query).mappings().first()
        return answer_of(row) if row else None

    def answers(self) -> Iterator[StoredAnswer]:
        """All that are kept, in order of user and key; DamagedAnswer at one that is not what was
        written. Each page is a transaction of its own."""
        place = sa.tuple_(answers.c.principal, answers.c.key)
        query = sa.select(answers).order_by(answers.c.principal, answers.c.key).limit(_PAGE)
        page, before = query, ("", "")
        while True:
            with self._reading() as connection:
                rows = connection.execute(page).mappings().all()
            if not rows:
                return
            found = list(map(answer_of, rows))
            following = (found[-1].principal, found[-1].key)
            if following <= before:
                raise DamagedAnswer("the table `answers` is not in its order: restore a backup")
            yield from found
            before = following
            page = query.where(place > sa.tuple_(*following))

    def statement(
        self, account: str, *, from_us: int | None, to_us: int | None, until: int
    ) -> Sequence[StatedTransfer]:
        """Every transfer of an account in [from_us, to_us) up to entry `until`, in the journal's
        order."""
        with self._reading() as connection:
            return statements.lines(connection, account, statements.within(from_us, to_us, until))

    def statement_page(
        self,
        account: str,
        *,
        from_us: int,
        to_us: int,
        after: tuple[int, int],
        until: int,
        limit: int,
    ) -> Sequence[StatedTransfer]:
        """The same from behind a (sequence, position) on, at most `limit`."""
        within = [*statements.within(from_us, to_us, until), *statements.behind(after)]
        with self._reading() as connection:
            return statements.lines(connection, account, within, limit=limit)

    def moved(
        self, account: str, *, from_us: int, to_us: int, until: int, limit: int
    ) -> Sequence[Moved]:
        """What an account moved in [from_us, to_us), added up by kind and workload."""
        within = statements.within(from_us, to_us, until)
        with self._reading() as connection:
            return statements.moved(connection, account, within, limit=limit)

    def balance(self, account: str, *, before_us: int | None, until: int) -> int:
        """What an account had received less what it had paid before an instant, by the entries up
        to `until`, in micro-units."""
        with self._reading() as connection:
            within = statements.within(None, before_us, until)
            return statements.balance(connection, account, within)

    def charges(self, sequences: Sequence[int]) -> Sequence[StatedTransfer]:
        """What users paid for work in these entries, in the journal's order."""
        with self._reading() as connection:
            return statements.charges(connection, sequences)

    def stated(self, *, after: int, until: int) -> Sequence[StatedTransfer]:
        """Every transfer of the entries in (after, until], in the journal's order."""
        query = (
            sa.select(transfers)
            .where(transfers.c.sequence > after, transfers.c.sequence <= until)
            .order_by(transfers.c.sequence, transfers.c.position)
        )
        with self._reading() as connection:
            return [stated_of(row) for row in connection.execute(query).mappings()]

    def stray_transfer(self) -> int | None:
        """The first sequence of a transfer that belongs to no entry. One look-up a transfer whose
        entry is in no segment."""
        entry = sa.select(journal.c.sequence).where(journal.c.sequence == transfers.c.sequence)
        first = sa.select(sa.func.min(transfers.c.sequence))
        with self._reading() as connection:
            is_row = transfers.c.sequence > segments.folded_until(connection)
            query = first.where(sa.or_(transfers.c.sequence < 1, is_row & ~entry.exists()))
            return connection.execute(query).scalar()

    def account_sums(self, *, until: int | None = None) -> Mapping[str, int]:
        """What each account received less what it paid, by the transfers of the entries up to
        `until`: in one pass a side."""
        with self._reading() as connection:
            return statements.account_sums(connection, until)

    def keep_snapshot(self, snapshot: StoredSnapshot, *, keep: int) -> None:
        """Adds a snapshot; of the older ones the newest `keep - 1` stay."""
        with self._writing() as connection:
            same = snapshots.c.sequence == snapshot.sequence
            connection.execute(snapshots.delete().where(same))
            row = {"digest": _digest(snapshot.body), **msgspec.structs.asdict(snapshot)}
            connection.execute(snapshots.insert(), [row])
            newest = sa.select(snapshots.c.sequence).order_by(snapshots.c.sequence.desc())
            kept = connection.execute(newest.limit(keep)).scalars().all()
            connection.execute(snapshots.delete().where(snapshots.c.sequence < kept[-1]))

    def torn_snapshots(self) -> Sequence[int]:
        """The sequences of snapshots whose body is not what was kept, newest first."""
        query = sa.select(snapshots).order_by(snapshots.c.sequence.desc())
        with self._reading() as connection:
            rows = connection.execute(query)
            return [row.sequence for row in rows if _is_torn(row)]

    def snapshots(self) -> Iterator[StoredSnapshot]:
        """Whole ones, newest first; a torn one is skipped with a line in the log."""
        newest = sa.select(snapshots.c.sequence).order_by(snapshots.c.sequence.desc())
        with self._reading() as connection:
            found = connection.execute(newest).scalars().all()
        for sequence in found:
            query = sa.select(snapshots).where(snapshots.c.sequence == sequence)
            with self._reading() as connection:
                row = connection.execute(query).one()
            if _is_torn(row):
                _log.error("snapshot_torn", sequence=sequence, done="an older one is read")
                continue
            yield StoredSnapshot(sequence=sequence, version=row.version, body=row.body)

    def forget_answers(self, *, before_us: int) -> None:
        """Drops the answers that were given before an instant."""
        with self._writing() as connection:
            connection.execute(answers.delete().where(answers.c.at_us < before_us))

    def close(self) -> None:
        """Lets go of the files."""
        if self._kept is not None:
            self._kept.close()
        self._readers.dispose()
        self._head.close()


def _is_torn(row: "sa.Row[Any]") -> bool:
    return not isinstance(row.body, bytes) or _digest(row.body) != row.digest


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _fenced(after: int, last: int | None) -> Fenced:
    end = "elsewhere" if last is None else f"at {last}"
    return Fenced(
        f"this writer believed that the journal ends at {after}, but it ends {end}: another "
        "server writes to it; this one stops, and a restart reads what was written"
    )
