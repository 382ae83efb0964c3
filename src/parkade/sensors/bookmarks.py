"""How far logs were read and judged: what a restart may take for dealt with.

A line that was read is judged at once, or when the window that it opened closes. A program that
ends in between must read the line again. So each round notes how far it has read, and what it noted
counts once every window that was open at its end, and may still tell something, has closed.

Worked example. Windows of 5 s. The round that ends at 10.0 s has read to line 7, which opened a
window that closes at 15.0 s; the one that ends at 12.0 s has read to line 8. At 13 s the oldest
open window was opened at 10.0 s: neither counts. At 15.0 s it closes, and the next one, of line 8,
was opened at 12.0 s: line 7 is dealt with.
"""

from collections import deque
from collections.abc import Mapping
from typing import Generic, TypeVar

Mark = TypeVar("Mark", int, str)
KERNEL_LOG = "kernel_log"
"""What every sensor of a kernel's log is called; a node has at most one."""


def log_name(node: str) -> str:
    """The name of a node's log in what is kept; a node's name holds no space."""
    return f"{node} {KERNEL_LOG}"


class ReadSoFar(Generic[Mark]):
    """Marks of several logs by name. `judged` is what a restart may begin from."""

    def __init__(self, judged: Mapping[str, Mark], *, coalesce_us: int) -> None:
        self.judged: dict[str, Mark] = dict(judged)
        self._read: dict[str, Mark] = dict(judged)
        self._coalesce_us = coalesce_us
        self._rounds: deque[tuple[int, dict[str, Mark]]] = deque()

    def note(self, marks: Mapping[str, Mark], ended_us: int) -> None:
        """A round has read so far, and every symptom of it was given to the judge by `ended_us`."""
        moved = {name: mark for name, mark in marks.items() if self._read.get(name) != mark}
        if moved:
            self._read |= moved
            self._rounds.append((ended_us, moved))

    def settle(self, next_close_us: int | None) -> None:
        """The first window that may still tell something closes then; None: none is open. Costs
        the rounds that become judged; those of one window's length wait."""
        while self._rounds:
            ended_us, moved = self._rounds[0]
            if next_close_us is not None and ended_us >= next_close_us - self._coalesce_us:
                return
            self._rounds.popleft()
            self.judged |= moved
