"""The two clocks: deadlines are promised on the wall clock and kept on the monotonic one."""

import time


def monotonic_us() -> int:
    """The monotonic clock of this machine since its boot, which is never set."""
    return time.monotonic_ns() // 1000


def wall_us() -> int:
    """The present instant."""
    return time.time_ns() // 1000
