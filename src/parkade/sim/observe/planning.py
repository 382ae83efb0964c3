"""When a job that does not fit now would, at the latest, and on which nodes: a backfill's plans.

What runs ends by its own limit at the latest. Slurm looks at ends that lie close together as one,
at the last of them, and so does this. A plan keeps its nodes for as long as the job's limit: what
would stand on them at that time must not start before.

Example. One node of 8 GPUs, held until 60 s at the latest; B wants all of it for 60 s: its plan is
the node from 60 to 120 s. C wants 1 GPU for 30 s and is planned behind B, at 120 s.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from parkade.sim.observe.free_nodes import NO_LIMIT, FreeNodes, lowest
from parkade.sim.observe.jobs import Jobs

FIRST_WINDOW_S = 30


class Plan(NamedTuple):
    """Nodes that a job keeps for itself from one instant to another."""

    start_s: int
    end_s: int
    nodes: int


class Release(NamedTuple):
    """What a node has more of from an instant on."""

    at_s: int
    node: int
    gpus: int
    cpus: int


def releases(
    jobs: Jobs, seats: Mapping[int, Sequence[int]], ends_s: Mapping[int, int]
) -> list[Release]:
    """Of the jobs that run on `seats`, in order of time; `ends_s`: when each ends at the latest.

    As Slurm does, ends within a window are looked at together and count as the last of them; the
    window is 30 s wide for the next ends, and twice as wide each time.
    """
    found = []
    ends = sorted((end_s, job) for job, end_s in ends_s.items())
    place, width_s = 0, FIRST_WINDOW_S
    while place < len(ends):
        last = place
        while last + 1 < len(ends) and ends[last + 1][0] <= ends[place][0] + width_s:
            last += 1
        for _, job in ends[place : last + 1]:
            gpus, cpus = jobs.gpus_per_node(job), jobs.cpus_per_node(job)
            found += [Release(ends[last][0], node, gpus, cpus) for node in seats[job]]
        place, width_s = last + 1, 2 * width_s
    return found


def plan(
    job: int,
    limit_s: int,
    *,
    jobs: Jobs,
    free: FreeNodes,
    plans: Sequence[Plan],
    coming: Sequence[Release],
) -> Plan | None:
    """The first instant at which it fits for as long as its limit, and the nodes it keeps; None:
    there is none. Cost: instants x plans."""
    gpus, cpus, count = jobs.gpus_per_node(job), jobs.cpus_per_node(job), jobs.nodes[job]
    may, fit = free.may(job), free.fit(job)
    more: dict[int, tuple[int, int]] = {}
    times = sorted({it.at_s for it in coming} | {it.end_s for it in plans})
    place = 0
    for at_s in times:
        if at_s >= NO_LIMIT:
            break
        while place < len(coming) and coming[place].at_s <= at_s:
            _, node, freed, threads = coming[place]
            place += 1
            if not may >> node & 1:
                continue
            known = more.get(node, (0, 0))
            known = more[node] = (known[0] + freed, known[1] + threads)
            if free.gpus[node] + known[0] >= gpus and free.cpus[node] + known[1] >= cpus:
                fit |= 1 << node
        if fit.bit_count() < count:
            continue
        left = fit & ~kept(at_s, at_s + limit_s, plans)
        if left.bit_count() >= count:
            return Plan(at_s, at_s + limit_s, lowest(left, count))
    return None


def kept(from_s: int, until_s: int, plans: Sequence[Plan]) -> int:
    """Nodes that plans keep at some time of a span."""
    nodes = 0
    for it in plans:
        if it.start_s < until_s and from_s < it.end_s:
            nodes |= it.nodes
    return nodes
