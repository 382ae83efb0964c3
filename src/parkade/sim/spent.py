"""What a proof costs: processor time of this process and of those of its that have ended."""

import os


def cpu_s() -> float:
    """Seconds, user and system together."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
