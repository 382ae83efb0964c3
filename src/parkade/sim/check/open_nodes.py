"""Which nodes take newcomers, for all rules that ask."""

from parkade.core.fleet.node import Health, Node
from parkade.core.state.world import World


def is_open(world: World, name: str) -> bool:
    """Whether a node takes newcomers, read from the records alone: none on which an owner's job
    runs that its engine started. Cost grows with the claims."""
    node: Node = world.records.nodes[name]
    is_well = node.health is Health.HEALTHY and not node.cordons and node.draining_us is None
    is_left = not any(name in claim.runs_on for claim in world.records.claims.values())
    return is_well and is_left and world.records.pools[node.pool].is_reachable
