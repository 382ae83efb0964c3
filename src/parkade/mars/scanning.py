"""One look at one node: symptoms in, verdicts out, with what could not be read.

Everything is judged at once: a file's own stamps are the present, and at its end every window is
closed. Where lines have no stamps, they are one moment. Pure but for the policy it is given.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from parkade.core.healing.judge import close_windows, judge
from parkade.core.healing.memory import empty_memory
from parkade.core.healing.policy import Policy
from parkade.core.healing.symptom import Symptom
from parkade.core.healing.verdict import Level, Verdict, worst
from parkade.core.units.time import HOUR_US
from parkade.mars.machines import Lines
from parkade.sensors.kernel_log.reading import LineTally, read, symptom_of
from parkade.wire.exits import EXIT_TRY_AGAIN

VERSION = 2
"""Of the JSON that `mars scan` prints; version 1 had neither machines nor lines of others."""
EXIT_CODES: dict[Level | None, int] = {
    None: 0,
    Level.INFO: 0,
    Level.WARN: 10,
    Level.DEGRADED: 11,
    Level.FATAL: 12,
}
"""The exit code of the worst verdict; 1 to 7 are the program's own errors."""
EXIT_NOT_READ = EXIT_TRY_AGAIN
"""Nothing was found, but not every sensor could be read: try again."""
MOST_VERDICTS = 1_000
"""Of each level."""


class SensorOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one sensor said of itself: `state` begins with read, absent or failed."""

    sensor: str
    state: str


class MachineScan(msgspec.Struct, frozen=True, kw_only=True):
    """One machine of a scan: its `verdicts` are counted, `worst` is the first of them in the scan's
    order, None without one."""

    node: str
    symptoms: int
    verdicts: int
    worst: Verdict | None


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a scan found. `verdicts` holds the last verdict of each burst, the worst first;
    `left_out` counts those beyond the bound, `forgotten` signals that the judge had no room for.
    `node` is None where several machines were found; `machines` are those with a line of their own
    or a symptom, the worst first. `other_lines` were left out, since they name other machines, of
    which the first few are `other_machines`."""

    version: int
    node: str | None
    policy: str
    sensors: tuple[SensorOutcome, ...]
    lines: int
    symptoms: int
    unknown: int
    unknown_lines: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    left_out: int
    forgotten: int
    machines: tuple[MachineScan, ...] = ()
    other_lines: int = 0
    other_machines: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """See EXIT_CODES; with nothing found, EXIT_NOT_READ where a sensor failed."""
        code = EXIT_CODES[worst(self.verdicts)]
        return EXIT_NOT_READ if code == 0 and self.failed else code

    @property
    def failed(self) -> tuple[str, ...]:
        """The sensors that could not be read."""
        return tuple(each.sensor for each in self.sensors if each.state.startswith("failed"))


def kernel_symptoms(
    lines: Iterable[str], tally: LineTally, of: Lines, *, now_us: int, year: int
) -> Iterator[Symptom]:
    """The symptoms of recorded lines, in their order; a line without a stamp has the instant of the
    line before, the first ones `now_us`."""
    last_us = now_us
    for line in lines:
        seen = read(line, year=year)
        last_us = last_us if seen.at_us is None else seen.at_us
        node = of.unplaced if seen.is_unplaced else of.owner(seen.host)
        if node is None:
            tally.leave_out(seen, line)
            continue
        tally.add(seen, line)
        symptom = symptom_of(seen, line, node=node, reporter=node, at_us=last_us)
        if symptom is not None:
            yield symptom


class LatestVerdicts:
    """The last verdict of each burst, at most MOST_VERDICTS of a level."""

    def __init__(self) -> None:
        self.left_out = 0
        self._latest: dict[str, Verdict] = {}
        self._counts = dict.fromkeys(Level, 0)

    def add(self, verdicts: tuple[Verdict, ...]) -> None:
        """Adds verdicts in place of those that they supersede."""
        for verdict in verdicts:
            before = self._latest.pop(verdict.supersedes or "", None)
            if before is not None:
                self._counts[before.level] -= 1
            if self._counts[verdict.level] < MOST_VERDICTS:
                self._counts[verdict.level] += 1
                self._latest[verdict.verdict] = verdict
            else:
                self.left_out += 1

    def worst_first(self) -> tuple[Verdict, ...]:
        """By level, then by time."""
        key = lambda each: (-each.level.rank, each.at_us, each.verdict)  # noqa: E731
        return tuple(sorted(self._latest.values(), key=key))


def scan_of(
    symptoms: Iterable[Symptom],
    *,
    node: str,
    policy: Policy,
    sensors: Callable[[], Iterable[SensorOutcome]],
    tally: LineTally,
    machines: Callable[[], Iterable[str]] = tuple,
) -> Scan:
    """Judges symptoms as they come, each node's by its own time, then closes every window.

    `sensors`, `tally` and `machines` are read at the end, as they fill while symptoms are drawn.
    `node` is the one that is told where no machine was found.
    """
    judged: dict[str, _Judged] = {}
    latest = LatestVerdicts()
    for symptom in symptoms:
        of_node = judged.setdefault(symptom.node, _Judged(symptom.node))
        latest.add(of_node.take(symptom, policy))
    for of_node in judged.values():
        latest.add(of_node.end(policy))
    verdicts = latest.worst_first()
    seen = _machines(judged, machines(), verdicts)
    names = [each.node for each in seen] or [node]
    return Scan(
        version=VERSION,
        node=names[0] if len(names) == 1 else None,
        policy=policy.version,
        sensors=tuple(sensors()),
        lines=tally.lines,
        symptoms=sum(each.symptoms for each in judged.values()),
        unknown=tally.unknown,
        unknown_lines=tuple(tally.kept),
        verdicts=verdicts,
        left_out=latest.left_out,
        forgotten=sum(each.memory.forgotten for each in judged.values()),
        machines=seen,
        other_lines=tally.others.lines,
        other_machines=tally.others.hosts,
    )


class _Judged:
    """One node's judgement while symptoms are drawn."""

    def __init__(self, node: str) -> None:
        self.memory = empty_memory(node)
        self.symptoms = 0
        self._now_us = 0

    def take(self, symptom: Symptom, policy: Policy) -> tuple[Verdict, ...]:
        self.symptoms += 1
        self._now_us = max(self._now_us, symptom.at_us)
        self.memory, verdicts = judge(self.memory, symptom, self._now_us, policy=policy)
        return verdicts

    def end(self, policy: Policy) -> tuple[Verdict, ...]:
        """What its open windows find."""
        return close_windows(self.memory, self._now_us + HOUR_US, policy=policy).verdicts


def _machines(
    judged: dict[str, _Judged], named: Iterable[str], verdicts: tuple[Verdict, ...]
) -> tuple[MachineScan, ...]:
    """The machines of a scan, by their worst verdict, then by name."""
    own: dict[str, list[Verdict]] = {node: [] for node in sorted({*judged, *named})}
    for verdict in verdicts:
        own[verdict.node].append(verdict)
    found = [
        MachineScan(
            node=node,
            symptoms=judged[node].symptoms if node in judged else 0,
            verdicts=len(of_node),
            worst=of_node[0] if of_node else None,
        )
        for node, of_node in own.items()
    ]
    rank = lambda each: -1 if each.worst is None else each.worst.level.rank  # noqa: E731
    return tuple(sorted(found, key=rank, reverse=True))
