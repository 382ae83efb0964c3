"""Where attempts lie on disk, and which are live: the engine's only memory.

`orgs/ORG/workloads/WORKLOAD/{checkpoints, attempts/ATTEMPT}` hold the files; `live/ATTEMPT` and
`ended/ATTEMPT` are links to them and the index. Making an attempt known, and forgetting it, is one
rename each. What was forgotten keeps its output until KEPT_ENDED newer ones were forgotten, or
until the folder of its workload goes (`keeping`).
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parkade.engines.local import records, spares
from parkade.engines.local.records import Account, Launch
from parkade.engines.local.validation import folder_name
from parkade.ports import DesiredAttempt

KEPT_ENDED = 1000


class Folders:
    """The data folder of one pool. Users pass through it to what is theirs and can list nothing."""

    def __init__(self, data: Path, *, has_other_users: bool) -> None:
        self.data = data.resolve()
        self.live = self.data / "live"
        self.ended = self.data / "ended"
        # Where ranks run as other users, those must be able to pass.
        self.mode = 0o711 if has_other_users else 0o700
        self._make(self.data, self.mode)
        for folder in (self.live, self.ended):
            self._make(folder, 0o700)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One launch or forgetting at a time, among all engines on this folder. Blocks."""
        descriptor = os.open(self.data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def names(self) -> list[str]:
        """Folder names of the live attempts, in order."""
        return sorted(path.name for path in self.live.iterdir())

    def find(self, attempt: str) -> Path | None:
        """The folder of a live attempt."""
        return self.follow(folder_name(attempt, key="attempt"))

    def find_ended(self, attempt: str) -> Path | None:
        """The folder of a forgotten attempt whose output is still kept."""
        return _target(self.ended / folder_name(attempt, key="attempt"))

    def follow(self, name: str) -> Path | None:
        """The folder of a live attempt by its name in the index."""
        return _target(self.live / name)

    def workload(self, attempt: DesiredAttempt) -> Path:
        """Where all of a workload lies."""
        return self.of_workload(attempt.org, attempt.workload)

    def of_workload(self, org: str, workload: str) -> Path:
        """The same by its names; InvalidSpec where they name no folder."""
        of_org = self.data / "orgs" / folder_name(org, key="org")
        return of_org / "workloads" / folder_name(workload, key="workload")

    def home(self, attempt: DesiredAttempt) -> Path:
        """Where the attempt lies, known or not."""
        return self.workload(attempt) / "attempts" / folder_name(attempt.attempt, key="attempt")

    def checkpoints(self, attempt: DesiredAttempt) -> Path:
        """Where all attempts of the workload save."""
        return self.workload(attempt) / "checkpoints"

    def add(self, launch: Launch) -> Path:
        """Makes an attempt known that is not; the caller holds the lock.

        A folder that no index names was left by a crash before any keeper: it is made anew.
        """
        home = self.home(launch.attempt)
        for above in reversed(home.relative_to(self.data).parents[:-1]):
            self._make(self.data / above, self.mode)
        self.make_checkpoints(launch)
        fresh = home.with_name(f".{home.name}.new")
        for remains in (fresh, home):
            self._drop(remains)
        self._make(fresh, self.mode if launch.is_other_user else 0o700)
        self.furnish(fresh, launch)
        fresh.rename(home)
        # Relative, so that a data folder that is moved still finds what lies in it.
        (self.live / home.name).symlink_to(os.path.relpath(home, self.live))
        return home

    def furnish(self, fresh: Path, launch: Launch) -> None:
        """Puts into an attempt's new folder what a keeper finds there."""
        records.write(fresh / records.LAUNCH, launch)
        for name in (records.ORDER, records.STATE, records.NOTICE):
            spares.make(fresh / name)
        if launch.attempt.is_live:
            for name in (records.RANKS, records.MEMBERS):
                spares.make(fresh / name)

    def sync(self, home: Path) -> None:
        """What was launched outlives a loss of power; before anything is started of it."""
        with (home / records.LAUNCH).open("rb") as file:
            os.fsync(file.fileno())

    def forget(self, attempt: str) -> None:
        """Takes it out of the live ones, and drops the oldest beyond what is kept."""
        name = folder_name(attempt, key="attempt")
        (self.live / name).rename(self.ended / name)
        kept = list(self.ended.iterdir())
        if len(kept) <= KEPT_ENDED:
            return
        kept.sort(key=lambda path: path.lstat().st_ctime_ns)
        for link in kept[:-KEPT_ENDED]:
            self._drop(link.parent / link.readlink())
            link.unlink(missing_ok=True)

    def clear(self, workload: Path) -> None:
        """Deletes what only users may delete of a workload's folder that goes; here we may."""

    def _drop(self, home: Path) -> None:
        """Deletes an attempt's folder as far as that goes; the rest goes with its workload's."""
        shutil.rmtree(home, ignore_errors=True)

    def make_checkpoints(self, launch: Launch) -> None:
        """The folder in which all attempts of its workload save; one that is there is left."""
        path = Path(launch.checkpoint_dir)
        self._make(path, 0o700)
        if launch.is_other_user:
            give(path, launch.account)

    def _make(self, path: Path, mode: int) -> None:
        try:
            path.mkdir(mode=mode, parents=path == self.data)
        except FileExistsError:
            return
        path.chmod(mode)


def _target(link: Path) -> Path | None:
    try:
        return Path(os.path.normpath(link.parent / link.readlink()))
    except OSError:
        return None


def give(path: Path, account: Account) -> None:
    """Makes the account the owner; never through a link."""
    os.chown(path, account.uid, account.gid, follow_symlinks=False)
