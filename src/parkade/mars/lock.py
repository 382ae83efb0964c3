"""One program at a time works on a journal of drains: `mars run`, or `mars undo` after its end.

A run remembers its drains and how far logs were judged. Another one beside it, or an undo, would
change both behind its back: nodes would be drained twice, or anew for the verdict that still
stands. So the journal is locked, whatever name leads to it, and a lock file beside it, which names
the process; the kernel gives both back when that dies. The second program is refused.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


def lock_beside(journal: Path) -> Path:
    """Where the lock file of a journal stands."""
    return journal.with_name(f"{journal.name}.lock")


class JournalInUse(Exception):
    """Another program works on the journal; the message says which."""


@contextmanager
def only_one(journal: Path | None) -> Iterator[None]:
    """Raises JournalInUse, or OSError where the lock file cannot be made. Programs that are started
    meanwhile do not inherit it. Without a journal nothing is shared."""
    if journal is None:
        yield
        return
    journal = journal.resolve()
    journal.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        holder = _opened(stack, lock_beside(journal))
        # The file itself too, since it may have several names; the lock file alone, an earlier
        # version locks.
        for descriptor in (holder, _opened(stack, journal)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                process = os.read(holder, 64).decode("ascii", "replace").strip() or "unknown"
                who = f"process {process}" if descriptor == holder else "a process"
                raise JournalInUse(f"{who} works on {journal}; end it first") from None
        os.ftruncate(holder, 0)
        os.pwrite(holder, f"{os.getpid()}\n".encode(), 0)
        yield


def _opened(stack: ExitStack, path: Path) -> int:
    """A descriptor of a file, which is made where it is not there; closed with the stack."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    stack.callback(os.close, descriptor)
    return descriptor
