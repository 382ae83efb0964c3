"""Decides what an owner's job means that the engine started by itself: a claim where it runs.

Theory of operation
-------------------
While a pool's fence is down, its engine starts owners' jobs on any node. Such a job uses its
owner's right like one that was let in. So it has a claim whose nodes are where it runs
(`Claim.runs_on`), as far as the reservation has room; claims of the same reservation that still
wait make room for it. What is beyond that is *taken* (`nodes.fencing`), like a node with a job of
others.

No clearing can move such a job. So those nodes are in no clearing, and the reservation has as many
fewer of its shape there (`clearing.entering`). Guests and other owners' claims on them lose them as
they lose a node that broke: they get their notice, or another node. Each node is handed over
once the others are gone, which the next report of the agent finds.

The claim ends with the job, or once the job runs elsewhere.

Invariants. No more is claimed than is reserved. A node is of one such claim. What others hold by a
right of their own, an owner's own claim, a workload on a reservation or on-demand, is not taken
from them: there the job is beyond its right. So is what a reservation has no room for beside its
own claims and work that runs: else a clearing would take a node from those.

Example (`tests/core/leasing/test_started_jobs.py`). Of a1 to a4 acme and birch reserved two each,
and lend them; guests sit on all. The agent was dead, and job 42 of acme was started on a1 and a2,
whose guests were over. Claim c1 of two nodes is seated there at once. Job 43 of acme gets none
before 42 is over. Birch's job gets a3 and a4 after the notice.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.turnaround import is_sanitising
from parkade.core.workloads.spec import CapacityKind


def is_elsewhere(claim: Claim, job: OwnerJob) -> bool:
    """Whether a claim does not stand for its job any more, because that runs elsewhere."""
    runs_on = set(job.runs_on)
    if claim.runs_on:
        return claim.reservation != job.reservation or not runs_on.issuperset(claim.runs_on)
    if runs_on and claim.reservation != job.reservation:
        return True
    is_whole = job.nodes <= job.least
    return is_whole and not runs_on <= {seat.node for seat in claim.held}


def uncovered(
    world: World, job: OwnerJob, claims: Iterable[Claim], pool: str
) -> tuple[list[str], int]:
    """The nodes on which a job runs that a claim can be made of, and how many are beyond that.
    `claims`: those that stay."""
    reservation = world.records.reservations.get(job.reservation)
    known: set[str] = set()
    theirs: set[str] = set()
    own: set[str] = set()
    for claim in claims:
        known.add(claim.claim)
        theirs.update(claim.runs_on)
        if claim.reservation == job.reservation:
            own.update(seat.node for seat in claim.held)
    nodes = [node for node in dict.fromkeys(job.runs_on) if node not in theirs | own]
    if reservation is None or not reservation.state.takes_part:
        return [], len(nodes)
    can_be = [node for node in nodes if _can_be_claimed(world, reservation, node, pool, known)]
    return can_be, len(nodes) - len(can_be)


def nodes_of_work(world: World, name: str) -> int:
    """How many nodes work on a reservation has and was not told to leave. Grows with the live
    workloads of its org."""
    reservation = world.records.reservations.get(name)
    found: set[str] = set()
    for workload_name in world.live_of_org.get(reservation.org, {}) if reservation else ():
        workload = world.records.workloads[workload_name]
        attempt = workload.attempt
        if workload.spec.capacity.reservation == name and attempt is not None and not attempt.stop:
            found.update(seat.node for seat in attempt.seats)
    return len(found)


def make_room(claims: Sequence[Claim], reservation: str, *, lacks: int) -> Iterator[Claim]:
    """The claims of a reservation that wait and end for a job that runs, the newest first."""
    for claim in reversed(claims):
        if lacks <= 0:
            return
        waits = claim.seated_us is None and claim.source is not None and not claim.runs_on
        if claim.reservation == reservation and waits:
            lacks -= claim.nodes
            yield claim


def handed_over(
    world: World, claims: Iterable[Claim], ending: Collection[str], now_us: int
) -> Iterator[events.ClaimSeated]:
    """Nodes of such claims on which nothing else is left. `ending`: claims that end before."""
    for claim in claims:
        before = {seat.node for seat in claim.seats}
        nodes = tuple(
            node for node in claim.runs_on if node not in before and _is_left(world, node, ending)
        )
        if nodes:
            yield events.ClaimSeated(at_us=now_us, claim=claim.claim, nodes=nodes, runs_there=True)


def _can_be_claimed(
    world: World, reservation: Reservation, name: str, pool: str, known: Collection[str]
) -> bool:
    """`known`: the claims that stay."""
    node = world.records.nodes.get(name)
    if node is None or node.pool != pool or node.market != reservation.market:
        return False
    return all(_gives_way(world, holder, known) for holder in world.held_on[name])


def _gives_way(world: World, holder: str, known: Collection[str]) -> bool:
    claim = world.records.claims.get(holder)
    if claim is not None:
        return holder not in known or (claim.source is not None and not claim.runs_on)
    return world.records.workloads[holder].spec.capacity.kind is CapacityKind.SPOT


def _is_left(world: World, node: str, ending: Collection[str]) -> bool:
    """Whether a node has no one, and nothing is promised or done there."""
    others = (*world.held_on[node], *world.promised_on[node])
    return all(holder in ending for holder in others) and not is_sanitising(world, node)
