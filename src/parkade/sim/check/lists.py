"""The rule of lists of capacity: what runs changes its entry for the better only (number 42).

The rule reads records and events alone. Money is ample in a search, so what keeps a list from spot
is never a balance.

Example. Acme reserved one of two nodes, and its own work runs there. A list of acme runs as spot on
the other. When the work ends, the list may go on by right of the reservation, if it owes nothing to
those that left for it.
"""

from parkade.core.billing.minimum import owed_us
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.rights import used_nodes
from parkade.core.workloads.spec import CapacityKind
from parkade.sim.check.breach import require

LISTS = 42


def look_at_entry(world: World, event: events.EntryTaken) -> None:
    """What waits asks for any entry of its list; what runs for a reservation before its own, of
    which enough is unused, and only when it owes nothing."""
    workload, name = world.records.workloads[event.workload], event.workload
    entries, attempt = workload.spec.entries, workload.attempt
    require(event.capacity in entries, LISTS, f"{name} asks for {event.capacity}, not in its list")
    require(workload.promise is None, LISTS, f"{name} is promised seats and asks for another entry")
    if attempt is None:
        return
    is_before = entries.index(event.capacity) < entries.index(workload.spec.capacity)
    is_right = event.capacity.kind is CapacityKind.RESERVATION and is_before
    says = f"{name} runs as {workload.spec.capacity} and goes on as {event.capacity}"
    require(is_right and attempt.stop is None, LISTS, says)
    reservation = world.records.reservations[event.capacity.reservation or ""]
    require(reservation.org == workload.org, LISTS, f"{says}, which is {reservation.org}'s")
    market = world.records.markets[workload.market]
    if workload.spec.gpus == market.instance_type.gpus_per_node:
        used = sum(used_nodes(world, reservation).values())
        is_room = used + workload.spec.nodes <= reservation.nodes
        require(is_room, LISTS, f"{says}, where {used} of {reservation.nodes} nodes are used")
    missing_us = owed_us(workload, market.terms, event.at_us)
    require(missing_us == 0, 19, f"{says}, and owes {missing_us} us to those that left for it")
