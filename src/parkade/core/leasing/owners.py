"""Decides what owners' jobs in an engine's own queue mean: claims on their reservations.

An owner that knows nothing of Parkade submits to its cluster as ever. The pool's agent tells of
each such job that waits for nodes or has them; a claim stands for it (`Claim.source`), so guests
get their notice by the next clearing, and is given up when the job is gone.

Example: `acme` holds 4 nodes and lends them. Job 17 of its account wants 3: claim `c5` of 3 nodes
with the source `box/17`. An array that can use 9 nodes and begins with 1 claims the fourth. A job
that wants 2 more has no claim until the others end: it waits as any job beyond its right.
"""

from collections.abc import Iterator, Mapping, Sequence

from parkade.core.billing.charges import Postings
from parkade.core.billing.settlements import settle_end
from parkade.core.leasing.decisions import new_claim
from parkade.core.reservations.owner_job import MOST_OWNER_JOBS, OwnerJob
from parkade.core.reservations.reservation import Claim
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision, invalid, not_found


def report_owner_jobs(world: World, command: commands.ReportOwnerJobs, now_us: int) -> Decision:
    """Claims whose jobs are gone end, then jobs without a claim get one as far as there is room.
    Cost grows with the claims, the jobs, and the marketplace's nodes."""
    if command.pool not in world.records.pools:
        return not_found("pool", command.pool)
    if len(command.jobs) > MOST_OWNER_JOBS:
        return invalid("jobs", f"at most {MOST_OWNER_JOBS:,} jobs of owners in one pool")
    jobs = {f"{command.pool}/{job.job}": job for job in command.jobs}
    known = dict(_claims_of(world, command.pool))
    over = [claim for source, claim in known.items() if source not in jobs]
    found: list[events.AnyEvent] = []
    postings = Postings(world)
    for claim in over:
        found += settle_end(world, postings, claim, now_us)
        found.append(
            events.Unclaimed(at_us=now_us, claim=claim.claim, reservation=claim.reservation)
        )
    new = {source: job for source, job in jobs.items() if source not in known}
    return (*found, *_claimed(world, command.pool, new, over, now_us))


def _claims_of(world: World, pool: str) -> Iterator[tuple[str, Claim]]:
    for claim in world.records.claims.values():
        if claim.source is not None and claim.source.startswith(f"{pool}/"):
            yield claim.source, claim


def _claimed(
    world: World, pool: str, jobs: Mapping[str, OwnerJob], over: Sequence[Claim], now_us: int
) -> Iterator[events.Claimed]:
    """In the order told; each gets as much as its reservation still has, if that is enough for it
    to begin. What a job asks for beyond its right waits without a claim."""
    left = _room(world, pool, over) if jobs else {}
    number = world.records.counters.get("claim", 0)
    for source, job in jobs.items():
        nodes = min(job.nodes, left.get(job.reservation, 0))
        if nodes < max(1, job.least):
            continue
        left[job.reservation] -= nodes
        number += 1
        reservation = world.records.reservations[job.reservation]
        claim = new_claim(reservation, nodes, number=number, source=source, now_us=now_us)
        yield events.Claimed(at_us=now_us, claim=claim)


def _room(world: World, pool: str, over: Sequence[Claim]) -> dict[str, int]:
    """Nodes of each reservation that are not claimed, of markets that the pool supplies."""
    markets = {node.market for node in world.records.nodes.values() if node.pool == pool}
    left = {
        name: right.nodes
        for name, right in world.records.reservations.items()
        if right.market in markets and not right.state.is_over
    }
    ending = {claim.claim for claim in over}
    for claim in world.records.claims.values():
        if claim.claim not in ending and claim.reservation in left:
            left[claim.reservation] -= claim.nodes
    assert all(nodes >= 0 for nodes in left.values()), "no more is claimed than is reserved"
    return left
