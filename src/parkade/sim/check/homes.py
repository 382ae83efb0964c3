"""Whether an owner's own fabrics hold a claim, read from the records alone.

It shares no code with the core's allocation, and errs to the other side: it counts as taken what
another owner could yet ask for.
"""

from collections.abc import Container

from parkade.core.reservations.reservation import Claim
from parkade.core.state.world import World
from parkade.core.workloads.spec import CapacityKind
from parkade.sim.check.open_nodes import is_open

_OWNED = (CapacityKind.RESERVATION, CapacityKind.ON_DEMAND)


def fits_at_home(world: World, claim: Claim, wanted: int, taken: Container[str]) -> bool:
    """Whether a fabric of its own holds so many nodes more of it, beside those taken, what owners
    and on-demand use, and what other owners may keep idle."""
    reservation = world.records.reservations[claim.reservation]
    if not reservation.state.takes_part:
        return False
    if _used(world, claim.reservation) + wanted > reservation.nodes:
        return False
    for fabric, _ in reservation.shape:
        free = sum(
            is_open(world, node.node)
            and node.node not in taken
            and not _has_owner(world, node.node)
            for node in world.records.nodes.values()
            if node.fabric == fabric
        )
        kept = sum(
            dict(other.shape).get(fabric, 0)
            for other in world.records.reservations.values()
            if other.reservation != claim.reservation and not other.state.is_over
        )
        if free - kept >= wanted:
            return True
    return False


def _used(world: World, reservation: str) -> int:
    """Nodes that demands of a reservation have."""
    claims = world.records.claims.values()
    used = sum(len(it.seats) for it in claims if it.reservation == reservation)
    for name in world.live:
        workload = world.records.workloads[name]
        holder = workload.promise or workload.attempt
        if workload.spec.capacity.reservation == reservation and holder is not None:
            used += len(holder.seats)
    return used


def _has_owner(world: World, node: str) -> bool:
    """Whether an owner or on-demand sits there or is promised seats."""
    return any(
        is_owned(world, holder) for holder in (*world.held_on[node], *world.promised_on[node])
    )


def is_owned(world: World, holder: str) -> bool:
    """Whether it is a claim, or a workload that no bid displaces."""
    workload = world.records.workloads.get(holder)
    return workload is None or workload.spec.capacity.kind in _OWNED
