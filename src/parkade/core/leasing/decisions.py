"""Reservations, lending and claims: what owners hold and offer."""

from parkade.core.billing.charges import Postings
from parkade.core.billing.commitments import available_micros
from parkade.core.billing.settlements import settle_end
from parkade.core.fleet.market import Market
from parkade.core.leasing.periods import end_right, next_period
from parkade.core.ledger.accounts import prepaid_account
from parkade.core.reservations.calendar import shape_for
from parkade.core.reservations.reservation import Claim, Lending, Reservation, ReservationState
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.capacity import refuse_unfenced, sellable, the_market
from parkade.core.steps.lacking import short_of_money, short_of_nodes_in_all
from parkade.core.steps.names import bad_new_name
from parkade.core.steps.refusals import Decision, conflict, invalid
from parkade.core.units import bounds
from parkade.core.units.money import format_amount
from parkade.core.units.names import numbered, scoped
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US, Window
from parkade.core.workloads.life import Why

START_SLACK_US = 5_000_000


def reserve(world: World, command: commands.Reserve, now_us: int) -> Decision:
    """Sold only if every moment of the window has room beside the buffer, fabric by fabric."""
    market = the_market(world, command.market)
    if isinstance(market, Refusal):
        return market
    if (unfenced := refuse_unfenced(world, market)) is not None:
        return unfenced
    name = free_name(world, command.org) if command.name is None else command.name
    if (refusal := _bad_reservation(world, command, name, now_us)) is not None:
        return refusal
    start_us = now_us if command.start_us is None else max(now_us, command.start_us)
    window = Window(start_us=start_us, end_us=command.end_us)
    if (refusal := _bad_window(market, window, now_us)) is not None:
        return refusal
    free = sellable(world, market, window)
    shape = shape_for(free, command.nodes)
    if shape is None:
        return short_of_nodes_in_all(world, market, free, command.nodes)
    reservation = Reservation(
        reservation=name,
        org=command.org,
        market=market.market,
        window=window,
        shape=shape,
        gpus_per_node=market.instance_type.gpus_per_node,
        rate_micros=market.terms.reservation_rate_micros,
        lending=None,
        state=ReservationState.IN_FORCE if start_us <= now_us else ReservationState.SOLD,
        created_us=now_us,
        paid_until_us=start_us,
        paid_micros=0,
        payout_cap=market.terms.payout_cap,
        deposit_us=_first_charge_us(market, start_us - now_us),
    )
    assert reservation.nodes == command.nodes, "a shape has all its nodes"
    _, first = next_period(world, reservation)
    available = available_micros(world, command.org, now_us)
    if available < first:
        return short_of_money(
            world,
            command.org,
            _first_in_words(market, reservation, first),
            cost_micros=first,
            available_micros=available,
            by=command.by,
        )
    return (events.Reserved(at_us=now_us, reservation=reservation),)


def _first_in_words(market: Market, reservation: Reservation, micros: int) -> str:
    why = first_charge_in_words(market, reservation)
    return (
        f"{why}: {format_amount(micros)}"
        if why
        else f"the first period costs {format_amount(micros)}"
    )


def first_charge_in_words(market: Market, reservation: Reservation) -> str:
    """Why the first charge is for more than a billing period; empty where it is not."""
    terms, first_us = market.terms, reservation.deposit_us
    if first_us <= terms.billing_period_us:
        return ""
    if first_us == terms.minimum_charge_us or terms.window_deposit is None:
        return f"the first {_span(first_us)} is paid at the sale: the minimum charge"
    return (
        f"a window that begins so far ahead pays its first {_span(first_us)} at the sale:"
        f" {terms.window_deposit} of the time until it begins"
    )


def _deposit_us(market: Market, ahead_us: int) -> int:
    """The share of the time ahead of a window, in which its nodes cannot be sold for longer."""
    assert ahead_us >= 0
    deposit = market.terms.window_deposit
    return 0 if deposit is None else ahead_us * deposit.numerator // deposit.denominator


def _first_charge_us(market: Market, ahead_us: int) -> int:
    """How much of a window is charged first, at least: the minimum charge, for guests leave when it
    begins, and the share of the time ahead of it."""
    assert market.terms.minimum_charge_us >= 0
    return max(market.terms.minimum_charge_us, _deposit_us(market, ahead_us))


def _bad_window(market: Market, window: Window, now_us: int) -> Refusal | None:
    """Refuses a window that makes guests leave for less than the minimum charge, that is over
    before they are gone, or whose own price is less than the deposit for the time ahead of it."""
    terms = market.terms
    least_us = max(SECOND_US, terms.minimum_charge_us, terms.leave_us)
    if window.end_us is None:
        return None
    if window.end_us - window.start_us < least_us:
        return invalid(
            "end",
            f"a window lasts at least {_span(least_us)} in market {market.market!r}:"
            " guests need that long to leave, and it costs the minimum charge; ask for a later end",
        )
    deposit_us = _deposit_us(market, window.start_us - now_us)
    if window.end_us - window.start_us < deposit_us:
        return invalid(
            "start",
            f"a window that begins so far ahead lasts at least {_span(deposit_us)} in"
            f" market {market.market!r}, for its nodes cannot be sold beyond its start until then;"
            " ask for an earlier start or a later end",
        )
    return None


def _span(us: int) -> str:
    """As people write it, rounded up to whole seconds, from an hour on to whole minutes."""
    unit_us = SECOND_US if us < HOUR_US else MINUTE_US
    seconds = -(-us // unit_us) * (unit_us // SECOND_US)
    days, hours, minutes = seconds // 86_400, seconds // 3_600 % 24, seconds // 60 % 60
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def free_name(world: World, org: str) -> str:
    """A name for a reservation of an org that none has or had."""
    if not _was_given(world, org) and not _was_given(world, scoped(org, org)):
        return org
    number = world.records.counters["reservation"] + 1
    # Only the org's own name stands alone: `acme-2` may be another org's.
    while _was_given(world, name := scoped(numbered(org, number), org)):
        number += 1
    return name


def _was_given(world: World, name: str) -> bool:
    """Whether a reservation has or had this name: its account outlives its record, and statements
    name it."""
    is_there = name in world.records.reservations
    return is_there or prepaid_account(name) in world.records.balances


def bad_reservation_name(world: World, name: str, org: str) -> Refusal | None:
    """A name that a new reservation of an org cannot have."""
    refusal = bad_new_name(
        "reservation",
        name,
        world.records.reservations,
        org=org,
        org_of=lambda reservation: reservation.org,
    )
    if refusal is not None:
        return refusal
    if _was_given(world, name):
        detail = f"reservation {name!r} has ended and its statements name it; choose another name"
        return Refusal(reason=Reason.ALREADY_EXISTS, detail=detail)
    return None


def _bad_reservation(
    world: World, command: commands.Reserve, name: str, now_us: int
) -> Refusal | None:
    if (refusal := bad_reservation_name(world, name, command.org)) is not None:
        return refusal
    if not bounds.NODES.holds(command.nodes):
        return invalid("nodes", f"reserve 1 to {bounds.NODES.most} nodes")
    if command.start_us is not None and command.start_us < now_us - START_SLACK_US:
        return invalid("start", "the start lies in the past; leave it out to start now")
    start_us = now_us if command.start_us is None else max(now_us, command.start_us)
    if command.end_us is not None and command.end_us <= start_us:
        return invalid("end", "the end lies before the start")
    return None


def _in_force(world: World, name: str) -> Reservation | Refusal:
    reservation = world.records.reservations[name]
    if reservation.state.is_over:
        return Refusal(
            reason=Reason.RESERVATION_ENDED, detail=f"reservation {name!r} is {reservation.state}"
        )
    return reservation


def end_reservation(world: World, command: commands.EndReservation, now_us: int) -> Decision:
    """An open end becomes the end of the period that is paid; a window that has begun is owed as a
    whole, one that has not is given up for its first period."""
    reservation = _in_force(world, command.reservation)
    if isinstance(reservation, Refusal):
        return reservation
    if reservation.state is ReservationState.SOLD:
        return end_right(world, reservation, ReservationState.ENDED, now_us)
    assert reservation.window.start_us <= reservation.paid_until_us
    if reservation.window.end_us is not None:
        return Refusal(reason=Reason.CONFLICT, detail="its end is agreed; the whole window is owed")
    return (
        events.ReservationChanged(
            at_us=now_us,
            reservation=reservation.reservation,
            state=reservation.state,
            end_us=max(now_us, reservation.paid_until_us, reservation.window.start_us + 1),
        ),
    )


def lend(world: World, command: commands.Lend, now_us: int) -> Decision:
    """The standing offer, in force from the next clearing on."""
    reservation = _in_force(world, command.reservation)
    if isinstance(reservation, Refusal):
        return reservation
    if command.floor_micros is None:
        return (events.LendingSet(at_us=now_us, reservation=reservation.reservation, lending=None),)
    if not bounds.PRICE_MICROS.holds(command.floor_micros):
        return invalid("floor", "a floor is 0 to 1,000,000 per GPU-hour")
    present = reservation.lending.keep if reservation.lending is not None else 0
    keep = present if command.keep is None else command.keep
    if not 0 <= keep <= reservation.nodes:
        return invalid("keep", f"keep 0 to {reservation.nodes} nodes, as many as are reserved")
    assert reservation.market in world.records.markets
    lending = Lending(floor_micros=command.floor_micros, keep=keep)
    return (events.LendingSet(at_us=now_us, reservation=reservation.reservation, lending=lending),)


def make_claim(world: World, command: commands.MakeClaim, now_us: int) -> Decision:
    """The next clearing gives the owner its nodes; guests get the notice."""
    reservation = _in_force(world, command.reservation)
    if isinstance(reservation, Refusal):
        return reservation
    claimed = sum(
        claim.nodes
        for claim in world.records.claims.values()
        if claim.reservation == reservation.reservation
    )
    if not 0 < command.nodes <= reservation.nodes - claimed:
        return Refusal(
            reason=Reason.RESERVATION_FULL,
            detail=f"{reservation.nodes - claimed} nodes of {reservation.reservation!r} are"
            " not claimed yet",
            field="nodes",
        )
    assert claimed + command.nodes <= reservation.nodes
    number = world.records.counters.get("claim", 0) + 1
    claim = new_claim(reservation, command.nodes, number=number, source=None, now_us=now_us)
    return (events.Claimed(at_us=now_us, claim=claim),)


def new_claim(
    reservation: Reservation, nodes: int, *, number: int, source: str | None, now_us: int
) -> Claim:
    """A claim that waits for its first clearing."""
    is_early = reservation.state is ReservationState.SOLD
    return Claim(
        claim=f"c{number}",
        reservation=reservation.reservation,
        org=reservation.org,
        nodes=nodes,
        claimed_us=now_us,
        seats=(),
        promised_us=None,
        seated_us=None,
        why=Why.RESERVATION_NOT_IN_FORCE if is_early else Why.NEXT_CLEARING,
        source=source,
    )


def unclaim(world: World, command: commands.Unclaim, now_us: int) -> Decision:
    """The nodes are idle again, and lent if the owner lends. Refused where it ends with a job, and
    the job's agent is heard."""
    claim = world.records.claims[command.claim]
    pool_name, _, job = (claim.source or "").partition("/")
    pool = world.records.pools.get(pool_name)
    if pool is not None and pool.is_reachable:
        return conflict(
            f"{claim.claim} stands for job {job} in the queue of pool {pool_name} and ends with it:"
            f" cancel that job there, in Slurm with `scancel {job}`"
        )
    return give_back(world, claim, now_us)


def give_back(world: World, claim: Claim, now_us: int) -> tuple[events.AnyEvent, ...]:
    """The end of a claim, by a command or a deadline."""
    unclaimed = events.Unclaimed(at_us=now_us, claim=claim.claim, reservation=claim.reservation)
    return (*settle_end(world, Postings(world), claim, now_us), unclaimed)
