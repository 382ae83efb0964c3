"""Reservations over the days of a week or a month: which bar stands where, and what happens when.

Weeks begin on Monday, times are UTC. A reservation is a bar over its window; bars that overlap in
a week lie in different lanes, the earliest start on top. A claim and what is on offer are parts of
a bar: claims from when they were made, ended ones until they ended, the offer from now on, for what
was lent before now is told by what it earned. Claims lie below the offer; an ended one lies on the
lowest nodes that no claim of its time has, so that no two parts cover each other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple

from parkade.console.claims import EndedClaim
from parkade.wire.reservations import Claim, Reservation

View = Literal["week", "month"]
_Share = Callable[[datetime], float]
_Claims = dict[str, tuple[list[Claim], list[EndedClaim]]]
"""By reservation, those that live and those that ended."""
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
MOST_LANES = {"week": 24, "month": 6}
"""Bars one above the other; what finds no lane is counted."""


MOST_ENDED = 200
"""Ended claims that a bar of a week shows, the newest."""


class Part(NamedTuple):
    """Some nodes of a bar over a time, in shares of the week; `kind`: claimed, past (a claim that
    is given up) or offered. `below`: nodes under it. `says`: what it was, of an ended one."""

    kind: str
    start: float
    end: float
    nodes: int
    below: int
    says: str = ""


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
    ended: Iterable[EndedClaim] = (),
) -> Calendar:
    """The week or month that a day lies in. Cost: weeks × reservations × lanes, and the square of
    the ended claims of one bar. What was given up before it began had no time and is left out."""
    reservations = [each for each in reservations if not each.is_given_up]
    claims_of: _Claims = {}
    for claim in claims:
        claims_of.setdefault(claim.reservation, ([], []))[0].append(claim)
    for each in ended:
        claims_of.setdefault(each.reservation, ([], []))[1].append(each)
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
    claims_of: _Claims,
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
        live, ended = claims_of.get(each.reservation, ((), ()))
        parts = (*_parts(each, live, now, share), *_ended(each, live, ended, share))
        ends_here = each.end is not None and each.end <= end
        bars.append(Bar(each, lane, from_, to, each.start >= start, ends_here, parts))
    days = tuple(first + number * DAY for number in range(7))
    return Week(
        days, tuple(bars), len(free_from), left_out, share(now) if start <= now < end else None
    )


def _parts(
    reservation: Reservation, claims: Sequence[Claim], now: datetime, share: _Share
) -> tuple[Part, ...]:
    """Claims that live below, the offer above, as far as they reach into the week."""
    to = 1.0 if reservation.end is None else share(reservation.end)
    found, below = [], 0
    for claim in claims:
        from_ = share(max(claim.claimed, reservation.start))
        found.append(Part("claimed", from_, to, claim.nodes, below))
        below += claim.nodes
    if reservation.lending is not None and reservation.state in ("in_force", "sold"):
        offered = reservation.nodes - reservation.lending.keep - below
        from_ = share(max(now, reservation.start))
        found.append(Part("offered", from_, to, offered, below))
    return tuple(it for it in found if it.end > it.start and it.nodes > 0)


def _ended(
    reservation: Reservation,
    live: Sequence[Claim],
    ended: Sequence[EndedClaim],
    share: _Share,
) -> Iterator[Part]:
    """Ended claims, each on the lowest nodes that no claim of its time has."""
    taken: list[tuple[datetime, datetime | None, int, int]] = []
    below = 0
    for claim in live:
        taken.append((claim.claimed, None, below, below + claim.nodes))
        below += claim.nodes
    for each in ended[-MOST_ENDED:]:
        from_, to = share(max(each.claimed, reservation.start)), share(each.ended)
        if to <= from_:
            continue
        meets = sorted(
            (low, high)
            for start, end, low, high in taken
            if start < each.ended and (end is None or end > each.claimed)
        )
        at = 0
        for low, high in meets:
            if at + each.nodes <= low:
                break
            at = max(at, high)
        if at + each.nodes > reservation.nodes:
            continue  # The reservation has less nodes than it had then.
        taken.append((each.claimed, each.ended, at, at + each.nodes))
        says = f"{each.nodes} claimed {each.claimed:%-d %b %H:%M} to {each.ended:%-d %b %H:%M}"
        yield Part("past", from_, to, each.nodes, at, says)


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
