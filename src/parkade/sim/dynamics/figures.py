"""What `parkade sim dynamics` tells: figures of a market at one load, from the sums of its days.

Each figure says what the rules do to people. Times of the program stand apart: they are the
machine's, and nothing is held against them.
"""

import statistics
from collections.abc import Sequence

import msgspec

from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.sim.dynamics.measure import DISPLACING, Measures, quantile

REPORT_VERSION = 1


class LoadFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Several days at one offered load. `figures` by name; `sizes`: by size of work, (share that
    started, median wait in hours of all, those that never started counted as long as they waited).
    `clearing_ms`: processor time of a clearing, (median, 99th percentile)."""

    load: float
    days: float
    figures: dict[str, float]
    sizes: dict[str, tuple[float, float]]
    clearing_ms: tuple[float, float]
    digests: tuple[str, ...]
    """One for each seed."""


class DynamicsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The form of `--json`; a field is added with a default and never renamed. `outside`: figures
    outside the kept ranges, in words."""

    seeds: tuple[int, ...]
    hours: float
    loads: tuple[LoadFigures, ...]
    outside: tuple[str, ...] = ()
    version: int = REPORT_VERSION


def figures_of(
    load: float, days: Sequence[Measures], digests: Sequence[str], *, gpus: int
) -> LoadFigures:
    """Of days with the same load; `gpus` is the size of the fleet."""
    hours = sum(day.hours for day in days)
    return LoadFigures(
        load=load,
        days=hours / 24,
        figures={
            "utilisation": sum(day.used_gpu_hours for day in days) / (gpus * hours),
            "idle but promised": sum(day.promised_idle_gpu_hours for day in days) / (gpus * hours),
            **_moves(days, hours),
            **_owners(days),
            **_prices(days),
        },
        sizes=_sizes(days),
        clearing_ms=_clearing_ms(days),
        digests=tuple(digests),
    )


def _moves(days: Sequence[Measures], hours: float) -> dict[str, float]:
    moved = [day.stops["moved"] for day in days if "moved" in day.stops]
    displaced = [it for day in days for cause, it in day.stops.items() if cause in DISPLACING]
    without = sum(
        stops.count for day in days for why, stops in day.moves.items() if why.startswith("not ")
    )
    needless = without + sum(day.needless_restarts for day in days)
    still = sum(it.still_gpu_hours for it in displaced)
    gpus = sum(it.gpus for it in displaced)
    return {
        "moves a day": sum(it.count for it in moved) * 24 / hours,
        "outbid or reclaimed a day": sum(it.count for it in displaced) * 24 / hours,
        "GPUs moved per GPU displaced": sum(it.gpus for it in moved) / max(1, gpus),
        "GPU-hours moved work stood still per GPU-hour of displaced work": (
            sum(it.still_gpu_hours for it in moved) / still if still else 0.0
        ),
        "restarts without cause a day": needless * 24 / hours,
    }


def _owners(days: Sequence[Measures]) -> dict[str, float]:
    waits = sorted(wait for day in days for wait in day.owners.waits_us)
    return {
        "owners' wait, median s": quantile(waits, 0.5) / SECOND_US,
        "owners' wait, p99 s": quantile(waits, 0.99) / SECOND_US,
        "owners' wait, longest s": quantile(waits, 1.0) / SECOND_US,
        "owners' waits beyond the bound": float(sum(day.owners.over_bound for day in days)),
    }


def _prices(days: Sequence[Measures]) -> dict[str, float]:
    """Volatility: the standard deviation of the quarter-hourly price, and the mean step from one
    quarter to the next, each ÷ the mean."""
    hours = sum(day.spot_gpu_hours for day in days)
    prices = [price for day in days for price in day.prices]
    steps = [
        abs(now - was) for day in days for was, now in zip(day.prices, day.prices[1:], strict=False)
    ]
    mean = statistics.fmean(prices) if prices else 0.0
    return {
        "price": sum(day.spot_micros for day in days) / MICROS / hours if hours else 0.0,
        "price volatility": statistics.pstdev(prices) / mean if mean else 0.0,
        "price step of a quarter-hour": statistics.fmean(steps) / mean if steps and mean else 0.0,
    }


def _sizes(days: Sequence[Measures]) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for name in sorted({name for day in days for name in day.waits}):
        waits = [day.waits[name] for day in days if name in day.waits]
        started = sum(it.started for it in waits) / max(1, sum(it.jobs for it in waits))
        found[name.strip()] = (started, quantile(sorted(h for it in waits for h in it.hours), 0.5))
    return found


def _clearing_ms(days: Sequence[Measures]) -> tuple[float, float]:
    """From buckets of 2**(n / 20) ms."""
    counts: dict[int, int] = {}
    for day in days:
        for bucket, count in day.clearing_cpu.items():
            counts[int(bucket)] = counts.get(int(bucket), 0) + count
    spread = [bucket for bucket in sorted(counts) for _ in range(counts[bucket])]
    median, most = quantile(spread, 0.5), quantile(spread, 0.99)
    return (2 ** (median / 20), 2 ** (most / 20)) if spread else (0.0, 0.0)
