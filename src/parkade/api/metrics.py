"""What the writer says of itself, in Prometheus' words; nothing here names a customer."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from parkade.control.answers import Health

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Collector(Collector):
    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> list[Metric]:
        """One family for each number."""
        health = self._health
        gauges = {
            "parkade_up": ("Whether the writer runs", int(health.is_running)),
            "parkade_leads": ("Whether this server leads; a standby says 0", 1),
            "parkade_epoch": ("The writer's epoch", health.epoch),
            "parkade_journal_sequence": ("The journal's position", health.sequence),
            "parkade_clock_doubted": ("Whether clearing waits", int(health.is_clock_doubted)),
            "parkade_clock_behind_seconds": (
                "How far the wall clock is behind the present",
                health.clock_behind_us / 1e6,
            ),
            "parkade_frozen_markets": ("Markets that do not clear", len(health.frozen_markets)),
            "parkade_silent_pools": ("Pools whose agent is silent", len(health.silent_pools)),
            "parkade_refusing_pools": (
                "Pools whose agent does not obey this server",
                len(health.refusing_pools),
            ),
            "parkade_commands_waiting": ("Commands in the inbox", health.waiting),
            "parkade_commit_seconds": ("The last commit", health.commit_us / 1e6),
            "parkade_clearing_seconds": ("The last clearing", health.clearing_us / 1e6),
        }
        counters = {
            "parkade_commits": ("Batches committed", health.commits),
            "parkade_commands": ("Commands decided", health.commands),
            "parkade_writer_entries": ("Commands and views taken in", health.entered),
            "parkade_internal_refusals": ("Commands that hit a bug", health.refused_internal),
        }
        return [
            *(GaugeMetricFamily(name, text, value) for name, (text, value) in gauges.items()),
            *(CounterMetricFamily(name, text, value) for name, (text, value) in counters.items()),
        ]


def exposition(health: Health, *others: Collector) -> bytes:
    """The page that a scraper reads."""
    registry = CollectorRegistry()
    for collector in (_Collector(health), *others):
        registry.register(collector)
    return generate_latest(registry)
