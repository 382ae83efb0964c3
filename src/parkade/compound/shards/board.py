"""The state of a sharded run as one process sees it, and changes to it that all agree on."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from parkade.compound.shards.entries import Entry
from parkade.compound.shards.log import Log
from parkade.compound.shards.state import State

E = TypeVar("E", bound=Entry)


class Board:
    """Log and state together."""

    def __init__(self, folder: Path, shards: int, writer: str) -> None:
        self.state = State(shards)
        self._log = Log(folder, writer)
        self.refresh()

    def refresh(self) -> State:
        """Read what others wrote; the present state."""
        for entry in self._log.unread():
            self.state.apply(entry)
        return self.state

    def change(self, decide: Callable[[State], E | None]) -> E | None:
        """Append what `decide` makes of the present state, and None if it makes nothing of it.

        It is asked again each time another process was faster.
        """
        while (entry := decide(self.refresh())) is not None:
            if self._log.append(entry):
                self.state.apply(entry)
                return entry
        return None
