"""The page of reservations: its numbers are computed here."""

from decimal import Decimal

from parkade.core.leasing.periods import next_period
from parkade.core.ledger.accounts import prepaid_account
from parkade.core.state import commands, events
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US
from tests.core.kernel.story import Parkade
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "reservations.md"


def micros(text: str) -> int:
    return int(Decimal(text) * MICROS)


def sold(*, window_deposit: Fraction | None = None, **window: int) -> tuple[Parkade, str]:
    parkade = Parkade(
        fabrics={"a": 4},
        buffer_nodes=0,
        reservation_rate_micros=4 * MICROS,
        window_deposit=window_deposit,
    )
    return parkade, parkade.reserve("acme", 3, **window)


def charged(parkade: Parkade) -> int:
    paid = (it for it in parkade.journal if isinstance(it, events.ReservationPaid))
    return sum(each.micros for it in paid for each in it.transfers)


def test_what_is_charged_is_what_was_planned() -> None:
    now, in_all = (micros(row[1]) for row in table(PAGE, "The price first"))
    parkade, _ = sold(in_hours=2, hours=3)
    reserved = next(it.reservation for it in parkade.journal if isinstance(it, events.Reserved))
    assert next_period(parkade.world, reserved)[1] == charged(parkade) == now
    parkade.tick(6 * 3600)
    assert charged(parkade) == in_all


def test_a_window_far_ahead_pays_a_tenth_of_the_time_until_it_begins() -> None:
    parkade, _ = sold(window_deposit=Fraction(numerator=1, denominator=10), in_hours=100, hours=30)
    assert "begins in 100\nhours pays its first 10," in PAGE.read_text()
    assert charged(parkade) == 10 * 24 * MICROS


def test_an_extension_costs_what_the_page_says() -> None:
    before, after = (micros(row[1]) for row in table(PAGE, "A later end"))
    for more, price in ((0, before), (2, after)):
        parkade, name = sold(hours=3)
        if more:
            end_us = parkade.now_us + (3 + more) * HOUR_US
            extend = commands.ExtendReservation(by=None, reservation=name, end_us=end_us)
            parkade.do(extend)
        parkade.tick(6 * 3600)
        assert charged(parkade) == price


def test_a_part_has_its_share_of_what_is_paid() -> None:
    parkade, name = sold()
    split = commands.SplitReservation(by=None, reservation=name, nodes=1, name="team-b")
    parkade.do(split)
    rows = {row[0].strip("`"): row[1:] for row in table(PAGE, "A part of its own")}
    held = {it: parkade.balance(prepaid_account(it)) for it in rows}
    assert held == {it: micros(row[0]) for it, row in rows.items()}
    records = parkade.world.records.reservations
    upcoming = {it: next_period(parkade.world, records[it])[1] for it in rows}
    assert upcoming == {it: micros(row[1]) for it, row in rows.items()}
