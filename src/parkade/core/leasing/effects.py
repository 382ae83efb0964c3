"""Effects on reservations, lending and claims."""

from msgspec.structs import replace

from parkade.core.billing.effects import note_transfers, post
from parkade.core.fleet.seat import Seat
from parkade.core.reservations.reservation import Claim
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.changes import count, note_wait, occupy, vacate


def reserve(world: World, event: events.Reserved) -> None:
    """A sold reservation takes its place in the calendar, and its periods on the agenda."""
    reservation = event.reservation
    assert reservation.reservation not in world.records.reservations
    count(world, "reservation")
    world.put_reservation(reservation)


def divide_reservation(world: World, event: events.ReservationDivided) -> None:
    """The part takes its nodes, its share of the money and its place in the calendar."""
    part, whole = event.part, world.records.reservations[event.reservation]
    assert part.reservation not in world.records.reservations and not whole.state.is_over
    assert part.nodes + sum(nodes for _, nodes in event.shape) == whole.nodes
    post(world, event.transfers)
    count(world, "reservation")
    paid = whole.paid_micros
    world.put_reservation(
        replace(
            whole,
            shape=event.shape,
            lending=event.lending,
            paid_micros=None if paid is None else paid - (part.paid_micros or 0),
            earned_micros=whole.earned_micros - part.earned_micros,
        )
    )
    world.put_reservation(part)


def pay_reservation(world: World, event: events.ReservationPaid) -> None:
    """Posts one billing period and moves the instant up to which it is paid."""
    post(world, event.transfers)
    note_transfers(world, event.transfers)
    reservation = world.records.reservations[event.reservation]
    assert event.paid_until_us > reservation.paid_until_us, "a period is paid once"
    world.put_reservation(replace(reservation, paid_until_us=event.paid_until_us))


def change_reservation(world: World, event: events.ReservationChanged) -> None:
    """Another state, for good once it is over, and the end of its window."""
    reservation = world.records.reservations[event.reservation]
    assert not reservation.state.is_over, "a right that ended does not come back"
    assert event.end_us is None or event.end_us >= reservation.window.start_us
    window = replace(reservation.window, end_us=event.end_us)
    world.put_reservation(replace(reservation, state=event.state, window=window))


def set_lending(world: World, event: events.LendingSet) -> None:
    """The next clearing offers what is lent; no seat changes before it."""
    reservation = world.records.reservations[event.reservation]
    assert event.lending is None or 0 <= event.lending.keep <= reservation.nodes
    world.put_reservation(replace(reservation, lending=event.lending))


def claim(world: World, event: events.Claimed) -> None:
    """A claim waits for a clearing, without seats."""
    assert event.claim.claim not in world.records.claims and not event.claim.seats
    count(world, "claim")
    world.put_claim(event.claim)


def seat_claim(world: World, event: events.ClaimSeated) -> None:
    """The promised nodes become the owner's; how long it waited for them is counted."""
    claim = world.records.claims[event.claim]
    if event.runs_there:
        assert event.nodes is not None
        _take_over(world, claim, event.nodes, event.at_us)
        return
    if event.nodes is not None:
        _hand_over(world, claim, event.nodes, event.at_us)
        return
    assert claim.seats and claim.seated_us is None
    occupy(world, claim.org, claim.seats)
    assert claim.promised_us is not None
    note_wait(world, claim.reservation, claim.promised_us, claim.busy, event.at_us)
    world.put_claim(replace(claim, seated_us=event.at_us, why=""))


def _hand_over(world: World, claim: Claim, nodes: tuple[str, ...], at_us: int) -> None:
    """These replacements become the owner's."""
    given = [it for it in claim.replacements if it.seat.node in nodes]
    assert len(given) == len(nodes) and claim.seated_us is not None, "it was promised other nodes"
    seats = tuple(it.seat for it in given)
    occupy(world, claim.org, seats)
    for each in given:
        note_wait(world, claim.reservation, each.promised_us, int(each.is_busy), at_us)
    left = tuple(it for it in claim.replacements if it not in given)
    all_seats = (*claim.seats, *seats)
    why = claim.why if len(all_seats) < claim.nodes else ""
    world.put_claim(replace(claim, seats=all_seats, replacements=left, why=why))


def _take_over(world: World, claim: Claim, nodes: tuple[str, ...], at_us: int) -> None:
    """Nodes on which its job runs become the owner's; it waited for none of them."""
    before = {seat.node for seat in claim.seats}
    assert set(nodes) <= set(claim.runs_on) - before, "its job does not run there"
    gpus = world.records.reservations[claim.reservation].gpus_per_node
    seats = tuple(Seat(node=node, gpus=gpus) for node in nodes)
    occupy(world, claim.org, seats)
    all_seats = (*claim.seats, *seats)
    world.put_claim(
        replace(
            claim,
            seats=all_seats,
            seated_us=at_us if claim.seated_us is None else claim.seated_us,
            why=claim.why if len(all_seats) < claim.nodes else "",
        )
    )


def unclaim(world: World, event: events.Unclaimed) -> None:
    """The claim is dropped, and its nodes count as vacated at this instant."""
    claim = world.records.claims[event.claim]
    assert event.reservation in (None, claim.reservation)
    if claim.seated_us is not None:
        vacate(world, claim.seats, event.at_us)
    world.drop_claim(event.claim)
