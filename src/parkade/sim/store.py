"""The journal's database in memory, with its two parts kept apart: what is durable, and the rest.

It passes the suite of every store. A crash leaves the durable part (`Disk`), which the next server
opens; a backup is a copy of it. Faults are asked of `StoreFaults` at each place where a database
can fail: before a commit, inside it, after it; at a snapshot.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy

from parkade.core.ledger.accounts import TransferKind
from parkade.ports import (
    Batch,
    Fenced,
    JournalEntry,
    Moved,
    StatedTransfer,
    StoredAnswer,
    StoredSnapshot,
    StoreError,
)

AtSeam = Callable[[str], None]


class Disk:
    """What a loss of power leaves. A backup shares the entries, which never change."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self.transfers: list[StatedTransfer] = []
        self.answers: dict[tuple[str, str], StoredAnswer] = {}
        self.snapshots: dict[int, tuple[StoredSnapshot, str]] = {}
        self.is_full = False
        """Whether a commit fails for want of room."""

    def backup(self) -> "Disk":
        """A copy as of now."""
        made = copy(self)
        made.entries, made.transfers = list(self.entries), list(self.transfers)
        made.answers, made.snapshots = dict(self.answers), dict(self.snapshots)
        made.is_full = False
        return made

    def tear_snapshot(self) -> None:
        """The newest snapshot is not what was kept any more."""
        if self.snapshots:
            newest = max(self.snapshots)
            snapshot, digest = self.snapshots[newest]
            body = snapshot.body[: len(snapshot.body) // 2]
            torn = StoredSnapshot(sequence=newest, version=snapshot.version, body=body)
            self.snapshots[newest] = (torn, digest)


class MemoryStore:
    """Implements `ports.Store`. `at_seam` hears of each place of a commit, and may raise there."""

    def __init__(self, disk: Disk, at_seam: AtSeam) -> None:
        self._disk = disk
        self._at_seam = at_seam

    def commit(self, batch: Batch) -> None:
        """See `ports.Store`."""
        disk = self._disk
        self._at_seam("before_commit")
        if disk.is_full:
            raise StoreError("the journal could not be written: the disk is full")
        last = self.last_sequence()
        if batch.after != last:
            raise Fenced(
                f"the journal ends at {last}, not {batch.after}: another server writes to it"
            )
        answers = {(it.principal, it.key): it for it in batch.answers}
        if not disk.answers.keys().isdisjoint(answers):
            raise Fenced("another writer answered one of these requests")
        self._at_seam("inside_commit")
        disk.entries.extend(batch.entries)
        disk.transfers.extend(batch.transfers)
        disk.answers.update(answers)
        self._at_seam("after_commit")

    def last_sequence(self) -> int:
        """See `ports.Store`."""
        return self._disk.entries[-1].sequence if self._disk.entries else 0

    def entries(self, *, after: int, limit: int) -> Sequence[JournalEntry]:
        """See `ports.Store`; entry n is the n-th."""
        return self._disk.entries[max(after, 0) : max(after, 0) + limit]

    def entries_of(self, kind: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        """See `ports.Store`; costs a pass over the entries."""
        following = self._disk.entries[max(after, 0) :]
        return [entry for entry in following if entry.type == kind][:limit]

    def answers(self) -> Iterator[StoredAnswer]:
        """All that are kept, in order of user and key."""
        yield from (self._disk.answers[name] for name in sorted(self._disk.answers))

    def answer(self, principal: str, key: str) -> StoredAnswer | None:
        """See `ports.Store`."""
        return self._disk.answers.get((principal, key))

    def statement(
        self, account: str, *, from_us: int | None, to_us: int | None, until: int
    ) -> Sequence[StatedTransfer]:
        """See `ports.Store`; costs a pass over all transfers."""
        return [
            line
            for line in self._disk.transfers
            if account in (line.transfer.debit, line.transfer.credit)
            and line.sequence <= until
            and (from_us is None or line.at_us >= from_us)
            and (to_us is None or line.at_us < to_us)
        ]

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
        """See `ports.Store`; costs a pass over all transfers."""
        lines = self.statement(account, from_us=from_us, to_us=to_us, until=until)
        return [line for line in lines if (line.sequence, line.position) > after][:limit]

    def moved(
        self, account: str, *, from_us: int, to_us: int, until: int, limit: int
    ) -> Sequence[Moved]:
        """See `ports.Store`; costs a pass over all transfers."""
        sums: dict[tuple[TransferKind, str, bool], tuple[int, int]] = {}
        for line in self.statement(account, from_us=from_us, to_us=to_us, until=until):
            it = line.transfer
            key = (it.kind, it.workload or "", it.debit == account)
            micros, gpu_us = sums.get(key, (0, 0))
            length_us = it.use.end_us - it.use.start_us if it.use else 0
            gpus = it.use.gpus if it.use else 0
            sums[key] = (micros + it.micros, gpu_us + gpus * length_us)
        return [
            Moved(
                kind=kind, is_paid=is_paid, workload=workload or None, micros=micros, gpu_us=gpu_us
            )
            for (kind, workload, is_paid), (micros, gpu_us) in sorted(sums.items())
        ][:limit]

    def balance(self, account: str, *, before_us: int | None, until: int) -> int:
        """See `ports.Store`; costs a pass over all transfers."""
        before = self.statement(account, from_us=None, to_us=before_us, until=until)
        return sum(
            line.transfer.micros if line.transfer.credit == account else -line.transfer.micros
            for line in before
        )

    def charges(self, sequences: Sequence[int]) -> Sequence[StatedTransfer]:
        """What users paid for work in these entries, in the journal's order. Looks at all."""
        asked = set(sequences)
        whole = self.stated(after=0, until=self.last_sequence())
        return [it for it in whole if it.sequence in asked and it.transfer.kind.is_paid_by_user]

    def stated(self, *, after: int, until: int) -> Sequence[StatedTransfer]:
        """See `ports.Store`; costs a pass over all transfers."""
        return [line for line in self._disk.transfers if after < line.sequence <= until]

    def stray_transfer(self) -> int | None:
        """See `ports.Store`."""
        last = self.last_sequence()
        return min((it.sequence for it in self._disk.transfers if it.sequence > last), default=None)

    def account_sums(self, *, until: int | None = None) -> Mapping[str, int]:
        """See `ports.Store`."""
        sums: Counter[str] = Counter()
        for line in self._disk.transfers:
            if until is not None and line.sequence > until:
                continue
            sums[line.transfer.debit] -= line.transfer.micros
            sums[line.transfer.credit] += line.transfer.micros
        return sums

    def keep_snapshot(self, snapshot: StoredSnapshot, *, keep: int) -> None:
        """See `ports.Store`."""
        self._at_seam("snapshot")
        kept = self._disk.snapshots
        kept[snapshot.sequence] = (snapshot, _digest(snapshot.body))
        for sequence in sorted(kept)[:-keep]:
            del kept[sequence]

    def torn_snapshots(self) -> Sequence[int]:
        """See `ports.Store`."""
        kept = self._disk.snapshots
        return [it for it in sorted(kept, reverse=True) if _is_torn(*kept[it])]

    def snapshots(self) -> Iterator[StoredSnapshot]:
        """See `ports.Store`."""
        kept = dict(self._disk.snapshots)
        for sequence in sorted(kept, reverse=True):
            snapshot, digest = kept[sequence]
            if not _is_torn(snapshot, digest):
                yield snapshot

    def forget_answers(self, *, before_us: int) -> None:
        """See `ports.Store`."""
        kept = self._disk.answers
        self._disk.answers = {key: it for key, it in kept.items() if it.at_us >= before_us}

    def close(self) -> None:
        """See `ports.Store`; nothing is open."""


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _is_torn(snapshot: StoredSnapshot, digest: str) -> bool:
    return _digest(snapshot.body) != digest
