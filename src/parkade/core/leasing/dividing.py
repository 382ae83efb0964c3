"""A part of a reservation that becomes a reservation of its own: split off, handed over, given up.

Theory of operation
-------------------
The part has nodes that nothing of the reservation stands on, for the same window, at the same rate,
as old as the whole. All that belongs to nodes is divided by nodes, so that whole and part together
owe, hold and may earn what the whole did:

    paid ahead      moves from one account to the other; the rest of a micro-unit goes to the part
    paid, earned    so that `payout_cap` leaves together what it left before
    kept nodes      the whole keeps as many as it still can, the part the others

What the whole earned by lending and waits for stays with it, as do its claims and workloads.

    split       the part is the same org's, and lends as the whole does
    hand over   the part, or all, is another org's, which pays from the next period on; it lends
                nothing until its new owner says so. Operators do this, on both owners' word: it
                moves a debt to another org
    shrink      the part is given up: at the end of the period that is paid where the end is open,
                at once and for what was paid where the window has not begun. A window that has
                begun is owed as a whole, so no part of it is given up

Example (`tests/core/leasing/test_dividing.py`). Three nodes of two GPUs at 4 cost 24 an hour, and
the hour that began is paid. Split one off: 8 of what is held are the part's. From the next hour on
16 and 8 are charged.

Decision record 124.
"""

import msgspec
from msgspec.structs import replace

from parkade.core.billing.charges import Postings
from parkade.core.billing.settlements import short_of
from parkade.core.leasing.decisions import bad_reservation_name, free_name
from parkade.core.leasing.periods import end_right
from parkade.core.ledger.accounts import TransferKind, prepaid_account
from parkade.core.reservations.calendar import shape_for
from parkade.core.reservations.reservation import Lending, Reservation, ReservationState, Waits
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.permissions import is_operator
from parkade.core.steps.refusals import Decision, conflict, denied, not_found
from parkade.core.steps.rights import used_nodes
from parkade.core.units.money import ceil_div
from parkade.core.units.refusal import Reason, Refusal


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: how many nodes, whose they are then, and what they are called."""

    nodes: int
    org: str
    name: str
    is_shrunk: bool
    """Its org gives it up: it ends, and is no part that goes on."""


def split_reservation(world: World, command: commands.SplitReservation, now_us: int) -> Decision:
    """A part of its own, of the same org or, by an operator, of another one."""
    whole = world.records.reservations[command.reservation]
    org = whole.org if command.org is None else command.org
    if org != whole.org and not is_operator(world, command.by):
        return denied("a part for another org moves a debt to it; ask an operator")
    if org not in world.records.orgs:
        return not_found("org", org)
    if org != whole.org and world.records.orgs[org].disabled_us is not None:
        return conflict(f"org {org} is disabled: it begins nothing")
    name = free_name(world, org) if command.name is None else command.name
    if (refusal := bad_reservation_name(world, name, org)) is not None:
        return refusal
    part = _Part(nodes=command.nodes, org=org, name=name, is_shrunk=False)
    postings = Postings(world)
    divided = _divided(world, whole, part, postings, now_us)
    if isinstance(divided, Refusal):
        return divided
    if command.nodes < whole.nodes:
        return (divided,)
    ended = end_right(world, whole, ReservationState.ENDED, now_us, postings=postings)
    return (divided, *ended)


def shrink_reservation(world: World, command: commands.ShrinkReservation, now_us: int) -> Decision:
    """Gives nodes up that nothing stands on."""
    whole = world.records.reservations[command.reservation]
    is_sold = whole.state is ReservationState.SOLD
    if whole.window.end_us is not None and not is_sold and not whole.state.is_over:
        return conflict("its window has begun, and is owed as a whole; lend what you do not need")
    if command.nodes == whole.nodes and not whole.state.is_over:
        return conflict("that is all of it; parkade end ends it")
    name = free_name(world, whole.org)
    part = _Part(nodes=command.nodes, org=whole.org, name=name, is_shrunk=True)
    postings = Postings(world)
    divided = _divided(world, whole, part, postings, now_us)
    if isinstance(divided, Refusal):
        return divided
    if is_sold:
        gone = end_right(world, divided.part, ReservationState.ENDED, now_us, postings=postings)
        return (divided, *gone)
    end_us = max(now_us, whole.paid_until_us, whole.window.start_us + 1)
    ends = events.ReservationChanged(
        at_us=now_us, reservation=part.name, state=whole.state, end_us=end_us
    )
    return (divided, ends)


def _divided(
    world: World, whole: Reservation, part: _Part, postings: Postings, now_us: int
) -> events.ReservationDivided | Refusal:
    """The event that makes the part, or what stands against it."""
    if (refusal := _bad_state(world, whole, part)) is not None:
        return refusal
    shape = _free_shape(world, whole, part.nodes)
    if isinstance(shape, Refusal):
        return shape
    taken = dict(shape)
    left = tuple((fabric, nodes - taken.get(fabric, 0)) for fabric, nodes in whole.shape)
    ahead = prepaid_account(whole.reservation)
    moved = postings.move_most(
        ahead,
        prepaid_account(part.name),
        ceil_div(postings.held_micros(ahead) * part.nodes, whole.nodes),
        kind=TransferKind.DIVIDED,
        reservation=whole.reservation,
    )
    paid = None if whole.paid_micros is None else whole.paid_micros * part.nodes // whole.nodes
    is_same_org = part.org == whole.org
    return events.ReservationDivided(
        at_us=now_us,
        market=whole.market,
        reservation=whole.reservation,
        shape=tuple((fabric, nodes) for fabric, nodes in left if nodes > 0),
        lending=_lending(whole, whole.nodes - part.nodes),
        part=replace(
            whole,
            reservation=part.name,
            org=part.org,
            shape=shape,
            lending=_rest_of_lending(whole, part.nodes) if is_same_org else None,
            paid_micros=paid,
            earned_micros=whole.earned_micros * part.nodes // whole.nodes,
            waits=Waits(),
        ),
        transfers=moved,
    )


def _bad_state(world: World, whole: Reservation, part: _Part) -> Refusal | None:
    name = whole.reservation
    if whole.state.is_over:
        return Refusal(
            reason=Reason.RESERVATION_ENDED, detail=f"reservation {name!r} is {whole.state}"
        )
    if whole.state is ReservationState.CLOSING:
        return conflict("it is closing, and what stands on it has its notice")
    most = whole.nodes if part.org != whole.org else whole.nodes - 1
    if not 0 < part.nodes <= most:
        detail = _count_in_words(name, part, most)
        return Refusal(reason=Reason.RESERVATION_FULL, detail=detail, field="nodes")
    if short_of(world, whole):
        return conflict("nodes of it are missing now, and credited; wait until it has them again")
    claimed = sum(it.nodes for it in world.records.claims.values() if it.reservation == name)
    is_asked = part.nodes == whole.nodes and _has_live(world, whole)
    if claimed > whole.nodes - part.nodes or is_asked:
        return conflict(f"claims or workloads of {name!r} need these nodes; end them first")
    return None


def _count_in_words(name: str, part: _Part, most: int) -> str:
    """How many nodes a part may have: `most`, if any."""
    up_to = "one node" if most == 1 else f"1 to {most} nodes"
    if part.is_shrunk:
        only = f"{name!r} has one node; parkade end gives it up"
        return f"{up_to} of it can be given up" if most else only
    only = f"{name!r} has one node: no part of it can be split off"
    return f"a part of it has {up_to}" if most else only


def _has_live(world: World, whole: Reservation) -> bool:
    live = (world.records.workloads[it].spec for it in world.live_of_org.get(whole.org, {}))
    return any(it.capacity.reservation == whole.reservation for it in live)


def _free_shape(
    world: World, whole: Reservation, nodes: int
) -> tuple[tuple[str, int], ...] | Refusal:
    """Nodes of its shape on which nothing of it stands, as near together as can be."""
    used = used_nodes(world, whole)
    free = {fabric: max(0, count - used.get(fabric, 0)) for fabric, count in whole.shape}
    shape = shape_for(free, nodes)
    if shape is None:
        return conflict(
            f"its own work holds all but {sum(free.values())} nodes of {whole.reservation!r}; end"
            " some of it first"
        )
    return shape


def _lending(whole: Reservation, nodes: int) -> Lending | None:
    lending = whole.lending
    return None if lending is None else replace(lending, keep=min(lending.keep, nodes))


def _rest_of_lending(whole: Reservation, nodes: int) -> Lending | None:
    lending = whole.lending
    if lending is None:
        return None
    return replace(lending, keep=max(0, lending.keep - (whole.nodes - nodes)))
