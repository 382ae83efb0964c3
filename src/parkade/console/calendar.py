"""Reservations over the days of a week or a month: which bar stands where, and what happens when.

Weeks begin on Monday, times are UTC. A reservation is a bar over its window; bars that overlap in
a week lie in different lanes, the earliest start on top. A claim and what is on offer are parts of
a bar: claims from when they were made, the offer from now on, for what was lent before now is told
by what it earned.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple

from parkade.wire.reservations import Claim, Reservation

View = Literal["week", "month"]
_Share = Callable[[datetime], float]
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
MOST_LANES = {"week": 24, "month": 6}
"""Bars one above the other; what finds no lane is counted."""


class Part(NamedTuple):
    """Some nodes of a bar over a time, in shares of the week; `kind`: claimed or offered."""

    kind: str
    start: float
    end: float
    nodes: int


class Bar(NamedTuple):
    """A reservation in a week: from and to in shares of the week's length."""

    reservation: Reservation
    lane: int
    start: float
    end: float
    begins_here: bool
    ends_here: bool
    parts: tuple[Part, ...]


class Week(NamedTuple):
    """Seven days from Monday on. `now`: in shares of its length, None outside it."""

    days: tuple[date, ...]
    bars: tuple[Bar, ...]
    lanes: int
    left_out: int
    now: float | None


class Happening(NamedTuple):
    """An instant of the calendar that a person may wait for."""

    at: datetime
    reservation: Reservation
    says: str


class Calendar(NamedTuple):
    """A week or a month. `month`: the number of the month that it is about; None for a week."""

    view: View
    first: date
    title: str
    month: int | None
    weeks: tuple[Week, ...]
    happenings: tuple[Happening, ...]
    before: date
    after: date


def calendar(
    view: View,
    day: date,
    *,
    now: datetime,
    reservations: Sequence[Reservation],
    claims: Iterable[Claim],
) -> Calendar:
    """The week or month that a day lies in. Cost: weeks × reservations × lanes."""
    claims_of: dict[str, list[Claim]] = {}
    for claim in claims:
        claims_of.setdefault(claim.reservation, []).append(claim)
    if view == "week":
        first, mondays, month = monday(day), [monday(day)], None
        before, after = first - WEEK, first + WEEK
        title = f"{first.day} {first:%B} to {_last(first).day} {_last(first):%B %Y}"
    else:
        first, month = day.replace(day=1), day.month
        before = (first - DAY).replace(day=1)
        after = (first + 31 * DAY).replace(day=1)
        mondays = [monday(first)]
        while mondays[-1] + WEEK < after:
            mondays.append(mondays[-1] + WEEK)
        title = f"{first:%B %Y}"
    weeks = tuple(_week(it, view, now, reservations, claims_of) for it in mondays)
    span = (_at(mondays[0]), _at(mondays[-1] + WEEK))
    return Calendar(
        view, first, title, month, weeks, happenings(reservations, *span), before, after
    )


def monday(day: date) -> date:
    """The first day of its week."""
    return day - timedelta(days=day.weekday())


def _last(first: date) -> date:
    return first + 6 * DAY


def _at(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _week(
    first: date,
    view: View,
    now: datetime,
    reservations: Sequence[Reservation],
    claims_of: dict[str, list[Claim]],
) -> Week:
    start, end = _at(first), _at(first + WEEK)

    def share(at: datetime) -> float:
        return (min(max(at, start), end) - start) / WEEK

    here = [it for it in reservations if it.start < end and (it.end is None or it.end > start)]
    here.sort(key=lambda it: (it.start, it.reservation))
    free_from: list[float] = []
    bars, left_out = [], 0
    for each in here:
        from_, to = share(each.start), 1.0 if each.end is None else share(each.end)
        lane = next((at for at, until in enumerate(free_from) if until <= from_), len(free_from))
        if lane == MOST_LANES[view]:
            left_out += 1
            continue
        free_from[lane : lane + 1] = [to]
        parts = _parts(each, claims_of.get(each.reservation, ()), now, share)
        ends_here = each.end is not None and each.end <= end
        bars.append(Bar(each, lane, from_, to, each.start >= start, ends_here, parts))
    days = tuple(first + number * DAY for number in range(7))
    return Week(
        days, tuple(bars), len(free_from), left_out, share(now) if start <= now < end else None
    )


def _parts(
    reservation: Reservation, claims: Iterable[Claim], now: datetime, share: _Share
) -> tuple[Part, ...]:
    """Claims below, the offer above, as far as they reach into the week."""
    to = 1.0 if reservation.end is None else share(reservation.end)
    found, claimed = [], 0
    for claim in claims:
        claimed += claim.nodes
        found.append(Part("claimed", share(max(claim.claimed, reservation.start)), to, claim.nodes))
    if reservation.lending is not None and reservation.state in ("in_force", "sold"):
        offered = reservation.nodes - reservation.lending.keep - claimed
        from_ = share(max(now, reservation.start))
        found.append(Part("offered", from_, to, offered))
    return tuple(it for it in found if it.end > it.start and it.nodes > 0)


def happenings(
    reservations: Iterable[Reservation], start: datetime, end: datetime
) -> tuple[Happening, ...]:
    """Starts, ends and the next charges in [start, end), in order of time."""
    found = []
    for each in reservations:
        found.append(Happening(each.start, each, "starts"))
        if each.end is not None:
            found.append(Happening(each.end, each, "ends"))
        if each.paid_until is not None and each.paid_until != each.end and not is_over(each):
            found.append(Happening(each.paid_until, each, "is charged for its next period"))
    found.sort(key=lambda it: (it.at, it.reservation.reservation, it.says))
    return tuple(it for it in found if start <= it.at < end)


def is_over(reservation: Reservation) -> bool:
    """Whether the right has ended."""
    return reservation.state in ("ended", "lapsed")
