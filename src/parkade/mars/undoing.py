"""What goes with lifting a drain: the logs of its node count as dealt with up to now, and what was
held of it is not asked for again."""

from pathlib import Path

from parkade.mars.bookmarks import bookmarks_beside, load_bookmarks, save_bookmarks
from parkade.mars.run_file import RunFile
from parkade.mars.sensing import log_sensor
from parkade.mars.standing_file import forget_drains, standing_beside
from parkade.sensors.bookmarks import log_name


def mark_read(file: RunFile, journal: Path, nodes: frozenset[str], now_us: int) -> None:
    """Moves the bookmarks of these nodes' logs to their ends. Raises KeptFileError."""
    path = bookmarks_beside(journal)
    marks = load_bookmarks(path)
    for entry in file.nodes:
        sensor = log_sensor(entry.node, entry) if entry.node in nodes else None
        if sensor is None:
            continue
        sensor.poll(now_us)
        if sensor.bookmark is not None:
            marks[log_name(entry.node)] = sensor.bookmark
        sensor.close()
    save_bookmarks(path, marks)
    forget_drains(standing_beside(journal), nodes)
