"""How much a folder that users write in takes on disk, within bounds and never outside it.

Folders are opened relative to the one they were seen in, and never through a link: what a user
exchanges for a link meanwhile counts nothing. So does what cannot be read, and another file system
that was mounted inside.
"""

import os
from pathlib import Path

import msgspec

from parkade.engines.local.deleting import FOLDER

BLOCK = 512
"""Bytes, as `stat` counts them."""
MOST_DEPTH = 64
"""Folders inside each other: one is open for each."""


class _Unbounded(Exception):
    """There are too many entries, or too deep."""


class _Measured(msgspec.Struct):
    left: int
    held: int = 0


def bytes_of(path: Path, most: int) -> int | None:
    """What the files below take on disk; None beyond so many entries, or beyond MOST_DEPTH."""
    measured = _Measured(left=most)
    try:
        folder = os.open(path, FOLDER)
    except OSError:
        return 0
    try:
        _measure(folder, measured, MOST_DEPTH)
    except _Unbounded:
        return None
    finally:
        os.close(folder)
    return measured.held


def _measure(folder: int, measured: _Measured, depth: int) -> None:
    if depth == 0:
        raise _Unbounded
    with os.scandir(folder) as entries:
        for entry in entries:
            measured.left -= 1
            if measured.left < 0:
                raise _Unbounded
            try:
                if entry.is_dir(follow_symlinks=False):
                    _enter(folder, entry.name, measured, depth)
                else:
                    found = entry.stat(follow_symlinks=False)
                    measured.held += found.st_blocks * BLOCK
            except OSError:
                continue


def _enter(above: int, name: str, measured: _Measured, depth: int) -> None:
    inside = os.open(name, FOLDER, dir_fd=above)
    try:
        if os.fstat(inside).st_dev == os.fstat(above).st_dev:
            _measure(inside, measured, depth - 1)
    finally:
        os.close(inside)
