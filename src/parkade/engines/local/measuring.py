"""How much a folder that users write in takes on disk, within bounds and never outside it
(`walking`). What cannot be read counts nothing."""

import os
from pathlib import Path

from parkade.engines.local.deleting import FOLDER
from parkade.engines.local.walking import TooDeep, below

BLOCK = 512
"""Bytes, as `stat` counts them."""


def bytes_of(path: Path, most: int) -> int | None:
    """What the files below take on disk; None beyond so many entries, or where they are too
    deep."""
    try:
        folder = os.open(path, FOLDER)
    except OSError:
        return 0
    held = 0
    try:
        for seen, entry in enumerate(below(folder)):
            if seen >= most:
                return None
            held += _held(entry)
    except TooDeep:
        return None
    except OSError:
        return held
    finally:
        os.close(folder)
    return held


def _held(entry: os.DirEntry[str]) -> int:
    try:
        if entry.is_dir(follow_symlinks=False):
            return 0
        return entry.stat(follow_symlinks=False).st_blocks * BLOCK
    except OSError:
        return 0
