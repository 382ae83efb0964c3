"""Mars in Prometheus' words: nodes, incidents, repairs, budgets, buffers, sensors."""

from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from parkade.control.healing_figures import HealingFigures
from parkade.control.health_intake import HealthIntake
from parkade.core.fleet.node import Health
from parkade.core.healing.guards import BreakerState, HoldReason
from parkade.core.healing.incident import IncidentOutcome, RepairKind
from parkade.core.healing.verdict import Level
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US


class HealingCollector(Collector):
    """Every series of a closed list is there from the start, at 0, so that rates see the first."""

    def __init__(self, figures: HealingFigures, intake: HealthIntake) -> None:
        self._figures = figures
        self._intake = intake

    def collect(self) -> list[Metric]:
        """One family for each number."""
        return [
            *self._nodes(),
            *self._incidents(),
            *self._buffers(),
            *self._turnarounds(),
            *self._sensors(),
            *self._logs(),
        ]

    def _nodes(self) -> list[Metric]:
        seen = self._figures.figures
        nodes = GaugeMetricFamily("parkade_nodes", "Nodes by health", labels=["health"])
        for health in Health:
            nodes.add_metric([health.value], seen.health.get(health, 0))
        acts = GaugeMetricFamily(
            "parkade_mars_automation_on", "Whether Mars acts by itself", int(seen.is_on)
        )
        most = GaugeMetricFamily(
            "parkade_mars_budget_nodes", "Nodes that may be taken an hour", labels=["budget"]
        )
        taken = GaugeMetricFamily(
            "parkade_mars_budget_taken_nodes", "Nodes taken in the last hour", labels=["budget"]
        )
        is_open = GaugeMetricFamily(
            "parkade_mars_budget_open", "Whether the breaker holds", labels=["budget"]
        )
        for name, breaker in seen.budgets.items():
            most.add_metric([name], breaker.budget)
            taken.add_metric([name], len(breaker.taken))
            is_open.add_metric([name], int(breaker.state is not BreakerState.CLOSED))
        return [nodes, acts, most, taken, is_open]

    def _incidents(self) -> list[Metric]:
        figures = self._figures
        waiting = GaugeMetricFamily(
            "parkade_mars_incidents", "Open incidents by what they wait for", labels=["state"]
        )
        for state in ("acting", "held", "person"):
            waiting.add_metric([state], figures.figures.incidents.get(state, 0))
        repairs = CounterMetricFamily(
            "parkade_mars_repairs", "Repairs and checks that ended", labels=["kind", "result"]
        )
        for kind in RepairKind:
            for result in ("done", "failed"):
                count = figures.repairs.get((kind, result), 0)
                repairs.add_metric([kind.value, result], count)
        levels = (Level.WARN.value, Level.DEGRADED.value, Level.FATAL.value)
        return [
            waiting,
            repairs,
            _counter("verdicts", "Verdicts taken in", "level", levels, figures.verdicts),
            _counter("holds", "Actions held by a guard", "reason", HoldReason, figures.holds),
            _counter(
                "incidents_closed", "Incidents by end", "outcome", IncidentOutcome, figures.closed
            ),
        ]

    def _buffers(self) -> list[Metric]:
        labels = ["market", "fabric"]
        texts = {
            "held": "Nodes kept out of reservation sales",
            "down": "Nodes out of play",
            "lent": "Waiting buffer nodes that run spot work",
            "short": "By how many nodes the buffer is too small",
        }
        families = {
            key: GaugeMetricFamily(f"parkade_buffer_{key}_nodes", text, labels=labels)
            for key, text in texts.items()
        }
        for each in self._figures.figures.buffers:
            for key, family in families.items():
                family.add_metric([each.market, each.fabric], getattr(each, key))
        earned = CounterMetricFamily(
            "parkade_buffer_earned_units", "What the lent buffers earned", labels=["market"]
        )
        for market, micros in self._figures.figures.earned_micros.items():
            earned.add_metric([market], micros / MICROS)
        return [*families.values(), earned]

    def _turnarounds(self) -> list[Metric]:
        usual = GaugeMetricFamily(
            "parkade_turnaround_seconds",
            "How long sanitising between two orgs takes, median of the last",
            labels=["market"],
        )
        longest = GaugeMetricFamily(
            "parkade_turnaround_longest_seconds", "The longest ever", labels=["market"]
        )
        ended = CounterMetricFamily(
            "parkade_turnarounds", "Sanitisings between two orgs", labels=["market", "result"]
        )
        for market, times in self._figures.figures.turnarounds.items():
            if times.usual_us is not None:
                usual.add_metric([market], times.usual_us / SECOND_US)
            longest.add_metric([market], times.longest_us / SECOND_US)
            ended.add_metric([market, "passed"], times.passed)
            ended.add_metric([market, "failed"], times.failed)
        return [usual, longest, ended]

    def _sensors(self) -> list[Metric]:
        sensors = GaugeMetricFamily(
            "parkade_mars_sensors", "Sensors of a pool by state", labels=["pool", "state"]
        )
        for pool, states in list(self._intake.sensors.items()):
            counts = {"read": 0, "absent": 0, "failed": 0}
            for each in states:
                key = each.state.partition(":")[0]
                counts[key if key in counts else "failed"] += 1
            for state, count in counts.items():
                sensors.add_metric([pool, state], count)
        symptoms = CounterMetricFamily(
            "parkade_mars_reported_symptoms",
            "Symptoms that agents saw",
            labels=["pool", "source"],
        )
        for pool, seen in list(self._intake.symptoms.items()):
            for source, count in seen:
                symptoms.add_metric([pool, source], count)
        reasons = tuple(self._intake.rejected)
        return [
            sensors,
            symptoms,
            _counter("rejected", "Reports not believed", "reason", reasons, self._intake.rejected),
        ]

    def _logs(self) -> list[Metric]:
        """How agents keep up with logs; of a pool without any, or before its first report, none."""
        name = "parkade_mars_reported_log"
        unread = GaugeMetricFamily(
            f"{name}_unread_bytes", "What waits in a pool's logs to be read", labels=["pool"]
        )
        behind = GaugeMetricFamily(
            f"{name}_behind_seconds",
            "Since when the log that is most behind was not read to its end",
            labels=["pool"],
        )
        gaps = CounterMetricFamily(
            f"{name}_gaps", "Spans of logs whose lines may have been missed", labels=["pool"]
        )
        ends = GaugeMetricFamily(
            f"{name}_gap_end_timestamp_seconds",
            "When the last such span was noticed; 0 for never",
            labels=["pool"],
        )
        for pool, logs in list(self._intake.logs.items()):
            unread.add_metric([pool], logs.unread_bytes)
            behind.add_metric([pool], logs.behind_us / SECOND_US)
            gaps.add_metric([pool], logs.gaps)
            ends.add_metric([pool], (logs.gap_end_us or 0) / SECOND_US)
        return [unread, behind, gaps, ends]


def _counter(
    name: str, text: str, label: str, keys: object, counts: Mapping[str, int]
) -> CounterMetricFamily:
    """A family with a series for each key, also where it is 0."""
    family = CounterMetricFamily(f"parkade_mars_{name}", text, labels=[label])
    for key in keys:  # type: ignore[attr-defined]
        word = str(getattr(key, "value", key))
        family.add_metric([word], counts.get(word, 0))
    return family
