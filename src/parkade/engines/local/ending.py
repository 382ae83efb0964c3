"""Ends everything that the local engine runs below a data folder, as when it is uninstalled.

Server and agent may be gone: the order is the file that a keeper reads, as any other, and a keeper
that was lost is replaced first. That a person ended it is on disk before the order is, so that an
agent that comes later reports it, wherever this stops. Nothing is ended that the engine did not
start.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from parkade.core.workloads.life import Cause
from parkade.core.workloads.saving import EXIT_SAVED
from parkade.engines.local import keepers, records
from parkade.engines.local.escalation import merge
from parkade.engines.local.folders import Folders
from parkade.engines.local.records import Launch, RankState, State
from parkade.engines.local.view import View
from parkade.ports import Phase, Stop, Transient

KILL_AFTER_S = 5.0
POLL_S = 0.1
BY_SIGNAL = {9: "by KILL", 15: "by TERM"}


class EndedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that was found, as its user knows it. `how` it ended; None: it still runs.
    `was_over`: it had ended before it could be told."""

    attempt: str
    org: str
    name: str
    how: str | None
    was_over: bool


def end_everything(
    data: Path, *, notice_s: float, timeout_s: float, tell: Callable[[str], None]
) -> tuple[EndedAttempt, ...]:
    """Gives every live attempt below `data` a notice, then TERM, and KILL KILL_AFTER_S later.
    Blocks until all are gone, at most `timeout_s` after KILL; what was found, and how it ended.
    `tell` is called with a line as the wait begins."""
    folders = Folders(data, has_other_users=os.geteuid() == 0)
    over, live = _found(folders)
    now_us = time.time_ns() // 1000
    order = _order(now_us, notice_s)
    for folder in live:
        try:
            _end(folder, order)
        except OSError as error:
            tell(f"{folder.name} gets no order: {error.strerror} ({error.filename})")
    if live:
        count = "1 attempt has" if len(live) == 1 else f"{len(live)} attempts have"
        tell(f"{count} {notice_s:g} s to save, then TERM, and KILL {KILL_AFTER_S:g} s later")
    ends_at = time.monotonic() + notice_s + KILL_AFTER_S + timeout_s
    while (left := _live(live)) and time.monotonic() < ends_at:
        for folder in left:
            keepers.end_stopped(folder)
            if not keepers.has_keeper(folder):
                _replace(folder)
        time.sleep(POLL_S)
    found = [
        *(_ended(folder, launch, was_over=True) for folder, launch in over.items()),
        *(_ended(folder, launch, was_over=False) for folder, launch in live.items()),
    ]
    return tuple(found)


def _found(folders: Folders) -> tuple[dict[Path, Launch], dict[Path, Launch]]:
    """What has ended and was not forgotten yet, and what has not."""
    view = View(folders)
    view.refresh()
    over: dict[Path, Launch] = {}
    live: dict[Path, Launch] = {}
    for one in view.seen.values():
        if one.launch is not None:
            (over if view.is_released(one.folder) else live)[one.folder] = one.launch
    return over, live


def _live(folders: dict[Path, Launch]) -> list[Path]:
    states = {folder: records.read_state(folder) for folder in folders}
    return [it for it, state in states.items() if state is None or not _is_released(state)]


def _order(now_us: int, notice_s: float) -> Stop:
    deadline_us = now_us + int(notice_s * 1e6)
    return Stop(
        noticed_us=now_us,
        deadline_us=deadline_us,
        kill_us=deadline_us + int(KILL_AFTER_S * 1e6),
        cause=Cause.OPERATOR,
    )


def _end(folder: Path, order: Stop) -> None:
    """An earlier try's instant stands: its notice may have been taken in. The order is written also
    where the record cannot be, as on a full disk."""
    if records.read_operator_end(folder) is None:
        end = records.OperatorEnd(version=records.VERSION, at_us=order.noticed_us)
        with suppress(OSError):
            records.write(folder / records.OPERATOR_END, end)
    records.write(folder / records.ORDER, merge(records.read_order(folder), order))


def _ended(folder: Path, launch: Launch, *, was_over: bool) -> EndedAttempt:
    state, attempt = records.read_state(folder), launch.attempt
    how = None
    if state is not None and _is_released(state):
        how = how_it_ended(state, records.read_operator_end(folder))
    return EndedAttempt(
        attempt=attempt.attempt, org=attempt.org, name=attempt.name, how=how, was_over=was_over
    )


def how_it_ended(state: State, noticed_us: int | None) -> str:
    """In a few words: whether it saved after the notice, and how its ranks ended."""
    if state.launch_error is not None:
        return state.launch_error
    ranks = [rank for at, rank in enumerate(state.ranks) if records.is_present(state, at)]
    words = list(dict.fromkeys(_how(rank) for rank in ranks)) or ["how is not known"]
    saved = state.checkpoint
    if noticed_us is not None and saved is not None and saved.at_us > noticed_us:
        words.insert(0, f"saved step {saved.step}")
    elif noticed_us is not None and any(rank.code == EXIT_SAVED for rank in ranks):
        words.insert(0, "saved")
    return ", ".join(words)


def _how(rank: RankState) -> str:
    if rank.signal is not None:
        return BY_SIGNAL.get(rank.signal, f"by signal {rank.signal}")
    return "how is not known" if rank.code is None else f"exit {rank.code}"


def _is_released(state: State) -> bool:
    return state.phase is Phase.RELEASED


def _replace(folder: Path) -> None:
    try:
        keepers.start_keeper(folder)
    except Transient:
        # Tried again in the next round.
        return
