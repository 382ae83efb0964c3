"""Keeps what a process has in memory from others of its Unix user, and out of core dumps.

Requests carry tokens, so server and agent have them in memory. A process that is not dumpable
leaves no core, and only root reads its memory and environment or traces it. A program that it
starts is dumpable again: the workloads' own cores are theirs.
"""

from parkade.engines.local.processes import prctl

PR_SET_DUMPABLE = 4


def shield() -> None:
    """This process, from now on. OSError where the kernel refuses."""
    prctl(PR_SET_DUMPABLE, 0)
