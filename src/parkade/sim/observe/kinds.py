"""Kinds of nodes, which are markets of their own: which of them each job runs on."""

from __future__ import annotations

from array import array
from collections import Counter

import msgspec

from parkade.sim.observe.fleet import Fleet
from parkade.sim.observe.jobs import Jobs


class NodeKind(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes with the same type and number of GPUs."""

    model: str
    gpus_per_node: int
    nodes: int

    @property
    def gpus(self) -> int:
        """Of all of them."""
        return self.gpus_per_node * self.nodes


class Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """What takes part: jobs of the partitions that have GPUs, each with its kind of nodes."""

    kinds: tuple[NodeKind, ...]
    which: array[int]
    """Jobs that wait for GPU nodes, in the order of the trace."""

    kind_of: array[int]
    """One entry for each job of the trace; its place in `kinds`."""

    left_out: dict[str, int]
    """Jobs by why they take no part."""


def sort_jobs(jobs: Jobs, fleet: Fleet) -> Sorted:
    """The kind of a job is that of the nodes it ran on, else of its GPUs' type and partition."""
    counts = Counter((node.model, node.gpus) for node in fleet.nodes)
    kinds = tuple(
        NodeKind(model=model, gpus_per_node=gpus, nodes=nodes)
        for (model, gpus), nodes in sorted(counts.items(), key=lambda it: (-it[1], it[0]))
    )
    place_of = {(kind.model, kind.gpus_per_node): place for place, kind in enumerate(kinds)}
    kind_of_node = {node.name: place_of[node.model, node.gpus] for node in fleet.nodes}
    parts = {jobs.partitions.find(part.name): part for part in fleet.partitions}
    of_list = [
        next((kind_of_node[name] for name in names if name in kind_of_node), None)
        for names in jobs.host_lists
    ]
    may: dict[tuple[int, int], tuple[int, int]] = {}
    for queue, part in parts.items():
        if queue is None:
            continue
        for model, name in enumerate(jobs.models.texts):
            nodes = [fleet.nodes[it] for it in part.nodes]
            fit = [node for node in nodes if node.model == name] or nodes
            most = Counter(place_of[node.model, node.gpus] for node in fit).most_common(1)
            may[queue, model] = (most[0][0], max(node.gpus for node in fit))
    which, kind_of = array("l"), array("b", [0]) * len(jobs)
    left_out: Counter[str] = Counter()
    for job in range(len(jobs)):
        found = may.get((jobs.partition[job], jobs.model[job]))
        if found is None:
            left_out["of partitions without GPU nodes"] += 1
            continue
        if not jobs.gpus[job] and parts[jobs.partition[job]].has_other_nodes:
            left_out["without GPUs, where the partition has nodes without GPUs too"] += 1
            continue
        ran_on = of_list[jobs.hosts[job]]
        kind_of[job] = min(found[0] if ran_on is None else ran_on, 127)
        fits = found[1] >= jobs.gpus_per_node(job) and jobs.nodes[job] <= len(
            parts[jobs.partition[job]].nodes
        )
        if not fits:
            left_out["larger than their partition"] += 1
            continue
        which.append(job)
    return Sorted(kinds=kinds, which=which, kind_of=kind_of, left_out=dict(left_out))
