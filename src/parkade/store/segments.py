"""The journal as its readers see it: the newest entries are rows, those before lie in segments.

Segments follow one another from entry 1 without a gap, and the rows follow the segments. A reader
gets the same entries with the same digests whether they were folded or not; one look-up tells that
there is no segment beyond a place, so that reading the newest entries costs
nothing else.

A segment is made in one transaction. It is packed, unpacked and compared with the rows before;
inside, its row is added, read back and compared, and then the rows of its entries are removed. A
death at any place leaves the rows or the segment. Decision record 216.
"""

import threading
from collections import OrderedDict

import msgspec
import sqlalchemy as sa

from parkade.core.state.chain import GENESIS
from parkade.ports import JournalEntry, Segment, StoreError
from parkade.store.rows import entry_of
from parkade.store.segment_body import Packed, pack, unpack
from parkade.store.tables import journal, segments, snapshots

ENTRIES = 1_000
"""A segment is whole with so many entries, or with so many bytes of bodies."""
BYTES = 4 * 1024 * 1024
_HELD = 4
# A row of `journal` beside its type and body: four numbers of 8 bytes at most, and a digest.
_ROW_BYTES = 32 + len(GENESIS)
# A row of `segments` beside its kinds and body: six numbers, and two digests.
_SEGMENT_BYTES = 48 + 2 * len(GENESIS)

# Of each commit, so they are put together once.
_LAST_ROW = sa.select(sa.func.max(journal.c.sequence))
_LAST_SEGMENT = sa.select(sa.func.max(segments.c.last))


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that is packed and checked, not kept yet: its row, and what is told of it."""

    row: Packed
    segment: Segment


class Folded:
    """The segments of a store. The last few that were read are held unpacked, for all threads."""

    def __init__(self, *, entries: int = ENTRIES) -> None:
        self._entries = entries
        self._held: OrderedDict[int, list[JournalEntry]] = OrderedDict()
        self._lock = threading.Lock()

    def page(
        self, connection: sa.Connection, *, after: int, limit: int, kind: str | None = None
    ) -> list[JournalEntry]:
        """The entries that follow `after`, of one type or of all, in order, at most `limit`.

        The connection must see one state of the database. Of one type: unpacks only the segments
        that have it, and passes over the rows.
        """
        found = self._from_segments(connection, after, limit, kind)
        if len(found) == limit:
            return found
        query = sa.select(journal).where(journal.c.sequence > after)
        if kind is not None:
            query = query.where(journal.c.type == kind)
        query = query.order_by(journal.c.sequence).limit(limit - len(found))
        found += [entry_of(row) for row in connection.execute(query).mappings()]
        return found

    def _from_segments(
        self, connection: sa.Connection, after: int, limit: int, kind: str | None
    ) -> list[JournalEntry]:
        found: list[JournalEntry] = []
        while len(found) < limit:
            query = sa.select(segments.c.last).where(segments.c.last > after)
            if kind is not None:
                query = query.where(segments.c.kinds.contains(f"\n{kind}\n", autoescape=True))
            last = connection.execute(query.order_by(segments.c.last).limit(1)).scalar()
            if last is None:
                return found
            some = [
                entry
                for entry in self._unpacked(connection, last)
                if entry.sequence > after and kind in (None, entry.type)
            ]
            found += some[: limit - len(found)]
            after = last
        return found

    def _unpacked(self, connection: sa.Connection, last: int) -> list[JournalEntry]:
        with self._lock:
            if last in self._held:
                self._held.move_to_end(last)
                return self._held[last]
        packed = _packed(connection, last)
        if packed is None:
            raise StoreError(f"the segment that ends with entry {last} is gone: restore a backup")
        entries = unpack(packed)
        with self._lock:
            self._held[last] = entries
            while len(self._held) > _HELD:
                self._held.popitem(last=False)
        return entries

    def packed(self, connection: sa.Connection, *, after: int, before_us: int) -> Made | None:
        """The segment of the entries that follow `after`, checked; None where too few are old
        enough and lie before the newest snapshot."""
        last = self._end_of_run(connection, after, before_us)
        if last is None:
            return None
        query = sa.select(journal).where(journal.c.sequence.between(after + 1, last))
        rows = connection.execute(query.order_by(journal.c.sequence)).mappings()
        entries = [entry_of(row) for row in rows]
        row = pack(entries, self._digest_at(connection, after))
        segment = Segment(
            first=row.first,
            last=row.last,
            first_at_us=row.first_at_us,
            last_at_us=row.last_at_us,
            row_bytes=sum(len(it.body) + len(it.type) + _ROW_BYTES for it in entries),
            bytes=len(row.body) + len(row.kinds) + _SEGMENT_BYTES,
        )
        return Made(row=row, segment=segment)

    def _end_of_run(self, connection: sa.Connection, after: int, before_us: int) -> int | None:
        newest = connection.execute(sa.select(sa.func.max(snapshots.c.sequence))).scalar() or 0
        size = sa.func.length(journal.c.body)
        query = sa.select(journal.c.sequence, journal.c.at_us, size)
        query = query.where(journal.c.sequence > after, journal.c.sequence < newest)
        rows = connection.execute(query.order_by(journal.c.sequence).limit(self._entries))
        total = 0
        for number, (sequence, at_us, length) in enumerate(rows, 1):
            if sequence != after + number or at_us >= before_us:
                return None
            total += length
            if number == self._entries or total >= BYTES:
                return int(sequence)
        return None

    def _digest_at(self, connection: sa.Connection, sequence: int) -> str:
        if sequence == 0:
            return GENESIS
        query = sa.select(segments.c.digest_after).where(segments.c.last == sequence)
        found: str | None = connection.execute(query).scalar()
        if found is None:
            found = self.page(connection, after=sequence - 1, limit=1)[0].digest
        return found


def last_sequence(connection: sa.Connection) -> int:
    """The journal's end, 0 when it is empty."""
    return connection.execute(_LAST_ROW).scalar() or folded_until(connection)


def folded_until(connection: sa.Connection) -> int:
    """The last entry that lies in a segment; 0 where there is none."""
    return connection.execute(_LAST_SEGMENT).scalar() or 0


def add(connection: sa.Connection, packed: Packed) -> None:
    """Adds the segment, inside the caller's transaction. StoreError where it is not the next, or
    not kept as it was packed."""
    if folded_until(connection) != packed.first - 1:
        raise StoreError("another process archives this journal; let it go on alone")
    connection.execute(segments.insert(), [msgspec.structs.asdict(packed)])
    if _packed(connection, packed.last) != packed:
        raise StoreError(
            f"the segment of entries {packed.first} to {packed.last} was not kept as it is: nothing"
            " was removed; look at the database"
        )


def remove_rows(connection: sa.Connection, packed: Packed) -> None:
    """Removes the rows of its entries, inside the same transaction."""
    inside = journal.c.sequence.between(packed.first, packed.last)
    removed = connection.execute(journal.delete().where(inside)).rowcount
    if removed != packed.last - packed.first + 1:
        raise StoreError("another process changed this journal; nothing was removed")


def _packed(connection: sa.Connection, last: int) -> Packed | None:
    query = sa.select(segments).where(segments.c.last == last)
    row = connection.execute(query).mappings().first()
    return None if row is None else Packed(**row)
