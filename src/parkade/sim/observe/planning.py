"""When a job that does not fit now would, at the latest, and on which nodes: a backfill's plans.

Theory of operation, after Slurm's `backfill.c` and `_will_run_test` of `select/cons_tres`. A plan
keeps whole nodes for as long as the job's limit. What is asked for a job is asked with nodes that
no plan keeps at any time from an instant on, for as long as its limit, at first from now on. On
these nodes running jobs are taken away in the order in which their limits end, until the job fits.
Ends that lie close together are taken away together, at the last of them: those of the first 30 to
60 s, then up to 60, 120, 240 s and so on, counted from a whole half minute. Where the answer is
later than the end of a plan that would give more nodes, or meets another plan, it is asked again
from there.

Example. One node of 8 GPUs, held until 60 s at the latest; B wants all of it for 60 s: its plan is
the node from 60 to 120 s. C wants 1 GPU for 30 s and is planned behind B, at 120 s.

Cost of a plan: (plans + 1) x (running jobs + nodes), in practice one or two times the second part.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from parkade.sim.observe.free_nodes import NO_LIMIT, FreeNodes, as_set, bits
from parkade.sim.observe.jobs import Jobs

FIRST_WINDOW_S = 30
MOST_TOGETHER = 200
"""Jobs whose ends are taken away together."""


class Plan(NamedTuple):
    """Nodes that a job keeps for itself from one instant to another."""

    start_s: int
    end_s: int
    nodes: int


class Release(NamedTuple):
    """A running job, and when it ends by its limit."""

    at_s: int
    job: int
    hosts: int
    """Its nodes as a set."""


def releases(seats: Mapping[int, Sequence[int]], ends_s: Mapping[int, int]) -> list[Release]:
    """Of the jobs that run on `seats`, in order of time; `ends_s`: when each ends at the latest."""
    return sorted(Release(ends_s[job], job, as_set(nodes)) for job, nodes in seats.items())


def plan(
    job: int,
    limit_s: int,
    now_s: int,
    *,
    jobs: Jobs,
    free: FreeNodes,
    plans: Sequence[Plan],
    coming: Sequence[Release],
) -> Plan | None:
    """The instant at which it starts, and the nodes it keeps for as long as its limit; from now on
    where it can start now. None: there is none."""
    count = jobs.nodes[job]
    may = free.may(job)
    from_s = now_s
    for _ in range(2 * len(plans) + 2):
        open_nodes = may & ~kept(from_s, from_s + limit_s, plans)
        later_s = _gains(from_s, may, plans)
        found = None
        if open_nodes.bit_count() >= count:
            found = _will_run(job, now_s, open_nodes, jobs=jobs, free=free, coming=coming)
        if found is not None:
            start_s, nodes = max(from_s, found[0]), found[1]
            if start_s > from_s and nodes & kept(start_s, start_s + limit_s, plans):
                from_s = start_s
                continue
            if later_s is None or start_s <= later_s:
                return Plan(start_s, start_s + limit_s, nodes)
        if later_s is None:
            return None
        from_s = later_s
    return None


def kept(from_s: int, until_s: int, plans: Sequence[Plan]) -> int:
    """Nodes that plans keep at some time of a span."""
    nodes = 0
    for it in plans:
        if it.start_s <= until_s and from_s < it.end_s:
            nodes |= it.nodes
    return nodes


def _gains(from_s: int, may: int, plans: Sequence[Plan]) -> int | None:
    """The next instant at which a plan ends and gives a node that no other plan keeps then."""
    for at_s in sorted({it.end_s for it in plans if it.end_s > from_s}):
        before = after = 0
        for it in plans:
            if it.start_s < at_s <= it.end_s:
                before |= it.nodes
            if it.start_s <= at_s < it.end_s:
                after |= it.nodes
        if before & ~after & may:
            return at_s
    return None


def _will_run(
    job: int,
    now_s: int,
    open_nodes: int,
    *,
    jobs: Jobs,
    free: FreeNodes,
    coming: Sequence[Release],
) -> tuple[int, int] | None:
    """(when, its nodes) on these nodes, were every running job to use up its limit."""
    count = jobs.nodes[job]
    fit = free.fit(job) & open_nodes
    if fit.bit_count() >= count:
        return now_s, as_set(free.choose(fit, count))
    gpus, cpus = jobs.gpus_per_node(job), jobs.cpus_per_node(job)
    more: dict[int, tuple[int, int]] = {}
    for at_s, together in _groups(coming, open_nodes):
        if at_s >= NO_LIMIT:
            return None
        for it in together:
            freed, threads = jobs.gpus_per_node(it.job), jobs.cpus_per_node(it.job)
            for node in bits(it.hosts & open_nodes):
                known = more.get(node, (0, 0))
                known = more[node] = (known[0] + freed, known[1] + threads)
                if free.gpus[node] + known[0] >= gpus and free.cpus[node] + known[1] >= cpus:
                    fit |= 1 << node
        if fit.bit_count() >= count:
            return max(at_s, now_s + 1), as_set(free.choose(fit, count))
    return None


def _groups(coming: Sequence[Release], open_nodes: int) -> Iterator[tuple[int, list[Release]]]:
    """Running jobs on these nodes whose ends are looked at together, with the last of the ends.

    As Slurm does, only behind a job that is on these nodes it is asked whether the next one, on
    whatever nodes, ends too late for the window; one that is passed over brings the next of ours
    in, however late.
    """
    width_s = FIRST_WINDOW_S
    edge_s: int | None = None
    together: list[Release] = []
    for place, it in enumerate(coming):
        if not it.hosts & open_nodes:
            continue
        if edge_s is None:
            edge_s = (it.at_s // width_s + 1) * width_s
        together.append(it)
        after_s = coming[place + 1].at_s if place + 1 < len(coming) else None
        if after_s is None or after_s > edge_s + width_s or len(together) > MOST_TOGETHER:
            yield it.at_s, together
            together = []
            width_s *= 2
            while after_s is not None and after_s > edge_s + width_s:
                width_s *= 2
    if together:
        yield together[-1].at_s, together
