"""What the health of a pool must not forget when its agent is started anew, by name."""

from pathlib import Path
from typing import Protocol

from parkade.whole_files import replace_whole


class Notes(Protocol):
    """Small contents by name, kept over the agent's restarts."""

    def load(self, name: str) -> bytes | None:
        """What was kept last; None where nothing was."""
        ...

    def keep(self, name: str, content: bytes) -> None:
        """On disk before it returns; OSError where it cannot be."""
        ...


class NotesFolder:
    """Implements `Notes` by files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> bytes | None:
        """See `Notes`."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def keep(self, name: str, content: bytes) -> None:
        """See `Notes`."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_whole(self._folder / name, content)
