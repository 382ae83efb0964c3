"""The evidence of an availability credit: which nodes of a right were missing, since when, why.

What a fabric lacks when a shortage begins, and each time that it is settled, is put together and
kept with the reservation until nothing is short any more; each settlement carries all of it. So a
credit that is paid when the node is back still names it.
"""

from msgspec.structs import replace

from parkade.core.fleet.node import Node
from parkade.core.reservations.missing import MOST_MISSING, MissingNode
from parkade.core.reservations.reservation import Reservation
from parkade.core.state.world import World


def evidence(world: World, reservation: Reservation, at_us: int) -> tuple[MissingNode, ...]:
    """The nodes of its fabrics that were missing in the shortage so far; at most `MOST_MISSING`.
    Cost grows with the nodes."""
    known = world.records.missing.get(reservation.reservation, ())
    found = {each.node: each for each in known}
    fabrics = dict(reservation.shape)
    for node in world.records.nodes.values():
        if node.market != reservation.market or node.fabric not in fabrics:
            continue
        missing = _missing(world, node, at_us)
        if missing is None:
            continue
        before = found.get(node.node)
        first_us = missing.since_us if before is None else min(before.since_us, missing.since_us)
        found[node.node] = replace(missing, since_us=first_us)
    return tuple(found.values())[:MOST_MISSING]


def _missing(world: World, node: Node, at_us: int) -> MissingNode | None:
    """Why a node is not there for newcomers; None where it is."""
    pool = world.records.pools[node.pool]
    incident = world.open_incident(node.node)
    since: list[int] = [] if incident is None else [incident.opened_us]
    why = node.health_reason
    if node.cordons:
        since += [cordon.at_us for cordon in node.cordons]
        why = why or f"cordoned by {node.cordons[0].holder}: {node.cordons[0].reason}"
    if node.draining_us is not None:
        since.append(node.draining_us)
        why = why or f"draining: {node.drain_reason}"
    if not pool.is_reachable:
        since += [] if pool.silent_since_us is None else [pool.silent_since_us]
        why = why or "its pool's agent is silent"
    if node.is_open and pool.is_reachable:
        return None
    return MissingNode(
        node=node.node,
        since_us=min((*since, at_us)),
        health=node.health,
        why=why[:300],
        incident=None if incident is None else incident.incident,
    )
