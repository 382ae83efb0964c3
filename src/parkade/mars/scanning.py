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
from parkade.sensors.kernel_log.reading import LineTally, read, symptom_of

VERSION = 1
"""Of the exit codes and of the JSON that `mars scan` prints."""
EXIT_CODES: dict[Level | None, int] = {
    None: 0,
    Level.INFO: 0,
    Level.WARN: 10,
    Level.DEGRADED: 11,
    Level.FATAL: 12,
}
"""The exit code of the worst verdict; 1 to 7 are the program's own errors."""
EXIT_NOT_READ = 6
"""Nothing was found, but not every sensor could be read: try again."""
MOST_VERDICTS = 1_000
"""Of each level."""


class SensorOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one sensor said of itself: `state` begins with read, absent or failed."""

    sensor: str
    state: str


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a scan found. `verdicts` holds the last verdict of each burst, the worst first;
    `left_out` counts those beyond the bound, `forgotten` signals that the judge had no room for."""

    version: int
    node: str
    policy: str
    sensors: tuple[SensorOutcome, ...]
    lines: int
    symptoms: int
    unknown: int
    unknown_lines: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    left_out: int
    forgotten: int

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
    lines: Iterable[str], tally: LineTally, *, node: str, now_us: int, year: int
) -> Iterator[Symptom]:
    """The symptoms of recorded lines, in their order; a line without a stamp has the instant of the
    line before, the first ones `now_us`."""
    last_us = now_us
    for line in lines:
        seen = read(line, year=year)
        last_us = last_us if seen.at_us is None else seen.at_us
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
) -> Scan:
    """Judges symptoms as they come, then closes every window.

    `sensors` and `tally` are read at the end, as they fill while symptoms are drawn.
    """
    memory, latest, now_us, count = empty_memory(node), LatestVerdicts(), 0, 0
    for symptom in symptoms:
        count += 1
        now_us = max(now_us, symptom.at_us)
        memory, verdicts = judge(memory, symptom, now_us, policy=policy)
        latest.add(verdicts)
    _, verdicts = close_windows(memory, now_us + HOUR_US, policy=policy)
    latest.add(verdicts)
    return Scan(
        version=VERSION,
        node=node,
        policy=policy.version,
        sensors=tuple(sensors()),
        lines=tally.lines,
        symptoms=count,
        unknown=tally.unknown,
        unknown_lines=tuple(tally.kept),
        verdicts=latest.worst_first(),
        left_out=latest.left_out,
        forgotten=memory.forgotten,
    )
