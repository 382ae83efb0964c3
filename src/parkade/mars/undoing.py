"""What goes with lifting a drain: the logs of its node count as dealt with up to now, and what was
held of it is not asked for again. Of a node that was never drained, nothing is dealt with."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from parkade.mars.bookmarks import bookmarks_beside, load_bookmarks, save_bookmarks
from parkade.mars.drain_journal import DrainError
from parkade.mars.drains import Drains
from parkade.mars.run_file import RunFile
from parkade.mars.sensing import log_sensor
from parkade.mars.standing_file import forget_drains, standing_beside
from parkade.sensors.bookmarks import log_name


def mark_read(file: RunFile, journal: Path, nodes: frozenset[str], now_us: int) -> None:
    """Moves the bookmarks of these nodes' logs to their ends. Raises KeptFileError."""
    path = bookmarks_beside(journal)
    marks = load_bookmarks(path)
    for entry in file.nodes:
        sensor = log_sensor(entry.node, entry, olddir=file.olddir) if entry.node in nodes else None
        if sensor is None:
            continue
        sensor.poll(now_us)
        if sensor.bookmark is not None:
            marks[log_name(entry.node)] = sensor.bookmark
        sensor.close()
    save_bookmarks(path, marks)
    forget_drains(standing_beside(journal), nodes)


def drained_of(drains: Drains, names: Sequence[str]) -> frozenset[str]:
    """Which of these nodes Mars has drained, by its journal or by what the cluster says of a drain
    that was not seen to be done. A node that cannot be asked about is none. Asks once a node."""
    done = {each.node for each in drains.done}
    found = set(done.intersection(names))
    for name in names:
        if name not in found:
            with contextlib.suppress(DrainError):
                if drains.find(name) is not None:
                    found.add(name)
    return frozenset(found)
