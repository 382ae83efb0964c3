"""Which lists of capacity are accepted: reservations of the org in one market, then spot, on-demand
or both.

Why so at last: a list is there so that the work runs somewhere, at the least price first.
"""

from parkade.core.fleet.market import Market
from parkade.core.running.bidding import bad_bid
from parkade.core.state.world import World
from parkade.core.steps.refusals import invalid, not_found
from parkade.core.units.capacity_lists import LIST_WORDS, is_list
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.spec import Capacity, CapacityKind, Interconnect, Moves, Spec


def bad_list(world: World, market: Market, spec: Spec, org: str) -> Refusal | None:
    """What is wrong with a list; the wire's model says most of it too."""
    if not spec.entries:
        return None
    if spec.deadline is not None:
        detail = (
            "a deadline falls back to on-demand by itself: write capacity: spot, or leave the"
            " deadline out and write on-demand last"
        )
        return Refusal(reason=Reason.UNSUPPORTED, detail=detail, field="capacity")
    if spec.is_elastic:
        detail = "a list of capacity is for a fixed number of nodes"
        return Refusal(reason=Reason.UNSUPPORTED, detail=detail, field="capacity")
    if spec.moves is not Moves.NEEDED:
        return invalid("moves", "only spot alone draws floors; leave moves out with a list")
    rights = [it for it in spec.entries if it.kind is CapacityKind.RESERVATION]
    if len(spec.entries) < 2 or not is_list([str(it) for it in spec.entries]):
        return invalid("capacity", f"a list has {LIST_WORDS}")
    for right in rights:
        name = right.reservation or ""
        reservation = world.records.reservations.get(name)
        if reservation is None or reservation.org != org:
            return not_found("reservation", name)
        if reservation.market != market.market:
            there = (
                f"reservation {name!r} is in market {reservation.market}, not in {market.market}"
            )
            return invalid("capacity", there)
        if (refusal := bad_right(world, spec, right)) is not None:
            return refusal
    if any(it.kind is CapacityKind.SPOT for it in spec.entries):
        return bad_bid(market, spec, spec.spot_limit_micros)
    if spec.spot_limit_micros is not None:
        return invalid("limit_price", "a limit is for spot; leave it out")
    return None


def bad_right(world: World, spec: Spec, entry: Capacity) -> Refusal | None:
    """What keeps a workload from ever using a reservation that exists."""
    name = entry.reservation or ""
    reservation = world.records.reservations[name]
    if reservation.state.is_over:
        return Refusal(
            reason=Reason.RESERVATION_ENDED, detail=f"reservation {name!r} is {reservation.state}"
        )
    largest = max(nodes for _, nodes in reservation.shape)
    most = largest if spec.interconnect is Interconnect.FABRIC else reservation.nodes
    if spec.nodes_alone(reservation.gpus_per_node) > most:
        return Refusal(
            reason=Reason.TOO_LARGE,
            detail=f"reservation {name!r} has {most} nodes together; ask for fewer, or for"
            " interconnect: any",
            field="nodes",
        )
    return None
