"""Whether a free node may change its tenant: what `turnaround` means where nodes are sanitised.

Where the agent of a node's pool can sanitise, a node that an org left is another org's only after a
sanitising passed there; `turnaround` is then what was promised, and `TurnaroundTimes` what it
took. Where it cannot, `turnaround` is a span of time and nothing else.
"""

from parkade.core.fleet.node import Node
from parkade.core.healing.incident import RepairKind
from parkade.core.state.world import World
from parkade.core.steps.incidents import can


def is_sanitising(world: World, node: str) -> bool:
    """Whether a sanitising is under way on a node that is in service: nothing starts there."""
    turnaround = world.records.turnarounds.get(node)
    return turnaround is not None and turnaround.order is not None


def must_sanitise(world: World, org: str, node: Node) -> bool:
    """Whether a sanitising must pass before this org starts on the node; not while others are
    there whom the market lets it join: they are not sanitised away, and the span counts."""
    if node.last_org in (None, org) or not can(world, node, RepairKind.SANITISE):
        return False
    is_shared = world.records.markets[node.market].terms.shared_nodes
    return not (is_shared and world.held_on[node.node])
