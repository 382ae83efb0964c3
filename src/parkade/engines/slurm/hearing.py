"""When the control plane was heard last, as a file that the nodes of a pool share.

No two machines have one steady clock, so a member counts from when it saw the file change. Only
what had passed before it began is taken from the wall clocks, which Slurm wants in step anyway.
"""

import os
from pathlib import Path

from parkade.engines.local import records
from parkade.engines.local.clocks import monotonic_us, wall_us

FILE = "heard.shared"
DIGITS = 20


def renew(path: Path) -> None:
    """The control plane was heard now. Written in place, which needs no room on a full disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        os.pwrite(descriptor, f"{wall_us():0{DIGITS}d}\n".encode(), 0)
    finally:
        os.close(descriptor)


class SharedSilence:
    """How long nothing was heard, as one member sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content = self._read()
        before_us = 0 if self._content is None else max(0, wall_us() - self._content)
        self._changed_us = monotonic_us() - before_us

    def lasted_us(self, now_us: int) -> int:
        """Until an instant of this machine's monotonic clock."""
        content = self._read()
        if content != self._content and content is not None:
            self._content, self._changed_us = content, now_us
        return now_us - self._changed_us

    def _read(self) -> int | None:
        content = records.read_bounded(self.path, most_bytes=4096) or b""
        digits = content.decode(errors="replace").strip()
        return int(digits) if len(digits) == DIGITS and digits.isdigit() else None
