"""Ends everything that the local engine runs below a data folder, as when it is uninstalled.

Server and agent may be gone: the order is the file that a keeper reads, as any other, and a keeper
that was lost is replaced first. Nothing is ended that the engine did not start.
"""

import os
import time
from pathlib import Path

from parkade.core.workloads.life import Cause
from parkade.engines.local import keepers, records
from parkade.engines.local.escalation import merge
from parkade.engines.local.folders import Folders
from parkade.engines.local.view import View
from parkade.ports import Stop, Transient

KILL_AFTER_S = 5.0
POLL_S = 0.1


def end_everything(data: Path, *, notice_s: float, timeout_s: float) -> list[str]:
    """Gives every live attempt below `data` a notice, then TERM, and KILL KILL_AFTER_S later.
    Blocks until all are gone; the attempts that still live after the time given."""
    folders = Folders(data, has_other_users=os.geteuid() == 0)
    now_us = time.time_ns() // 1000
    deadline_us = now_us + int(notice_s * 1e6)
    order = Stop(
        noticed_us=now_us,
        deadline_us=deadline_us,
        kill_us=deadline_us + int(KILL_AFTER_S * 1e6),
        cause=Cause.OPERATOR,
    )
    for folder in _live(folders):
        path = folder / records.ORDER
        records.write(path, merge(records.read_order(folder), order))
    ends_at = time.monotonic() + timeout_s
    while (left := _live(folders)) and time.monotonic() < ends_at:
        for folder in left:
            keepers.end_stopped(folder)
            if not keepers.has_keeper(folder):
                _replace(folder)
        time.sleep(POLL_S)
    return [folder.name for folder in left]


def _live(folders: Folders) -> list[Path]:
    view = View(folders)
    view.refresh()
    return [one.folder for one in view.seen.values() if not view.is_released(one.folder)]


def _replace(folder: Path) -> None:
    try:
        keepers.start_keeper(folder)
    except Transient:
        # Tried again in the next round.
        return
