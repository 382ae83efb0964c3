"""What the store tells beside the writer: statements, what credits rest on, digests of entries.

Each call reads the store in a thread of its own, so that neither the event loop nor the writer
waits for it. What is read is committed; the world may be a commit ahead by then.
"""

import asyncio
from collections.abc import Sequence

from parkade.core.ledger.accounts import TransferKind
from parkade.core.reservations.missing import MissingNode
from parkade.core.state.codec import decode_event
from parkade.core.state.events import ReservationSettled
from parkade.ports import StatedTransfer, Store

_MOST_CREDITS = 100
"""Credits of one statement whose evidence is looked up."""


class Archive:
    """The committed journal and its transfers, to be read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def statement(
        self, account: str, *, from_us: int | None, to_us: int | None
    ) -> list[StatedTransfer]:
        """Every transfer of an account in [from_us, to_us), in order."""
        read = self._store.statement
        return list(await asyncio.to_thread(read, account, from_us=from_us, to_us=to_us))

    async def balance_before(self, account: str, at_us: int) -> int:
        """What an account held before an instant, by its transfers, in micro-units."""
        return await asyncio.to_thread(self._store.balance_before, account, at_us)

    async def evidence(
        self, stated: Sequence[StatedTransfer]
    ) -> dict[int, tuple[MissingNode, ...]]:
        """By sequence, the nodes that the newest credits of a statement rest on. Reads one entry of
        the journal for each."""
        credits = dict.fromkeys(
            it.sequence for it in stated if it.transfer.kind is TransferKind.CREDIT
        )
        found: dict[int, tuple[MissingNode, ...]] = {}
        for sequence in tuple(credits)[-_MOST_CREDITS:]:
            entries = await asyncio.to_thread(self._store.entries, after=sequence - 1, limit=1)
            event = decode_event(entries[0].body, entries[0].version) if entries else None
            if isinstance(event, ReservationSettled):
                found[sequence] = event.missing
        return found

    async def digest_at(self, sequence: int) -> str | None:
        """The digest of the journal's entry; None where there is none of that number."""
        entries = await asyncio.to_thread(self._store.entries, after=sequence - 1, limit=1)
        return entries[0].digest if entries and entries[0].sequence == sequence else None
