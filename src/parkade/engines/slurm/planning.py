"""Decides how an attempt's seats become a job: whether they are free, its parts, their nodes,
processors and memory. Pure.

Slurm gives each node of a job the same number of GPUs. A gang that asks for different numbers is
a heterogeneous job, one part for each number.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from parkade.core.fleet.seat import Seat
from parkade.engines.local.records import Launch
from parkade.engines.slurm.answers import Node
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import DesiredAttempt, NodeShape, Transient

CPUS_WITHOUT_GPU = 1
MEMORY_WITHOUT_GPU_MB = 1_000


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that each give the same: `gpus`, `cpus` and `memory_mb` are of one node."""

    nodes: tuple[str, ...]
    gpus: int
    cpus: int
    memory_mb: int


def check_seats(
    attempt: DesiredAttempt, live: Iterable[Launch], nodes: Iterable[NodeShape]
) -> None:
    """Raises Transient while our own attempts hold what it needs. Jobs of others may hold more:
    then Slurm lets it wait. `live`: attempts of ours whose seats are not free."""
    left = {node.node: node.gpus for node in nodes}
    for seat in [seat for one in live for seat in one.attempt.ranks]:
        left[seat.node] = left.get(seat.node, 0) - seat.gpus
    for seat in attempt.ranks:
        left[seat.node] -= seat.gpus
        if left[seat.node] < 0:
            raise Transient(
                f"node {seat.node} has too few free GPUs for attempt {attempt.attempt}; "
                f"launch again once others were released"
            )


def parts(
    ranks: Sequence[Seat], nodes: Mapping[str, Node], settings: SlurmSettings
) -> tuple[Part, ...]:
    """The part of rank 0 comes first. What GPUs bring along is their share of the node: of 8 GPUs,
    64 processors and 1,000 GB, 2 GPUs have 16 and 250 GB."""
    asked: dict[str, int] = {}
    for rank in ranks:
        asked[rank.node] = asked.get(rank.node, 0) + rank.gpus
    groups: dict[tuple[int, int, int], list[str]] = {}
    for name, gpus in asked.items():
        node = nodes.get(name)
        cpus, memory_mb = _share(gpus, node, settings)
        groups.setdefault((gpus, cpus, memory_mb), []).append(name)
    return tuple(
        Part(nodes=tuple(names), gpus=gpus, cpus=cpus, memory_mb=memory_mb)
        for (gpus, cpus, memory_mb), names in groups.items()
    )


def _share(gpus: int, node: Node | None, settings: SlurmSettings) -> tuple[int, int]:
    """Processors and megabytes of so many GPUs of a node."""
    if gpus == 0:
        return CPUS_WITHOUT_GPU, MEMORY_WITHOUT_GPU_MB
    whole = max(1, node.gpus if node is not None else gpus)
    cpus = settings.cpus_per_gpu
    memory = settings.memory_per_gpu_mb
    of_cpus = node.cpus * gpus // whole if node is not None else gpus
    of_memory = node.memory_mb * gpus // whole if node is not None else MEMORY_WITHOUT_GPU_MB * gpus
    return (
        max(1, of_cpus if cpus is None else cpus * gpus),
        max(1, of_memory if memory is None else memory * gpus),
    )
