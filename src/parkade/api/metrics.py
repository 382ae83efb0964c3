"""What the writer and the market say of themselves, in Prometheus' words; the table says which."""

from collections.abc import Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from parkade.api.metric_table import NAMES, TABLE
from parkade.control.answers import Health
from parkade.control.market_figures import (
    BUCKETS_US,
    PREEMPTIONS,
    Durations,
    MarketFigures,
    MarketGauges,
)
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import ENDED
from parkade.wire.problems import CODES

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Samples = Iterable[tuple[tuple[str, ...], float]]


class _Collector(Collector):
    """Every series of a closed list is there from the start, at 0, so that rates see the first."""

    def __init__(self, health: Health, market: MarketFigures, refusals: Mapping[str, int]) -> None:
        self._health = health
        self._market = market
        self._refusals = refusals

    def collect(self) -> list[Metric]:
        """The families of the table, in its order."""
        found = {
            **{name: [((), float(value))] for name, value in _of_writer(self._health).items()},
            **_of_money(self._market, self._refusals),
            **_gauges(self._market.figures.markets),
            **_counters(self._market),
        }
        durations = {
            "parkade_commit_duration_seconds": self._market.commits,
            "parkade_clearing_duration_seconds": self._market.clearings,
        }
        assert found.keys() | durations.keys() == NAMES.keys()
        return [
            _histogram(row.name, durations[row.name])
            if row.kind == "histogram"
            else _family(row.name, found[row.name])
            for row in TABLE
        ]


def _of_writer(health: Health) -> dict[str, float]:
    return {
        "parkade_up": int(health.is_running),
        "parkade_leads": 1,
        "parkade_epoch": health.epoch,
        "parkade_journal_sequence": health.sequence,
        "parkade_clock_doubted": int(health.is_clock_doubted),
        "parkade_clock_behind_seconds": health.clock_behind_us / SECOND_US,
        "parkade_frozen_markets": len(health.frozen_markets),
        "parkade_silent_pools": len(health.silent_pools),
        "parkade_refusing_pools": len(health.refusing_pools),
        "parkade_commands_waiting": health.waiting,
        "parkade_commit_seconds": health.commit_us / SECOND_US,
        "parkade_clearing_seconds": health.clearing_us / SECOND_US,
        "parkade_commits": health.commits,
        "parkade_commands": health.commands,
        "parkade_writer_entries": health.entered,
        "parkade_internal_refusals": health.refused_internal,
    }


def _of_money(market: MarketFigures, refusals: Mapping[str, int]) -> dict[str, Samples]:
    return {
        "parkade_ledger_imbalance": [((), market.figures.imbalance_micros / MICROS)],
        "parkade_refusals": [((code,), refusals.get(code, 0)) for code in CODES],
    }


def _gauges(markets: Mapping[str, MarketGauges]) -> dict[str, Samples]:
    seen = markets.items()
    return {
        "parkade_workloads": [
            ((name, phase.value), count) for name, it in seen for phase, count in it.phases.items()
        ],
        "parkade_gpus": [
            ((name, use), count) for name, it in seen for use, count in it.gpus.items()
        ],
        "parkade_floor_price": [((name,), it.floor_micros / MICROS) for name, it in seen],
        "parkade_on_demand_price": [((name,), it.on_demand_micros / MICROS) for name, it in seen],
        "parkade_reservation_rate": [
            ((name,), it.reservation_micros / MICROS) for name, it in seen
        ],
        "parkade_price_to_win": [
            ((name,), it.to_win_micros / MICROS)
            for name, it in seen
            if it.to_win_micros is not None
        ],
    }


def _counters(market: MarketFigures) -> dict[str, Samples]:
    names = market.figures.markets
    unkept = {"reclaim": market.late, "capacity": market.short}
    return {
        "parkade_attempts_started": [((it,), market.started.get(it, 0)) for it in names],
        "parkade_workloads_ended": [
            ((it, phase.value), market.ended.get((it, phase), 0))
            for it in names
            for phase in sorted(ENDED)
        ],
        "parkade_preemptions": [
            ((it, cause.value), market.preempted.get((it, cause), 0))
            for it in names
            for cause in PREEMPTIONS
        ],
        "parkade_owner_waits": [((it,), market.waits.get(it, 0)) for it in names],
        "parkade_owner_wait_seconds": [
            ((it,), market.waited_us.get(it, 0) / SECOND_US) for it in names
        ],
        "parkade_promises_unkept": [
            ((it, promise), counts.get(it, 0)) for it in names for promise, counts in unkept.items()
        ],
    }


def _family(name: str, samples: Samples) -> Metric:
    row = NAMES[name]
    make = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
    family = make(name, row.means, labels=row.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _histogram(name: str, durations: Durations) -> Metric:
    bounds = [str(most / SECOND_US) for most in BUCKETS_US] + ["+Inf"]
    family = HistogramMetricFamily(name, NAMES[name].means, labels=())
    buckets = list(zip(bounds, accumulate(durations.counts), strict=True))
    family.add_metric((), buckets=buckets, sum_value=durations.total_us / SECOND_US)
    return family


def exposition(
    health: Health, market: MarketFigures, refusals: Mapping[str, int], *others: Collector
) -> bytes:
    """The page that a scraper reads."""
    registry = CollectorRegistry()
    for collector in (_Collector(health, market, refusals), *others):
        registry.register(collector)
    return generate_latest(registry)
