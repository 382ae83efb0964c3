"""The file in which `mars run` keeps what stands, beside its journal of drains.

Version 1: `standing` are the verdicts and when each was last seen; `unfinished` the drains that are
to be asked for again, in their order, and what holds them. `boot` names the life of the machine on
which it was written: what stood of that machine itself is over with it. A file that cannot be read
is refused: verdicts would be over, and held drains forgotten, without a word.
"""

from pathlib import Path

import msgspec

from parkade.core.healing.verdict import Verdict
from parkade.mars.kept_file import KeptFileError, replace_text, text_of

VERSION = 1


class StandingEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict that stands, and when something was last seen of it."""

    verdict: Verdict
    seen_us: int


class UnfinishedDrain(msgspec.Struct, frozen=True, kw_only=True):
    """A drain by the name of its verdict; `code` and `words` as in `holding.Held`, None where
    nothing was known to hold it."""

    verdict: str
    code: str | None
    words: str | None


class StandingFile(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. `policy`: the version of the policy of the program that wrote it."""

    version: int
    policy: str
    boot: str | None
    standing: tuple[StandingEntry, ...]
    unfinished: tuple[UnfinishedDrain, ...]


class _Versioned(msgspec.Struct, frozen=True):
    version: int


def standing_beside(journal: Path) -> Path:
    """Where it stands."""
    return journal.with_name(f"{journal.name}.standing")


def load_standing(path: Path) -> StandingFile | None:
    """None where there is no file. Raises KeptFileError."""
    text = text_of(path)
    if text is None:
        return None
    try:
        version = msgspec.json.decode(text, type=_Versioned).version
        if version != VERSION:
            raise KeptFileError(f"{path} is of version {version}; use a newer Parkade")
        return msgspec.json.decode(text, type=StandingFile)
    except msgspec.DecodeError:
        raise KeptFileError(
            f"{path} is damaged; remove it, and what stood before stands no more"
        ) from None


def save_standing(path: Path, file: StandingFile) -> None:
    """On disk before it returns. Raises KeptFileError."""
    replace_text(path, msgspec.json.encode(file).decode())


def forget_drains(path: Path, nodes: frozenset[str]) -> None:
    """No drain of these nodes is asked for again. Raises KeptFileError."""
    file = load_standing(path)
    if file is None:
        return
    names = {each.verdict.verdict for each in file.standing if each.verdict.node in nodes}
    kept = tuple(each for each in file.unfinished if each.verdict not in names)
    save_standing(path, msgspec.structs.replace(file, unfinished=kept))
