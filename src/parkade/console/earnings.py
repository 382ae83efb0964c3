"""What orgs earned by lending, by day: each transfer is read once, in steps of a bounded size.

A look reads at most `MOST_PAGES` pages of the org's transfers further than the one before; days
that were not read yet are not told, so a day never shows less than it earned but today's.
"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from parkade.api.translate.scalars import instant, microseconds
from parkade.control.archive import Archive
from parkade.core.ledger.accounts import TransferKind, org_account
from parkade.ports import StatedTransfer

REACHES_BACK = timedelta(days=62)
"""The weeks of a month and of the one before."""

MOST_PAGES = 20
MOST_ORGS = 256
MOST_SUMMED = 64
"""Orgs whose days are added up for an operator."""


class _Org:
    """How far an org was read."""

    def __init__(self, since: datetime) -> None:
        self.since = since
        self.after = (0, -1)
        self.by_day: defaultdict[date, int] = defaultdict(int)
        self.is_complete = False
        self.last: date | None = None
        self.lock = asyncio.Lock()

    def take(self, line: StatedTransfer, account: str) -> None:
        """One more transfer."""
        self.after = (line.sequence, line.position)
        self.last = instant(line.at_us).date()
        if line.transfer.kind is TransferKind.PAYOUT and line.transfer.credit == account:
            self.by_day[self.last] += line.transfer.micros

    def has_read(self, day: date) -> bool:
        """Whether a day is read whole, or as far as it is over."""
        return self.is_complete or (self.last is not None and day < self.last)


class Earnings:
    """By org, what was read. Used in one event loop."""

    def __init__(self, archive: Archive, *, most_pages: int = MOST_PAGES) -> None:
        self._archive = archive
        self._most_pages = most_pages
        self._orgs: OrderedDict[str, _Org] = OrderedDict()

    async def by_day(self, org: str, now: datetime) -> dict[date, int]:
        """Micro-units by day, as far as they are read; days without any are left out."""
        found = await self._of(org, now, self._most_pages)
        return {day: micros for day, micros in found.by_day.items() if found.has_read(day)}

    async def of_all(self, orgs: Sequence[str], now: datetime) -> dict[date, int]:
        """By day, what all of these earned; a day is left out until it is read of each. Of more
        than `MOST_SUMMED` orgs no sum is told. A look reads no more than for one org."""
        if len(orgs) > MOST_SUMMED:
            return {}
        most = max(1, self._most_pages // max(1, len(orgs)))
        found = [await self._of(org, now, most) for org in orgs]
        days = sorted({day for each in found for day in each.by_day})
        return {
            day: sum(each.by_day.get(day, 0) for each in found)
            for day in days
            if all(each.has_read(day) for each in found)
        }

    async def _of(self, org: str, now: datetime, most_pages: int) -> _Org:
        found = self._orgs.pop(org, None) or _Org(now - REACHES_BACK)
        self._orgs[org] = found
        if len(self._orgs) > MOST_ORGS:
            self._orgs.popitem(last=False)
        async with found.lock:
            await self._read_on(found, org_account(org), now, most_pages)
        return found

    async def _read_on(self, found: _Org, account: str, now: datetime, most_pages: int) -> None:
        pages = self._archive.pages(
            account,
            from_us=microseconds(found.since),
            to_us=microseconds(now) + 1,
            after=found.after,
        )
        count, found.is_complete = 0, False
        async for page in pages:
            for line in page:
                found.take(line, account)
            count += 1
            if count == most_pages:
                return
        found.is_complete = True
