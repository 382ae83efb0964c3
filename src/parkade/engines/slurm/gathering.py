"""How the members of a gang start together and end together: one file that the head replaces.

A member whose ranks stand ready says so in its state and waits for `is_open`. Where one cannot
start, `trouble` says why and none starts. Once a rank failed outside a notice, `is_broken` ends
all. `recalled_us`: a person ends the guests then, without Parkade.
"""

from pathlib import Path

import msgspec

from parkade.engines.local import records

FILE = "gang.json"
CLAIM = "claim"


class Gathering(msgspec.Struct, frozen=True, kw_only=True):
    """What the head has seen of all members."""

    version: int = records.VERSION
    is_open: bool = False
    trouble: str | None = None
    is_broken: bool = False
    recalled_us: int | None = None


def read(job: Path) -> Gathering:
    """As the head said last; nothing yet where that cannot be read."""
    content = records.read_bounded(job / FILE)
    try:
        return Gathering() if content is None else msgspec.json.decode(content, type=Gathering)
    except msgspec.DecodeError:
        return Gathering()


def write(job: Path, gathering: Gathering) -> None:
    """Replaces it."""
    records.write(job / FILE, gathering, mode=records.KEEPERS)
