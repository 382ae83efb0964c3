"""The jobs of a part of the trace as what their users would ask of the market.

Each job keeps its shape and the length that it had. What it would bid and whether it saves at a
notice are not in the trace: both are drawn from a seed, the limit around a median that the operator
gives. A job that does not save begins anew after a notice.
"""

from __future__ import annotations

import random

import msgspec

from parkade.core.units.time import SECOND_US
from parkade.sim.observe.jobs import Jobs, Kind
from parkade.sim.observe.kinds import Sorted
from parkade.sim.replay.demand import PERCENT
from parkade.sim.replay.quotes import draw_limit

SAVING_S = (5, 110)
HOUR_S = 3_600


class Bidding(msgspec.Struct, frozen=True, kw_only=True):
    """What is assumed of users."""

    median_limit: float
    """Per GPU-hour."""

    spread_percent: int
    saves_percent: int
    seed: int


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One job."""

    number: int
    account: int
    nodes: int
    gpus: int
    """Of each node."""

    eligible_us: int
    length_us: int
    """What is left of it where it ran when the window began."""

    limit_micros: int
    saving_us: int | None
    trace_wait_s: int
    is_measured: bool
    """Its wait is compared: it became eligible in the part of the window that is judged."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the trace that is played through the market."""

    begin_s: int
    end_s: int
    judged_until_s: int
    """Waits of jobs that became eligible until then are compared; later ones are only load."""

    is_whole: bool


def part_of(jobs: Jobs, found: Sorted, kind: int, window: tuple[int, int], most: int) -> Part:
    """The whole window where at most so many jobs start in it; else the hours around the median
    of waiting: of equally long parts, the one with the median of GPU-hours that waited. Three
    quarters of it are judged, so that what is judged last still competes with later jobs."""
    begin_s, end_s = window
    own = [
        job
        for job in found.which
        if found.kind_of[job] == kind
        and jobs.kind[job] == Kind.RAN
        and jobs.gpus[job]
        and begin_s <= jobs.eligible_s[job] < end_s
    ]
    if len(own) <= most:
        return Part(begin_s=begin_s, end_s=end_s, judged_until_s=end_s, is_whole=True)
    pieces = -(-len(own) // max(1, most))
    size_s = max(HOUR_S, (end_s - begin_s) // pieces)
    waited: dict[int, int] = {}
    count: dict[int, int] = {}
    for job in own:
        place = (jobs.eligible_s[job] - begin_s) // size_s
        count[place] = count.get(place, 0) + 1
        wait_s = jobs.start_s[job] - jobs.eligible_s[job]
        waited[place] = waited.get(place, 0) + jobs.gpus[job] * wait_s
    places = sorted((it for it in count if count[it] <= 2 * most), key=lambda it: (waited[it], it))
    place = places[len(places) // 2] if places else min(count, key=lambda it: (count[it], it))
    from_s = begin_s + place * size_s
    until_s = min(end_s, from_s + size_s)
    return Part(
        begin_s=from_s,
        end_s=until_s,
        judged_until_s=from_s + 3 * (until_s - from_s) // 4,
        is_whole=False,
    )


def asks_of(jobs: Jobs, found: Sorted, kind: int, part: Part, bidding: Bidding) -> tuple[Ask, ...]:
    """In order of the instants at which they become eligible; what runs already comes first."""
    limits = random.Random(f"{bidding.seed}/limits")
    saving = random.Random(f"{bidding.seed}/saving")
    per_node = found.kinds[kind].gpus_per_node
    chosen = []
    for job in found.which:
        if found.kind_of[job] != kind or not jobs.gpus[job]:
            continue
        has_run = jobs.kind[job] in (Kind.RAN, Kind.RUNNING)
        if not has_run or jobs.eligible_s[job] >= part.end_s:
            continue
        end_s = jobs.end_s[job] if jobs.kind[job] == Kind.RAN else part.end_s
        if max(end_s, jobs.start_s[job] + 1) > part.begin_s:
            chosen.append(job)
    chosen.sort(key=lambda job: (max(part.begin_s, jobs.eligible_s[job]), jobs.start_s[job], job))
    made = []
    for job in chosen:
        limit = draw_limit((bidding.median_limit,), bidding.spread_percent / PERCENT, limits)
        does_save = saving.randrange(PERCENT) < bidding.saves_percent
        seconds = saving.uniform(*SAVING_S)
        end_s = jobs.end_s[job] if jobs.kind[job] == Kind.RAN else part.end_s
        began_s = max(jobs.start_s[job], part.begin_s)
        gpus = jobs.gpus_per_node(job)
        if jobs.gpus[job] and gpus <= per_node:
            made.append(
                Ask(
                    number=job,
                    account=jobs.account[job],
                    nodes=jobs.nodes[job],
                    gpus=gpus,
                    eligible_us=max(part.begin_s, jobs.eligible_s[job]) * SECOND_US,
                    length_us=max(1, end_s - began_s) * SECOND_US,
                    limit_micros=limit,
                    saving_us=round(seconds * SECOND_US) if does_save else None,
                    trace_wait_s=jobs.start_s[job] - jobs.eligible_s[job],
                    is_measured=jobs.kind[job] == Kind.RAN
                    and part.begin_s <= jobs.eligible_s[job] < part.judged_until_s,
                )
            )
    return tuple(made)
