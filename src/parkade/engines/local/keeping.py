"""Until when the folders of workloads that run nothing are kept, and that they go then.

A folder is *idle* while no live attempt lies in it. The engine does not know whether its workload
has ended, or waits for other seats, or runs in another pool: the control plane is asked, again and
again until it has said until when the folder is kept, and once more when that is over. Only its
word that it is due deletes. What it said lies in the folder as `kept.json`, with the launches that
prove whose folder it is, because the records of attempts go earlier.

One look reads so many folders and deletes so many entries, so the cost of a round is bounded.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from parkade.engines.local import records
from parkade.engines.local.deleting import Deletion
from parkade.engines.local.folders import Folders
from parkade.engines.local.measuring import bytes_of
from parkade.ports import (
    EngineError,
    FolderAnswer,
    FolderLook,
    InvalidSpec,
    KeptOfOrg,
    WorkloadFolder,
)

KEPT = "kept.json"
MOST_LOOKED_AT = 200
MOST_DELETED = 2_000
MOST_COUNTED = 20_000
"""Entries of a folder beyond which its bytes are not counted."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a folder whose workload has ended. `bytes` when that was heard, None where
    there were too many entries to count."""

    version: int
    folder: WorkloadFolder
    bytes: int | None


class Keeping:
    """One pass after another over the folders of a pool, in parts. Not for several threads."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._deletion = Deletion(folders.data / "deleting")
        self._pass: Iterator[Path] | None = None
        self._counts: dict[str, list[int]] = {}
        self._uncounted: set[str] = set()
        self._troubled: set[str] = set()
        self._problems: list[str] = []
        self._uncleared = self._deletion.taken()

    def look(self, now_us: int) -> FolderLook:
        """The folders among the next part of a pass that are to be asked about. What is kept is
        told where the pass ends there; the next look begins another."""
        live = {folder.parent.parent for folder in self._live()}
        if self._pass is None:
            self._pass, self._counts, self._uncounted = self._everything(), {}, set()
        asked, kept = [], None
        for _ in range(MOST_LOOKED_AT):
            path = next(self._pass, None)
            if path is None:
                self._pass, kept = None, self._counted()
                break
            folder = None if path in live else self._idle(path)
            if folder is not None and (folder.until_us is None or folder.until_us <= now_us):
                asked.append(folder)
        return FolderLook(folders=tuple(asked), kept=kept)

    def settle(self, asked: Sequence[WorkloadFolder], answers: Sequence[FolderAnswer]) -> list[str]:
        """Keeps what was answered and moves away what is due; the workloads whose folder goes."""
        by_name = {(one.org, one.workload): one for one in asked}
        gone = []
        for answer in answers:
            folder = by_name.get((answer.org, answer.workload))
            if folder is None:
                continue
            name = f"{folder.workload} of {folder.org}"
            try:
                if self._settle(folder, answer):
                    gone.append(name)
            except OSError as error:
                # One folder on another file system, or a full disk, holds up no other.
                if name not in self._troubled:
                    self._troubled.add(name)
                    self._problems.append(f"{name}: {error.strerror}")
        return gone

    def _settle(self, folder: WorkloadFolder, answer: FolderAnswer) -> bool:
        """Whether it goes."""
        if answer.is_due:
            return self._discard(folder)
        if answer.until_us is not None and answer.until_us != folder.until_us:
            self._note(msgspec.structs.replace(folder, until_us=answer.until_us))
        return False

    def delete(self) -> tuple[str, ...]:
        """A part of what was moved away; what cannot be deleted, and why, once each. What users
        alone may delete goes first, of one workload at each call."""
        problems, self._problems = tuple(self._problems), []
        if self._uncleared:
            folder = self._uncleared.pop()
            try:
                self._folders.clear(folder)
            except EngineError as error:
                problems += (f"{folder}: {error}",)
        if self._uncleared:
            return problems
        return problems + self._deletion.go_on(MOST_DELETED).problems

    def _everything(self) -> Iterator[Path]:
        """The workloads' folders: names are read an org at a time, and no link counts as one."""
        for org in _folders_in(self._folders.data / "orgs"):
            yield from _folders_in(org / "workloads")

    def _live(self) -> Iterator[Path]:
        for name in self._folders.names():
            folder = self._folders.follow(name)
            if folder is not None:
                yield folder

    def _idle(self, path: Path) -> WorkloadFolder | None:
        """What to ask about a folder; None where nothing proves whose it is."""
        kept = _read(path / KEPT)
        if kept is not None and kept.folder.until_us is not None:
            self._count(kept)
        launches = _launches(path / "attempts")
        if launches:
            attempts = [launch.attempt for launch in launches]
            found = WorkloadFolder(
                workload=attempts[-1].workload,
                org=attempts[-1].org,
                launches=tuple(
                    (one.attempt, one.launch_sequence, one.ordered_us) for one in attempts
                ),
                until_us=None if kept is None else kept.folder.until_us,
            )
        elif kept is not None:
            found = kept.folder
        else:
            return None
        return found if self._path(found) == path else None

    def _path(self, folder: WorkloadFolder) -> Path | None:
        try:
            return self._folders.of_workload(folder.org, folder.workload)
        except InvalidSpec:
            return None

    def _note(self, folder: WorkloadFolder) -> None:
        path = self._path(folder)
        assert path is not None, "it was found there"
        held = bytes_of(path, MOST_COUNTED)
        kept = Kept(version=records.VERSION, folder=folder, bytes=held)
        records.write(path / KEPT, kept)

    def _discard(self, folder: WorkloadFolder) -> bool:
        """In one rename, under the lock that launches take; not where an attempt was launched there
        since it was looked at."""
        path = self._path(folder)
        assert path is not None, "it was found there"
        with self._folders.lock():
            if any(live.parent.parent == path for live in self._live()):
                return False
            try:
                self._uncleared.append(self._deletion.take(path))
            except FileNotFoundError:
                return False
        return True

    def _count(self, kept: Kept) -> None:
        org = self._counts.setdefault(kept.folder.org, [0, 0])
        org[0] += 1
        org[1] += kept.bytes or 0
        if kept.bytes is None:
            self._uncounted.add(kept.folder.org)

    def _counted(self) -> tuple[KeptOfOrg, ...]:
        return tuple(
            KeptOfOrg(org=org, folders=count, bytes=held, is_counted=org not in self._uncounted)
            for org, (count, held) in sorted(self._counts.items())
        )


def _folders_in(path: Path) -> list[Path]:
    """In order; links are none."""
    try:
        with os.scandir(path) as entries:
            return sorted(Path(one.path) for one in entries if one.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _launches(attempts: Path) -> list[records.Launch]:
    """The first and the last attempt's, by their generation; attempts that were pruned are not
    there."""
    by_generation = defaultdict(list)
    for path in _folders_in(attempts):
        number = path.name.rpartition(".")[2]
        if number.isdecimal():
            by_generation[int(number)].append(path)
    ends = [by_generation[number][0] for number in sorted(by_generation)]
    read = [records.read_launch(path) for path in dict.fromkeys((*ends[:1], *ends[-1:]))]
    return [launch for launch in read if launch is not None]


def _read(path: Path) -> Kept | None:
    content = records.read_bounded(path)
    try:
        return None if content is None else msgspec.json.decode(content, type=Kept)
    except msgspec.DecodeError:
        return None
