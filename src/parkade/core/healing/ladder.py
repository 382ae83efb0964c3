"""The ladder of repairs: reset, reboot (at most twice), diagnose, return to the vendor.

A repair that was tried and did not last is not tried again: the next rung is. A driver or a rule
may ask for a rung directly; it is climbed from there. A diagnosis is remembered only where it
passed: the node returned, and the fault came again.
"""

import enum

import msgspec

from parkade.core.healing.policy import LadderLimits
from parkade.core.healing.verdict import Action

_RESETS = frozenset({Action.RESET_AT_IDLE, Action.DRAIN_AND_RESET, Action.RESET_GPU})
_REBOOTS = frozenset({Action.REBOOT, Action.RESTART_VM})
_DIAGNOSES = frozenset({Action.DIAGNOSE})
_RUNGS = {
    action: at for at, members in enumerate((_RESETS, _REBOOTS, _DIAGNOSES)) for action in members
}


class RepairResult(enum.StrEnum):
    """How a repair ended."""

    DONE = "done"
    FAILED = "failed"


class Repair(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A repair that was carried out. `device` None is the whole node."""

    device: str | None
    action: Action
    result: RepairResult
    at_us: int


def climb(
    wanted: Action,
    tried: tuple[Repair, ...],
    *,
    device: str | None,
    now_us: int,
    limits: LadderLimits,
) -> Action:
    """The rung to take: `wanted`, or a higher one where the lower ones are used up.

    Actions that are not on the ladder are returned as they are. Grows with the repairs remembered.

    Example: a reset was done yesterday and the same GPU asks for a reset: reboot. After two
    reboots: diagnose. After a diagnosis: return to the vendor.
    """
    start = _RUNGS.get(wanted)
    if start is None:
        return wanted
    rungs: tuple[tuple[frozenset[Action], Action, int], ...] = (
        (_RESETS, Action.RESET_GPU, limits.resets),
        (_REBOOTS, Action.REBOOT, limits.reboots),
        (_DIAGNOSES, Action.DIAGNOSE, limits.diagnoses),
    )
    recent = [
        repair
        for repair in tried
        if now_us - repair.at_us < limits.window_us and repair.device in (None, device)
    ]
    for at, (members, action, most) in enumerate(rungs[start:], start):
        if sum(repair.action in members for repair in recent) < most:
            return wanted if at == start else action
    return Action.RMA
