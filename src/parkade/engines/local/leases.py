"""Leases: when the control plane was heard last, as one small file that all keepers read.

The engine writes it each time the agent says so; a keeper that finds it older than its attempt's
lease gives the notice by itself. The instant is of the monotonic clock, so that setting the clock
ends no lease, and counts for one boot only. It is written in place, which needs no room on a full
disk.
"""

import os
from pathlib import Path

from parkade.engines.local import processes, records
from parkade.engines.local.clocks import monotonic_us

FILE = "heard"
DIGITS = 20


def renew(path: Path) -> None:
    """The control plane was heard now."""
    content = f"{processes.boot_id()} {monotonic_us():0{DIGITS}d}\n".encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.pwrite(descriptor, content, 0)
    finally:
        os.close(descriptor)


class Silence:
    """How long nothing was heard, by the file of this machine; from `began_us` on where there is
    none of this boot."""

    def __init__(self, heard: str, began_us: int) -> None:
        self._heard = heard
        self._began_us = began_us

    def lasted_us(self, now_us: int) -> int:
        """Until an instant of the monotonic clock."""
        last_us = heard_us(self._heard)
        return now_us - (self._began_us if last_us is None else last_us)


def heard_us(path: str | Path) -> int | None:
    """When it was heard last, on the monotonic clock of this boot; None where that is not known."""
    content = records.read_bounded(Path(path), most_bytes=4096) if path else None
    boot, _, digits = (content or b"").decode(errors="replace").strip().partition(" ")
    if boot != processes.boot_id() or len(digits) != DIGITS or not digits.isdigit():
        return None
    return min(int(digits), monotonic_us())
