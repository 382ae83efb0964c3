"""Paths that a person writes into a file of Mars: what they may hold, and which may not be one.

No shell reads them. So a path with a mark that a shell would replace is refused: taken as it
stands, it would name a file that is never there, or a new journal in a folder called `~`. The
journal, and each file that Mars keeps beside it, is written; so it may be no file that is read.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from parkade.mars.bookmarks import bookmarks_beside
from parkade.mars.lock import lock_beside
from parkade.mars.standing_file import standing_beside
from parkade.wire.problems import Fault

SEVERAL = "*?"


def _as_it_stands(path: Path) -> Path:
    """Raises ValueError where a shell would have replaced something in it."""
    text = str(path)
    if text.startswith("~"):
        raise ValueError("`~` is replaced by nothing here; write the whole path")
    if "$" in text:
        raise ValueError("`$` is replaced by nothing here; write the path as it is")
    if any(mark in text for mark in SEVERAL):
        raise ValueError("`*` and `?` are replaced by nothing here; name one file")
    return path


GivenPath = Annotated[Path, AfterValidator(_as_it_stands)]


def kept_beside(journal: Path) -> tuple[Path, ...]:
    """The journal, and the files that are kept beside it."""
    return (
        journal,
        bookmarks_beside(journal),
        standing_beside(journal),
        lock_beside(journal),
    )


def journal_faults(journal: Path, read: Mapping[str, Path]) -> Iterator[Fault]:
    """Faults of a journal that would write into a file that is read, which are by their places.
    Links, and two names of one file, are looked through."""
    written = {name: each for each in kept_beside(journal) for name in _names(each)}
    for place, path in read.items():
        kept = next((written[name] for name in _names(path) if name in written), None)
        if kept is None:
            continue
        what = "the journal" if kept == journal else f"{kept.name}, kept beside the journal,"
        message = f"{what} is `{place}` too, {path}, and would be written over it; name another"
        yield Fault(place="journal", message=message)
        return


def _names(path: Path) -> Iterator[object]:
    """By which a file is known: its real path, and where it is there, device and inode."""
    yield os.path.realpath(path)
    try:
        found = path.stat()
    except OSError:
        return
    yield (found.st_dev, found.st_ino)
