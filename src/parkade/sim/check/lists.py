"""The rule of lists of capacity: what runs changes its entry for the better only, and what buys
on-demand has seats with it (number 42).

The rule reads records and events alone. Money is ample in a search, so what keeps a list from spot
is never a balance.

Example. Acme reserved one of two nodes, and its own work runs there. A list of acme runs as spot on
the other. When the work ends, the list may go on by right of the reservation, if it owes nothing to
those that left for it.
"""

from parkade.core.billing.minimum import owed_us
from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.core.steps.rights import used_nodes
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload
from parkade.sim.check.breach import require

LISTS = 42


def look_at_entry(world: World, event: events.EntryTaken) -> None:
    """What waits asks for any entry of its list; what runs for a reservation before its own, of
    which enough is unused, and only when it owes nothing."""
    workload, name = world.records.workloads[event.workload], event.workload
    entries, attempt = workload.spec.entries, workload.attempt
    require(event.capacity in entries, LISTS, f"{name} asks for {event.capacity}, not in its list")
    require(workload.promise is None, LISTS, f"{name} is promised seats and asks for another entry")
    if event.capacity.kind is CapacityKind.ON_DEMAND:
        _look_at_purchase(world, workload, event)
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


def look_at_bought(world: World, event: events.Cleared) -> None:
    """What buys its window in a clearing wins seats in it."""
    won = {lines.name_of(it.demand) for it in event.won}
    for name in world.live:
        workload = world.records.workloads[name]
        if workload.spec.entries and workload.window_from_us == event.at_us:
            holds = name in won or workload.promise is not None or workload.attempt is not None
            require(holds, LISTS, f"{name} buys on-demand and wins no seats with it")


def _look_at_purchase(world: World, workload: Workload, event: events.EntryTaken) -> None:
    """It is bought by what waits, until the end that was said, at the price of the submission."""
    name, terms = workload.workload, world.records.markets[workload.market].terms
    require(workload.attempt is None, LISTS, f"{name} has seats and buys on-demand")
    lasts_us = workload.spec.max_duration_us
    assert lasts_us is not None, "a window without an end"
    until_us = event.at_us + terms.notice_us + terms.kill_us + terms.turnaround_us + lasts_us
    is_bought = workload.spec.capacity.kind is CapacityKind.ON_DEMAND
    if workload.must_end_us is not None and (not is_bought or workload.first_started_us):
        until_us = workload.must_end_us
    says = f"{name} buys until {event.must_end_us}, and its work ends at {until_us}"
    require(event.must_end_us == until_us, LISTS, says)
    paid = (workload.window_price_micros, terms.pay_as_you_go_micros)
    require(paid[0] == paid[1], LISTS, f"{name} buys at {paid[0]}, posted is {paid[1]}")
