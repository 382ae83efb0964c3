"""What a run keeps over a restart: how far logs were judged, what stands, what is to be drained.

Where a journal is named, two files beside it: `bookmarks` and `standing_file`. What stands is
written when it changes; when something was last seen of it, at most each `SEEN_EVERY_US`. It is
written before the bookmarks, so that no line counts as dealt with whose verdict could be lost. A
verdict stands after a restart by the rule of before: until nothing more was seen of it for
`resolve_after`, the time in between included, or until the driver needs no repair.

What a kernel's ring still holds from before is judged again beside that, without anything that
follows, so that bursts count on.
"""

from collections.abc import Sequence
from pathlib import Path

import structlog

from parkade.boots import boot_id
from parkade.core.healing.policy import Policy
from parkade.core.healing.symptom import Symptom, signals_of
from parkade.core.healing.verdict import Verdict
from parkade.core.healing.watch import Decision, FleetWatch
from parkade.core.units.time import MINUTE_US
from parkade.mars.bookmarks import bookmarks_beside, load_bookmarks, save_bookmarks
from parkade.mars.draining import Draining
from parkade.mars.holding import Held
from parkade.mars.kept_file import KeptFileError
from parkade.mars.run_file import RunFile
from parkade.mars.standing import StandingVerdicts
from parkade.mars.standing_file import (
    VERSION,
    StandingEntry,
    StandingFile,
    UnfinishedDrain,
    load_standing,
    save_standing,
    standing_beside,
)
from parkade.ports import LogSensor
from parkade.sensors.bookmarks import ReadSoFar, log_name
from parkade.sensors.polling import SensorGroup

SEEN_EVERY_US = MINUTE_US


class Keeping:
    """See the module. Raises KeptFileError where a file cannot be read; one that cannot be written
    is told, and stops nothing."""

    def __init__(
        self,
        file: RunFile,
        policy: Policy,
        *,
        watch: FleetWatch,
        standing: StandingVerdicts,
        draining: Draining | None,
        logs: SensorGroup[LogSensor],
    ) -> None:
        self._log = structlog.get_logger("parkade.mars")
        self._nodes = {entry.node: entry.local for entry in file.nodes}
        self._policy = policy
        self._watch, self._standing, self._draining = watch, standing, draining
        self._logs = logs
        self._boot = boot_id()
        self._paths = None if file.journal is None else _beside(file.journal)
        self._marks = ReadSoFar[str]({}, coalesce_us=policy.windows.coalesce_us)
        self._marks_saved: dict[str, str] = {}
        self._stood: tuple[object, ...] = ((), {})
        self._stood_us = 0

    def resume(self, now_us: int) -> None:
        """Goes on where the program before this one ended, and saves where that is."""
        if self._paths is not None:
            marks_file, standing_file = self._paths
            self._marks_saved = load_bookmarks(marks_file)
            kept = load_standing(standing_file)
            for node, log in self._logs.sensors:
                mark = self._marks_saved.get(log_name(node))
                if mark is not None:
                    log.resume(mark)
                    self._remember(log.reread(now_us), now_us)
            if kept is not None:
                self._restore(kept, now_us)
        begun = self._read_so_far()
        self._marks = ReadSoFar(begun, coalesce_us=self._policy.windows.coalesce_us)
        self.save(now_us)

    def note(self, now_us: int) -> None:
        """Logs were read, and all that they gave was judged."""
        self._marks.note(self._read_so_far(), now_us)

    def save(self, now_us: int, *, is_end: bool = False) -> None:
        """What stands; and how far logs were judged, where every window that a line opened has
        closed and every drain that follows is done or kept."""
        if self._paths is not None:
            self._save_standing(self._paths[1], now_us, is_end=is_end)
        if self._draining is not None and not self._draining.is_settled:
            return
        self._marks.settle(self._watch.next_untold_us())
        if self._paths is None or self._marks.judged == self._marks_saved:
            return
        try:
            save_bookmarks(self._paths[0], self._marks.judged)
        except KeptFileError as error:
            self._log.error("a restart would judge lines again", why=str(error))
        self._marks_saved = dict(self._marks.judged)

    def _save_standing(self, path: Path, now_us: int, *, is_end: bool) -> None:
        entries = self._standing.entries()
        unfinished = {} if self._draining is None else self._draining.unfinished
        stands = (tuple(verdict.verdict for verdict, _ in entries), unfinished)
        is_due = is_end or not 0 <= now_us - self._stood_us < SEEN_EVERY_US
        if stands == self._stood and not (entries and is_due):
            return
        file = StandingFile(
            version=VERSION,
            policy=self._policy.version,
            boot=self._boot,
            standing=tuple(StandingEntry(verdict=it, seen_us=seen) for it, seen in entries),
            unfinished=tuple(_unfinished(name, why) for name, why in unfinished.items()),
        )
        try:
            save_standing(path, file)
        except KeptFileError as error:
            self._log.error("a restart would not know what stands", why=str(error))
        self._stood, self._stood_us = stands, now_us

    def _restore(self, kept: StandingFile, now_us: int) -> None:
        """What stood; nothing of a node that is not in the file any more, or was booted since."""
        is_booted = None not in (kept.boot, self._boot) and kept.boot != self._boot
        verdicts: dict[str, Verdict] = {}
        for entry in kept.standing:
            is_local = self._nodes.get(entry.verdict.node)
            if is_local is None or (is_local and is_booted):
                continue
            self._standing.restore(entry.verdict, min(entry.seen_us, now_us))
            verdicts[entry.verdict.verdict] = entry.verdict
        self._watch.stood_before(verdicts.values())
        unfinished = [each for each in kept.unfinished if each.verdict in verdicts]
        if unfinished and kept.policy != self._policy.version:
            why = f"they were judged by another policy, {kept.policy}"
            self._log.warning("drains that were held are dropped", drains=len(unfinished), why=why)
        elif self._draining is not None:
            self._draining.resume(verdicts, {each.verdict: _held(each) for each in unfinished})
        if verdicts:
            self._log.info("verdicts stand from before", verdicts=len(verdicts))

    def _remember(self, symptoms: Sequence[Symptom], now_us: int) -> None:
        """Old symptoms, at the times when they came; their verdicts stand and nothing follows."""
        # Their windows have closed, whatever became of the wall clock since.
        latest_us = now_us - self._watch.settings.policy.windows.coalesce_us
        decisions: list[Decision] = []
        for symptom in symptoms:
            signal, at_us = signals_of(symptom.fact)[0], min(symptom.at_us, latest_us)
            self._standing.see(symptom.node, symptom.device, signal, at_us)
            decisions += self._watch.tick(at_us)
            decisions += self._watch.observe(symptom, at_us).decisions
        decisions += self._watch.tick(now_us)
        for decision in decisions:
            self._standing.tell(decision.verdict)

    def _read_so_far(self) -> dict[str, str]:
        """How far each log was read, by its name in the file of bookmarks."""
        found = {log_name(node): log.bookmark for node, log in self._logs.sensors}
        return {name: mark for name, mark in found.items() if mark is not None}


def _beside(journal: Path) -> tuple[Path, Path]:
    return bookmarks_beside(journal), standing_beside(journal)


def _unfinished(name: str, why: Held | None) -> UnfinishedDrain:
    if why is None:
        return UnfinishedDrain(verdict=name, code=None, words=None)
    return UnfinishedDrain(verdict=name, code=why.code, words=why.words)


def _held(drain: UnfinishedDrain) -> Held | None:
    if drain.code is None or drain.words is None:
        return None
    return Held(drain.code, drain.words)
