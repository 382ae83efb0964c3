"""Decides what owners' jobs in an engine's own queue mean: claims on their reservations.

An owner that knows nothing of Parkade submits to its cluster as ever. The pool's agent tells of
each such job that waits for nodes or has them; a claim stands for it (`Claim.source`), so guests
get their notice by the next clearing, and is given up when the job is gone.

Example: `acme` holds 4 nodes and lends them. Job 17 of its account wants 3: claim `c5` of 3 nodes
with the source `box/17`. An array that can use 9 nodes and begins with 1 claims the fourth. A job
that wants 2 more has no claim until the others end: it waits as any job beyond its right. When job
17 is gone, the array can use 8 more: a second claim of 3 nodes has its source. All claims of an
array end with it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from parkade.core.billing.charges import Postings
from parkade.core.billing.settlements import settle_end
from parkade.core.leasing.decisions import new_claim
from parkade.core.reservations.owner_job import MOST_OWNER_JOBS, OwnerJob
from parkade.core.reservations.reservation import Claim
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision, invalid, not_found


def report_owner_jobs(world: World, command: commands.ReportOwnerJobs, now_us: int) -> Decision:
    """Claims whose jobs are gone end, then jobs that can use more get claims, in the order told, as
    far as there is room. Cost grows with the claims, the jobs, and the marketplace's nodes."""
    if command.pool not in world.records.pools:
        return not_found("pool", command.pool)
    if len(command.jobs) > MOST_OWNER_JOBS:
        return invalid("jobs", f"at most {MOST_OWNER_JOBS:,} jobs of owners in one pool")
    jobs = {f"{command.pool}/{job.job}": job for job in command.jobs}
    known: dict[str, int] = {}
    over: list[Claim] = []
    for source, claim in _claims_of(world, command.pool):
        if source in jobs:
            known[source] = known.get(source, 0) + claim.nodes
        else:
            over.append(claim)
    found: list[events.AnyEvent] = []
    postings = Postings(world)
    for claim in over:
        found += settle_end(world, postings, claim, now_us)
        found.append(
            events.Unclaimed(at_us=now_us, claim=claim.claim, reservation=claim.reservation)
        )
    room = partial(_room, world, command.pool, over)
    return (*found, *_claimed(world, jobs, known, room, now_us))


def _claimed(
    world: World,
    jobs: Mapping[str, OwnerJob],
    known: Mapping[str, int],
    room: Callable[[], dict[str, int]],
    now_us: int,
) -> Iterator[events.Claimed]:
    """`known`: the nodes of claims by their source; `room`: what reservations have left."""
    short = {source: job for source, job in jobs.items() if known.get(source, 0) < job.nodes}
    left = room() if short else {}
    number = world.records.counters.get("claim", 0)
    for source, job in short.items():
        nodes = _nodes_for(job, has=known.get(source, 0), left=left.get(job.reservation, 0))
        if nodes:
            left[job.reservation] -= nodes
            number += 1
            reservation = world.records.reservations[job.reservation]
            claim = new_claim(reservation, nodes, number=number, source=source, now_us=now_us)
            yield events.Claimed(at_us=now_us, claim=claim)


def _claims_of(world: World, pool: str) -> Iterator[tuple[str, Claim]]:
    for claim in world.records.claims.values():
        if claim.source is not None and claim.source.startswith(f"{pool}/"):
            yield claim.source, claim


def _nodes_for(job: OwnerJob, *, has: int, left: int) -> int:
    """Nodes that it claims beyond those it `has`, of what is `left`: whole tasks of an array, all
    or nothing of another job; 0 for none. What is beyond its right waits without a claim."""
    if has and job.nodes <= job.least:
        return 0
    least = max(1, job.least)
    return min(job.nodes - has, left) // least * least


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
