"""The states of a level on disk, each as the production codec writes it, compressed.

Each process of a search writes what it finds into a file of its own, one for each level, and reads
what any of them wrote. So a state goes through no other process: that only keeps its *place*.

    place    8 bits of the writer, 40 of the offset in its file, 16 of the size there

States of a world resemble its root, which is the dictionary of the compression: 5 to 7 kB become
0.6 to 0.9.
"""

import os
import pickle
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from parkade.core.kernel.deadlines import next_deadline_us
from parkade.core.state.codec import decode_snapshot, encode_snapshot
from parkade.sim.check.state import State

MOST_WRITERS = 1 << 8
_MOST_BYTES = 1 << 40
_MOST_OF_ONE = 1 << 16
_HEAD = struct.Struct("<qqQBI")


class NoRoom(Exception):
    """The states of a search cannot be written; the message says what to do."""


class Kept(NamedTuple):
    """A state as it is kept, and what it was before."""

    now_us: int
    due_us: int
    """Its next deadline, 0 where it has none."""
    digest: int
    clearings: int
    """How many of the last acts that led to it were clearings, 2 at most."""
    world: bytes
    agent: bytes

    def state(self) -> State:
        """The state, as a writer that restarts has it."""
        # The bytes were written by this program into a file that no other one can open.
        agent = pickle.loads(self.agent) if self.agent else None
        return State(decode_snapshot(self.world), self.now_us, agent)


def kept(state: State, digest: int, clearings: int) -> Kept:
    """A state as it is kept."""
    return Kept(
        now_us=state.now_us,
        due_us=next_deadline_us(state.world) or 0,
        digest=digest,
        clearings=clearings,
        world=encode_snapshot(state.world),
        agent=b"" if state.agent is None else pickle.dumps(state.agent),
    )


class Shelves:
    """The files of a search, seen by one of its processes, `writer`."""

    def __init__(self, folder: Path, root: State, writer: int) -> None:
        assert 0 <= writer < MOST_WRITERS
        self._folder = folder
        self._writer = writer
        self._like = encode_snapshot(root.world)
        self._files: dict[tuple[int, int], int] = {}
        self._waiting: list[bytes] = []
        self._offset = 0
        self._level = -1

    def put(self, level: int, one: Kept) -> int:
        """Keeps a state of a level and gives its place; it is there after `flush`."""
        if level != self._level:
            self.flush()
            self._level, self._offset = level, 0
        packer = zlib.compressobj(1, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, self._like)
        head = _HEAD.pack(one.now_us, one.due_us, one.digest, one.clearings, len(one.world))
        packed = head + packer.compress(one.world + one.agent) + packer.flush()
        size, offset = len(packed), self._offset
        assert size < _MOST_OF_ONE and offset + size < _MOST_BYTES, (
            "a state or a level is too large"
        )
        self._waiting.append(packed)
        self._offset += size
        return self._writer << 56 | offset << 16 | size

    def flush(self) -> None:
        """All that was put is in its file, for every process."""
        if self._waiting:
            left = memoryview(b"".join(self._waiting))
            with _room(self._folder):
                file = self._file(self._level, self._writer)
                while left:
                    left = left[os.write(file, left) :]
            self._waiting.clear()

    def read(self, level: int, place: int) -> Kept:
        """What was put there."""
        file = self._file(level, place >> 56)
        packed = os.pread(file, place & _MOST_OF_ONE - 1, place >> 16 & _MOST_BYTES - 1)
        now_us, due_us, digest, clearings, of_world = _HEAD.unpack_from(packed)
        unpacker = zlib.decompressobj(-15, self._like)
        both = unpacker.decompress(memoryview(packed)[_HEAD.size :])
        return Kept(now_us, due_us, digest, clearings, both[:of_world], both[of_world:])

    def close(self, level: int | None = None) -> None:
        """Closes what this process has open of a level, or of all."""
        for key in [it for it in self._files if level in (None, it[0])]:
            os.close(self._files.pop(key))

    def _file(self, level: int, writer: int) -> int:
        file = self._files.get((level, writer))
        if file is None:
            for before in {it for it, _ in self._files if it < level - 1}:
                self.close(before)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            file = os.open(self._folder / f"{level}-{writer}", flags, 0o600)
            self._files[level, writer] = file
        return file


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NoRoom(
            f"the states of the search cannot be written to {folder.parent}: {error.strerror};"
            " make room there, or name another folder with TMPDIR"
        ) from error


def drop_level(folder: Path, level: int) -> None:
    """The files of a level go."""
    for file in folder.glob(f"{level}-*"):
        file.unlink()
