"""What Mars serves to Prometheus, with conventional names. Needs the extra `server`.

Names and labels are a contract: the shipped alert rules and dashboard ask for them.
"""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Info
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from parkade.core.healing.guards import HoldReason, Rejected
from parkade.core.healing.verdict import Level, Verdict
from parkade.mars.drains import RefusalReason
from parkade.ports import Backlog
from parkade.sensors.gaps import Gap

DRAINS = ("done", "refused", "failed")
ALERT_ROUNDS = ("sent", "failed")


class Present(Collector):
    """A gauge for what is so now, by its labels; what is so no more is gone from the next
    scrape."""

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self._name, self._text, self._labels = f"parkade_mars_{name}", text, labels
        self._values: dict[tuple[str, ...], float] = {}

    def now(self, values: dict[tuple[str, ...], float]) -> None:
        """What is so now; the mapping is kept, and not changed any more."""
        self._values = values

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


class Metrics:
    """All metrics of one run."""

    def __init__(self, *, policy: str, acts: bool) -> None:
        self.registry = CollectorRegistry()
        self._standing = self._present(
            "verdict_level",
            "Standing verdicts: 1 warn, 2 degraded, 3 fatal.",
            *("node", "device", "signal", "action"),
        )
        self.symptoms = self._counter("symptoms", "Symptoms seen.", "node", "source")
        self.verdicts = self._counter("verdicts", "Verdicts told.", "level", values=Level)
        self.rejected = self._counter(
            "symptoms_rejected", "Symptoms not believed.", "reason", values=Rejected
        )
        self.held = self._counter(
            "actions_held", "Actions that a guard held.", "reason", values=HoldReason
        )
        self.drains = self._counter(
            "drains", "Drains done, refused and failed.", "result", values=DRAINS
        )
        self.refused = self._counter(
            "drains_refused", "Drains refused, by why.", "reason", values=RefusalReason
        )
        self.alerts = self._counter(
            "alert_rounds", "Rounds of alerts sent.", "result", values=ALERT_ROUNDS
        )
        self.alertmanager_up = Gauge(
            "parkade_mars_alertmanager_up",
            "1 Alertmanager took what was sent last, 0 it did not; none where none is named.",
            ("address",),
            registry=self.registry,
        )
        self._sensor_up = Gauge(
            "parkade_mars_sensor_up",
            "1 a sensor is read, 0 it failed; none where the machine lacks it.",
            ("node", "sensor"),
            registry=self.registry,
        )
        self.unknown = self._gauge("kernel_lines_unknown", "Lines of drivers that no rule knows.")
        self.foreign = Gauge(
            "parkade_mars_kernel_lines_of_other_hosts",
            "Lines in a node's log that another host wrote; they are left out.",
            ("node",),
            registry=self.registry,
        )
        self.unread = self._present(
            "log_unread_bytes", "What waits in a log file to be read.", "log"
        )
        self.behind = self._present(
            "log_behind_seconds", "Since when a log file was not read to its end.", "log"
        )
        self._gaps = Counter(
            "parkade_mars_log_gaps",
            "Spans of a log whose lines may have been missed.",
            ("log",),
            registry=self.registry,
        )
        self._gap_starts = Gauge(
            "parkade_mars_log_gap_start_timestamp_seconds",
            "When the last line before the last such span was read.",
            ("log",),
            registry=self.registry,
        )
        self._gap_ends = Gauge(
            "parkade_mars_log_gap_end_timestamp_seconds",
            "When the last such span was noticed; 0 for never.",
            ("log",),
            registry=self.registry,
        )
        self.drained = self._gauge("drained_nodes", "Drains of ours that stand.")
        self.drained_nodes = self._present("node_drained", "Drains of ours by node.", "node")
        self.waits = self._present(
            "action_waits",
            "Actions of standing verdicts that wait, and why.",
            *("node", "device", "signal", "reason"),
        )
        self.parents = self._present("parent_suspected", "What is suspected.", "kind", "name")
        self.fabrics = self._present(
            "fabric_breaker_open", "1 the budget of a fabric is used up.", "fabric"
        )
        self.looked = self._gauge("last_log_timestamp_seconds", "When all logs were looked at.")
        self.suspected = self._gauge("suspected_parents", "Racks, switches, fabrics, drivers.")
        self.breaker_open = self._gauge("breaker_open", "1 the fleet's budget is used up.")
        self.polled = self._gauge("last_poll_timestamp_seconds", "When other sensors were polled.")
        self.poll_seconds = self._gauge("poll_duration_seconds", "How long that took.")
        info = Info("parkade_mars", "What runs.", registry=self.registry)
        info.info({"policy": policy, "acts": str(acts).lower()})

    def stand(self, verdicts: tuple[Verdict, ...]) -> None:
        """What stands now."""
        self._standing.now(
            {
                (each.node, each.device or "", each.signal, each.action.value): each.level.rank
                for each in verdicts
            }
        )

    def sensors(self, states: Mapping[tuple[str, str], str]) -> None:
        """States by node and sensor."""
        for (node, sensor), state in states.items():
            if not state.startswith("absent"):
                self._sensor_up.labels(node, sensor).set(0 if state.startswith("failed") else 1)

    def backlogs(self, backlogs: Iterable[tuple[str, Backlog]]) -> None:
        """What waits in each log file, by its path; of nodes that share one, the most."""
        unread: dict[tuple[str, ...], float] = {}
        behind: dict[tuple[str, ...], float] = {}
        for path, (unread_bytes, behind_s) in backlogs:
            unread[(path,)] = max(unread_bytes, unread.get((path,), 0))
            behind[(path,)] = max(behind_s, behind.get((path,), 0.0))
        self.unread.now(unread)
        self.behind.now(behind)

    def followed(self, log: str) -> None:
        """A log that is followed; nothing of it was missed."""
        self._gaps.labels(log)
        self._gap_ends.labels(log)

    def missed(self, gap: Gap) -> None:
        """Spans of a log whose lines may have been missed."""
        self._gaps.labels(gap.log).inc(gap.more)
        self._gap_ends.labels(gap.log).set(gap.until_s)
        if gap.since_s:
            self._gap_starts.labels(gap.log).set(gap.since_s)

    def _present(self, name: str, text: str, *labels: str) -> Present:
        found = Present(name, text, *labels)
        self.registry.register(found)
        return found

    def _counter(self, name: str, text: str, *labels: str, values: Iterable[str] = ()) -> Counter:
        """`values` of its one label are there from the start: `increase` would miss the first."""
        made = Counter(f"parkade_mars_{name}", text, labels, registry=self.registry)
        for value in values:
            made.labels(str(value))
        return made

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"parkade_mars_{name}", text, registry=self.registry)
