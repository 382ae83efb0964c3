"""The keeper's state: what it knows, and the file that tells it to engines and later keepers.

A state that cannot be written, as on a full disk, stays in memory and is written with the next
change or try; the attempt loses nothing by it.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from parkade.engines.local import records
from parkade.engines.local.clocks import wall_us
from parkade.engines.local.gang import Gang
from parkade.engines.local.records import Launch, RankState, State
from parkade.ports import Phase


class StateFile:
    """`now` is the state; `gang` says how its ranks are. `launch` is that of the start, `current`
    the same with the ranks that were ordered last."""

    def __init__(self, folder: Path, launch: Launch, state: State, gang: Gang) -> None:
        self.folder = folder
        self.launch = launch
        self.current = launch
        self.now = state
        self.gang = gang
        self.is_unwritten = False

    def change(self, **fields: Any) -> None:
        """Changes fields in memory; `write` follows."""
        self.now = msgspec.structs.replace(self.now, **fields)

    def write(self, engine_state: str | None = None) -> None:
        """Writes all of it, with another word where one is given; tells a listening engine."""
        self.change(
            ranks=self.gang.ranks,
            engine_state=self.now.engine_state if engine_state is None else engine_state,
            written_us=wall_us(),
        )
        try:
            records.write(self.folder / records.STATE, self.now, mode=records.KEEPERS)
            self.is_unwritten = False
        except OSError as error:
            self.is_unwritten = True
            sys.stderr.write(f"state not written: {error.strerror}\n")
        records.poke(self.launch.changes)


def last_state(folder: Path, launch: Launch) -> State | None:
    """What an earlier keeper knew of ranks that may run; None where none can.

    A state that is there and cannot be read might hide a running gang: it is never started twice,
    but counted as ended, so that whatever of it runs is found by its environment and stopped.
    """
    if not (folder / records.STATE).exists():
        return None
    old = records.read_state(folder)
    if old is None:
        ranks = tuple(never_started() for _ in launch.attempt.ranks)
        # A live one may have had more.
        return msgspec.structs.replace(
            records.nothing_yet(launch), phase=Phase.RUNNING, ranks=ranks
        )
    if not old.ranks:
        return None
    started_us = old.started_us
    if started_us is None and any(rank.pid for rank in old.ranks):
        started_us = old.written_us
    return msgspec.structs.replace(old, phase=Phase.RUNNING, started_us=started_us)


def never_started() -> RankState:
    """A rank that ran nothing."""
    return RankState(pid=0, start_ticks=0, has_ended=True, code=None, signal=None)
