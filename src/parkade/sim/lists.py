"""Whether a list of capacity that a clearing seats asked for its entries in turn: what it named
before would not have given it these very seats.

The world is read right after the clearing. Only what is beyond doubt is judged: whole nodes that no
other holds, in a clearing from which none had to leave.

    a reservation before    is its org's, in force, and has that many unused nodes in the fabric of
                            these seats: its work comes before what spot and on-demand may have
    spot before on-demand   its limit covers every floor, no stronger bid and no owner waits for the
                            room, and neither money nor a cap or a bound keeps it from bidding

Example. Acme reserved one of two nodes, and both are idle. Its list of the reservation and
on-demand must not buy.
"""

from parkade.core.fleet.market import Market
from parkade.core.reservations.reservation import Reservation, ReservationState
from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.workloads.choices import markets_of
from parkade.core.workloads.life import Phase
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Workload
from parkade.sim.findings import require

INVARIANT = 42
AMPLE_MICROS = 10_000 * MICROS
"""An org with so much can bid."""


def check_lists(world: World, event: events.AnyEvent) -> None:
    """Raises Breach where a list got a later entry than it could have had. Cost grows with what is
    named, times the market's live work where a list bought."""
    if not isinstance(event, events.Cleared):
        return
    for won in event.won:
        workload = world.records.workloads.get(lines.name_of(won.demand))
        if workload is None or not workload.spec.entries or workload.attempt is not None:
            continue
        nodes = [seat.node for seat in won.promise.seats]
        market = world.records.markets[workload.market]
        is_whole = workload.spec.gpus == market.instance_type.gpus_per_node
        fabrics = {world.records.nodes[node].fabric for node in nodes}
        if not is_whole or len(fabrics) > 1 or any(world.held_on[node] for node in nodes):
            continue
        before = workload.spec.entries[: workload.spec.entries.index(workload.spec.capacity)]
        (fabric,) = fabrics
        for entry in before:
            _look_at(world, event, workload, entry, fabric)


def _look_at(
    world: World, event: events.Cleared, workload: Workload, entry: Capacity, fabric: str
) -> None:
    asked = workload.spec.capacity
    says = f"{workload.workload} got seats in {fabric} as {asked}, which it could have as {entry}"
    if entry.kind is CapacityKind.SPOT:
        is_alone = not event.left and asked.kind is CapacityKind.ON_DEMAND
        require(not (is_alone and _wins_as_spot(world, workload)), INVARIANT, says)
        return
    reservation = world.records.reservations.get(entry.reservation or "")
    if reservation is not None and reservation.state is ReservationState.IN_FORCE:
        unused = _unused(world, reservation, fabric)
        require(unused < workload.spec.nodes, INVARIANT, says)


def _unused(world: World, reservation: Reservation, fabric: str) -> int:
    """Nodes of a fabric that its demands may still have there, wherever they are."""
    of_org = (world.records.workloads[name] for name in world.live_of_org.get(reservation.org, {}))
    names = {
        it.workload for it in of_org if it.spec.capacity.reservation == reservation.reservation
    }
    claims = world.records.claims.values()
    names |= {it.claim for it in claims if it.reservation == reservation.reservation}
    used = {
        node: world.records.nodes[node].fabric
        for node in world.records.nodes
        if names & (world.held_on[node].keys() | world.promised_on[node].keys())
    }
    here = sum(it == fabric for it in used.values())
    return min(reservation.nodes - len(used), dict(reservation.shape).get(fabric, 0) - here)


def _wins_as_spot(world: World, workload: Workload) -> bool:
    """Whether its bid would beyond doubt have had the seats that it bought."""
    limit = workload.spec.spot_limit_micros
    market = world.records.markets[workload.market]
    org, user = world.records.orgs[workload.org], world.records.users.get(workload.user)
    is_bound = org.cap or org.bounds or (user is not None and user.cap)
    balance = world.records.balances.get(f"org/{workload.org}", 0)
    if limit is None or is_bound or balance < AMPLE_MICROS or limit < _highest_floor(world, market):
        return False
    if market.terms.min_runtime_us is not None or world.records.unadmitted:
        return False
    live = (world.records.workloads[name] for name in world.live)
    waiting = [it for it in live if it.phase is Phase.QUEUED and market.market in markets_of(it)]
    claims = world.records.claims.values()
    return not waiting and all(it.seats for it in claims)


def _highest_floor(world: World, market: Market) -> int:
    """No less than what any seat costs a guest."""
    rights = world.records.reservations.values()
    lent = [it.lending.floor_micros for it in rights if it.lending is not None]
    return max(market.terms.public_floor_micros, 2 * max(lent, default=0))
