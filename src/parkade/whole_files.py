"""Files that are replaced whole: a reader, also after a crash, finds the old or the new one."""

import os
from pathlib import Path


def replace_whole(path: Path, content: bytes) -> None:
    """Replaced in one rename and synced before, so that it is never torn. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
