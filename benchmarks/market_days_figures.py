"""Figures of simulated days: from raw sums to the table, and the file that keeps them.

The file holds sums, not figures, so that a figure can be defined anew for figures that were kept
before. It has a version; fields are added with a default.
"""

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from parkade.core.units.money import MICROS
from parkade.sim.dynamics.demand import FABRICS, GPUS
from parkade.sim.dynamics.measure import Measures, Stops, quantile

VERSION = 1
CAPACITY = sum(FABRICS.values()) * GPUS
DISPLACED = ("outbid", "reclaimed")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one version of the code did with the same days."""

    benchmark: str = "market-days"
    version: int = VERSION
    commit: str
    is_changed: bool
    """Whether files of the package differed from the commit."""

    days: tuple[Measures, ...]
    mixes: tuple[Measures, ...] = ()
    """One seed at several shares of jobs below a node."""

    stories: dict[str, float | None] = msgspec.field(default_factory=dict)
    """By name: the figure of a small scenario; None: never."""


def read_result(path: Path) -> Result:
    """A kept file; ends the program with what to do where it is not one."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Result)
    except (OSError, msgspec.MsgspecError) as wrong:
        raise SystemExit(f"{path} keeps no figures of simulated days: {wrong}") from None
    if found.benchmark != "market-days" or not 1 <= found.version <= VERSION:
        raise SystemExit(
            f"{path} is of {found.benchmark} {found.version}, read here: market-days {VERSION};"
            " run the benchmark of the version that wrote it"
        )
    return found


def joined(results: list[Result]) -> Result:
    """Days that were run apart as one result; ends the program where they are not of one version
    of the code or one day is there twice."""
    commits = {(it.commit, it.is_changed) for it in results}
    days = tuple(day for it in results for day in it.days)
    mixes = tuple(mix for it in results for mix in it.mixes)
    if len(commits) != 1 or len({_day(day) for day in days}) != len(days):
        raise SystemExit("these figures are of several versions, or have a day twice")
    commit, is_changed = commits.pop()
    return Result(
        commit=commit,
        is_changed=is_changed,
        days=tuple(sorted(days, key=_day)),
        mixes=tuple(sorted(mixes, key=_day)),
        stories={name: value for it in results for name, value in it.stories.items()},
    )


def _day(day: Measures) -> tuple[int, float, float]:
    return day.seed, day.sub_node_share, day.hours


def _of_same_days(before: Result, after: Result) -> Result:
    """Without the days that only it has, so that each figure is of the same demand."""
    days = set(map(_day, after.days))
    mixes = set(map(_day, after.mixes))
    return msgspec.structs.replace(
        before,
        days=tuple(day for day in before.days if _day(day) in days),
        mixes=tuple(mix for mix in before.mixes if _day(mix) in mixes),
    )


class Figure(NamedTuple):
    """A line of the table; None: not known, or never."""

    name: str
    value: float | None
    digits: int = 0


def figures(days: Iterable[Measures]) -> list[Figure]:
    """All figures of some days together; none of no day."""
    days = tuple(days)
    if not days:
        return []
    moved, displaced = _stops(days, ("moved",)), _stops(days, DISPLACED)
    return [
        *_stop_figures(days, moved, displaced),
        *_owner_figures(days),
        *_use_figures(days),
        *_wait_figures(days),
        *_time_figures(days),
    ]


def _stop_figures(days: tuple[Measures, ...], moved: Stops, displaced: Stops) -> list[Figure]:
    by_cause = [
        Figure(f"stops: {cause}", sum(day.stops[cause].count for day in days if cause in day.stops))
        for cause in sorted({cause for day in days for cause in day.stops} - {"moved"})
    ]
    moves: dict[str, Stops] = {}
    for cause in sorted({cause for day in days for cause in day.moves}):
        moves[cause] = _sum(day.moves[cause] for day in days if cause in day.moves)
    return [
        Figure("moves", moved.count),
        *(Figure(f"  moves, {cause}", stops.count) for cause, stops in moves.items()),
        Figure("GPUs moved", moved.gpus),
        *(Figure(f"  GPUs moved, {cause}", stops.gpus) for cause, stops in moves.items()),
        Figure("GPUs moved per GPU displaced", _per(moved.gpus, displaced.gpus), 2),
        Figure("GPU-hours that moved work stood still", moved.still_gpu_hours, 1),
        Figure(
            "  per GPU-hour that displaced work stood still",
            _per(moved.still_gpu_hours, displaced.still_gpu_hours),
            4,
        ),
        Figure("most moved by one clearing", max(day.most_moved_at_once for day in days)),
        Figure("promises given other seats", sum(day.promises_rechosen for day in days)),
        *by_cause,
        Figure("clearings", sum(day.clearings for day in days)),
        Figure("fall-backs", _known(day.fall_backs for day in days)),
    ]


def _owner_figures(days: tuple[Measures, ...]) -> list[Figure]:
    audits = [day.owners for day in days]
    waits = sorted(itertools.chain.from_iterable(it.waits_us for it in audits))
    reasons = sorted({why for it in audits for why in it.kept_waiting})
    return [
        Figure("owners' seats handed over", sum(it.seated for it in audits)),
        Figure("owners' waits over the bound", sum(it.over_bound for it in audits)),
        Figure("owners' wait from asking, 90th percentile, s", quantile(waits, 0.9) / 1e6),
        Figure("owners' seats rechosen", sum(it.rechosen for it in audits)),
        Figure("  promised, nodes well", sum(it.promised_well for it in audits)),
        Figure("  held, nodes well", sum(it.held_well for it in audits)),
        *(
            Figure(
                f"owners promised nothing for the bound: {why}",
                sum(it.kept_waiting.get(why, 0) for it in audits),
            )
            for why in reasons
        ),
        Figure("on-demand windows left waiting", sum(day.windows_refused for day in days)),
    ]


def _use_figures(days: tuple[Measures, ...]) -> list[Figure]:
    capacity = CAPACITY * sum(day.hours for day in days)
    spot_hours = sum(day.spot_gpu_hours for day in days)
    micros = sum(day.spot_micros for day in days)
    return [
        Figure("utilisation", _per(sum(day.used_gpu_hours for day in days), capacity), 3),
        Figure("held", _per(sum(day.held_gpu_hours for day in days), capacity), 3),
        Figure("GPU-hours idle but promised", sum(day.promised_idle_gpu_hours for day in days)),
        Figure("mean price of spot per GPU-hour", _per(micros / MICROS, spot_hours), 2),
        Figure("spot revenue", micros / MICROS),
    ]


def _wait_figures(days: tuple[Measures, ...]) -> list[Figure]:
    found = []
    for size in sorted({size for day in days for size in day.waits}):
        waited = [day.waits[size] for day in days if size in day.waits]
        hours = sorted(itertools.chain.from_iterable(it.hours for it in waited))
        jobs = sum(it.jobs for it in waited)
        started = sum(it.started for it in waited)
        found += [
            Figure(f"jobs of {size.strip()}", jobs),
            Figure("  started", _per(started, jobs), 3),
            Figure("  hours waited, median", quantile(hours, 0.5), 2),
            Figure("  hours waited, 90th percentile", quantile(hours, 0.9), 2),
        ]
    return found


def _time_figures(days: tuple[Measures, ...]) -> list[Figure]:
    times: dict[int, int] = {}
    for day in days:
        for bucket, count in day.clearing_cpu.items():
            times[int(bucket)] = times.get(int(bucket), 0) + count
    total_s = sum(day.clearing_cpu_s for day in days)
    return [
        Figure("processor time of a clearing, median, ms", _bucketed(times, 0.5), 1),
        Figure("processor time of a clearing, 99th percentile, ms", _bucketed(times, 0.99), 1),
        Figure("processor time of all clearings, s", total_s),
    ]


def _bucketed(times: dict[int, int], share: float) -> float:
    left = share * sum(times.values())
    for bucket in sorted(times):
        left -= times[bucket]
        if left < 0:
            return 2 ** (bucket / 20)
    return 0.0


def _stops(days: Iterable[Measures], causes: tuple[str, ...]) -> Stops:
    return _sum(day.stops[cause] for day in days for cause in causes if cause in day.stops)


def _sum(parts: Iterable[Stops]) -> Stops:
    total = Stops()
    for part in parts:
        total.count += part.count
        total.gpus += part.gpus
        total.still_gpu_hours += part.still_gpu_hours
    return total


def _per(amount: float, of: float) -> float | None:
    return amount / of if of else None


def _known(values: Iterable[int | None]) -> int | None:
    found = [value for value in values if value is not None]
    return sum(found) if found else None


def table(before: Result | None, after: Result) -> str:
    """Both in one table, line by line, of the days that both have; what only one of them has is `-`
    in the other."""
    if before is not None:
        before = _of_same_days(before, after)
    parts = []
    if after.days:
        parts.append(_section("the days", before, after, lambda it: figures(it.days)))
    for share in sorted({mix.sub_node_share for mix in after.mixes}):
        title = f"one seed, {share:.0%} of the jobs below a node"
        parts.append(_section(title, before, after, partial(_figures_of_mix, share)))
    if after.stories:
        parts.append(
            _section(
                "stories",
                before,
                after,
                lambda it: [Figure(name, value, 2) for name, value in it.stories.items()],
            )
        )
    return "\n\n".join(parts)


def _figures_of_mix(share: float, result: Result) -> list[Figure]:
    return figures(mix for mix in result.mixes if mix.sub_node_share == share)


def _section(
    title: str,
    before: Result | None,
    after: Result,
    of: Callable[[Result], list[Figure]],
) -> str:
    columns = [it for it in (before, after) if it is not None]
    found = [_by_path(of(it)) for it in columns]
    every = dict.fromkeys(name for lines in found for name in lines)
    groups = list(dict.fromkeys(name.partition("\n")[0] for name in every))
    names = sorted(every, key=lambda name: groups.index(name.partition("\n")[0]))
    heads = [f"{it.commit[:12]}{'+' if it.is_changed else ''}" for it in columns]
    rows = [f"{title:<52} " + " ".join(f"{head:>14}" for head in heads)]
    for name in names:
        cells = [_cell(lines.get(name)) for lines in found]
        ratio = ""
        if len(found) > 1:
            ratio = _ratio(found[0].get(name), found[1].get(name))
        label = name.rpartition("\n")[2]
        rows.append(f"{label:<52} " + " ".join(f"{cell:>14}" for cell in cells) + ratio)
    return "\n".join(rows)


def _by_path(found: list[Figure]) -> dict[str, Figure]:
    """By name, an indented one below the one it belongs to."""
    lines: dict[str, Figure] = {}
    head = ""
    for figure in found:
        if not figure.name.startswith(" "):
            head = figure.name
            lines[figure.name] = figure
        else:
            lines[f"{head}\n{figure.name}"] = figure
    return lines


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return "never" if figure.value is None else f"{figure.value:,.{figure.digits}f}"


def _ratio(before: Figure | None, after: Figure | None) -> str:
    if before is None or after is None or not before.value or after.value is None:
        return ""
    return f"   x {after.value / before.value:.2f}"
