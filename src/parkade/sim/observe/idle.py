"""What stood idle over a window: of the fleet, and of what each account is entitled to.

One sweep over the instants at which a job becomes eligible, starts or ends. Instants are packed
with their job into one integer, so that a million jobs are sorted in 100 MB. An account that uses
more than its entitlement borrows; what it borrows is another account's idle.
"""

from __future__ import annotations

from array import array

import msgspec

from parkade.sim.observe.jobs import NEVER, Jobs, Kind

BINS = 240
_WAITS, _STARTS, _ENDS, _STOPS_WAITING = 2, 1, 0, 3
_JOB_BITS, _WHAT_BITS = 24, 2


class AccountUse(msgspec.Struct, frozen=True, kw_only=True):
    """GPU-hours of an account in the window."""

    used: float
    queued: float
    """Asked for by jobs that were eligible and had not started."""

    idle: float
    """Of its entitlement."""

    borrowed: float
    """Used beyond its entitlement."""

    peak_gpus: int


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """GPU-hours of the fleet, and by account."""

    fleet: float
    used: float
    queued: float
    servable: float
    """The integral of the lesser of idle and queued GPUs."""

    accounts: dict[int, AccountUse]
    bin_s: float
    used_gpus: tuple[float, ...]
    """Mean of each bin."""

    queued_gpus: tuple[float, ...]


class _Level:
    """GPUs of an account over time."""

    __slots__ = ("entitled", "held", "over_s", "peak", "since_s", "sums", "waiting")

    def __init__(self, entitled: int, begin_s: int) -> None:
        self.entitled, self.since_s = entitled, begin_s
        self.held = self.waiting = self.peak = 0
        self.sums = [0, 0, 0, 0]

    def until(self, at_s: int) -> None:
        """GPU-seconds so far: used, queued, idle, borrowed."""
        span_s = at_s - self.since_s
        if span_s > 0:
            self.sums[0] += span_s * self.held
            self.sums[1] += span_s * self.waiting
            more = self.held - self.entitled
            if more < 0:
                self.sums[2] -= span_s * more
            else:
                self.sums[3] += span_s * more
            self.since_s = at_s


def idle_of(
    jobs: Jobs,
    which: array[int],
    window: tuple[int, int],
    gpus: int,
    entitled: dict[int, int],
) -> Idle:
    """The sums over a window of a fleet of so many GPUs; `entitled` are GPUs by account."""
    begin_s, end_s = window
    levels: dict[int, _Level] = {
        account: _Level(count, begin_s) for account, count in entitled.items()
    }
    bin_s = (end_s - begin_s) / BINS
    used_bins, queued_bins = [0.0] * BINS, [0.0] * BINS
    now_s, held, waiting = begin_s, 0, 0
    servable = used = queued = 0
    for packed in _instants(jobs, which, window):
        at_s = begin_s + (packed >> (_JOB_BITS + _WHAT_BITS))
        job = packed & ((1 << _JOB_BITS) - 1)
        what = packed >> _JOB_BITS & 3
        span_s = at_s - now_s
        if span_s:
            used += span_s * held
            queued += span_s * waiting
            servable += span_s * min(waiting, max(0, gpus - held))
            _spread(used_bins, held, now_s - begin_s, at_s - begin_s, bin_s)
            _spread(queued_bins, waiting, now_s - begin_s, at_s - begin_s, bin_s)
            now_s = at_s
        count = jobs.gpus[job]
        account = jobs.account[job]
        level = levels.get(account)
        if level is None:
            level = levels[account] = _Level(0, begin_s)
        level.until(at_s)
        if what == _WAITS:
            waiting += count
            level.waiting += count
        elif what == _STOPS_WAITING:
            waiting -= count
            level.waiting -= count
        elif what == _STARTS:
            held += count
            level.held += count
            level.peak = max(level.peak, level.held)
        else:
            held -= count
            level.held -= count
    span_s = end_s - now_s
    used += span_s * held
    queued += span_s * waiting
    servable += span_s * min(waiting, max(0, gpus - held))
    _spread(used_bins, held, now_s - begin_s, end_s - begin_s, bin_s)
    _spread(queued_bins, waiting, now_s - begin_s, end_s - begin_s, bin_s)
    for level in levels.values():
        level.until(end_s)
    return Idle(
        fleet=gpus * (end_s - begin_s) / 3600,
        used=used / 3600,
        queued=queued / 3600,
        servable=servable / 3600,
        accounts={
            account: AccountUse(
                used=level.sums[0] / 3600,
                queued=level.sums[1] / 3600,
                idle=level.sums[2] / 3600,
                borrowed=level.sums[3] / 3600,
                peak_gpus=level.peak,
            )
            for account, level in levels.items()
        },
        bin_s=bin_s,
        used_gpus=tuple(total / bin_s for total in used_bins),
        queued_gpus=tuple(total / bin_s for total in queued_bins),
    )


def _instants(jobs: Jobs, which: array[int], window: tuple[int, int]) -> list[int]:
    """(instant, what, job) as one integer, in order; ends come before starts."""
    begin_s, end_s = window
    found: list[int] = []

    def add(from_s: int, until_s: int, begins: int, ends: int, job: int) -> None:
        from_s, until_s = max(from_s, begin_s) - begin_s, min(until_s, end_s) - begin_s
        if from_s < until_s:
            found.append((from_s << _WHAT_BITS | begins) << _JOB_BITS | job)
            found.append((until_s << _WHAT_BITS | ends) << _JOB_BITS | job)

    for job in which:
        if not jobs.gpus[job]:
            continue
        start_s, ends_s = jobs.start_s[job], jobs.end_s[job]
        if start_s != NEVER and jobs.kind[job] != Kind.LEFT:
            add(start_s, end_s if ends_s == NEVER else ends_s, _STARTS, _ENDS, job)
            add(jobs.eligible_s[job], start_s, _WAITS, _STOPS_WAITING, job)
        else:
            left_s = end_s if ends_s == NEVER else ends_s
            add(jobs.eligible_s[job], left_s, _WAITS, _STOPS_WAITING, job)
    found.sort()
    return found


def _spread(bins: list[float], level: int, from_s: float, until_s: float, bin_s: float) -> None:
    """Adds a level over a span to the bins that it crosses."""
    if not level:
        return
    place = min(BINS - 1, int(from_s / bin_s))
    while from_s < until_s:
        edge_s = until_s if place == BINS - 1 else min(until_s, (place + 1) * bin_s)
        bins[place] += level * (edge_s - from_s)
        from_s = edge_s
        place += 1
        if place == BINS:
            break
