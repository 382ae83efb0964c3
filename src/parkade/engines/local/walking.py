"""The entries below a folder that users write in, one by one, and never outside it.

Folders are opened relative to the one they were seen in, and never through a link: what a user
exchanges for a link meanwhile is not entered. Neither is what cannot be read, nor another file
system that was mounted inside. Nothing is read ahead, so a walk that ends early costs what it gave.
"""

import os
from collections.abc import Iterator

from parkade.engines.local.deleting import FOLDER

MOST_DEPTH = 64
"""Folders inside each other: one is open for each."""


class TooDeep(Exception):
    """There are more than MOST_DEPTH folders inside each other."""


def below(folder: int, depth: int = MOST_DEPTH) -> Iterator[os.DirEntry[str]]:
    """Each entry below an open folder, before what is inside it. Raises TooDeep."""
    if depth == 0:
        raise TooDeep
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            try:
                inside = _enter(folder, entry)
            except OSError:
                continue
            if inside is None:
                continue
            try:
                yield from below(inside, depth - 1)
            except OSError:
                continue
            finally:
                os.close(inside)


def _enter(above: int, entry: os.DirEntry[str]) -> int | None:
    """The open folder; None for another thing, and for another file system."""
    if not entry.is_dir(follow_symlinks=False):
        return None
    inside = os.open(entry.name, FOLDER, dir_fd=above)
    if os.fstat(inside).st_dev == os.fstat(above).st_dev:
        return inside
    os.close(inside)
    return None
