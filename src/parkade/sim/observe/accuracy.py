"""How far a replay of the cluster's own policy is from what the trace shows.

Utilisation is GPU-hours held ÷ GPU-hours of the fleet over the window. Waits run from the instant
at which a job became eligible to its start, of GPU jobs that became eligible in the window and
started in the trace.

A trace is cut to whole seconds, and which of two things came first within a second decides which
job starts, and with that all that follows. So a short trace is replayed several times, each time
with other fractions of seconds, and every figure is the median of those of the replays. The trace
is itself one such drawing: of a trace of minutes no replay can tell more than where it lies.
"""

from __future__ import annotations

import itertools
from array import array
from statistics import median

import msgspec

from parkade.sim.observe.fleet import Fleet
from parkade.sim.observe.jobs import NEVER, Jobs, Kind
from parkade.sim.observe.policy import Order, PolicyRun, Rules

UTILISATION_BOUND = 0.02
WAIT_BOUND = 0.2
SHORT_WAIT_S = 60
"""Differences of a median wait below a minute are not told from the cluster's own pauses."""

TRIED_JOBS = 3_000
"""On which every policy is tried."""

REPLAYED_JOBS = 100_000
"""Of a longer trace the first so many are replayed; the report says so."""

MOST_REPLAYS = 15
"""Of a short trace, with other fractions of seconds; fewer of a longer one, …"""

REPLAYED_TOGETHER = 3_000
"""… so that all replays together have about so many jobs."""

DEPTHS = ((2_000, 100), (20_000, 20))
LEAST_DEPTH = 5


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Of many jobs, in seconds."""

    p50_s: float
    p90_s: float
    mean_s: float


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """The trace beside the replay."""

    policy: str
    begin_s: int
    end_s: int
    is_whole: bool
    """Whether that is the whole window of the report."""

    jobs: int
    utilisation: float
    utilisation_replayed: float
    waits: Waits
    waits_replayed: Waits
    is_within_bounds: bool
    """Utilisation within 2 points, and the median wait within 20 % or a minute of the trace's."""

    replays: int = 1
    """What is called replayed is the median of so many."""

    utilisations: tuple[float, float] | None = None
    """The least and the most of the replays; None: there is one."""

    median_waits_s: tuple[float, float] | None = None


def depth_of(jobs: int) -> int:
    """How many jobs a backfill plans: fewer in long traces, so that a million jobs take minutes."""
    return next((depth for most, depth in DEPTHS if jobs <= most), LEAST_DEPTH)


def pause_of(jobs: Jobs) -> int:
    """How many seconds lie between the times at which the cluster starts jobs.

    A quarter of the gaps between instants at which jobs started are no longer; at most a minute.
    """
    starts = [start for start in jobs.start_s[:REPLAYED_JOBS] if start != NEVER]
    gaps = sorted(after - before for before, after in itertools.pairwise(sorted(set(starts))))
    return min(60, max(1, gaps[len(gaps) // 4])) if gaps else 1


def candidates(jobs: Jobs, interval_s: int, depth: int) -> list[Rules]:
    """The policies that a cluster may have: with priorities only where the trace has several."""
    ranks = set(jobs.priority[:REPLAYED_JOBS])
    orders = [Order.SUBMISSION, Order.PRIORITY] if len(ranks) > 1 else [Order.SUBMISSION]
    pause_s = pause_of(jobs)
    return [
        Rules(
            order=order,
            has_backfill=has_backfill,
            interval_s=interval_s,
            depth=depth,
            pause_s=pause_s,
        )
        for order in orders
        for has_backfill in (False, True)
    ]


def choose(
    jobs: Jobs,
    fleet: Fleet,
    tried: list[Rules],
    *,
    which: array[int],
    window: tuple[int, int],
    limits: dict[int, int],
) -> tuple[Rules, tuple[Accuracy, ...]]:
    """The policy whose replay of the first jobs is nearest to the trace, and what each gave."""
    some, until_s = first_jobs(jobs, which, window, TRIED_JOBS)
    part = (window[0], until_s)
    is_whole = until_s == window[1]
    found = tuple(
        accuracy(jobs, fleet, rules, which=some, window=part, limits=limits, is_whole=is_whole)
        for rules in tried
    )
    best = min(range(len(tried)), key=lambda place: (_error(found[place]), place))
    return tried[best], found


def _error(found: Accuracy) -> float:
    """One number to choose by: of utilisation, and of waits as shares of the mean wait."""
    scale_s = max(found.waits.mean_s, 1.0)
    median_s = found.waits.p50_s - found.waits_replayed.p50_s
    mean_s = found.waits.mean_s - found.waits_replayed.mean_s
    used = found.utilisation - found.utilisation_replayed
    return abs(used) + (abs(median_s) + abs(mean_s)) / scale_s


def accuracy(
    jobs: Jobs,
    fleet: Fleet,
    rules: Rules,
    *,
    which: array[int],
    window: tuple[int, int],
    limits: dict[int, int],
    is_whole: bool,
) -> Accuracy:
    """The error of one policy, by the median of several replays."""
    replays = max(1, min(MOST_REPLAYS, REPLAYED_TOGETHER // max(1, len(which))))
    used_again, again = [], []
    seen: list[int] = []
    for seed in range(replays):
        starts_s = PolicyRun(
            jobs, fleet, rules, which=which, window=window, limits=limits, seed=seed
        ).run()
        seen = [job for job in _waiting(jobs, which, window) if starts_s[job] != NEVER]
        used_again.append(utilisation(jobs, fleet, which, starts_s, window))
        again.append(waits_of([starts_s[job] - jobs.eligible_s[job] for job in seen]))
    waits = waits_of([jobs.start_s[job] - jobs.eligible_s[job] for job in seen])
    used = utilisation(jobs, fleet, which, jobs.start_s, window)
    replayed = Waits(
        p50_s=median(it.p50_s for it in again),
        p90_s=median(it.p90_s for it in again),
        mean_s=median(it.mean_s for it in again),
    )
    return Accuracy(
        policy=rules.words,
        begin_s=window[0],
        end_s=window[1],
        is_whole=is_whole,
        jobs=len(seen),
        utilisation=used,
        utilisation_replayed=median(used_again),
        waits=waits,
        waits_replayed=replayed,
        is_within_bounds=abs(used - median(used_again)) <= UTILISATION_BOUND
        and abs(waits.p50_s - replayed.p50_s) <= max(WAIT_BOUND * waits.p50_s, SHORT_WAIT_S),
        replays=replays,
        utilisations=_ends(used_again) if replays > 1 else None,
        median_waits_s=_ends([it.p50_s for it in again]) if replays > 1 else None,
    )


def _ends(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


def _waiting(jobs: Jobs, which: array[int], window: tuple[int, int]) -> list[int]:
    """GPU jobs that became eligible in the window and started in the trace."""
    return [
        job
        for job in which
        if jobs.gpus[job]
        and jobs.kind[job] in (Kind.RAN, Kind.RUNNING)
        and window[0] <= jobs.eligible_s[job] < window[1]
    ]


def utilisation(
    jobs: Jobs, fleet: Fleet, which: array[int], start_s: array[int], window: tuple[int, int]
) -> float:
    """The share of the fleet's GPUs that jobs hold where each starts as given."""
    begin_s, end_s = window
    held = 0
    for job in which:
        since_s = start_s[job]
        if since_s == NEVER or jobs.kind[job] == Kind.LEFT:
            continue
        lasts_s = end_s - since_s
        if jobs.kind[job] == Kind.RAN:
            lasts_s = jobs.end_s[job] - jobs.start_s[job]
        elif jobs.kind[job] == Kind.RUNNING:
            lasts_s = max(0, end_s - jobs.start_s[job])
        held += jobs.gpus[job] * max(0, min(end_s, since_s + lasts_s) - max(begin_s, since_s))
    return held / max(1, fleet.gpus * (end_s - begin_s))


def waits_of(seconds: list[int]) -> Waits:
    """Of no waits, nought."""
    ordered = sorted(seconds)
    if not ordered:
        return Waits(p50_s=0.0, p90_s=0.0, mean_s=0.0)
    return Waits(
        p50_s=float(ordered[len(ordered) // 2]),
        p90_s=float(ordered[len(ordered) * 9 // 10]),
        mean_s=sum(ordered) / len(ordered),
    )


def window_of(jobs: Jobs) -> tuple[int, int]:
    """From when the trace is complete until its last submission.

    `sacct -S` lists what ended after an instant, however long ago it was submitted; so the trace
    is complete from its first end on.
    """
    ends = [end for end, kind in zip(jobs.end_s, jobs.kind, strict=True) if kind == Kind.RAN]
    last_s = max(jobs.submit_s)
    begin_s = max(min(jobs.submit_s), min(ends, default=0))
    return (min(begin_s, last_s), last_s + 1)


def first_jobs(
    jobs: Jobs, which: array[int], window: tuple[int, int], most: int
) -> tuple[array[int], int]:
    """The first so many jobs of a window in order of eligibility, and when the last one is."""
    if len(which) <= most:
        return which, window[1]
    begin_s = window[0]
    inside = [job for job in which if jobs.eligible_s[job] >= begin_s]
    inside.sort(key=jobs.eligible_s.__getitem__)
    if len(inside) <= most:
        return which, window[1]
    until_s = max(begin_s + 1, jobs.eligible_s[inside[most - 1]])
    return array("l", [job for job in which if jobs.eligible_s[job] <= until_s]), until_s
