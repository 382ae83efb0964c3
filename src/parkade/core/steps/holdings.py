"""GPUs of a workload as caps count them."""

from parkade.core.state.world import World
from parkade.core.steps.windows import keeps_window
from parkade.core.workloads.entries import is_on_demand
from parkade.core.workloads.workload import Workload


def is_standing(workload: Workload) -> bool:
    """Whether it has seats and keeps them, or is promised some."""
    attempt = workload.attempt
    return workload.promise is not None or (attempt is not None and attempt.stop is None)


def held_gpus(workload: Workload) -> int:
    """The GPUs it holds or is promised, whichever are more; those of an on-demand window from its
    sale on, and of one that is kept for it, or that its list may buy, from the submission on."""
    attempt, promise = workload.attempt, workload.promise
    has_window = is_on_demand(workload) or keeps_window(workload)
    sold = workload.spec.total_gpus if has_window else 0
    return max(attempt.gpus if attempt else 0, promise.gpus if promise else 0, sold)


def gpus_held(world: World, org: str, user: str | None) -> int:
    """What counts against the cap of a user, or, without one, of an org. Cost grows with the org's
    live workloads."""
    live = (world.records.workloads[name] for name in world.live_of_org.get(org, {}))
    return sum(held_gpus(it) for it in live if user in (None, it.user))
