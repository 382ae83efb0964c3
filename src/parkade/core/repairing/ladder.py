"""Which repair comes next: the rung that the verdict asks for, and what the pool's agent can do."""

from parkade.core.fleet.node import Node
from parkade.core.healing.incident import Grade, Next, RepairKind
from parkade.core.healing.ladder import Repair, climb
from parkade.core.healing.policy import LadderLimits
from parkade.core.healing.verdict import Action
from parkade.core.repairing.lemons import lemon_reasons
from parkade.core.state.world import World
from parkade.core.steps.incidents import can

LIMITS = LadderLimits()
REPEATER = 2
"""So many repairs within the ladder's window make a long validation."""
_RUNGS = (
    (Action.RESET_GPU, RepairKind.RESET, Next.RESET),
    (Action.REBOOT, RepairKind.REBOOT, Next.REBOOT),
    (Action.DIAGNOSE, RepairKind.VALIDATE, Next.VALIDATE),
)
_AS_RESET = frozenset(
    {Action.RESET_AT_IDLE, Action.DRAIN_AND_RESET, Action.RESET_GPU, Action.RESET_FABRIC}
)
_AS_REBOOT = frozenset({Action.REBOOT, Action.RESTART_VM})
_AS_DIAGNOSE = frozenset({Action.DIAGNOSE, Action.INSPECT})


def rung(
    world: World,
    node: Node,
    action: Action,
    device: str | None,
    now_us: int,
    *,
    also: Repair | None = None,
) -> Next:
    """What to do: the first rung from `action` on that was not used up and that the agent can do.
    `also` is a repair that the world does not have yet."""
    care = world.records.cares.get(node.node)
    tried = () if care is None else care.repairs
    if also is not None:
        tried = (*tried, also)
    wanted = climb(_plain(action), tried, device=device, now_us=now_us, limits=LIMITS)
    if wanted is Action.RMA:
        return Next.RETIRE
    start = next(at for at, (each, _, _) in enumerate(_RUNGS) if each is wanted)
    for _, kind, step in _RUNGS[start:]:
        if can(world, node, kind):
            return step
    return Next.PERSON


def grade_of(world: World, node: Node, action: Action, now_us: int) -> Grade:
    """Long for a diagnosis, for what was repaired repeatedly, and for a lemon."""
    care = world.records.cares.get(node.node)
    repairs = () if care is None else care.repairs
    lately = [
        it
        for it in repairs
        if now_us - it.at_us < LIMITS.window_us and it.action is not Action.DIAGNOSE
    ]
    is_long = action in _AS_DIAGNOSE or len(lately) >= REPEATER
    is_long = is_long or bool(lemon_reasons(world, node.node, now_us))
    return Grade.LONG if is_long else Grade.SHORT


def _plain(action: Action) -> Action:
    """The rung that an action means."""
    if action in _AS_RESET:
        return Action.RESET_GPU
    if action in _AS_REBOOT:
        return Action.REBOOT
    if action in _AS_DIAGNOSE:
        return Action.DIAGNOSE
    assert action is Action.RMA, f"{action} takes no node out of service"
    return Action.RMA
