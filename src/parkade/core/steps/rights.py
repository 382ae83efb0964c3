"""What stands on a reservation."""

from parkade.core.reservations.reservation import Reservation
from parkade.core.state.world import World


def started_nodes(world: World) -> frozenset[str]:
    """Nodes on which owners' jobs run that an engine started by itself: no clearing has them. Grows
    with the claims."""
    return frozenset(node for claim in world.records.claims.values() for node in claim.runs_on)


def used_nodes(world: World, reservation: Reservation) -> dict[str, int]:
    """Nodes by fabric on which its demands hold or are promised seats."""
    nodes = {
        seat.node
        for claim in world.records.claims.values()
        if claim.reservation == reservation.reservation
        for seat in (*claim.held, *claim.promised)
    }
    for name in world.live_of_org.get(reservation.org, {}):
        workload = world.records.workloads[name]
        if workload.spec.capacity.reservation == reservation.reservation:
            for holder in (workload.attempt, workload.promise):
                nodes.update(seat.node for seat in (holder.seats if holder is not None else ()))
    found: dict[str, int] = {}
    for node in nodes:
        fabric = world.records.nodes[node].fabric
        found[fabric] = found.get(fabric, 0) + 1
    return found
