"""Folders of work that was submitted after a backup that was put back: its names are given again.

They lie below the folders of this machine's pools. Those of work that still runs are left out: they
are not moved under it, and it is ended once agents obey the journal (`foreign`).
"""

import re
from pathlib import Path

import msgspec

WORKLOAD = re.compile(r"w([0-9]+)(_[0-9]+)?")


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """Folders of workloads beside each other, and where they may be moved to."""

    parent: Path
    names: tuple[str, ...]
    to: Path


def later_folders(data_folder: Path, last: int, aside: Path) -> tuple[Later, ...]:
    """Those with a number above `last`. Costs one listing for each org of each pool."""
    found = []
    for engine in sorted((data_folder / "pools").glob("*/engine")):
        live = [link.resolve() for link in (engine / "live").glob("*")]
        for parent in sorted((engine / "orgs").glob("*/workloads")):
            names = [
                each.name
                for each in sorted(parent.iterdir())
                if _number(each.name) > last and not _holds(each, live)
            ]
            if names:
                to = aside / parent.relative_to(data_folder)
                found.append(Later(parent=parent, names=tuple(names), to=to))
    return tuple(found)


def _number(name: str) -> int:
    match = WORKLOAD.fullmatch(name)
    return 0 if match is None else int(match[1])


def _holds(folder: Path, live: list[Path]) -> bool:
    whole = folder.resolve()
    return any(each.is_relative_to(whole) for each in live)
