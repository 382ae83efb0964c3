"""Decides what owners' jobs in an engine's own queue mean: claims on their reservations.

An owner that knows nothing of Parkade submits to its cluster as ever. The pool's agent tells of
each such job that waits for nodes or has them; a claim stands for it (`Claim.source`), so guests
get their notice by the next clearing, and is given up when the job is gone.

Example: `acme` holds 4 nodes and lends them. Job 17 of its account wants 3: claim `c5` of 3 nodes
with the source `box/17`. An array that can use 9 nodes and begins with 1 claims the fourth. A job
that wants 2 more has no claim until the others end: it waits as any job beyond its right. When job
17 is gone, the array can use 8 more: a second claim of 3 nodes has its source. All claims of an
array end with it. Jobs that the engine started by itself come before those that wait (`started`).
"""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from parkade.core.billing.charges import Postings
from parkade.core.billing.settlements import settle_end
from parkade.core.leasing.decisions import new_claim
from parkade.core.leasing.started import (
    handed_over,
    is_elsewhere,
    make_room,
    nodes_of_work,
    uncovered,
)
from parkade.core.reservations.owner_job import MOST_OWNER_JOBS, OwnerJob
from parkade.core.reservations.reservation import Claim
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision, invalid, not_found
from parkade.core.workloads.life import Why


def report_owner_jobs(world: World, command: commands.ReportOwnerJobs, now_us: int) -> Decision:
    """Claims whose jobs are gone end, then jobs that can use more get claims, those that run first,
    then in the order told, as far as there is room. Cost grows with the claims, the jobs, and the
    marketplace's nodes; times the claims for jobs that the engine started by itself."""
    if command.pool not in world.records.pools:
        return not_found("pool", command.pool)
    if len(command.jobs) > MOST_OWNER_JOBS:
        return invalid("jobs", f"at most {MOST_OWNER_JOBS:,} jobs of owners in one pool")
    jobs = {f"{command.pool}/{job.job}": job for job in command.jobs}
    following = _Following(world, command.pool, now_us)
    following.end_those_over(jobs)
    following.claim_where_they_run(jobs)
    following.claim_what_they_wait_for(jobs)
    return following.decided()


class _Following:
    """The claims of a pool's jobs, in making: which stay, which end, and which are new."""

    def __init__(self, world: World, pool: str, now_us: int) -> None:
        self._world = world
        self._pool = pool
        self._now_us = now_us
        self._over: list[Claim] = []
        self._made: list[Claim] = []
        self._beyond: dict[str, int] = {}
        """By reservation, nodes on which its jobs run without a claim."""
        nodes = world.records.nodes.values()
        self._markets = {node.market for node in nodes if node.pool == pool}

    def end_those_over(self, jobs: Mapping[str, OwnerJob]) -> None:
        """Those whose jobs are gone, or run elsewhere."""
        for claim in self._of_pool():
            job = jobs.get(claim.source or "")
            if job is None or is_elsewhere(claim, job):
                self._over.append(claim)

    def claim_where_they_run(self, jobs: Mapping[str, OwnerJob]) -> None:
        """Of jobs that the engine started by itself; what waits makes room."""
        for source, job in jobs.items():
            if not job.runs_on:
                continue
            nodes, beyond = uncovered(self._world, job, self._standing(), self._pool)
            left = self._left_beside_work(job.reservation)
            if len(nodes) > left:
                lacks = len(nodes) - left
                self._over += list(make_room(self._standing(), job.reservation, lacks=lacks))
                left = max(0, self._left_beside_work(job.reservation))
            runs_on = tuple(nodes[:left])
            if runs_on:
                claim = self._new(source, job, len(runs_on))
                self._made.append(replace(claim, runs_on=runs_on, why=Why.PLACED))
            beyond += len(nodes) - len(runs_on)
            self._beyond[job.reservation] = self._beyond.get(job.reservation, 0) + beyond

    def claim_what_they_wait_for(self, jobs: Mapping[str, OwnerJob]) -> None:
        """Of jobs that can use more than they have."""
        known: dict[str, int] = {}
        for claim in (*self._of_pool(), *self._made):
            if claim.source is not None and claim not in self._over:
                known[claim.source] = known.get(claim.source, 0) + claim.nodes
        short = {source: job for source, job in jobs.items() if known.get(source, 0) < job.nodes}
        left = self._left() if short else {}
        for reservation, nodes in self._beyond.items():
            left[reservation] = max(0, left.get(reservation, 0) - nodes)
        for source, job in short.items():
            if job.runs_on and job.nodes <= job.least:
                continue
            nodes = _nodes_for(job, has=known.get(source, 0), left=left.get(job.reservation, 0))
            if nodes:
                left[job.reservation] -= nodes
                self._made.append(self._new(source, job, nodes))

    def decided(self) -> Decision:
        """Ends first, so that what they free can be claimed and handed over."""
        world, now_us = self._world, self._now_us
        found: list[events.AnyEvent] = []
        postings = Postings(world)
        for claim in self._over:
            found += settle_end(world, postings, claim, now_us)
            found.append(
                events.Unclaimed(at_us=now_us, claim=claim.claim, reservation=claim.reservation)
            )
        found += [events.Claimed(at_us=now_us, claim=claim) for claim in self._made]
        ending = {claim.claim for claim in self._over}
        return (*found, *handed_over(world, self._standing(), ending, now_us))

    def _of_pool(self) -> Iterator[Claim]:
        for claim in self._world.records.claims.values():
            if claim.source is not None and claim.source.startswith(f"{self._pool}/"):
                yield claim

    def _standing(self) -> list[Claim]:
        """All claims that there are after the report, so far."""
        ending = {claim.claim for claim in self._over}
        known = self._world.records.claims.values()
        return [*(it for it in known if it.claim not in ending), *self._made]

    def _new(self, source: str, job: OwnerJob, nodes: int) -> Claim:
        number = self._world.records.counters.get("claim", 0) + len(self._made) + 1
        reservation = self._world.records.reservations[job.reservation]
        return new_claim(reservation, nodes, number=number, source=source, now_us=self._now_us)

    def _left_beside_work(self, reservation: str) -> int:
        """Nodes that are not claimed, and on which no work of the reservation stands; below zero
        where claims wait for such work."""
        return self._left().get(reservation, 0) - nodes_of_work(self._world, reservation)

    def _left(self) -> dict[str, int]:
        """Nodes of each reservation that are not claimed, of markets that the pool supplies."""
        left = {
            name: right.nodes
            for name, right in self._world.records.reservations.items()
            if right.market in self._markets and not right.state.is_over
        }
        for claim in self._standing():
            if claim.reservation in left:
                left[claim.reservation] -= claim.nodes
        assert all(nodes >= 0 for nodes in left.values()), "no more is claimed than is reserved"
        return left


def _nodes_for(job: OwnerJob, *, has: int, left: int) -> int:
    """Nodes that it claims beyond those it `has`, of what is `left`: whole tasks of an array, all
    or nothing of another job; 0 for none. What is beyond its right waits without a claim."""
    if has and job.nodes <= job.least:
        return 0
    least = max(1, job.least)
    return min(job.nodes - has, left) // least * least
