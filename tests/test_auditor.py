"""The auditor finds what is wrong; a silent one would prove nothing."""

import json
from typing import Any

import pytest

from tests.auditor import Discrepancy, audit

TERMS = {"start_grace_us": 120_000_000, "minimum_charge_us": 30_000_000}
RATE = {"from_us": 0, "price_micros": 3_600_000, "shares": [["operator", 7_200_000]]}


def story(*, charge: int = 20_000, end: int = 10_000_000, **changes: Any) -> list[dict[str, Any]]:
    attempt = {
        "attempt": "w1.1",
        "seats": [{"node": "n", "gpus": 2}],
        "ordered_us": 0,
        "displaced": False,
        "rates": [RATE],
    } | changes
    use = {
        "kind": "usage", "debit": "org/a", "credit": "clearing/m", "micros": charge,
        "attempt": "w1.1",
    }  # fmt: skip
    pay = {"kind": "fee", "debit": "clearing/m", "credit": "operator", "micros": charge}
    deposit = {"kind": "deposit", "debit": "external", "credit": "org/a", "micros": 10**9}
    ended = {"workload": "w1", "attempt": "w1.1", "cause": None, "summary": "rank 0: exit 0"}
    return [
        {"type": "PoolOpened", "at_us": 0, "market": {"market": "m", "terms": TERMS}},
        {"type": "MoneyMoved", "at_us": 0, "transfers": [deposit]},
        {
            "type": "Submitted",
            "at_us": 0,
            "workload": {"workload": "w1", "org": "a", "market": "m"},
        },
        {"type": "Launched", "at_us": 0, "workload": "w1", "attempt": attempt},
        {"type": "Started", "at_us": 0, "workload": "w1", "attempt": "w1.1"},
        {"type": "MoneyMoved", "at_us": end, "transfers": [use, pay]},
        {"type": "Ended", "at_us": end, **ended},
    ]


def encoded(events: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(event).encode() for event in events]


def test_right_books_pass() -> None:
    books = audit(encoded(story()))
    assert books.balances["org/a"] == 10**9 - 20_000
    assert books.balances["operator"] == 20_000


@pytest.mark.parametrize("charge", [19_999, 20_001])
def test_a_micro_unit_too_much_or_too_little_is_found(charge: int) -> None:
    with pytest.raises(Discrepancy, match="owed 20000"):
        audit(encoded(story(charge=charge)))


def test_who_made_others_leave_owes_the_minimum() -> None:
    audit(encoded(story(displaced=True, charge=60_000)))
    with pytest.raises(Discrepancy, match="owed 60000"):
        audit(encoded(story(displaced=True)))


def test_a_charge_posted_twice_is_found() -> None:
    events = story()
    with pytest.raises(Discrepancy):
        audit(encoded([*events[:6], events[5], events[6]]))


def test_a_launch_while_it_runs_is_found() -> None:
    events = story()
    with pytest.raises(Discrepancy, match="twice"):
        audit(encoded([*events[:4], events[3], *events[4:]]))


def test_a_balance_below_zero_is_found() -> None:
    events = story()
    with pytest.raises(Discrepancy, match="below zero"):
        audit(encoded([events[0], *events[2:]]))


def test_shares_that_are_not_the_whole_are_found() -> None:
    torn = RATE | {"shares": [["operator", 7_199_999]]}
    with pytest.raises(Discrepancy, match="shared out"):
        audit(encoded(story(rates=[torn])))
