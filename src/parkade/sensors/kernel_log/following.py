"""Follows a log that grows, is rotated, or is copied and cut, also over restarts; no line is lost
that can still be read.

Theory of operation. A rotation renames the log; its writer goes on in the renamed file until it is
told to open the new one. So a renamed file is read beside the new one until it was quiet for
`QUIET_S` and the new one has begun: then the writer has moved. All files are kept open in their
order, the path's own last. A line is given out once it is whole; what stands at the end of an old
file without an end of line is given out when that file is let go.

A **bookmark** names each open file (device and inode), how far it was read, a checksum of the bytes
before that place, and when its last line was read. The checksum tells a file that only grew from
one that was cut and grew past the old place; it finds the copy that was made before a cut, and
knows a log that a longer copy of itself replaced. What stands behind a bookmark and cannot be found
is told in `missed`. `rotation` knows where a rotation puts files.

A follower that **rests** holds no file open between two looks, for programs that may open few: it
goes on as after a restart, and looks at a log that has not changed by its size and times alone.

Worked example. `kern.log` was read to byte 900. It is copied to `kern.log.1` and cut, and 2,000
bytes are written into it. The bytes before place 900 differ, so it was cut; those of `kern.log.1`
are the same: that is read on from 900, then `kern.log` from its beginning.
"""

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Container
from pathlib import Path
from typing import BinaryIO

from parkade.ports import NO_BACKLOG, Backlog, Missed
from parkade.sensors.kernel_log.reading import MOST_LINE
from parkade.sensors.kernel_log.rotation import (
    Place,
    Rotated,
    checksum,
    missed,
    rotated_since,
)
from parkade.sensors.polling import READ

QUIET_S = 60.0
"""A renamed file that was quiet for so long is let go, once the new one has begun."""
NO_FILE = "it is no regular file; `local: true` reads the ring of this machine's kernel"
LONG_S = 10.0
"""Between two looks; in less time no log is rotated twice."""
MOST_OPEN = 1_000
MOST_LINES = 10_000
"""In one look."""

Identity = tuple[int, int]
"""Device and inode."""
Look = tuple[int, int, int, int]
"""Device, inode, size, and when it was written last: equal where nothing was written."""


class _OpenFile:
    """One file and how far it was read. `quiet_s`: the steady clock when it had last grown;
    `read_s`: the wall clock when its last line was read or skipped, 0 for none."""

    def __init__(self, handle: BinaryIO, place: Place | None, now_s: float) -> None:
        self._handle = handle
        found = os.fstat(handle.fileno())
        self.identity: Identity = (found.st_dev, found.st_ino)
        self._part, self._part_bytes = b"", 0
        self._checked: tuple[int, int] | None = None
        self.read_s = 0 if place is None else place.read_s
        self.quiet_s = now_s - max(0.0, time.time() - found.st_mtime)
        self._size = found.st_size
        self._at = handle.seek(0 if place is None else place.offset)

    @property
    def offset(self) -> int:
        """How many bytes were given out as whole lines."""
        return self._at - self._part_bytes

    @property
    def left(self) -> int:
        """How many bytes were not read yet."""
        return max(0, os.fstat(self._handle.fileno()).st_size - self._at)

    def place(self) -> Place:
        """How far it was read."""
        offset = self.offset
        if self._checked is None or self._checked[0] != offset:
            self._checked = (offset, checksum(self._handle.fileno(), offset))
        return Place(*self.identity, offset, self._checked[1], self.read_s)

    def is_cut(self, size: int) -> bool:
        """Whether the bytes that were read are not there any more, in a file of so many bytes."""
        if size <= self._at:
            return size < self._at
        if self._checked is None or self._checked[0] != self.offset:
            return False
        return checksum(self._handle.fileno(), self.offset) != self._checked[1]

    def take(self, found: list[str], most_lines: int, now_s: float) -> bool:
        """Adds its new whole lines; whether its end was reached."""
        before = self._at
        has_ended = False
        while not has_ended and len(found) < most_lines:
            chunk = self._handle.readline(MOST_LINE)
            has_ended = not chunk
            self._at += len(chunk)
            if not self._part_bytes and chunk.endswith(b"\n"):
                found.append(chunk.decode("utf-8", "replace").rstrip("\n"))
                continue
            room = MOST_LINE - len(self._part)
            self._part += chunk[:room] if room > 0 else b""
            self._part_bytes += len(chunk)
            if chunk.endswith(b"\n"):
                found.append(self._part.decode("utf-8", "replace").rstrip("\n"))
                self._part, self._part_bytes = b"", 0
        if self._at > max(before, self._size):
            self.quiet_s = now_s
        if self._at != before:
            self.read_s = int(time.time())
            self.place()
        return has_ended

    def end(self, found: list[str]) -> None:
        """There will be no more of its last line."""
        if self._part:
            found.append(self._part.decode("utf-8", "replace"))
        self._part, self._part_bytes = b"", 0
        self.close()

    def look(self) -> Look:
        """How it stands now."""
        return _look(os.fstat(self._handle.fileno()))

    def skip(self) -> None:
        """Nothing of what it holds now is given out."""
        self._at = self._handle.seek(0, os.SEEK_END)
        self.read_s = int(time.time())

    def close(self) -> None:
        """Ends it."""
        self._handle.close()


class Follower:
    """See the module. `poll` never waits.

    `unread` says why the path cannot be read now, None where it can; a file that comes later is
    read from its beginning. `missed`: what was not read, behind the bookmark that it went on from
    or before a cut. `olddir`: into which the log is rotated, from its own folder on. `rests`: see
    the module. `steady` is a clock in seconds."""

    def __init__(
        self,
        path: Path,
        *,
        from_end: bool,
        olddir: Path | None = None,
        rests: bool = False,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._olddir = olddir
        self._steady = steady
        self._rests = rests
        self._resting: tuple[Place, ...] | None = None
        self._looked_s = steady()
        self._files: deque[_OpenFile] = deque()
        self._behind_s: float | None = None
        self._seen: Look | None = None
        self._left = 0
        self.unread: str | None = None
        self.missed: Missed | None = None
        self._open_path()
        if from_end and self._files:
            self._files[-1].skip()
        self._rest()

    @property
    def state(self) -> str:
        """As a sensor tells it."""
        return READ if self.unread is None else f"failed: {self.unread}"

    def poll(self, most_lines: int = MOST_LINES) -> list[str]:
        """The whole lines since the last call, at most `most_lines`; [] where there are none."""
        found: list[str] = []
        if self._resting is not None and not self._wake():
            return found
        self._look_at_path()
        is_whole = self._take(found, most_lines)
        if is_whole:
            self._behind_s = None
        elif self._behind_s is None:
            self._behind_s = self._steady()
        self._rest()
        return found

    @property
    def backlog(self) -> Backlog:
        """What the last look left unread."""
        if self._behind_s is None:
            return NO_BACKLOG
        left = self._left if self._resting else sum(it.left for it in self._files)
        return Backlog(left, self._steady() - self._behind_s)

    @property
    def bookmark(self) -> str | None:
        """How far its files were given out as whole lines, oldest first; those of which nothing was
        are left out. None where none is followed."""
        places = self._resting or [it.place() for it in self._files]
        kept = [it for at, it in enumerate(places) if at == 0 or it.offset > 0]
        return ";".join(it.text() for it in kept) or None

    def resume(self, bookmark: str) -> None:
        """Goes on behind a bookmark, also in a file that was rotated, or copied and cut, since.
        What is not found is told, and the path is read from its beginning."""
        places = [Place.of(text) for text in bookmark.split(";")]
        known = [each for each in places if each is not None]
        if len(known) == len(places):
            self._go_on(tuple(known))
            self._rest()

    def close(self) -> None:
        """Ends it."""
        while self._files:
            self._files.popleft().close()

    def _rest(self) -> None:
        """Lets go of the files until the next look, where that is wanted."""
        if not self._rests or not self._files:
            return
        self._resting = tuple(it.place() for it in self._files)
        self._left = sum(it.left for it in self._files)
        is_done = len(self._files) == 1 and not self._left
        self._seen = self._files[-1].look() if is_done else None
        self.close()

    def _wake(self) -> bool:
        """Opens the files again; whether there may be anything new, and the path can be read."""
        try:
            seen = _look(self._path.stat())
        except OSError as error:
            self.unread = _why(self._path, error)
            return False
        places = self._resting
        assert places is not None
        if seen == self._seen:
            self.unread = None
            return False
        self._go_on(places)
        return bool(self._files)

    def _go_on(self, places: tuple[Place, ...]) -> None:
        """With the files as they are now: those behind the first place that can be found. Where the
        path cannot be read now, later."""
        self.close()
        self._open_path()
        self._resting, self._seen, self._left = None, None, 0
        if not self._files:
            self._resting = places
            return
        current = self._files.pop()
        first, rest = places[0], places[1:]
        while not first.is_in(self._path):
            rotated = rotated_since(self._path, first, self._olddir)
            self._miss_of((first, *rest), rotated)
            if rotated.files or not rest:
                self._open_rotated(rotated.files, (first, *rest))
                break
            first, rest = rest[0], rest[1:]
        current.close()
        found = next((each for each in (first, *rest) if each.is_in(self._path)), None)
        self._open_path(found)

    def _miss(self, place: Place, rotated: Rotated) -> None:
        """Notes what of it is not read; once."""
        why = missed(place, rotated)
        known = self.missed
        if why is None or (known is not None and known[:2] == (why, place.read_s)):
            return
        self.missed = Missed(why, place.read_s, 1 if known is None else known.spans + 1)

    def _miss_of(self, places: tuple[Place, ...], rotated: Rotated) -> None:
        """What of the first place is not read; where that one is found, of the later ones that
        stand in no file any more: what was compressed since is theirs."""
        is_lost = False
        for place in places[1:] if rotated.files else ():
            is_held = any(place.holds(path, is_same=False) for path in rotated.files)
            if not is_held and not place.is_in(self._path):
                self._miss(place, Rotated((), rotated.unread))
                is_lost = True
        if not is_lost:
            self._miss(places[0], rotated)

    def _open_other(self, place: Place, unlooked_s: float) -> None:
        """The path names another file now, which may be a longer copy of the one that was read, as
        `rsync` makes it: that one is read on. After a time without a look it may have been rotated
        more than once."""
        is_copy = place.is_in(self._path)
        if is_copy:
            self._files.pop().close()
        elif unlooked_s >= LONG_S:
            rotated = rotated_since(self._path, place, self._olddir)
            if rotated.files:
                self._miss(place, rotated)
            known = {it.identity for it in self._files}
            self._open_rotated(rotated.files, (), known)
        self._open_path(place if is_copy else None)

    def _open_rotated(
        self, paths: tuple[Path, ...], places: tuple[Place, ...], known: Container[Identity] = ()
    ) -> None:
        """The first from its place on, the others from theirs, or whole; those that are `known` are
        open."""
        for at, path in enumerate(paths):
            place = next((each for each in places[at > 0 :] if at == 0 or each.is_in(path)), None)
            try:
                opened = _OpenFile(_opened(path), place, self._steady())
            except OSError:
                continue
            if opened.identity in known:
                opened.close()
            else:
                self._files.append(opened)

    def _open_path(self, place: Place | None = None) -> None:
        try:
            handle = _opened(self._path)
        except OSError as error:
            self.unread = _why(self._path, error)
            return
        self.unread = None
        self._files.append(_OpenFile(handle, place, self._steady()))

    def _take(self, found: list[str], most_lines: int) -> bool:
        """New lines of all open files, each once the ones before were read to their ends; whether
        all were. The oldest is let go where it is over."""
        for each in tuple(self._files):
            if not each.take(found, most_lines, self._steady()):
                return False
            if each is self._files[0] and self._is_over():
                each.end(found)
                self._files.popleft()
        return True

    def _is_over(self) -> bool:
        """Whether the oldest file is quiet, and a later one has begun."""
        old, *later = self._files
        if len(later) >= MOST_OPEN:
            return True
        is_quiet = not old.left and self._steady() - old.quiet_s >= QUIET_S
        return is_quiet and any(each.offset or each.left for each in later)

    def _look_at_path(self) -> None:
        """Opens what the path names now, where that is another file, or was cut."""
        unlooked_s = self._steady() - self._looked_s
        self._looked_s = self._steady()
        try:
            now = self._path.stat()
        except OSError as error:
            self.unread = _why(self._path, error)
            return
        if not self._files:
            self._open_path()
        elif self._files[-1].identity != (now.st_dev, now.st_ino):
            self._open_other(self._files[-1].place(), unlooked_s)
        elif self._files[-1].is_cut(now.st_size):
            self._go_on(tuple(it.place() for it in self._files))


def _opened(path: Path) -> BinaryIO:
    """A regular file; OSError for anything else, which would be waited for, or has no places."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError(errno.EINVAL, NO_FILE)


def _look(seen: os.stat_result) -> Look:
    return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)


def _why(path: Path, error: OSError) -> str:
    """Why a path cannot be read."""
    if isinstance(error, FileNotFoundError):
        return f"{path} is not there"
    return f"{path}: {error.strerror}"
