"""What a failed node means for an attempt with a seat there."""

from msgspec.structs import replace

from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.notices import notice
from parkade.core.workloads.life import Cause
from parkade.core.workloads.ranks import kept_by, ranks_of, without_price
from parkade.core.workloads.workload import Workload


def loses_node(
    world: World, workload: Workload, node: str, now_us: int
) -> events.Broken | events.RanksChanged:
    """A gang is broken. A live attempt goes on without that rank, which leaves at once and costs
    nothing from now on, where enough ranks stay and rank 0 is among them."""
    attempt = workload.attempt
    assert attempt is not None and attempt.broken_us is None
    broken = events.Broken(at_us=now_us, workload=workload.workload, attempt=attempt.attempt)
    if not workload.changes_live:
        return broken
    ranks = ranks_of(attempt)
    here = next(it for it in ranks if it.seat.node == node)
    is_leaving = here.leaving is not None
    if not is_leaving and (here.rank == 0 or len(kept_by(ranks)) <= workload.spec.nodes):
        return broken
    kill_us = world.records.markets[workload.market].terms.kill_us
    stop = notice(attempt, Cause.HEALED, at_us=now_us, notice_us=0, kill_us=kill_us)
    if here.leaving is not None:
        before = here.leaving.stop
        stop = replace(
            before,
            deadline_us=min(before.deadline_us, stop.deadline_us),
            kill_us=min(before.kill_us, stop.kill_us),
        )
    return events.RanksChanged(
        at_us=now_us,
        workload=workload.workload,
        attempt=attempt.attempt,
        ranks=without_price(ranks, (node,), stop, now_us),
        resizes=attempt.resizes + 1,
    )
