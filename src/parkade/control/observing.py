"""Decides which nodes of a pool are left out of its fence, because the pool only observes. Pure.

`parkade pool lend POOL --observe` drains nodes with the reason `OBSERVED`. While such a node is
fenced, Slurm starts no owner's job there, and no clearing gives a draining node to a claim: owners
would wait beside idle nodes. So the node leaves the fence once nothing of ours is on it, and Slurm
starts owners' jobs there as without Parkade. What it starts so counts on its owner's reservation
where it runs (`core.leasing.started`). `parkade pool lend POOL` brings the fence back.

A node that an operator drains for another reason stays fenced, as does one that is ill, cordoned by
Mars or a person, or being sanitised: nothing is to start there.
"""

from collections.abc import Iterator

from parkade.core.fleet.node import OBSERVED, Node
from parkade.core.fleet.pool import Fence
from parkade.core.state.world import World
from parkade.core.steps.turnaround import is_sanitising


def observing(world: World) -> frozenset[str]:
    """The pools with a fence of which some node is only observed. Cost grows with all nodes."""
    pools = world.records.pools
    return frozenset(
        node.pool
        for node in world.records.nodes.values()
        if node.drain_reason == OBSERVED
        and pools[node.pool].fence not in (Fence.UNNEEDED, Fence.NONE)
    )


def unfenced_of(world: World, pool: str) -> tuple[str, ...]:
    """The nodes that the pool's fence leaves out. Cost grows with all nodes."""
    return tuple(
        node.node
        for node in world.records.nodes.values()
        if node.pool == pool and node.drain_reason == OBSERVED and _is_left(world, node)
    )


def _is_left(world: World, node: Node) -> bool:
    """Whether nothing of ours is there, and jobs may run there."""
    is_closed = not node.is_in_play or any(not it.is_of_others for it in node.cordons)
    if is_closed or is_sanitising(world, node.node):
        return False
    return not any(_keeps(world, holder, node.node) for holder in _holders(world, node.node))


def _holders(world: World, node: str) -> Iterator[str]:
    yield from world.held_on[node]
    yield from world.promised_on[node]


def _keeps(world: World, holder: str, node: str) -> bool:
    """Whether a holder needs the fence there: a guest, a claim by hand, or the claim of a job that
    is let in by a reservation of its own; not one of a job that Slurm started there by itself."""
    claim = world.records.claims.get(holder)
    return claim is None or node not in claim.runs_on
