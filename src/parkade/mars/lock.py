"""One program at a time works on a journal of drains: `mars run`, or `mars undo` after its end.

A run remembers its drains and how far logs were judged. Another one beside it, or an undo, would
change both behind its back: nodes would be drained twice, or anew for the verdict that still
stands. So a lock file stands beside the journal, given back by the kernel when its holder dies, and
the second program is refused.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class JournalInUse(Exception):
    """Another program works on the journal; the message says which."""


@contextmanager
def only_one(journal: Path | None) -> Iterator[None]:
    """Raises JournalInUse, or OSError where the lock file cannot be made. Programs that are started
    meanwhile do not inherit it. Without a journal nothing is shared."""
    if journal is None:
        yield
        return
    journal.parent.mkdir(parents=True, exist_ok=True)
    path = journal.with_name(f"{journal.name}.lock")
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process = os.read(descriptor, 64).decode("ascii", "replace").strip() or "unknown"
            raise JournalInUse(f"process {process} works on {journal}; end it first") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
