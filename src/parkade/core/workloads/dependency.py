"""What a workload waits for: that others of its org have started or ended, and how.

    condition      met once the other                   can no longer be met once it
    after          has had a first process, or ended    -
    after_ok       succeeded                            ended otherwise
    after_not_ok   ended otherwise                      succeeded
    after_any      ended                                -

These are Slurm's `after`, `afterok`, `afternotok` and `afterany` (sbatch's manual, --dependency).
What was met stays met. A workload may only wait for one that was submitted before it, so no two
wait for each other.
"""

import enum
from typing import TYPE_CHECKING

import msgspec

from parkade.core.workloads.life import Phase

if TYPE_CHECKING:
    from parkade.core.workloads.workload import Workload


class Condition(enum.StrEnum):
    """What has to become of the other workload; the keys of the spec."""

    AFTER = "after"
    AFTER_OK = "after_ok"
    AFTER_NOT_OK = "after_not_ok"
    AFTER_ANY = "after_any"


class Dependency(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One workload that another waits for; `workload` is an id once it was accepted."""

    workload: str
    condition: Condition

    def __str__(self) -> str:
        return f"{self.condition} {self.workload}"


class Settled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A condition that is met, or that nothing can meet any more, since an instant."""

    is_met: bool
    at_us: int


def settled(other: "Workload", condition: Condition) -> Settled | None:
    """What became of the condition; None while it is open."""
    if condition is Condition.AFTER and other.first_started_us is not None:
        return Settled(is_met=True, at_us=other.first_started_us)
    if other.ended_us is None:
        return None
    has_succeeded = other.phase is Phase.SUCCEEDED
    match condition:
        case Condition.AFTER_OK:
            is_met = has_succeeded
        case Condition.AFTER_NOT_OK:
            is_met = not has_succeeded
        case _:
            is_met = True
    return Settled(is_met=is_met, at_us=other.ended_us)
