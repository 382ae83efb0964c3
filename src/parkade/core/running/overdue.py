"""When a node where an attempt did not let go is trusted again: when it was seen free.

Nothing follows from time, nor from what is absent in a report. A lapsed lease frees a workload and
says nothing of its node. Decision record 78.
"""

from collections.abc import Sequence

from parkade.core.fleet.node import Health, Node
from parkade.core.fleet.seat import Seat, by_node
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt
from parkade.core.workloads.workload import Workload

OVERDUE = "not seen free after its deadline"


def strangers_there(
    world: World, pool: str, strangers: Sequence[ObservedAttempt], now_us: int
) -> list[events.AnyEvent]:
    """Nodes of the pool where an attempt that should have ended still is are suspect; those that
    were so are well again once it is seen gone, and nothing else there is overdue."""
    is_held: dict[str, bool] = {}
    for seen in strangers:
        for name, _ in seen.devices:
            is_held[name] = is_held.get(name, False) or seen.phase is not EnginePhase.RELEASED
    found: list[events.AnyEvent] = []
    for name, holds in is_held.items():
        node = world.records.nodes.get(name)
        if node is None or node.pool != pool:
            continue
        if holds and node.health is Health.HEALTHY:
            found.append(_health(name, Health.SUSPECT, now_us))
        elif not holds and _is_overdue(node) and not _are_leaving(world, name):
            found.append(_health(name, Health.HEALTHY, now_us))
    return found


def seen_free(
    world: World, workload: Workload, seats: tuple[Seat, ...], at_us: int
) -> list[events.AnyEvent]:
    """Nodes of these seats that were suspect only because this attempt was overdue there are well
    again, unless another under notice is still there."""
    return [
        _health(seat.node, Health.HEALTHY, at_us)
        for seat in by_node(seats)
        if _is_overdue(world.records.nodes[seat.node])
        and not _are_leaving(world, seat.node, besides=workload.workload)
    ]


def _is_overdue(node: Node) -> bool:
    return node.health is Health.SUSPECT and node.health_reason == OVERDUE


def _health(node: str, health: Health, at_us: int) -> events.NodeHealthSet:
    reason = "" if health is Health.HEALTHY else OVERDUE
    return events.NodeHealthSet(at_us=at_us, node=node, health=health, reason=reason)


def _are_leaving(world: World, node: str, *, besides: str = "") -> bool:
    others = (
        world.records.workloads[name]
        for name in world.held_on[node]
        if name != besides and name in world.records.workloads
    )
    return any(
        other.attempt is not None and other.attempt.stop_on(node) is not None for other in others
    )
