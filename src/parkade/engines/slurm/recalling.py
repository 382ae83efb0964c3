"""Sees that a person ends a fence while Parkade is dead, and with it all guests.

The agent sees it where it lives, and writes it into a file that the nodes share. Else heads see it
by themselves: the fence of a pool whose control plane is silent ends by itself, after the leases of
its guests and their notice. One that ends before was brought forward by a person. Slurm ends the
jobs in it then without a word, so the guests' own heads give the notice, with the fence's end as
its deadline. They ask Slurm only while the control plane is silent, each every `ASK_US`, and how
long the fence has left is reckoned on the controller's clock alone.
"""

import os
import subprocess
import sys
from pathlib import Path

from parkade.engines.local import records
from parkade.engines.local.clocks import monotonic_us, wall_us
from parkade.engines.slurm import standing_reservation
from parkade.ports import Lease, Transient

FILE = "recalled.shared"
QUIET_US = 10_000_000
ASK_US = 5_000_000
TIMEOUT_S = 5


class Recall:
    """One attempt's look at its fence; `lease` None or no fence: it never asks."""

    def __init__(self, lease: Lease | None, fence: str, shared: Path) -> None:
        self.shared = shared
        self.lease = lease
        self.fence = fence
        self.recalled_us: int | None = None
        self._ask_again_us = 0

    def look(self, silent_us: int) -> int | None:
        """When the guests are to be gone; None: not before their leases say so. `silent_us`: how
        long the control plane was not heard."""
        now_us = monotonic_us()
        if self.lease is not None and self.fence and self.recalled_us is None:
            self.recalled_us = read(self.shared)
        is_quiet = silent_us >= QUIET_US and now_us >= self._ask_again_us
        if self.lease is None or not self.fence or self.recalled_us is not None or not is_quiet:
            return self.recalled_us
        self._ask_again_us = now_us + ASK_US
        left_us = _left_of(self.fence)
        if left_us is not None and is_early(self.lease, left_us, silent_us):
            self.recalled_us = wall_us() + left_us
        return self.recalled_us


def tell(shared: Path, recalled_us: int | None) -> None:
    """Guests are to be gone by then; None: they may stay."""
    records.write(shared, recalled_us, mode=0o644)


def read(shared: Path) -> int | None:
    """What was told last."""
    words = (records.read_bounded(shared, most_bytes=64) or b"").strip()
    return int(words) if words.isdigit() else None


def is_early(lease: Lease, left_us: int, silent_us: int) -> bool:
    """Whether a fence ends before the guests would be told to leave by themselves, and had left.
    Example: silent for 60 s of a lease of 600 s with a notice of 120 s, a fence that ends in 120 s
    is early, one that ends in 700 s is not."""
    return left_us < lease.silence_us - silent_us + lease.notice_us


def _left_of(fence: str) -> int | None:
    """How long it stands from now; None where Slurm does not say."""
    line = _ask("scontrol", "show", "reservation", fence, "--oneliner")
    now = _ask("scontrol", "show", "config")
    if line is None or now is None or not line.startswith(b"ReservationName="):
        return None
    ends_us = standing_reservation.parse(line.decode(errors="replace")).ends_us
    try:
        return ends_us - standing_reservation.clock_us(now)
    except Transient as error:
        sys.stderr.write(f"the fence is not seen: {error}\n")
        return None


def _ask(*words: str) -> bytes | None:
    try:
        done = subprocess.run(
            words,
            env={**os.environ, "TZ": "UTC"},
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"the fence is not seen: {error}\n")
        return None
    return done.stdout if done.returncode == 0 else None
