"""Decides what an agent's report of health means for the core: as commands. Pure but for counts.

A report is bounded before it is believed: long lines are cut, and a node for which more is told
than its allowance says nothing more for a while. So a reporter that lies, or a fault that storms,
costs the journal a bounded number of events. What is dropped is counted by its reason.

The core decides the rest: it knows which nodes are the pool's, and what it heard already.
"""

from collections.abc import Container, Iterable, Iterator

from msgspec.structs import replace

from parkade.core.healing.incident import RepairKind
from parkade.core.healing.symptom import MOST_LINE_CHARACTERS, MOST_NAME_CHARACTERS, Source, bounded
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.verdict import Verdict
from parkade.core.state.commands import (
    AnyCommand,
    ReportRepair,
    ReportRepairKinds,
    ReportSurroundings,
    ReportVerdict,
)
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import MINUTE_US
from parkade.ports import HealthReport, LogStates, SensorState

AT_ONCE = 32
"""Verdicts of one node at once, and a minute after that."""
PER_MINUTE = 12
MOST_OF_REPORT = 20_000
MOST_REASONS = 8
MOST_REASON_CHARACTERS = 300
MOST_EVIDENCE = 2
MOST_JOBS = 8
MOST_SENSORS = 60_000
MOST_COUNT = 2**53
MOST_REPAIRS_OF_NODE = 4
"""Ended orders of one node in a report: the last one, and those of incidents that are closed."""
WHOLE_POOL = ""
"""No node has this name: the allowance of what is told of the pool itself."""


class HealthIntake:
    """`rejected` counts what was dropped, by reason; `sensors`, `symptoms` and `logs` are each
    pool's last word, for metrics."""

    def __init__(self) -> None:
        self.rejected: dict[str, int] = {"too_many": 0}
        self.sensors: dict[str, tuple[SensorState, ...]] = {}
        self.symptoms: dict[str, tuple[tuple[str, int], ...]] = {}
        self.logs: dict[str, LogStates] = {}
        self._kinds: dict[str, tuple[RepairKind, ...]] = {}
        self._places: dict[str, tuple[Surroundings, ...]] = {}
        self._allowances: dict[tuple[str, str], tuple[int, int]] = {}

    def take(
        self, report: HealthReport, *, nodes: Container[str], steady_us: int
    ) -> list[AnyCommand]:
        """What follows. Repairs come first: a node that is returned may be sick again. `nodes` are
        the pool's: what is told of others costs the writer nothing."""
        self.sensors[report.pool] = tuple(
            each
            for each in report.sensors[:MOST_SENSORS]
            if each.node in nodes or each.node == WHOLE_POOL
        )
        self.symptoms[report.pool] = _counts(report.symptoms)
        if report.logs is None:
            self.logs.pop(report.pool, None)
        else:
            self.logs[report.pool] = _bounded_states(report.logs)
        found: list[AnyCommand] = []
        has_changed = self._kinds.get(report.pool) != report.kinds
        if has_changed and self._is_allowed(report.pool, WHOLE_POOL, steady_us):
            self._kinds[report.pool] = report.kinds
            found.append(ReportRepairKinds(by=None, pool=report.pool, kinds=report.kinds))
        found += self._surroundings(report, nodes, steady_us)
        found += self._repairs(report, nodes)
        found += self._verdicts(report, nodes, steady_us)
        return found

    def refused(self, command: AnyCommand, outcome: Refusal) -> None:
        """The core did not believe something of it."""
        if isinstance(command, ReportRepairKinds):
            self._kinds.pop(command.pool, None)
        if isinstance(command, ReportSurroundings):
            self._places.pop(command.pool, None)
        self._reject(outcome.reason.value)

    def _surroundings(
        self, report: HealthReport, nodes: Container[str], steady_us: int
    ) -> Iterator[ReportSurroundings]:
        """What nodes share, where it is news; once a node."""
        if self._places.get(report.pool, ()) == report.surroundings:
            return
        if not self._is_allowed(report.pool, WHOLE_POOL, steady_us):
            return
        self._places[report.pool] = report.surroundings
        known = {
            each.node: Surroundings(
                node=each.node,
                rack=_name(each.rack),
                switch=_name(each.switch),
                driver=_name(each.driver),
            )
            for each in report.surroundings[:MOST_OF_REPORT]
            if each.node in nodes
        }
        yield ReportSurroundings(by=None, pool=report.pool, nodes=tuple(known.values()))

    def _repairs(self, report: HealthReport, nodes: Container[str]) -> Iterator[ReportRepair]:
        counted: dict[str, int] = {}
        for ended in report.repairs[:MOST_OF_REPORT]:
            counted[ended.node] = counted.get(ended.node, 0) + 1
            if ended.node not in nodes:
                self._reject("not_found")
            elif counted[ended.node] > MOST_REPAIRS_OF_NODE:
                self._reject("too_many")
            else:
                says = bounded(ended.says, MOST_LINE_CHARACTERS)
                yield ReportRepair(by=None, pool=report.pool, report=replace(ended, says=says))

    def _verdicts(
        self, report: HealthReport, nodes: Container[str], steady_us: int
    ) -> Iterator[ReportVerdict]:
        for verdict in report.verdicts[:MOST_OF_REPORT]:
            if verdict.node not in nodes:
                self._reject("not_found")
            elif self._is_allowed(report.pool, verdict.node, steady_us):
                yield ReportVerdict(by=None, pool=report.pool, verdict=cut(verdict))

    def _is_allowed(self, pool: str, node: str, steady_us: int) -> bool:
        """A token bucket of whole microseconds, so that no fraction is lost; kept for nodes that
        the pool has or had."""
        most = AT_ONCE * MINUTE_US
        had, at_us = self._allowances.get((pool, node), (most, steady_us))
        have = min(most, had + (steady_us - at_us) * PER_MINUTE)
        is_allowed = have >= MINUTE_US
        self._allowances[pool, node] = (have - MINUTE_US * is_allowed, steady_us)
        if not is_allowed:
            self._reject("too_many")
        return is_allowed

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


def _name(given: str | None) -> str | None:
    return None if given is None else bounded(given, MOST_NAME_CHARACTERS)


def _counts(symptoms: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Each known kind of source once, with a count that a float can hold: they become series."""
    known = frozenset(Source)
    found = {name: count for name, count in symptoms if name in known and 0 <= count <= MOST_COUNT}
    return tuple(found.items())


def _bounded_states(logs: LogStates) -> LogStates:
    """Numbers that a float can hold: they become series."""
    end_us = logs.gap_end_us
    return LogStates(
        unread_bytes=_count(logs.unread_bytes),
        behind_us=_count(logs.behind_us),
        gaps=_count(logs.gaps),
        gap_end_us=None if end_us is None else _count(end_us),
    )


def _count(given: int) -> int:
    return min(max(given, 0), MOST_COUNT)


def cut(verdict: Verdict) -> Verdict:
    """The verdict within its bounds: what is kept for ever is short."""
    name = MOST_NAME_CHARACTERS
    device = None if verdict.device is None else bounded(verdict.device, name)
    return replace(
        verdict,
        verdict=bounded(verdict.verdict, 3 * name),
        supersedes=None if verdict.supersedes is None else bounded(verdict.supersedes, 3 * name),
        node=bounded(verdict.node, 2 * name),
        device=device,
        signal=bounded(verdict.signal, name),
        reasons=tuple(
            bounded(each, MOST_REASON_CHARACTERS) for each in verdict.reasons[:MOST_REASONS]
        ),
        jobs=tuple(bounded(each, name) for each in verdict.jobs[:MOST_JOBS]),
        sources=verdict.sources[:8],
        evidence=tuple(
            replace(
                each,
                line=bounded(each.line),
                reporter=bounded(each.reporter, name),
                parser=bounded(each.parser, name),
            )
            for each in verdict.evidence[:MOST_EVIDENCE]
        ),
        policy=bounded(verdict.policy, name),
    )
