"""What the folders say, as an observation: one cheap look, decoded again only where it changed."""

import math
import time
from pathlib import Path

import msgspec

from parkade.core.workloads.observed import MOST_WORDS
from parkade.engines.local import keepers, processes, records, report
from parkade.engines.local.folders import Folders
from parkade.engines.local.records import Launch, State
from parkade.ports import ObservedAttempt, Phase, RankExit

REPLACE_KEEPER_S = 5.0
READ_AGAIN_S = 1.0
"""Between two readings of one checkpoint report: each looks at files of the user's."""
LOST_AT_REBOOT = "lost at reboot"


class _Seen(msgspec.Struct, kw_only=True):
    """One live attempt as last read; `stamp` tells whether its state file is still the same, and
    `reading_stamp` whether the checkpoint report is."""

    folder: Path
    launch: Launch | None
    state: State | None
    stamp: tuple[int, int] | None
    keeper_tried_s: float
    reading: report.Reading = report.Reading()
    reading_stamp: tuple[int, int] | None = None
    read_s: float = -math.inf


class View:
    """Reads the live attempts. A look costs a few system calls for each that is not released."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self.boot_id = processes.boot_id()
        self.seen: dict[str, _Seen] = {}
        self._operator_ends: dict[str, int | None] | None = None
        """When a person ended what was there at the first look; None: there was none yet. That is
        done while no engine runs: what appears later was written by the workload, which may share
        the agent's Unix user. Decision record 247."""

    def refresh(self) -> None:
        """Looks at the live attempts and their states."""
        names = self.folders.names()
        if self._operator_ends is None:
            self._operator_ends = {name: self._operator_end(name) for name in names}
        looks = {name: self._look(name) for name in names}
        self.seen = {name: look for name, look in looks.items() if look is not None}

    def observed(self) -> tuple[tuple[ObservedAttempt, ...], bool]:
        """All that can be read, and whether that is everything."""
        readable = [one for one in self.seen.values() if one.launch is not None]
        ends = self._operator_ends or {}
        found = tuple(
            _observed(one, one.launch, ends.get(one.folder.name))
            for one in readable
            if one.launch is not None
        )
        return found, len(readable) == len(self.seen)

    def needing_keeper(self) -> list[Path]:
        """Folders of what is not released yet, as last looked at."""
        return [one.folder for one in self._unreleased()]

    def without_keeper(self) -> list[Path]:
        """Folders that need a keeper and have none; each is named once in REPLACE_KEEPER_S."""
        now_s = time.monotonic()
        found = []
        for one in self._unreleased():
            is_time = now_s - one.keeper_tried_s >= REPLACE_KEEPER_S
            if is_time and not keepers.has_keeper(one.folder):
                one.keeper_tried_s = now_s
                found.append(one.folder)
        return found

    def live(self) -> list[Launch]:
        """Launches whose devices and ports are not free yet. Reads afresh, from any thread."""
        view = View(self.folders)
        view.refresh()
        return [
            _now(one.folder, one.launch, one.state)
            for one in view._unreleased()
            if one.launch is not None
        ]

    def is_released(self, folder: Path) -> bool:
        """Whether nothing of the attempt is left. Reads afresh."""
        return _is_released(records.read_state(folder))

    def _unreleased(self) -> list[_Seen]:
        return [
            one
            for one in self.seen.values()
            if one.launch is not None and not _is_released(one.state)
        ]

    def _operator_end(self, name: str) -> int | None:
        folder = self.folders.follow(name)
        return None if folder is None else records.read_operator_end(folder)

    def _look(self, name: str) -> _Seen | None:
        """None where it was forgotten since its name was read."""
        seen = self.seen.get(name)
        if seen is None or seen.launch is None:
            folder = self.folders.follow(name)
            if folder is None:
                return None
            seen = _Seen(
                folder=folder,
                launch=records.read_launch(folder),
                state=None,
                stamp=None,
                keeper_tried_s=-REPLACE_KEEPER_S,
            )
        stamp = _stamp(seen.folder / records.STATE)
        if stamp != seen.stamp:
            seen.state = records.read_state(seen.folder)
            seen.stamp = stamp
        if seen.launch is not None and seen.launch.boot_id != self.boot_id:
            self._note_reboot(seen, seen.launch)
        return seen

    def _note_reboot(self, seen: _Seen, launch: Launch) -> None:
        """Nothing lives through a reboot: the seats are free since the machine came up."""
        if _is_released(seen.state):
            return
        old = seen.state or records.nothing_yet(launch)
        started_us = old.started_us
        released_us = max(processes.booted_us(), old.written_us, started_us or 0)
        reading = report.read(Path(launch.checkpoint_dir))
        seen.state = msgspec.structs.replace(
            old,
            phase=Phase.RELEASED,
            released_us=released_us,
            checkpoint=reading.checkpoint,
            report_problem=reading.problem,
            engine_state=LOST_AT_REBOOT,
        )
        records.write(seen.folder / records.STATE, seen.state)
        seen.stamp = _stamp(seen.folder / records.STATE)


def _observed(seen: _Seen, launch: Launch, operator_end_us: int | None) -> ObservedAttempt:
    state = seen.state or records.nothing_yet(launch)
    is_released = state.phase is Phase.RELEASED
    reading = report.Reading(checkpoint=state.checkpoint, problem=state.report_problem)
    if not is_released:
        reading = _reading(seen, Path(launch.checkpoint_dir))
    exits = tuple(
        RankExit(rank=index, code=rank.code, signal=rank.signal)
        for index, rank in enumerate(state.ranks)
        if rank.has_ended and records.is_present(state, index)
    )
    return ObservedAttempt(
        attempt=launch.attempt.attempt,
        generation=launch.attempt.generation,
        phase=state.phase,
        started_us=state.started_us,
        released_us=state.released_us,
        exits=exits,
        checkpoint=reading.checkpoint,
        devices=_devices(_now(seen.folder, launch, state)),
        launch_error=None if state.launch_error is None else state.launch_error[:MOST_WORDS],
        engine_state=state.engine_state[:MOST_WORDS],
        ordered_us=launch.attempt.ordered_us,
        is_signalled=state.is_signalled,
        # A keeper of another user cannot be ended by the workload.
        is_keeper_lost=state.is_keeper_lost and not launch.is_other_user,
        lapsed_us=state.lapsed_us,
        operator_ended_us=_operator_ended_us(operator_end_us, state),
        report_problem=reading.problem,
        resizes=state.resizes,
        left=records.left_ranks(state),
        begun=records.begun_ranks(state),
    )


def _operator_ended_us(at_us: int | None, state: State) -> int | None:
    """When a person ended it. What was gone before that order was written ended by itself."""
    if not state.is_noticed and state.phase is not Phase.RELEASED:
        return None
    is_late = at_us is not None and state.released_us is not None and state.released_us < at_us
    return None if is_late else at_us


def _now(folder: Path, launch: Launch, state: State | None) -> Launch:
    """The launch of a live attempt, with the ranks whose seats are not free."""
    ranks = records.read_ranks(folder) if launch.attempt.is_live else None
    if ranks is None:
        return launch
    held = records.held_ranks(ranks, state)
    if not held:
        return msgspec.structs.replace(
            launch, attempt=msgspec.structs.replace(launch.attempt, ranks=()), devices=()
        )
    return msgspec.structs.replace(
        launch,
        attempt=msgspec.structs.replace(launch.attempt, ranks=tuple(it.seat for it in held)),
        devices=tuple(it.devices for it in held),
    )


def _reading(seen: _Seen, checkpoint_dir: Path) -> report.Reading:
    """What is not believed is read again and again: it may be whole by then."""
    stamp = _stamp(checkpoint_dir / report.NAME)
    is_due = stamp != seen.reading_stamp or seen.reading.problem is not None
    now_s = time.monotonic()
    if is_due and now_s - seen.read_s >= READ_AGAIN_S:
        seen.reading = report.read(checkpoint_dir)
        seen.reading_stamp, seen.read_s = stamp, now_s
    return seen.reading


def _devices(launch: Launch) -> tuple[tuple[str, tuple[int, ...]], ...]:
    held: dict[str, list[int]] = {}
    for rank, devices in zip(launch.attempt.ranks, launch.devices, strict=True):
        held.setdefault(rank.node, []).extend(devices)
    return tuple((node, tuple(sorted(devices))) for node, devices in held.items())


def _is_released(state: State | None) -> bool:
    return state is not None and state.phase is Phase.RELEASED


def _stamp(path: Path) -> tuple[int, int] | None:
    """Of the file itself: a user's link may lead where a look takes for ever."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
