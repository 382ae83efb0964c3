"""The file in which `mars run` keeps how far it has judged each log, beside its journal of drains.

`format` 1: {"version": 1, "read": {"NODE SENSOR": "BOOKMARK"}}. It is replaced whole, so a crash
leaves the one before. A line that is read again is judged again, so a file that cannot be written
costs no line; one that cannot be read is refused, since old faults would drain again.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

VERSION = 1


class BookmarkError(Exception):
    """The file cannot be read or written; the message says what to do."""


def bookmarks_beside(journal: Path) -> Path:
    """Where the bookmarks of a journal of drains stand."""
    return journal.with_name(f"{journal.name}.read")


def load_bookmarks(path: Path) -> dict[str, str]:
    """By name; none where there is no file."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BookmarkError(f"{path} cannot be read: {error}") from error
    try:
        found = json.loads(text)
        version, read = found["version"], found["read"]
        marks = {str(name): str(mark) for name, mark in read.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BookmarkError(
            f"{path} is damaged; remove it, and logs count as new: old faults may drain again"
        ) from None
    if version != VERSION:
        raise BookmarkError(f"{path} is of version {version}; use a newer Parkade")
    return marks


def save_bookmarks(path: Path, marks: Mapping[str, str]) -> None:
    """On disk before it returns."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as handle:
            json.dump({"version": VERSION, "read": dict(sorted(marks.items()))}, handle)
            handle.flush()
            os.fsync(handle.fileno())
        fresh.replace(path)
    except OSError as error:
        raise BookmarkError(f"{path} cannot be written: {error.strerror}") from error
