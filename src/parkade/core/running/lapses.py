"""Leases: when the next attempt of a guest in a silent pool may start.

A guest carries its lease to its node (`Attempt.lease_us`): there its keeper gives it the notice by
itself, once the agent has not reached the control plane for so long, then TERM and KILL. So the
control plane knows that a guest has ended without seeing it:

    silent since       0:00   no report was heard; the pool is unreachable
    lease (10 min)    10:00   at the latest now the keeper gives the notice
    notice (2 min)    12:00   TERM
    kill (30 s)       12:30   KILL
    release grace     13:30   lapsed: the end is concluded, and the workload may start elsewhere

An agent renews leases only after the control plane answered a report of its own, so the keeper
never counts from later than the control plane does; the release grace covers the way and the look
of the keeper. A pool that is heard again before that changes nothing: its agent tells what became
of the guest. Owners' and on-demand work has no lease and waits for its agent.

Where the wall clock is set ahead meanwhile, the keeper's time did not pass: the lapse comes so much
later (`Pool.leapt_us`).
"""

from parkade.core.running.observations import conclude_lost
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.workloads.workload import Workload


def lapse_due_us(world: World, workload: Workload) -> int | None:
    """When a guest in a silent pool has ended for certain; None while it is heard of."""
    attempt = workload.attempt
    if attempt is None or attempt.lease_us is None:
        return None
    since_us = _silent_since_us(world, workload)
    if since_us is None:
        return None
    terms = world.records.markets[workload.market].terms
    leaves_us = terms.notice_us + terms.kill_us + terms.release_grace_us
    begins_us = max(since_us, attempt.ordered_us)
    pool = world.pool_of(attempt.seats)
    assert pool is not None, "an attempt has seats"
    return begins_us + attempt.lease_us + leaves_us + pool.leapt_us


def lapse(world: World, workload: Workload, at_us: int) -> tuple[events.AnyEvent, ...]:
    """Its end: preempted or lost, never failed, and billed to when its pool fell silent."""
    since_us = _silent_since_us(world, workload)
    assert since_us is not None, "what is heard does not lapse"
    return conclude_lost(world, workload, seen_us=since_us, at_us=at_us)


def _silent_since_us(world: World, workload: Workload) -> int | None:
    assert workload.attempt is not None
    pool = world.pool_of(workload.attempt.seats)
    assert pool is not None, "an attempt has seats"
    return pool.silent_since_us
