"""Events of version 1 in the form of the present version: each type that changed, by hand."""

from typing import Any

import pytest

from parkade.core.state.chain import GENESIS, link
from parkade.core.state.lift import lift

TRANSFER = {"kind": "deposit", "debit": "external", "credit": "org/lab", "micros": 5}
NOT_FOR_USE = TRANSFER | {"use": None}
USE = {"gpus": 2, "price_micros": 3, "start_us": 4, "end_us": 9}
NO_USE = {"gpus": 0, "price_micros": 0, "start_us": 0, "end_us": 0}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            {"type": "ReachabilityChanged", "at_us": 1, "market": "pool", "is_reachable": True},
            {"type": "ReachabilityChanged", "at_us": 1, "pool": "pool", "is_reachable": True},
        ),
        (
            {"type": "MoneyMoved", "at_us": 1, "by": "ann", "transfers": [TRANSFER | NO_USE]},
            {"type": "MoneyMoved", "at_us": 1, "by": "ann", "transfers": [NOT_FOR_USE]},
        ),
        (
            {
                "type": "MoneyMoved", "at_us": 1, "workload": "w1", "market": "pool",
                "transfers": [TRANSFER | USE], "charged_until_us": 9, "billed_us": 5,
            },
            {
                "type": "UsePosted", "at_us": 1, "workload": "w1", "market": "pool",
                "attempt": None, "transfers": [TRANSFER | {"use": USE}], "charged_until_us": 9,
                "charged_numerator": 0, "billed_us": 5, "owed": [],
            },
        ),
        (
            {
                "type": "MoneyMoved", "at_us": 1, "workload": "w1", "market": "pool",
                "transfers": [TRANSFER], "owed": [["operator", 7]],
            },
            {
                "type": "WithdrawalCharged", "at_us": 1, "workload": "w1", "market": "pool",
                "transfers": [NOT_FOR_USE], "owed": [["operator", 7]],
            },
        ),
        (
            {"type": "ReservationPaid", "at_us": 1, "transfers": [TRANSFER | USE]},
            {"type": "ReservationPaid", "at_us": 1, "transfers": [TRANSFER | {"use": USE}]},
        ),
        (
            {
                "type": "Cleared", "at_us": 1, "left": [{"workload": "w1", "why": "outbid"}],
                "won": [{"workload": "c1"}], "waiting": [],
            },
            {
                "type": "Cleared", "at_us": 1,
                "left": [{"demand": {"kind": "workload", "workload": "w1"}, "why": "outbid"}],
                "won": [{"demand": {"kind": "claim", "claim": "c1"}}], "waiting": [],
            },
        ),
        ({"type": "Started", "at_us": 1}, {"type": "Started", "at_us": 1}),
    ],
    ids=lambda event: event["type"],
)  # fmt: skip
def test_an_event_of_version_1_is_lifted(before: dict[str, Any], after: dict[str, Any]) -> None:
    given = dict(before)
    assert lift(before, 1) == after
    assert before == given, "what was read is not edited"
    assert lift(after, 2) == after


def test_a_market_of_version_1_was_its_pool() -> None:
    market = {"market": "pool", "pool": "pool", "site": "here", "is_reachable": True}
    before = {"type": "PoolOpened", "at_us": 5, "market": market, "nodes": [{"node": "a1"}]}
    after = lift(before, 1)
    assert after["market"] == {"market": "pool", "site": "here"}
    assert after["nodes"] == [{"node": "a1", "pool": "pool"}]
    assert after["pool"] == {
        "pool": "pool", "site": "here", "supplier": None, "engine": "local", "opened_us": 5,
        "is_reachable": True, "first_heard_us": None,
    }  # fmt: skip


ENTRY: dict[str, Any] = {
    "sequence": 1, "epoch": 1, "at_us": 1, "type": "Started", "version": 2, "body": b"{}",
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 2}, {"epoch": 2}, {"at_us": 2}, {"type": "Ended"}, {"version": 3},
        {"body": b"[]"}, {"at_us": 11, "epoch": 11},
    ],
    ids=str,
)  # fmt: skip
def test_a_digest_covers_every_field_and_all_entries_before(change: dict[str, Any]) -> None:
    first, other = link(GENESIS, **ENTRY), link(GENESIS, **ENTRY | change)
    assert first != other
    second = ENTRY | {"sequence": 2}
    assert link(first, **second) != link(other, **second)
