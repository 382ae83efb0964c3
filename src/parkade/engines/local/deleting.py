"""Deletes folders that users wrote in, a bounded part at a time, and never anything outside them.

What shall go is first moved into one folder of the agent's own, in one rename, so that the rest of
the engine finds it whole or not at all, and a restart goes on where it ended. There a folder inside
a folder is not entered: it is moved up beside the first, and its turn comes. So

- depth is no matter, and no path is ever followed through what a user could have exchanged: names
  are used relative to an open folder, a link is removed and never followed;
- a file system that was mounted inside is never entered, because a place where something is mounted
  cannot be renamed. It is reported and left alone;
- what cannot be deleted keeps none of its neighbours: of one folder up to MOST_STUCK such entries
  are passed over, and told.

Cost: one system call or two for each entry.
"""

import errno
import os
import secrets
from pathlib import Path

import msgspec

MOST_PROBLEMS = 20
MOST_STUCK = 1_000
"""Entries of one folder that cannot be deleted, beyond which the rest of it is left too."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """`is_done`: nothing is left that could be deleted. `problems` are told once each."""

    entries: int
    is_done: bool
    problems: tuple[str, ...]


class Deletion:
    """A folder whose content goes. `aside` is what cannot be deleted while this process lives,
    `stuck` what cannot be of a folder whose rest still goes."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._aside: set[str] = set()
        self._stuck: dict[str, dict[str, str]] = {}

    def take(self, folder: Path) -> Path:
        """Moves a folder in, or whatever stands under that name; where to. Its file system is the
        same."""
        self.place.mkdir(mode=0o700, exist_ok=True)
        place = self.place / f"{folder.name[:100]}.{secrets.token_hex(8)}"
        folder.rename(place)
        return place

    def taken(self) -> list[Path]:
        """What was moved in and has not gone."""
        try:
            return sorted(self.place.iterdir())
        except FileNotFoundError:
            return []

    def go_on(self, most: int) -> Progress:
        """Removes at most so many entries."""
        try:
            place = os.open(self.place, FOLDER)
        except FileNotFoundError:
            return Progress(entries=0, is_done=True, problems=())
        left, problems = most, list[str]()
        try:
            while left > 0 and (name := self._next(place)) is not None:
                stuck = self._stuck.setdefault(name, {})
                try:
                    gone, is_over = _shrink(place, name, left, stuck)
                except OSError as error:
                    gone, is_over = 0, True
                    stuck[""] = str(error)
                left -= gone
                if is_over:
                    problems += self._give_up(name)
            is_done = self._next(place) is None
        finally:
            os.close(place)
        return Progress(
            entries=most - left, is_done=is_done, problems=tuple(problems[:MOST_PROBLEMS])
        )

    def _give_up(self, name: str) -> list[str]:
        """What of an entry cannot be deleted; if there is such, it is left alone from now on."""
        stuck = self._stuck.pop(name)
        if stuck:
            self._aside.add(name)
        problems = [f"{self.place / name / inside}: {why}" for inside, why in stuck.items()]
        if len(stuck) >= MOST_STUCK:
            problems.insert(0, f"{self.place / name}: there is more that cannot be deleted")
        return problems

    def _next(self, place: int) -> str | None:
        with os.scandir(place) as entries:
            return next((one.name for one in entries if one.name not in self._aside), None)


def _shrink(place: int, name: str, most: int, stuck: dict[str, str]) -> tuple[int, bool]:
    """Removes an entry of the place, or up to so many entries of it that are not `stuck`, and adds
    those that turn out to be. (how many went, whether that was all that can)."""
    try:
        folder = _open_folder(place, name)
    except NotADirectoryError:
        os.unlink(name, dir_fd=place)
        return 1, True
    try:
        gone, is_over = _empty(folder, place, most, stuck)
    finally:
        os.close(folder)
    if stuck or not is_over:
        return gone, is_over
    try:
        os.rmdir(name, dir_fd=place)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        # A process that outlived its attempt writes there: its turn comes again.
        return max(gone, 1), False
    return gone + 1, True


def _empty(folder: int, place: int, most: int, stuck: dict[str, str]) -> tuple[int, bool]:
    """The same for what is inside a folder."""
    gone = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in stuck:
                continue
            if gone >= most:
                return gone, False
            try:
                _take_out(folder, entry, place)
            except FileNotFoundError:
                continue
            except OSError as error:
                stuck[entry.name] = str(error)
                if len(stuck) >= MOST_STUCK:
                    return gone, True
            else:
                gone += 1
    return gone, True


def _take_out(folder: int, entry: os.DirEntry[str], place: int) -> None:
    if not entry.is_dir(follow_symlinks=False):
        os.unlink(entry.name, dir_fd=folder)
        return
    try:
        # An empty one needs no right of its owner's.
        os.rmdir(entry.name, dir_fd=folder)
        return
    except OSError:
        pass
    new = secrets.token_hex(16)
    try:
        os.rename(entry.name, new, src_dir_fd=folder, dst_dir_fd=place)
    except PermissionError:
        # A folder that its user may not write cannot be moved either.
        _allow(folder, entry.name)
        os.rename(entry.name, new, src_dir_fd=folder, dst_dir_fd=place)


def _open_folder(place: int, name: str) -> int:
    """A folder of the place, readable and writable by its owner; NotADirectoryError for another
    thing, also for a link."""
    _allow(place, name)
    return os.open(name, FOLDER, dir_fd=place)


def _allow(above: int, name: str) -> None:
    """Gives its owner all rights to a folder: to exactly that one, whatever the name becomes. Not
    to one of another file system, which was mounted there."""
    found = os.open(name, _PLACE, dir_fd=above)
    try:
        if os.fstat(found).st_dev != os.fstat(above).st_dev:
            raise OSError(errno.EXDEV, "another file system is mounted there")
        Path(f"/proc/self/fd/{found}").chmod(0o700)
    finally:
        os.close(found)
