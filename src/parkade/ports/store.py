"""What keeps the journal: the one contract of every store, and its records."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from parkade.core.ledger.accounts import Transfer, TransferKind


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event as it is kept for ever: `version` is the encoding's, `body` the encoded event,
    `digest` that of the chain up to it (`core.state.chain`)."""

    sequence: int
    epoch: int
    at_us: int
    type: str
    version: int
    body: bytes
    digest: str


class StatedTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a statement: the transfer, and the event (`sequence`) that moved the money."""

    sequence: int
    position: int
    at_us: int
    transfer: Transfer


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What an account moved of one kind for one workload, added up over a time. `is_paid`: it paid,
    else it received. `gpu_us`: GPUs times microseconds of the use that it was for."""

    kind: TransferKind
    is_paid: bool
    workload: str | None
    micros: int
    gpu_us: int


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a principal was told under an idempotency key; `body` is the encoded outcome."""

    principal: str
    key: str
    request_digest: str
    body: bytes
    sequence: int
    at_us: int


class StoredSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The world after event `sequence`, encoded."""

    sequence: int
    version: int
    body: bytes


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction adds. `after` is the last sequence that the writer knows of."""

    after: int
    entries: tuple[JournalEntry, ...]
    transfers: tuple[StatedTransfer, ...]
    answers: tuple[StoredAnswer, ...]


class StoreError(Exception):
    """The store could not be read or written; the message says what to do about it."""


class Fenced(StoreError):
    """Another writer went on with this journal; this process must stop."""


class DamagedAnswer(StoreError):
    """An answer kept for repeated requests is not what was written."""


class Store(Protocol):
    """Keeps the journal and what answers and statements need; one suite for every store.

    `commit` is called by the writer's thread alone; the others by any thread.
    """

    def commit(self, batch: Batch) -> None:
        """Adds all of it durably, or nothing. Fenced where `after` is not the journal's end."""
        ...

    def last_sequence(self) -> int:
        """The journal's end, 0 when it is empty."""
        ...

    def entries(self, *, after: int, limit: int) -> Sequence[JournalEntry]:
        """The entries that follow `after`, in order, at most `limit`."""
        ...

    def entries_of(self, kind: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        """Those of one type that follow `after`, in order, at most `limit`."""
        ...

    def answer(self, principal: str, key: str) -> StoredAnswer | None:
        """What was answered under this key; DamagedAnswer where it is not what was written."""
        ...

    def answers(self) -> Iterator[StoredAnswer]:
        """All that are kept, in order of user and key; DamagedAnswer at one that is not what was
        written."""
        ...

    def statement(
        self, account: str, *, from_us: int | None, to_us: int | None, until: int
    ) -> Sequence[StatedTransfer]:
        """Every transfer of an account in [from_us, to_us) up to entry `until`, in the journal's
        order."""
        ...

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
        ...

    def moved(
        self, account: str, *, from_us: int, to_us: int, until: int, limit: int
    ) -> Sequence[Moved]:
        """What an account moved in [from_us, to_us) up to entry `until`, added up by kind and
        workload and in that order; at most `limit` sums."""
        ...

    def balance(self, account: str, *, before_us: int | None, until: int) -> int:
        """What an account had received less what it had paid before an instant, by the entries up
        to `until`, in micro-units."""
        ...

    def stated(self, *, after: int, until: int) -> Sequence[StatedTransfer]:
        """Every transfer of the entries in (after, until], in the journal's order."""
        ...

    def stray_transfer(self) -> int | None:
        """The first sequence of a transfer that belongs to no entry; None where there is none."""
        ...

    def account_sums(self, *, until: int | None = None) -> Mapping[str, int]:
        """What each account received less what it paid, by the transfers that statements show, of
        the entries up to `until`; None: of all."""
        ...

    def keep_snapshot(self, snapshot: StoredSnapshot, *, keep: int) -> None:
        """Adds a snapshot; of the older ones the newest `keep - 1` stay."""
        ...

    def torn_snapshots(self) -> Sequence[int]:
        """The sequences of snapshots whose body is not what was kept, newest first."""
        ...

    def snapshots(self) -> Iterator[StoredSnapshot]:
        """Whole ones, newest first; a torn one is skipped with a line in the log."""
        ...

    def forget_answers(self, *, before_us: int) -> None:
        """Drops the answers that were given before an instant."""
        ...

    def close(self) -> None:
        """Lets go of the files."""
        ...
