"""Jobs that an engine starts by itself, and users whom it does not let in: what may be seen of
them, their part of the form of a state, and the rules (numbers 44 and 45).

A report tells all jobs of a pool. The world knows each by its claim, so a report is what the claims
say with one job more, one less, or one that runs. All are of one node. What a job beyond its right
has is taken, as by a job of others: that is reported apart.

Example. Acme reserved two nodes, and a guest runs on each. Job 1 is reported on the first: it is
claimed there, and the guest has its notice. With the next report after that the node is the
claim's.
"""

from collections.abc import Iterator
from typing import Any

from parkade.core.fleet.pool import TakenNode
from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.reservations.reservation import Claim
from parkade.core.running.unadmitted import CAUTIOUS_US, TURN_US
from parkade.core.state import commands, events, lines
from parkade.core.state.world import World
from parkade.core.workloads.workload import Workload
from parkade.sim.check.breach import require
from parkade.sim.check.scenarios import POOL, Asks

ASKS = Asks.JOBS | Asks.ADMISSION
JOBS = ("1", "2")
RIGHTS, ADMISSION = 44, 45


def known_jobs(world: World) -> dict[str, OwnerJob]:
    """Those of which there are claims."""
    claims = world.records.claims.values()
    return {
        claim.source.removeprefix(f"{POOL}/"): _job_of(claim) for claim in claims if claim.source
    }


def _job_of(claim: Claim) -> OwnerJob:
    assert claim.source is not None
    return job(claim.source.removeprefix(f"{POOL}/"), claim.reservation, *claim.runs_on)


def job(name: str, reservation: str, *runs_on: str) -> OwnerJob:
    """A job of a node; it waits where it runs on none."""
    return OwnerJob(job=name, reservation=reservation, nodes=1, least=1, runs_on=runs_on)


def reported(jobs: dict[str, OwnerJob]) -> commands.ReportOwnerJobs:
    """What an agent reports of owners' jobs."""
    return commands.ReportOwnerJobs(by=None, pool=POOL, jobs=tuple(jobs.values()))


def asked_of_jobs(world: World, nodes: list[str]) -> Iterator[commands.AnyCommand]:
    """Reports with one job of the first reservation more, one less, or one that runs by itself. Of
    `nodes` each stands for all that are like it."""
    known = known_jobs(world)
    right = next(iter(world.records.reservations), None)
    for name in JOBS:
        one = known.get(name)
        if one is not None:
            yield reported({it: job for it, job in known.items() if it != name})
        elif right is not None:
            yield reported({**known, name: job(name, right)})
        if right is not None and (one is None or not one.runs_on):
            for node in nodes:
                yield reported({**known, name: job(name, right, node)})
        if one is None:
            break  # The jobs that are not known yet are alike.
    if known:
        yield reported(known)
    taken = [it.node for it in world.records.nodes.values() if it.is_taken]
    if taken:
        yield commands.ReportTakenNodes(by=None, pool=POOL, nodes=())
    for node in nodes if not taken else ():
        of_others = (TakenNode(node=node, job="of others"),)
        yield commands.ReportTakenNodes(by=None, pool=POOL, nodes=of_others)


def form_of_jobs(world: World, number: dict[str, int], now_us: int) -> list[Any]:
    """Which claims are of jobs, where those run, and of which users the engine took no job."""
    claims = [
        (claim.source, sorted(number[node] for node in claim.runs_on))
        for claim in world.records.claims.values()
    ]
    refused = [
        (
            user,
            min(one.times, 6),
            one.has_started,
            max(0, one.until_us - now_us),
            max(0, one.until_us + CAUTIOUS_US - now_us),
        )
        for user, one in sorted(world.records.unadmitted.items())
    ]
    is_refused = any(not one.has_started for one in world.records.unadmitted.values())
    # Whose turn it is to be tried follows from the clock.
    turn_us = now_us % (2 * TURN_US) if is_refused else 0
    return [claims, refused, turn_us]


def look_at_jobs(world: World) -> None:
    """No more of a reservation is claimed than it has, and a node is of one job's claim."""
    claimed: dict[str, int] = {}
    nodes: list[str] = []
    for claim in world.records.claims.values():
        claimed[claim.reservation] = claimed.get(claim.reservation, 0) + claim.nodes
        nodes += claim.runs_on
    for name, count in claimed.items():
        has = world.records.reservations[name].nodes
        require(count <= has, RIGHTS, f"{count} nodes of {name} are claimed, and it has {has}")
    require(len(set(nodes)) == len(nodes), RIGHTS, f"jobs of two claims run on one of {nodes}")


def look_at_tries(world: World, event: events.Cleared) -> None:
    """Work of a user whom the engine refused gets seats after the wait, one at a time."""
    tried: dict[str, str] = {}
    for name in world.live:
        workload = world.records.workloads[name]
        attempt = workload.attempt
        has_begun = attempt is not None and attempt.started_us is not None
        if not has_begun and (attempt is not None or workload.promise is not None):
            tried[_user_of(workload)] = name
    for won in event.won:
        name = lines.name_of(won.demand)
        winner = world.records.workloads.get(name)
        if winner is None or winner.attempt is not None or winner.promise is not None:
            continue
        user = _user_of(winner)
        known = world.records.unadmitted.get(user)
        if known is None or known.has_started:
            continue
        is_over = event.at_us >= known.until_us
        require(is_over, ADMISSION, f"{name} gets seats before the wait of its user is over")
        other = tried.get(user)
        require(other is None, ADMISSION, f"{name} is tried while {other} of its user is")
        tried[user] = name


def _user_of(workload: Workload) -> str:
    return f"{workload.market}/{workload.org}/{workload.user}"
