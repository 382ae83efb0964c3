"""What a reservation paid ahead: credited where nodes were missing, else delivered. By hand."""

import pytest

from parkade.core.billing.charges import Postings
from parkade.core.billing.settlements import settle_end, settle_period, settle_short
from parkade.core.ledger.accounts import TransferKind
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, MINUTE_US, Window
from tests.core.records import claim, reservation, world

QUARTER_US = 15 * MINUTE_US
PREPAID = {"prepaid/acme": 32 * MICROS}


def test_a_missing_node_is_credited_and_the_rest_is_delivered_at_the_end_of_the_period() -> None:
    one = claim(nodes=2, short_us=QUARTER_US, short_gpus=4)
    acme = reservation(paid_micros=32 * MICROS)
    made = world(acme, one, balances=PREPAID)
    postings = Postings(made)
    (credit,) = settle_end(made, postings, one, 3 * QUARTER_US)
    assert credit.short == (("c1", 0),)
    (transfer,) = credit.transfers
    assert (transfer.kind, transfer.credit, transfer.micros) == ("credit", "org/acme", 8 * MICROS)
    assert transfer.use is not None and transfer.use.gpus == 4
    made = world(acme, claim(nodes=2), balances=PREPAID)
    (delivery,) = settle_period(made, postings, acme, HOUR_US)
    (transfer,) = delivery.transfers
    assert (transfer.kind, transfer.credit) == (TransferKind.DELIVERED, "operator")
    assert transfer.micros == 24 * MICROS


@pytest.mark.parametrize(
    ("from_h", "to_h", "window_h", "gpus", "credited"),
    [
        (1, 2, 0, 4, 16),
        (1, 3, 0, 8, 64),
        (1, 1, 0, 4, 0),
        (0, 5, 4, 4, 16),
        (0, 3, 4, 4, 0),
    ],
    ids=["an hour", "two nodes", "no time", "since the window began", "before the window"],
)
def test_a_shortage_is_credited_at_what_the_owner_paid(
    from_h: int, to_h: int, window_h: int, gpus: int, credited: int
) -> None:
    record = reservation(
        window=Window(start_us=window_h * HOUR_US, end_us=None), paid_micros=1000 * MICROS
    )
    one = claim(short_us=from_h * HOUR_US, short_gpus=gpus)
    made = world(record, one, balances={"prepaid/acme": 1000 * MICROS})
    found = settle_short(made, Postings(made), record, {"c1": gpus}, to_h * HOUR_US)
    assert sum(it.micros for each in found for it in each.transfers) == credited * MICROS
    assert [each.short for each in found] == [(("c1", gpus),)]


@pytest.mark.parametrize(
    ("paid", "prepaid", "operator", "from_prepaid", "from_operator"),
    [
        (0, 16, 100, 16, 0),
        # A reservation of before such accounts is credited from the operator, as far as it goes.
        (None, 0, 100, 0, 16),
        (None, 6, 100, 6, 10),
        (None, 0, 9, 0, 9),
        (0, 6, 100, 6, 0),
    ],
)
def test_a_credit_comes_from_what_was_paid_ahead(
    paid: int | None, prepaid: int, operator: int, from_prepaid: int, from_operator: int
) -> None:
    record = reservation(paid_micros=None if paid is None else paid)
    one = claim(nodes=1, short_us=0, short_gpus=None)
    balances = {"prepaid/acme": prepaid * MICROS, "operator": operator * MICROS}
    made = world(record, one, balances=balances)
    found = settle_short(made, Postings(made), record, {"c1": 0}, HOUR_US)
    by_account = {it.debit: it.micros for each in found for it in each.transfers}
    assert by_account.get("prepaid/acme", 0) == from_prepaid * MICROS
    assert by_account.get("operator", 0) == from_operator * MICROS


def test_what_is_not_short_is_not_settled() -> None:
    one = claim()
    made = world(reservation(paid_micros=0), one)
    assert settle_end(made, Postings(made), one, HOUR_US) == ()
    assert settle_period(made, Postings(made), reservation(paid_micros=0), HOUR_US) == ()
