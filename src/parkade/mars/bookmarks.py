"""The file in which `mars run` keeps how far it has judged each log, beside its journal of drains.

`format` 1: {"version": 1, "read": {"NODE SENSOR": "BOOKMARK"}}. A line that is read again is judged
again, so a file that cannot be written costs no line; one that cannot be read is refused, since old
faults would drain again.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from parkade.mars.kept_file import KeptFileError, replace_text, text_of

VERSION = 1


def bookmarks_beside(journal: Path) -> Path:
    """Where the bookmarks of a journal of drains stand."""
    return journal.with_name(f"{journal.name}.read")


def load_bookmarks(path: Path) -> dict[str, str]:
    """By name; none where there is no file. Raises KeptFileError."""
    text = text_of(path)
    if text is None:
        return {}
    try:
        found = json.loads(text)
        version, read = found["version"], found["read"]
        marks = {str(name): str(mark) for name, mark in read.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeptFileError(
            f"{path} is damaged; remove it, and logs count as new: old faults may drain again"
        ) from None
    if version != VERSION:
        raise KeptFileError(f"{path} is of version {version}; use a newer Parkade")
    return marks


def save_bookmarks(path: Path, marks: Mapping[str, str]) -> None:
    """On disk before it returns. Raises KeptFileError."""
    replace_text(path, json.dumps({"version": VERSION, "read": dict(sorted(marks.items()))}))
