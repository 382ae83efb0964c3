"""What a change of a reservation would make of it and cost, in figures and words.

Told from the events that the change itself would be; nothing is changed. What is charged at once is
what these events post; what is kept is what was paid for nodes whose window has not begun and that
are given up.
"""

from collections.abc import Sequence
from typing import assert_never

from msgspec.structs import replace

from parkade.api.translate.scalars import amount, amount_or_none, instant
from parkade.api.views import reservations as views
from parkade.core.ledger.accounts import TransferKind
from parkade.core.reservations.reservation import Reservation
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.money import amount_of, format_amount
from parkade.core.units.phrases import counted
from parkade.wire import reservations as wire

Change = (
    commands.EndReservation
    | commands.ExtendReservation
    | commands.SplitReservation
    | commands.ShrinkReservation
)


def planned(
    world: World,
    found: Reservation,
    change: Change,
    decided: Sequence[events.AnyEvent],
    *,
    nodes_used: int,
) -> wire.ReservationChange:
    """The change of `found` whose events are `decided`."""
    before = views.as_charged(world, found)
    after, part = _applied(before, decided)
    kept = _kept(after, part, change)
    live = [each for each in (after, part) if each is not None and not each.state.is_over]
    prices = [_whole_price(each) for each in live]
    known = [each for each in prices if each is not None]
    in_all = sum(known) + (kept or 0) if len(known) == len(prices) else None
    return wire.ReservationChange(
        reservation=views.reservation(after, nodes_used=nodes_used),
        part=None if part is None else views.reservation(part, nodes_used=0),
        now=amount(_charged(decided)),
        kept=amount_or_none(kept),
        in_all_before=amount_or_none(_whole_price(before)),
        in_all=amount_or_none(in_all),
        says=tuple(_says(before, after, part, change, decided)),
    )


def _applied(
    before: Reservation, decided: Sequence[events.AnyEvent]
) -> tuple[Reservation, Reservation | None]:
    """(the reservation as it would be, the part that would leave it)."""
    after, part = before, None
    for event in decided:
        match event:
            case events.ReservationDivided():
                part = event.part
                paid = before.paid_micros
                after = replace(
                    before,
                    shape=event.shape,
                    lending=event.lending,
                    paid_micros=None if paid is None else paid - (part.paid_micros or 0),
                    earned_micros=before.earned_micros - part.earned_micros,
                )
            case events.ReservationChanged(reservation=name) if name == before.reservation:
                after = _changed(after, event)
            case events.ReservationChanged() if part is not None:
                part = _changed(part, event)
            case _:
                continue
    return after, part


def _changed(reservation: Reservation, event: events.ReservationChanged) -> Reservation:
    window = replace(reservation.window, end_us=event.end_us)
    return replace(reservation, state=event.state, window=window)


def _kept(after: Reservation, part: Reservation | None, change: Change) -> int | None:
    """What was paid for what is given up at once; None where nothing is."""
    match change:
        case commands.EndReservation():
            gone = after
        case commands.ShrinkReservation() if part is not None:
            gone = part
        case _:
            return None
    return gone.paid_micros or 0 if gone.state.is_over else None


def _charged(decided: Sequence[events.AnyEvent]) -> int:
    paid = (event for event in decided if isinstance(event, events.ReservationPaid))
    return sum(each.micros for event in paid for each in event.transfers)


def _whole_price(reservation: Reservation) -> int | None:
    """Of its whole window; None where its end is open."""
    window, rate = reservation.window, reservation.rate_micros_per_hour
    return None if window.end_us is None else amount_of(rate, window.end_us - window.start_us)


def _says(
    before: Reservation,
    after: Reservation,
    part: Reservation | None,
    change: Change,
    decided: Sequence[events.AnyEvent],
) -> list[str]:
    match change:
        case commands.ExtendReservation():
            return _extended(before, after)
        case commands.EndReservation():
            return _ended(before, after)
        case commands.ShrinkReservation():
            assert part is not None, "nodes that are given up are a part"
            return _shrunk(after, part)
        case commands.SplitReservation():
            assert part is not None, "a split has a part"
            return _split(before, after, part, decided)
        case _:
            assert_never(change)


def _extended(before: Reservation, after: Reservation) -> list[str]:
    old, new = _whole_price(before), _whole_price(after)
    assert old is not None and new is not None, "only an agreed end is moved"
    return [
        f"it ends {_at(after)} instead of {_at(before)}",
        (
            f"nothing is charged now; the added time costs {format_amount(new - old)}, paid by the"
            " billing period as it comes"
        ),
        (
            f"{format_amount(new)} in all instead of {format_amount(old)}, owed as a whole, used or"
            " not"
        ),
    ]


def _ended(before: Reservation, after: Reservation) -> list[str]:
    if after.state.is_over:
        return ["it is given up now: its window never begins", *_not_given_back(before, after)]
    return [
        f"it ends {_at(after)}, until when it is paid; nothing more is charged",
        "its own workloads get their notice in time to be gone by then, and its claims end",
        "an end that is agreed does not become open again",
    ]


def _shrunk(after: Reservation, part: Reservation) -> list[str]:
    nodes = counted(part.nodes, "node")
    if part.state.is_over:
        return [
            f"{nodes} of it {'is' if part.nodes == 1 else 'are'} given up now",
            *_not_given_back(part, part),
        ]
    return [
        (
            f"{nodes} of it {'ends' if part.nodes == 1 else 'end'} {_at(part)} as"
            f" {part.reservation}; until then {'it is' if part.nodes == 1 else 'they are'} paid"
        ),
        f"an hour costs {_per_hour(after)} after that instead of {_per_hour(after, part)}",
    ]


def _not_given_back(before: Reservation, gone: Reservation) -> list[str]:
    """What of its price is paid and stays so, and what is not charged any more."""
    kept, price = gone.paid_micros or 0, _whole_price(before)
    says = [f"{format_amount(kept)} that was paid for it is kept, and not given back"]
    if price is not None:
        says.append(f"the other {format_amount(price - kept)} of its window is not charged")
    return says


def _split(
    before: Reservation,
    after: Reservation,
    part: Reservation,
    decided: Sequence[events.AnyEvent],
) -> list[str]:
    nodes = counted(part.nodes, "node")
    becomes = "becomes" if part.nodes == 1 else "become"
    rest = f"{after.reservation} has the other {after.nodes}" if after.nodes else "nothing is left"
    if part.org == before.org:
        return [
            f"{nodes} {becomes} {part.reservation}, with the same window and rate; {rest}",
            (
                f"both cost together what it costs now, {_per_hour(before)} an hour; nothing is"
                " charged for it"
            ),
            *_lends(part),
        ]
    ahead = format_amount(
        sum(
            each.micros
            for event in decided
            if isinstance(event, events.ReservationDivided)
            for each in event.transfers
            if each.kind is TransferKind.DIVIDED
        )
    )
    until = instant(part.paid_until_us)
    return [
        f"{nodes} {becomes} {part.reservation} of {part.org}; {rest}",
        (
            f"{part.org} pays {_per_hour(part)} an hour for them from"
            f" {until:%Y-%m-%d %H:%M:%S} UTC on, and {before.org} no more"
        ),
        f"{ahead} that {before.org} paid ahead for them goes with them, and is not given back",
        f"they lend nothing until {part.org} says so",
    ]


def _lends(part: Reservation) -> list[str]:
    lending = part.lending
    if lending is None:
        return ["it lends nothing, as before"]
    return [f"it lends from {format_amount(lending.floor_micros)} and keeps {lending.keep}"]


def _at(reservation: Reservation) -> str:
    assert reservation.window.end_us is not None, "its end is agreed"
    return f"{instant(reservation.window.end_us):%Y-%m-%d %H:%M:%S} UTC"


def _per_hour(*parts: Reservation) -> str:
    return format_amount(sum(each.rate_micros_per_hour for each in parts))
