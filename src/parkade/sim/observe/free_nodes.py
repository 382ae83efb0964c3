"""What is free on each node of a replayed cluster, and which nodes have room for a job.

Nodes that the same partitions have, and that are of one model, are kept by how many of their GPUs
are free, each as a set: the bits of a number. So a job that cannot fit costs next to nothing,
however many nodes there are. Processors are looked at only on nodes of which some are taken.

Example: nodes 0 and 1 of 8 GPUs, of which job A holds 6 on node 0. The sets of their group are
{0} with 2 free GPUs and {1} with 8: a job of one node with 4 GPUs fits on {1}.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from parkade.sim.observe.fleet import Fleet
from parkade.sim.observe.jobs import Jobs

NO_LIMIT = 2**40


class _Group:
    """Nodes that the same partitions have: by how many GPUs are free, each a set of nodes as the
    bits of a number."""

    def __init__(self, most: int) -> None:
        self.free = [0] * (most + 1)


class FreeNodes:
    """The nodes of a fleet, for the jobs of one trace; `gpus` and `cpus` are free on each."""

    def __init__(self, jobs: Jobs, fleet: Fleet) -> None:
        self._jobs, self._fleet = jobs, fleet
        self.gpus = [node.gpus for node in fleet.nodes]
        self.cpus = [node.cpus or NO_LIMIT for node in fleet.nodes]
        self.place_of = {node.name: place for place, node in enumerate(fleet.nodes)}
        self._all_cpus = tuple(self.cpus)
        self._used = 0
        self._most = max(self.gpus, default=0)
        self._groups_of: dict[tuple[int, int], list[_Group]] = {}
        self._group_of: list[_Group] = []
        self._may: dict[tuple[int, int], int] = {}
        self._open_groups()

    def may(self, job: int) -> int:
        """Every node that its partition and model allow."""
        return self._may.get((self._jobs.partition[job], self._jobs.model[job]), 0)

    def find(self, job: int, kept: int = 0) -> list[int] | None:
        """Nodes for it now, none of those that are `kept`; None: it does not fit."""
        count = self._jobs.nodes[job]
        fit = self.fit(job) & ~kept
        if fit.bit_count() < count:
            return None
        return self.choose(fit, count)

    def choose(self, fit: int, count: int) -> list[int]:
        """So many of these nodes, as Slurm chooses: of runs of neighbours the shortest that has
        enough nodes, of equal ones the first; where none has, the longest, and then again."""
        runs = [(last - first + 1, first) for first, last in _runs(fit)]
        found: list[int] = []
        while len(found) < count:
            wanted = count - len(found)
            enough = [it for it in runs if it[0] >= wanted]
            best = min(enough) if enough else max(runs, key=lambda it: (it[0], -it[1]))
            runs.remove(best)
            found += range(best[1], best[1] + min(best[0], wanted))
        return sorted(found)

    def fit(self, job: int) -> int:
        """Every node that has room now for one node of its shape."""
        jobs = self._jobs
        gpus, cpus = jobs.gpus_per_node(job), jobs.cpus_per_node(job)
        fit = 0
        for group in self._groups_of.get((jobs.partition[job], jobs.model[job]), []):
            for free in group.free[gpus:]:
                fit |= free
        if cpus:
            for node in bits(fit & self._used):
                if self.cpus[node] < cpus:
                    fit ^= 1 << node
        return fit

    def take(self, node: int, gpus: int, cpus: int) -> None:
        """Takes so many of a node; numbers below zero give back."""
        group, free, bit = self._group_of[node], self.gpus[node], 1 << node
        # A job that the trace has on a node may hold more than others leave there.
        group.free[min(max(free, 0), self._most)] &= ~bit
        free -= gpus
        self.gpus[node] = free
        self.cpus[node] -= cpus
        is_used = self.cpus[node] < self._all_cpus[node]
        self._used = self._used | bit if is_used else self._used & ~bit
        group.free[min(max(free, 0), self._most)] |= bit

    def _open_groups(self) -> None:
        jobs, fleet = self._jobs, self._fleet
        members: dict[int, list[int]] = defaultdict(list)
        for number, part in enumerate(fleet.partitions):
            for it in part.nodes:
                members[it].append(number)
        groups: dict[tuple[tuple[int, ...], str], _Group] = {}
        for place, node in enumerate(fleet.nodes):
            kind = (tuple(members[place]), node.model)
            group = groups.setdefault(kind, _Group(self._most))
            group.free[node.gpus] |= 1 << place
            self._group_of.append(group)
        models = {node.model for node in fleet.nodes}
        for number, part in enumerate(fleet.partitions):
            queue = jobs.partitions.find(part.name)
            if queue is None:
                continue
            for model, name in enumerate(jobs.models.texts):
                wanted = name if name in models else ""
                self._groups_of[queue, model] = [
                    group
                    for (parts, has), group in groups.items()
                    if number in parts and wanted in ("", has)
                ]
                self._may[queue, model] = sum(
                    1 << it for it in part.nodes if wanted in ("", fleet.nodes[it].model)
                )


def _runs(nodes: int) -> Iterator[tuple[int, int]]:
    """(first, last) of each run of neighbours."""
    firsts, lasts = nodes & ~(nodes << 1), nodes & ~(nodes >> 1)
    return zip(bits(firsts), bits(lasts), strict=True)


def as_set(nodes: Iterable[int]) -> int:
    """These nodes as the bits of a number."""
    found = 0
    for node in nodes:
        found |= 1 << node
    return found


def bits(nodes: int) -> Iterator[int]:
    """The nodes of a set, in their order."""
    while nodes:
        yield (nodes & -nodes).bit_length() - 1
        nodes &= nodes - 1
