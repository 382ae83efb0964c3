"""Deletes folders that users wrote in, a bounded part at a time, and never anything outside them.

What shall go is first moved into one folder of the agent's own, in one rename, so that the rest of
the engine finds it whole or not at all, and a restart goes on where it ended. There a folder inside
a folder is not entered: it is moved up beside the first, and its turn comes. So

- depth is no matter, and no path is ever followed through what a user could have exchanged: names
  are used relative to an open folder, a link is removed and never followed;
- a file system that was mounted inside is never entered, because a place where something is mounted
  cannot be renamed. It is reported and left alone.

Cost: one system call or two for each entry.
"""

import errno
import os
import secrets
from pathlib import Path

import msgspec

MOST_PROBLEMS = 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """`is_done`: nothing is left that could be deleted. `problems` are told once each."""

    entries: int
    is_done: bool
    problems: tuple[str, ...]


class Deletion:
    """A folder whose content goes. `aside` is what cannot be deleted while this process lives."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._aside: set[str] = set()

    def take(self, folder: Path) -> None:
        """Moves a folder in, or whatever stands under that name; its file system is the same."""
        self.place.mkdir(mode=0o700, exist_ok=True)
        folder.rename(self.place / f"{folder.name[:100]}.{secrets.token_hex(8)}")

    def go_on(self, most: int) -> Progress:
        """Removes at most so many entries."""
        try:
            place = os.open(self.place, _FOLDER)
        except FileNotFoundError:
            return Progress(entries=0, is_done=True, problems=())
        left, problems = most, list[str]()
        try:
            while left > 0 and (name := self._next(place)) is not None:
                try:
                    left -= _shrink(place, name, left)
                except OSError as error:
                    self._aside.add(name)
                    problems.append(f"{self.place / name}: {error}")
            is_done = self._next(place) is None
        finally:
            os.close(place)
        return Progress(
            entries=most - left, is_done=is_done, problems=tuple(problems[:MOST_PROBLEMS])
        )

    def _next(self, place: int) -> str | None:
        with os.scandir(place) as entries:
            return next((one.name for one in entries if one.name not in self._aside), None)


def _shrink(place: int, name: str, most: int) -> int:
    """Removes an entry of the place, or up to so many entries of it; how many went, at least 1."""
    try:
        folder = _open_folder(place, name)
    except NotADirectoryError:
        os.unlink(name, dir_fd=place)
        return 1
    gone = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if gone >= most:
                    return gone
                _take_out(folder, entry, place)
                gone += 1
    finally:
        os.close(folder)
    try:
        os.rmdir(name, dir_fd=place)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        # A process that outlived its attempt writes there: its turn comes again.
        return max(gone, 1)
    return gone + 1


def _take_out(folder: int, entry: os.DirEntry[str], place: int) -> None:
    if not entry.is_dir(follow_symlinks=False):
        os.unlink(entry.name, dir_fd=folder)
        return
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
    return os.open(name, _FOLDER, dir_fd=place)


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
