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
        "workload": "w1", "attempt": "w1.1",
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
            "workload": {
                "workload": "w1",
                "org": "a",
                "market": "m",
                "spec": {"limit_price_micros": 9_000_000},
            },
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


@pytest.mark.parametrize("outbid", [20_000_000, 30_000_000])
def test_who_made_others_leave_owes_in_all_what_they_had_bid_at_most_its_own_bid(
    outbid: int,
) -> None:
    """Its use costs 60,000 in half a minute; its own bid of 9 for 2 GPUs is 150,000."""
    debt = {"nodes": ["n"], "notice_ends_us": 0, "outbid_micros": [outbid]}
    owed = min(outbid, 18_000_000) * 30 // 3600
    audit(encoded(story(charge=owed, end=30_000_000, displaced=True, debt=debt)))
    with pytest.raises(Discrepancy, match=f"owed {owed}"):
        audit(encoded(story(charge=60_000, end=30_000_000, displaced=True, debt=debt)))


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


def promised_and_lost(taker: dict[str, Any], *, limit: int = 6_000_000) -> list[dict[str, Any]]:
    """w1 of the org `a` bids 5 for two nodes of 8 GPUs, and others have to leave one of them, n2.
    It loses both: w2 of another org takes n2, and w3 of its own takes n1."""
    shape = {"nodes": 2, "gpus": 8, "limit_price_micros": 5_000_000, "spread": True}
    spot = {"capacity": {"kind": "spot"}}

    def submitted(name: str, org: str, spec: dict[str, Any]) -> dict[str, Any]:
        workload = {"workload": name, "org": org, "market": "m", "spec": shape | spot | spec}
        return {"type": "Submitted", "at_us": 0, "workload": workload}

    def won(name: str, nodes: list[str], debt: dict[str, Any] | None) -> dict[str, Any]:
        promise = {
            "seats": [{"node": node, "gpus": 8} for node in nodes],
            "promised_us": 0,
            "displaces": debt is not None,
            "rates": [RATE],
            "debt": debt,
        }
        return {"demand": {"kind": "workload", "workload": name}, "promise": promise}

    def cleared(left: list[dict[str, Any]], winners: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "type": "Cleared",
            "at_us": 0,
            "market": "m",
            "left": left,
            "won": winners,
            "repriced": [],
            "waiting": [],
        }

    debt = {"nodes": ["n2", "n3"], "notice_ends_us": 0, "is_paid": False}
    lost = {
        "demand": {"kind": "workload", "workload": "w1"},
        "stop": None,
        "phase": "queued",
        "why": "outbid",
    }
    own = [submitted("w3", "a", taker | {"limit_price_micros": limit})] if taker else []
    return [
        story()[0] | {"nodes": [{"node": "n1", "pool": "p", "market": "m", "gpus": 8}]},
        submitted("w1", "a", {}),
        submitted("w2", "b", {"nodes": 1, "limit_price_micros": 8_000_000}),
        *own,
        cleared([], [won("w1", ["n1", "n2"], debt)]),
        cleared(
            [lost],
            [
                won("w2", ["n2"], debt | {"nodes": ["n2"]}),
                *([won("w3", ["n1"], None)] if own else []),
            ],
        ),
    ]


def test_a_promise_lost_to_another_org_owes_nothing() -> None:
    audit(encoded(promised_and_lost({})))


def test_small_work_of_its_own_org_that_fills_up_what_a_lost_promise_leaves_makes_none_owe() -> (
    None
):
    """Three GPUs of a node at 6 count 2.25, less than the 5 of the promise (seed 220)."""
    audit(encoded(promised_and_lost({"nodes": 3, "gpus": 1, "spread": False})))


@pytest.mark.parametrize(
    ("taker", "limit"),
    [
        ({"nodes": 1}, 6_000_000),
        ({"nodes": 8, "gpus": 1, "spread": False}, 6_000_000),
        ({"nodes": 3, "gpus": 1, "spread": False}, 20_000_000),
    ],
)
def test_a_promise_lost_to_a_stronger_bid_of_its_own_org_must_be_paid(
    taker: dict[str, Any], limit: int
) -> None:
    with pytest.raises(Discrepancy, match="lost its promise to its own org's"):
        audit(encoded(promised_and_lost(taker, limit=limit)))


CAP_TERMS = TERMS | {"clearing_interval_us": 30_000_000, "notice_us": 30_000_000, "kill_us": 0}


def capped(cap: dict[str, Any], *, gpus: int = 2, of_org: bool = False) -> list[dict[str, Any]]:
    """ann of the org `a` has spent 0.02, and w2 of hers is promised GPUs at 3.60 an hour."""
    events = story()
    events[0] = {"type": "PoolOpened", "at_us": 0, "market": {"market": "m", "terms": CAP_TERMS}}
    spec = {"capacity": {"kind": "spot"}, "nodes": 1, "gpus": gpus, "spread": True}
    for name in ("w1", "w2"):
        record = {"workload": name, "org": "a", "user": "ann", "market": "m", "spec": spec}
        submitted = {"type": "Submitted", "at_us": 0, "workload": record}
        events[2:3] = [submitted] if name == "w1" else [events[2], submitted]
    set_by = {"type": "CapSet", "at_us": 0, "user": "ann", **cap}
    if of_org:
        whole = {"micros": cap["cap_micros"], "period": "total", "most_gpus": cap.get("most_gpus")}
        set_by = {"type": "OrgCapSet", "at_us": 0, "org": "a", "cap": whole}
    promise = {
        "seats": [{"node": "n", "gpus": gpus}],
        "promised_us": 0,
        "displaces": False,
        "rates": [RATE],
    }
    won = {"demand": {"kind": "workload", "workload": "w2"}, "promise": promise}
    nothing: dict[str, Any] = {"left": [], "repriced": [], "waiting": []}
    cleared = {"type": "Cleared", "at_us": 9_000_000, "market": "m", "won": [won], **nothing}
    return [*events[:4], set_by, *events[4:7], cleared, *events[7:]]


@pytest.mark.parametrize("of_org", [False, True])
def test_a_start_beyond_a_cap_on_money_is_found(of_org: bool) -> None:
    # Two GPUs for a minute at 3.60 an hour are 0.12, and 0.02 are spent.
    audit(encoded(capped({"cap_micros": 140_000}, of_org=of_org)))
    with pytest.raises(Discrepancy, match="starts at 120000, of a cap of 139999"):
        audit(encoded(capped({"cap_micros": 139_999}, of_org=of_org)))


@pytest.mark.parametrize("of_org", [False, True])
def test_more_gpus_than_a_cap_are_found(of_org: bool) -> None:
    cap = {"cap_micros": None, "most_gpus": 4}
    audit(encoded(capped(cap, of_org=of_org)))
    with pytest.raises(Discrepancy, match="hold 4 GPUs beside 0, of at most 3"):
        audit(encoded(capped(cap | {"most_gpus": 3}, of_org=of_org)))


@pytest.mark.parametrize(
    ("cap", "spent", "found"),
    [(25_000, 20_000, None), (25_001, 20_000, "four fifths"), (25_000, 20_001, "are told")],
)
def test_a_note_that_four_fifths_are_spent_is_checked(
    cap: int, spent: int, found: str | None
) -> None:
    events = [it for it in capped({"cap_micros": cap}) if it["type"] != "Cleared"]
    note = {"type": "CapNoted", "at_us": 10_000_000, "org": "a", "user": "ann"}
    note |= {"spent_micros": spent, "cap_micros": cap, "period": "total"}
    if found is None:
        audit(encoded([*events, note]))
        with pytest.raises(Discrepancy, match="before"):
            audit(encoded([*events, note, note]))
        return
    with pytest.raises(Discrepancy, match=found):
        audit(encoded([*events, note]))


def test_more_submissions_in_a_minute_than_an_org_may_are_found() -> None:
    events = capped({"cap_micros": None})
    bound = {"submits_per_minute": 2, "starts_per_minute": None}
    bounded = {"type": "OrgBoundsSet", "at_us": 0, "org": "a", "bounds": bound}
    audit(encoded([bounded, *events]))
    bound["submits_per_minute"] = 1
    with pytest.raises(Discrepancy, match="a submitted 2 in a minute, of at most 1"):
        audit(encoded([bounded, *events]))


def test_more_starts_in_a_minute_than_an_org_may_are_found() -> None:
    events = capped({"cap_micros": None})
    bound = {"submits_per_minute": None, "starts_per_minute": 2}
    bounded = {"type": "OrgBoundsSet", "at_us": 0, "org": "a", "bounds": bound}
    audit(encoded([bounded, *events]))
    bound["starts_per_minute"] = 1
    with pytest.raises(Discrepancy, match="a started 1 in a minute and is promised 1"):
        audit(encoded([bounded, *events]))


def test_what_a_deleted_user_or_org_has_or_begins_is_found() -> None:
    events = story()
    for it in events:
        if it["type"] == "Submitted":
            it["workload"]["user"] = "ann"
    left = 10**9 - 20_000
    gone = {"type": "UserDeleted", "at_us": 20_000_000, "user": "ann"}
    whole = {"type": "OrgDeleted", "at_us": 20_000_000, "org": "a"}
    pay = {"kind": "disbursement", "debit": "org/a", "credit": "external", "micros": left}
    paid = {"type": "MoneyMoved", "at_us": 20_000_000, "transfers": [pay]}
    audit(encoded([*events, gone, paid, whole]))
    with pytest.raises(Discrepancy, match=r"ann is deleted with \['w1'\] running"):
        audit(encoded([*events[:5], gone]))
    with pytest.raises(Discrepancy, match="a is deleted with 999980000 on its account"):
        audit(encoded([*events, whole]))
    token = {"type": "TokenAdded", "at_us": 30_000_000, "token": {"token": "t", "user": "ann"}}
    again = {"type": "UserCreated", "at_us": 30_000_000, "user": {"user": "eve", "org": "a"}}
    deposit = {"kind": "deposit", "debit": "external", "credit": "org/a", "micros": 5}
    more = {"type": "MoneyMoved", "at_us": 30_000_000, "transfers": [deposit]}
    for after, found in (
        (token, "TokenAdded for the deleted user ann"),
        (again, "UserCreated for the deleted org a"),
        (more, "a is deleted, and paid"),
        (whole, "deleted twice"),
    ):
        with pytest.raises(Discrepancy, match=found):
            audit(encoded([*events, gone, paid, whole, after]))
