"""Words why an attempt's own job still waits in Slurm, for those who ask why it does not start.

The market gave it nodes, so Slurm starts it at once, unless jobs of others have them, or a limit of
the guests' account or QOS, or a hold, keeps it. A job that waits for less than `PATIENCE_US` is not
told: Slurm looks at its queue now and then. Of the reason only its first word counts, which is
Slurm's own.
"""

import re

from parkade.engines.slurm.answers import Job
from parkade.engines.slurm.limits import LIMITS

PATIENCE_US = 10_000_000
NOT_YET = frozenset({"", "None", "Priority", "Prolog"})
"""Slurm has not looked, or looks at others first."""
HELD = ("JobHeld",)
REASON = re.compile(r"\w+")


def words(job: Job, now_us: int) -> str | None:
    """None where it does not wait, or not for long; `now_us` of the controller's clock."""
    found = REASON.match(job.reason)
    reason = found[0] if found else ""
    if not job.is_waiting or reason in NOT_YET or now_us - job.submitted_us < PATIENCE_US:
        return None
    return f"its job {job.number} waits in Slurm: {reason}{_advice(job, reason)}"


def _advice(job: Job, reason: str) -> str:
    if reason.startswith(LIMITS):
        of = f"QOS {job.asks.qos}" if reason.startswith("QOS") else f"account {job.asks.account}"
        return f", a limit of Slurm's {of}, which an administrator can raise"
    if reason.startswith(HELD):
        return ", held by an administrator or its user: scontrol release"
    return ""
