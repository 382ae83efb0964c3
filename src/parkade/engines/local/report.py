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
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec

from parkade.engines.local import opening, records, walking
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


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder tells: the checkpoint and where it lies, or why its report is not believed. All
    None where there is no report."""

    checkpoint: Checkpoint | None = None
    path: Path | None = None
    problem: str | None = None


def read(checkpoint_dir: Path) -> Reading:
    """The checkpoint reported last. Cost grows with the files below a path that is named."""
    file = checkpoint_dir / NAME
    content = records.read_bounded(file, most_bytes=MOST_BYTES)
    if content is None:
        is_there = os.path.lexists(file)
        return Reading(problem=f"{NAME}: no small regular file" if is_there else None)
    try:
        report = msgspec.json.decode(content, type=_Report)
    except msgspec.ValidationError as error:
        return Reading(problem=f"{NAME}: {error}"[:200])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # Whatever a user may write, it is no report: also bad UTF-8, also brackets without end.
        return Reading(problem=f"{NAME}: torn; write another file and rename it to this name")
    at_us = (report.at - EPOCH) // timedelta(microseconds=1)
    if at_us < 0:
        return Reading(problem=f"{NAME}: at is before 1970")
    path, problem = _find(checkpoint_dir, report.path)
    if problem is not None:
        return Reading(problem=f"{NAME}: {problem}")
    return Reading(checkpoint=Checkpoint(step=report.step, at_us=at_us), path=path)


def moment(at_us: int) -> str:
    """The instant as RFC 3339 in UTC."""
    return (EPOCH + timedelta(microseconds=at_us)).isoformat().replace("+00:00", "Z")


def _find(folder: Path, named: str | None) -> tuple[Path | None, str | None]:
    """The path that a report names, or why it is not believed. The kernel follows its links, a
    bounded number, but none of /proc's, which lead into what another process has mounted; what was
    opened is what is judged, whatever the user exchanges meanwhile."""
    if named is None:
        return None, None
    # In one sentence, so that no user learns from it what there is elsewhere.
    elsewhere = f"path {named!r} is not there, or leads out of the checkpoint folder"
    try:
        found = opening.below(folder, named)
    except (OSError, ValueError):
        return None, elsewhere
    try:
        path = Path(f"/proc/self/fd/{found}").readlink()
        is_inside = folder.resolve() in path.parents
        mark = _half_written(path.name, found) if is_inside else None
    except OSError:
        # Its real name may be longer than the kernel tells.
        is_inside = False
    finally:
        os.close(found)
    if not is_inside:
        return None, elsewhere
    return (path, None) if mark is None else (None, f"path {named!r} is half-written: {mark!r}")


def _half_written(name: str, found: int) -> str | None:
    """The first mark at what was opened or below it, among a bounded number of files."""
    if _is_mark(name):
        return name
    try:
        folder = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        for entry in islice(walking.below(folder), MOST_FILES):
            if _is_mark(entry.name):
                return entry.name
    except (OSError, walking.TooDeep):
        return None
    finally:
        os.close(folder)
    return None


def _is_mark(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in HALF_WRITTEN)
