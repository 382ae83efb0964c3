"""What the store tells beside the writer: statements, what credits rest on, digests of entries.

A few threads of its own read the store, so that neither the event loop nor the writer waits for
it, and long statements keep no other work waiting. What is read is committed; the world may be a
commit ahead by then.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from parkade.control.origins import Origin, Origins
from parkade.core.ledger.accounts import TransferKind
from parkade.core.reservations.missing import MissingNode
from parkade.core.state.codec import decode_event
from parkade.core.state.events import ReservationSettled
from parkade.ports import JournalEntry, Moved, StatedTransfer, Store

_MOST_CREDITS = 100
"""Credits of one statement whose evidence is looked up."""

_THREADS = 4
_PAGE = 1_000

_T = TypeVar("_T")


class AccountStatement(msgspec.Struct, frozen=True, kw_only=True):
    """An account's transfers in a time, as of one commit; amounts in micro-units.

    `opening`: what it held before that time. `balance`: what it holds.
    """

    opening: int
    balance: int
    transfers: tuple[StatedTransfer, ...]

    guests: tuple[StatedTransfer, ...] = ()
    """What guests paid in the entries in which the account earned by lending."""


class Archive:
    """The committed journal and its transfers, to be read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._origins = Origins(store)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="parkade-archive")

    def close(self) -> None:
        """Lets the threads end."""
        self._threads.shutdown()

    async def statement(
        self, account: str, *, from_us: int | None, to_us: int | None, until: int | None = None
    ) -> AccountStatement:
        """Every transfer of an account in [from_us, to_us), in order, and its balances, as of a
        commit: that of the entry `until`, None: the last one."""
        return await self._in_thread(lambda: self._statement(account, from_us, to_us, until))

    def _statement(
        self, account: str, from_us: int | None, to_us: int | None, until: int | None
    ) -> AccountStatement:
        store = self._store
        if until is None:
            until = store.last_sequence()  # So that all that is read is of one commit.
        lines = store.statement(account, from_us=from_us, to_us=to_us, until=until)
        earned = [it.sequence for it in lines if it.transfer.kind is TransferKind.PAYOUT]
        return AccountStatement(
            opening=0
            if from_us is None
            else store.balance(account, before_us=from_us, until=until),
            balance=store.balance(account, before_us=None, until=until),
            transfers=tuple(lines),
            guests=tuple(store.charges(earned)),
        )

    async def pages(
        self, account: str, *, from_us: int, to_us: int, after: tuple[int, int] = (0, -1)
    ) -> AsyncIterator[Sequence[StatedTransfer]]:
        """The same transfers page by page, as of one commit: of any number of them no more than a
        page is held. `after`: those behind this (sequence, position) alone."""
        store = self._store
        until = await self._in_thread(store.last_sequence)
        while True:
            page = await self._in_thread(
                lambda after=after: store.statement_page(  # type: ignore[misc]
                    account, from_us=from_us, to_us=to_us, after=after, until=until, limit=_PAGE
                )
            )
            if page:
                yield page
            if len(page) < _PAGE:
                return
            after = (page[-1].sequence, page[-1].position)

    async def moved(self, account: str, *, from_us: int, to_us: int, limit: int) -> Sequence[Moved]:
        """What an account moved in [from_us, to_us), by kind and workload; at most so many sums."""
        store = self._store
        return await self._in_thread(
            lambda: store.moved(
                account, from_us=from_us, to_us=to_us, until=store.last_sequence(), limit=limit
            )
        )

    async def origins(self, workloads: Iterable[str]) -> dict[str, Origin]:
        """The origins of workloads, also of those that the world has forgotten."""
        named = frozenset(workloads)
        return await self._in_thread(lambda: self._origins.of(named)) if named else {}

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
            entries = await self._entry(sequence)
            event = decode_event(entries[0].body, entries[0].version) if entries else None
            if isinstance(event, ReservationSettled):
                found[sequence] = event.missing
        return found

    async def digest_at(self, sequence: int) -> str | None:
        """The digest of the journal's entry; None where there is none of that number."""
        entries = await self._entry(sequence)
        return entries[0].digest if entries and entries[0].sequence == sequence else None

    async def _entry(self, sequence: int) -> Sequence[JournalEntry]:
        return await self._in_thread(lambda: self._store.entries(after=sequence - 1, limit=1))

    async def _in_thread(self, read: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, read)
