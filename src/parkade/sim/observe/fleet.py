"""The GPU nodes of a cluster and its partitions: from `sinfo`, or inferred from the jobs alone.

Inferred: the nodes are those that GPU jobs ran on, a node has as many GPUs and CPUs as jobs ever
held on it at once, and nodes whose jobs name the same type of GPU are alike. A node that never ran
a job is not there, which is why `sinfo` is better.
"""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from parkade.sim.observe.jobs import NEVER, Jobs


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A machine with GPUs."""

    name: str
    model: str
    gpus: int
    cpus: int
    """0: not known, and no job waits for CPUs there."""


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """Where jobs queue; `nodes` are places in the fleet."""

    name: str
    nodes: tuple[int, ...]
    tier: int
    """Partitions of a higher tier are served first."""

    limit_s: int
    """Longest job; `NEVER`: no limit."""

    has_other_nodes: bool
    """It also has nodes without GPUs, where jobs without GPUs may have run."""


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes in order of their names."""

    nodes: tuple[Node, ...]
    partitions: tuple[Partition, ...]
    is_inferred: bool
    unseen: int
    """Nodes left out: down or drained when `sinfo` ran, and in no job."""

    @property
    def gpus(self) -> int:
        """Of all nodes."""
        return sum(node.gpus for node in self.nodes)


def infer_fleet(jobs: Jobs, until_s: int) -> Fleet:
    """The fleet that the jobs show. Cost: the nodes of all jobs together."""
    changes: list[tuple[int, int, int]] = []
    names_of: defaultdict[int, set[str]] = defaultdict(set)
    models: dict[str, str] = {}
    for job in range(len(jobs)):
        if not jobs.gpus[job] or not jobs.hosts[job]:
            continue
        end_s = until_s if jobs.end_s[job] == NEVER else jobs.end_s[job]
        changes.append((jobs.start_s[job], 1, job))
        changes.append((end_s, -1, job))
        hosts = jobs.host_lists[jobs.hosts[job]]
        names_of[jobs.partition[job]].update(hosts)
        for host in hosts:
            models.setdefault(host, jobs.models.texts[jobs.model[job]] or "gpu")
    changes.sort()
    gpus, cpus = dict.fromkeys(models, 0), dict.fromkeys(models, 0)
    most = dict.fromkeys(models, (0, 0))
    for _, sign, job in changes:
        more, threads = sign * jobs.gpus_per_node(job), sign * jobs.cpus_per_node(job)
        for host in jobs.host_lists[jobs.hosts[job]]:
            gpus[host] += more
            cpus[host] += threads
            if sign > 0:
                most[host] = (max(most[host][0], gpus[host]), max(most[host][1], cpus[host]))
    alike: dict[str, tuple[int, int]] = {}
    for host, (peak, threads) in most.items():
        known = alike.get(models[host], (0, 0))
        alike[models[host]] = (max(known[0], peak), max(known[1], threads))
    names = sorted(models)
    place_of = {name: place for place, name in enumerate(names)}
    return Fleet(
        nodes=tuple(
            Node(name=name, model=models[name], gpus=peak, cpus=threads)
            for name in names
            for peak, threads in [alike[models[name]]]
        ),
        partitions=tuple(
            Partition(
                name=jobs.partitions.texts[number],
                nodes=_places(found, place_of),
                tier=1,
                limit_s=NEVER,
                has_other_nodes=True,
            )
            for number, found in sorted(names_of.items())
        ),
        is_inferred=True,
        unseen=0,
    )


def _places(names: Iterable[str], place_of: dict[str, int]) -> tuple[int, ...]:
    return tuple(sorted(place_of[name] for name in names))
