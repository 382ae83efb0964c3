"""The workloads that give way so that a winner fits: the fewest moved GPUs, then the weakest.

Theory of operation
-------------------
A winner needs *slots*: room for one rank of its shape each. Each thing that can give way is a
`Bundle`: workloads that leave together, the slots that this frees in the fabric, and the GPUs that
it moves (none for a newcomer of this clearing, which nothing has been promised yet). `cheapest` is
then a knapsack: of the sets that free enough slots the one that moves the fewest GPUs. Of equal
ones, that of the weakest workloads.

1. A workload of whole nodes is a bundle of its own.
2. A shared node is free only when all of its jobs have left, so they leave together.
3. For work below a node, a node that its own org shares already frees a slot when as many of its
   jobs leave as its GPUs need; for a gang whose ranks share nodes, several when all of them do.

Bundles that have a workload in common are not taken together. Cost: the workloads of the fabric x
the slots that are missing.

Example: a gang needs 3 nodes of a fabric in which none is free. a holds 2 nodes, b 1, c 4, in this
order. {c} moves 4 nodes, {a, b} moves 3: a and b give way.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from parkade.core.placement.nodes import OpenNodes
from parkade.core.placement.room import Shape

Key = str | int
"""A winner by name, or kept nodes by number."""


class Bundle(NamedTuple):
    """Workloads that give way together."""

    slots: int
    moved_gpus: int

    strongest: int
    """The place in the priority order of its strongest workload."""

    workloads: tuple[Key, ...]


class Standing(NamedTuple):
    """A workload that stands in the seating being made, and may give way."""

    place: int
    """Its place in the priority order."""

    shape: Shape
    nodes: tuple[str, ...]

    moved_gpus: int
    """What its move counts."""


def cheapest(bundles: Iterable[Bundle], missing: int) -> tuple[Bundle, ...] | None:
    """The set of bundles that frees the missing slots; None where all together are too few.

    Grows with bundles x missing slots.
    """
    assert missing > 0, "nothing has to give way"
    least: list[tuple[int, tuple[Bundle, ...]] | None] = [(0, ())] + [None] * missing
    for bundle in sorted(bundles, key=lambda it: -it.strongest):
        for freed in range(missing - 1, -1, -1):
            before = least[freed]
            if before is None or _overlaps(before[1], bundle):
                continue
            reached = min(missing, freed + bundle.slots)
            there = least[reached]
            moved_gpus = before[0] + bundle.moved_gpus
            if there is None or moved_gpus < there[0]:
                least[reached] = (moved_gpus, (*before[1], bundle))
    found = least[missing]
    return None if found is None else found[1]


def _overlaps(chosen: tuple[Bundle, ...], bundle: Bundle) -> bool:
    """Whether a workload of this bundle leaves already."""
    return any(name in it.workloads for it in chosen for name in bundle.workloads)


def bundles_of(
    standing: Mapping[Key, Standing],
    holders: Mapping[str, Iterable[Key]],
    shape: Shape,
    nodes: OpenNodes,
    is_here: Callable[[str], bool],
) -> list[Bundle]:
    """What can give way for this shape in a fabric.

    `standing`: the workloads of the fabric that may. `holders`: who stands on each shared node,
    whether it may give way or not. `is_here`: whether a node is of the fabric.
    """
    found = []
    shared: dict[str, None] = {}
    for name, it in standing.items():
        if it.shape.tenant is None:
            slots = sum(map(is_here, it.nodes)) * shape.ranks_per_node
            found.append(Bundle(slots, it.moved_gpus, it.place, (name,)))
        else:
            shared.update(dict.fromkeys(node for node in it.nodes if is_here(node)))
    mates = [node for node in shared if standing_tenant(standing, holders[node]) == shape.tenant]
    if shape.tenant is not None:
        for node in mates:
            jobs = [_job_on(node, standing[it], it) for it in holders[node] if it in standing]
            found.extend(_gaps(jobs, shape, nodes.left_on(node)))
    own = set(mates) if shape.tenant is not None else set()
    emptied = _emptied(standing, holders, [it for it in shared if it not in own], is_here)
    each = shape.ranks_per_node
    found.extend(it if each == 1 else it._replace(slots=it.slots * each) for it in emptied)
    return found


def standing_tenant(standing: Mapping[Key, Standing], names: Iterable[Key]) -> object:
    """The tenant of a shared node; None where none of its jobs may give way."""
    return next((standing[name].shape.tenant for name in names if name in standing), None)


def _job_on(node: str, standing: Standing, key: Key) -> Bundle:
    """A job of a shared node; its slots are the GPUs that it frees there."""
    gpus = standing.shape.gpus * standing.nodes.count(node)
    return Bundle(gpus, standing.moved_gpus, standing.place, (key,))


def _gaps(jobs: list[Bundle], shape: Shape, left: int) -> Iterator[Bundle]:
    """The jobs of one shared node with `left` free GPUs that leave so that it holds one rank more;
    and where that makes room for several, all of them."""
    now = shape.ranks_in(left)
    if now == shape.ranks_per_node:
        return
    found = cheapest(jobs, (now + 1) * shape.gpus - left)
    if found is None:
        return
    yield _together(found, 1)
    most = shape.ranks_in(left + sum(job.slots for job in jobs)) - now
    if most > 1:
        # It overlaps with the one above, so that never both are taken.
        yield _together(jobs, most)


def _emptied(
    standing: Mapping[Key, Standing],
    holders: Mapping[str, Iterable[Key]],
    shared: list[str],
    is_here: Callable[[str], bool],
) -> list[Bundle]:
    """For each shared node the jobs that empty it, with all nodes that they leave empty."""
    found: dict[tuple[Key, ...], Bundle] = {}
    for first in shared:
        jobs = tuple(holders[first])
        if jobs in found or not all(job in standing for job in jobs):
            continue
        leaving = set(jobs)
        nodes = dict.fromkeys(node for job in jobs for node in standing[job].nodes)
        slots = sum(is_here(node) and leaving.issuperset(holders[node]) for node in nodes)
        alone = [Bundle(0, standing[it].moved_gpus, standing[it].place, (it,)) for it in jobs]
        found[jobs] = _together(alone, slots)
    return list(found.values())


def _together(bundles: Iterable[Bundle], slots: int) -> Bundle:
    parts = list(bundles)
    assert parts, "a bundle of no workload"
    return Bundle(
        slots,
        sum(it.moved_gpus for it in parts),
        min(it.strongest for it in parts),
        tuple(name for it in parts for name in it.workloads),
    )
