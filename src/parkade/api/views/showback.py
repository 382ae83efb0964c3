"""Costs added up by month and by org, user or label, exactly as the statements have them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from parkade.api.translate.scalars import amount, instant, microseconds
from parkade.api.views.focus import FUNDING
from parkade.control.origins import Origin
from parkade.core.ledger.accounts import TransferKind
from parkade.core.units.money import MICROSECONDS_PER_HOUR
from parkade.ports import Moved
from parkade.wire import costs as wire


def months(from_us: int, to_us: int) -> list[tuple[str, int, int]]:
    """(name, from, to) of each calendar month in UTC of [from, to), cut to it."""
    found = []
    first = instant(from_us).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while microseconds(first) < to_us:
        upcoming = _next(first)
        begin_us, end_us = max(from_us, microseconds(first)), min(to_us, microseconds(upcoming))
        found.append((f"{first:%Y-%m}", begin_us, end_us))
        first = upcoming
    return found


def _next(first: datetime) -> datetime:
    if first.month < 12:
        return first.replace(month=first.month + 1)
    return first.replace(year=first.year + 1, month=1)


class Sums:
    """Adds up what accounts moved. `label`: the key, where it is by label."""

    def __init__(self, by: wire.ShowbackBy, label: str | None) -> None:
        self._by = by
        self._label = label
        self._sums: dict[tuple[str, str, str | None], list[int]] = {}

    def add(
        self, month: str, org: str, moved: Sequence[Moved], origins: Mapping[str, Origin]
    ) -> None:
        """What an org's account moved in a month; `origins` of the workloads that it paid for."""
        for it in moved:
            if it.kind in FUNDING:
                continue
            is_work = it.kind.is_paid_by_user
            origin = origins.get(it.workload or "") if is_work else None
            key = (month, org, self._of(origin))
            sums = self._sums.setdefault(key, [0, 0, 0, 0])
            if is_work:
                sums[0] += it.gpu_us
            place = 3 if not it.is_paid else 2 if it.kind is TransferKind.RESERVATION else 1
            sums[place] += it.micros

    def _of(self, origin: Origin | None) -> str | None:
        if origin is None or self._by == "org":
            return None
        return origin.user if self._by == "user" else dict(origin.labels).get(self._label or "")

    def lines(self) -> tuple[wire.ShowbackLine, ...]:
        """In order of month, org and what they are of."""
        order = sorted(self._sums, key=lambda key: (key[0], key[1], key[2] or ""))
        return tuple(_line(key, *self._sums[key]) for key in order)


def _line(
    key: tuple[str, str, str | None], gpu_us: int, used: int, reserved: int, received: int
) -> wire.ShowbackLine:
    month, org, of = key
    hours = (Decimal(gpu_us) / MICROSECONDS_PER_HOUR).quantize(Decimal("0.000001"))
    return wire.ShowbackLine(
        month=month,
        org=org,
        of=of,
        gpu_hours=hours,
        used=amount(used),
        reserved=amount(reserved),
        received=amount(received),
        net=amount(used + reserved - received),
    )
