"""A report as rows of words; the page and the terminal show the same ones."""

from parkade.sim.observe.accuracy import Accuracy
from parkade.sim.observe.figures import FloorFigures, ObserveReport
from parkade.sim.replay.report.tables import NONE, TableOfFigures

MOST_ACCOUNTS = 40
LEAVE = ("reclaimed", "moved", "outbid")
"""Why a guest leaves, as the report counts it."""
BASES = {
    "file": "given",
    "partition": "its own partition",
    "reservation": "its Slurm reservation",
    "peak": "its own peak",
    None: NONE,
}


def observe_tables(report: ObserveReport) -> list[TableOfFigures]:
    """What was read, how well it is understood, what idled, and what lending would have done."""
    return [
        _policy(report),
        _idle(report),
        _floors(report),
        _owners(report),
        *_accounts(report),
        _rows(report),
    ]


def verdict(found: Accuracy) -> str:
    """Whether the replay can be believed, in a sentence."""
    used = abs(found.utilisation - found.utilisation_replayed) * 100
    words = (
        f"Replayed {found.policy}: utilisation is {used:.1f} points from the trace's, the median"
        f" wait {_seconds(found.waits_replayed.p50_s)} against {_seconds(found.waits.p50_s)}."
    )
    if found.is_within_bounds:
        return f"{words} Both are within the bounds (2 points; 20 % or a minute)."
    return (
        f"{words} That is OUTSIDE the bounds (2 points; 20 % or a minute): something other than"
        " shapes, priorities and limits decides here, so read what follows with doubt."
    )


def _policy(report: ObserveReport) -> TableOfFigures:
    found = report.policy
    rows = [
        ("the trace", found.utilisation, found.waits),
        (f"replayed: {found.policy}", found.utilisation_replayed, found.waits_replayed),
    ]
    rows += [
        (f"tried: {it.policy}", it.utilisation_replayed, it.waits_replayed)
        for it in report.tried
        if it.policy != found.policy
    ]
    return TableOfFigures(
        title="The cluster's own policy, replayed",
        columns=("schedule", "utilisation", "median wait", "90th percentile", "mean wait"),
        rows=tuple(
            (
                words,
                f"{used:.1%}",
                _seconds(waits.p50_s),
                _seconds(waits.p90_s),
                _seconds(waits.mean_s),
            )
            for words, used, waits in rows
        ),
        says=f"{verdict(found)} {_replayed_part(found)}{_replays(found)}"
        f"Waits of {found.jobs:,} GPU jobs, from eligible to start.",
    )


def _replays(found: Accuracy) -> str:
    if found.utilisations is None or found.median_waits_s is None:
        return ""
    least, most = found.utilisations
    shortest_s, longest_s = found.median_waits_s
    return (
        f"What is replayed is the median of {found.replays} replays, with other fractions of"
        f" seconds in each: they have a utilisation of {least:.1%} to {most:.1%}, and a median wait"
        f" of {_seconds(shortest_s)} to {_seconds(longest_s)}. "
    )


def _replayed_part(found: Accuracy) -> str:
    if found.is_whole:
        return ""
    days = (found.end_s - found.begin_s) / 86_400
    return f"Only a SAMPLE is replayed: the first {days:,.1f} days of the window. "


def _idle(report: ObserveReport) -> TableOfFigures:
    rows = [
        (
            it.account or "(no account)",
            it.kind,
            f"{it.entitled_gpus:,}" if it.basis else NONE,
            BASES[it.basis],
            f"{it.peak_gpus:,}",
            _hours(it.used_hours),
            _hours(it.idle_hours) if it.basis else NONE,
            _hours(it.borrowed_hours),
            _hours(it.queued_hours),
        )
        for it in report.accounts[:MOST_ACCOUNTS]
    ]
    more = len(report.accounts) - len(rows)
    held = report.held
    says = (
        "GPU-hours of the whole window. Idle: of the entitlement; borrowed: used beyond it; queued:"
        f" asked for by jobs that waited. Jobs held {_hours(held.beyond_request_hours)} GPU-hours"
        " beyond what they asked for"
    )
    if held.without_cpu_hours is None:
        says += "; the data does not show whether held GPUs were used."
    else:
        says += (
            f", and {_hours(held.without_cpu_hours)} with less than a hundredth of one CPU in use."
        )
    if more > 0:
        says += f" {more:,} accounts with less idle time are not shown; --json has all."
    return TableOfFigures(
        title="What stood idle, by account",
        columns=(
            "account",
            "nodes of",
            "entitled",
            "by",
            "peak",
            "used",
            "idle",
            "borrowed",
            "queued",
        ),
        rows=tuple(rows),
        says=says,
    )


def _floors(report: ObserveReport) -> TableOfFigures:
    return TableOfFigures(
        title="What lending would have done, at each floor",
        columns=(
            "floor",
            "nodes of",
            "jobs",
            "sooner",
            "later",
            "mean before",
            "mean lent",
            "GPU-h lent",
            "paid",
            "to owners",
            "price",
            "GPU-h again",
            "not done",
        ),
        rows=tuple(
            (
                f"{it.floor:g}",
                it.kind,
                f"{it.jobs:,}",
                f"{it.sooner:,}",
                f"{it.later:,}",
                _seconds(it.trace_mean_s),
                _seconds(it.market_mean_s),
                _hours(it.lent_hours),
                f"{it.paid:,.2f}",
                f"{it.earned:,.2f}",
                NONE if it.price is None else f"{it.price:,.2f}",
                _hours(it.lost_hours),
                f"{it.unfinished:,}",
            )
            for it in report.floors
        ),
        says=f"{parts_in_words(report)} Sooner and later: by more than a minute. Before: from"
        " eligible to start in the trace; lent: from eligible to done, less the job's length.",
    )


def parts_in_words(report: ObserveReport) -> str:
    """Which part of the trace the market played."""
    lines = []
    for part in report.parts:
        hours = (part.end_s - part.begin_s) / 3600
        if part.is_whole:
            lines.append(f"The whole window of nodes with {part.kind}: {part.judged:,} jobs.")
        else:
            begins_h = (part.begin_s - report.begin_s) / 3600
            lines.append(
                f"A SAMPLE of nodes with {part.kind}: {hours:,.1f} hours, from hour {begins_h:,.0f}"
                f" of the window, whose waiting is the median of such parts; {part.jobs:,} jobs, of"
                f" which {part.judged:,} are judged."
            )
    return " ".join(lines) or "No part of the trace could be played."


def _owners(report: ObserveReport) -> TableOfFigures:
    return TableOfFigures(
        title="Owners: jobs on their own reservations, and guests that had to leave",
        columns=(
            "floor",
            "nodes of",
            "starts",
            "waited",
            "99th percentile",
            "longest",
            *LEAVE,
        ),
        rows=tuple(
            (
                f"{it.floor:g}",
                it.kind,
                f"{it.owner_starts:,}",
                f"{it.owner_waited:,}",
                _seconds(it.owner_p99_s),
                _seconds(it.owner_max_s),
                *(f"{it.notices.get(cause, 0):,}" for cause in LEAVE),
            )
            for it in report.floors
        ),
        says="From submission to the order to start. Notice + kill + turnaround is"
        f" {report.assumed.wait_bound_s:g} s; a job can wait longer where the reservation's free"
        " GPUs are scattered over nodes that its own other jobs share. Guests were told to leave"
        " because an owner came back, to go on on other seats, or for a higher bid.",
    )


def _accounts(report: ObserveReport) -> list[TableOfFigures]:
    middle = [it for it in report.floors if it.kind == report.floors[0].kind]
    if not middle:
        return []
    shown: FloorFigures = middle[len(middle) // 2]
    return [
        TableOfFigures(
            title=f"By account, at a floor of {shown.floor:g}, nodes with {shown.kind}",
            columns=(
                "account",
                "jobs",
                "sooner",
                "later",
                "mean before",
                "mean lent",
                "paid",
                "earned",
            ),
            rows=tuple(
                (
                    it.account or "(no account)",
                    f"{it.jobs:,}",
                    f"{it.sooner:,}",
                    f"{it.later:,}",
                    _seconds(it.trace_mean_s),
                    _seconds(it.market_mean_s),
                    f"{it.paid:,.2f}",
                    f"{it.earned:,.2f}",
                )
                for it in sorted(shown.accounts, key=lambda it: (-it.jobs, it.account))[
                    :MOST_ACCOUNTS
                ]
            ),
        )
    ]


def _rows(report: ObserveReport) -> TableOfFigures:
    rows = report.rows
    found = [("rows in the file", rows.rows), ("jobs", rows.jobs)]
    found += [(f"left out: {why}", count) for why, count in sorted(rows.left_out.items())]
    found += [(f"jobs: {why}", count) for why, count in sorted(rows.noted.items())]
    found += [(f"jobs that take no part: {why}", it) for why, it in sorted(rows.outside.items())]
    return TableOfFigures(
        title="What was read",
        columns=("what", "count"),
        rows=tuple((words, f"{count:,}") for words, count in found),
        says="Rows that no rule knows: " + " · ".join(rows.examples) if rows.examples else "",
    )


def _hours(hours: float) -> str:
    return f"{hours:,.1f}"


def _seconds(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:,.0f} s"
    if seconds < 36_000:
        return f"{seconds / 60:,.0f} min"
    return f"{seconds / 3600:,.1f} h"
