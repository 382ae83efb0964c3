"""Reads a program's checkpoint report, `.parkade.json`, and believes it only where it is whole.

It says {"step": 1200, "at": "2026-01-01T00:00:00Z"}, the instant as RFC 3339 with its zone, and may
name the `path` of what was saved, inside the checkpoint folder. Then the path must be there, and
nothing in it may be marked as half-written: a trainer that was killed while it saved leaves such
marks, and resuming from there fails or goes wrong silently.

The folder is the user's: links are not followed out of it, sizes and counts are bounded, and what
cannot be believed is told in words, never raised.
"""

import os
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated

import msgspec

from parkade.engines.local import records
from parkade.ports import Checkpoint

NAME = ".parkade.json"
MOST_BYTES = 64 * 1024
MOST_FILES = 10_000
MOST_PATH = 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

HALF_WRITTEN = (
    "checkpoint-is-incomplete.txt",
    "*.incomplete",
    "*.orbax-checkpoint-tmp*",
    "*.tmp",
    "*.partial",
    "tmp-checkpoint-*",
)
"""Names that mark what is not finished: the first is Hugging Face Trainer's, the third Orbax's, the
last the older Hugging Face Trainer's."""


class _Report(msgspec.Struct, frozen=True):
    step: Whole
    at: Moment
    path: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_PATH)] | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder tells: the checkpoint and where it lies, or why its report is not believed. All
    None where there is no report."""

    checkpoint: Checkpoint | None = None
    path: Path | None = None
    problem: str | None = None


def read(checkpoint_dir: Path) -> Told:
    """The checkpoint reported last. Cost grows with the files below a path that is named."""
    file = checkpoint_dir / NAME
    content = records.read_bounded(file, most_bytes=MOST_BYTES)
    if content is None:
        is_there = os.path.lexists(file)
        return Told(problem=f"{NAME}: no small regular file" if is_there else None)
    try:
        report = msgspec.json.decode(content, type=_Report)
    except msgspec.ValidationError as error:
        return Told(problem=f"{NAME}: {error}"[:200])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # Whatever a user may write, it is no report: also bad UTF-8, also brackets without end.
        return Told(problem=f"{NAME}: torn; write another file and rename it to this name")
    at_us = (report.at - EPOCH) // timedelta(microseconds=1)
    if at_us < 0:
        return Told(problem=f"{NAME}: at is before 1970")
    path, problem = _find(checkpoint_dir, report.path)
    if problem is not None:
        return Told(problem=f"{NAME}: {problem}")
    return Told(checkpoint=Checkpoint(step=report.step, at_us=at_us), path=path)


def moment(at_us: int) -> str:
    """The instant as RFC 3339 in UTC."""
    return (EPOCH + timedelta(microseconds=at_us)).isoformat().replace("+00:00", "Z")


def _find(folder: Path, named: str | None) -> tuple[Path | None, str | None]:
    """The path that a report names, or why it is not believed."""
    if named is None:
        return None, None
    try:
        path = (folder / named).resolve()
        if not path.is_relative_to(folder.resolve()) or path == folder.resolve():
            return None, "path leads out of the checkpoint folder"
        if not path.exists():
            return None, f"path {named!r} is not there"
        mark = _half_written(path)
    except (OSError, ValueError, RuntimeError):
        return None, "path cannot be looked at"
    return (path, None) if mark is None else (None, f"path {named!r} is half-written: {mark}")


def _half_written(path: Path) -> str | None:
    """The first mark at the path or below it, among a bounded number of files."""
    if _is_mark(path.name):
        return path.name
    seen = 0
    for _, folders, files in os.walk(path):
        for name in (*folders, *files):
            if _is_mark(name):
                return name
            seen += 1
            if seen >= MOST_FILES:
                return None
    return None


def _is_mark(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in HALF_WRITTEN)
