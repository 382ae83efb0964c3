"""Events of older versions, lifted to the present one on reading; the journal is never edited.

A journal is read for ever, so each version that was ever written must become the present one. An
old event is lifted as JSON, before it is decoded: one function for each type that changed, from
one version to the next, so that no old type has to be kept. What an old version did not know is
None, and the field's documentation says so. The digest of an entry is of the bytes as they were
written.

Version 1 had one pool, which was its market; the first letter of an id separated workloads from
claims; use and other money were one event, with zeros where a transfer was not for use.

Example (`tests/core/state/test_lift.py`): version 1 wrote `{"type": "ReachabilityChanged",
"market": "pool", ...}`; lifted, it is `{"type": "ReachabilityChanged", "pool": "pool", ...}`.
Decision record 9.
"""

from collections.abc import Callable
from typing import Any

Fields = dict[str, Any]


def lift(event: Fields, version: int) -> Fields:
    """The event, as JSON decodes it, in the form of the present version."""
    assert version >= 1
    if version < 2:
        event = _LIFTS_1.get(event["type"], _unchanged)(event)
    return event


def _unchanged(event: Fields) -> Fields:
    return event


def _pool_opened(event: Fields) -> Fields:
    """The market was the pool as well."""
    market = dict(event["market"])
    pool = market.pop("pool")
    market.pop("is_reachable", None)
    nodes = [{**node, "pool": pool} for node in event["nodes"]]
    opened = {
        "pool": pool,
        "site": market["site"],
        "supplier": None,
        "engine": "local",
        "opened_us": event["at_us"],
        "is_reachable": True,
        "first_heard_us": None,
    }
    return {**event, "pool": opened, "market": market, "nodes": nodes}


def _reachability_changed(event: Fields) -> Fields:
    fields = dict(event)
    pool = fields.pop("market")
    return {**fields, "pool": pool}


def _money_moved(event: Fields) -> Fields:
    """Use of an attempt had an instant up to which it was charged; a withdrawal had none."""
    transfers = _transfers(event["transfers"])
    common: Fields = {key: event[key] for key in ("at_us", "by") if key in event}
    if event.get("workload") is None:
        return {**common, "type": "MoneyMoved", "transfers": transfers}
    posted = {
        **common,
        "market": event["market"],
        "workload": event["workload"],
        "transfers": transfers,
        "owed": event.get("owed", []),
    }
    if not event.get("charged_until_us"):
        return {**posted, "type": "WithdrawalCharged"}
    return {
        **posted,
        "type": "UsePosted",
        "attempt": None,
        "charged_until_us": event["charged_until_us"],
        "charged_numerator": event.get("charged_numerator", 0),
        "billed_us": event.get("billed_us", 0),
    }


def _reservation_paid(event: Fields) -> Fields:
    return {**event, "transfers": _transfers(event["transfers"])}


def _transfers(transfers: list[Fields]) -> list[Fields]:
    return [_transfer(transfer) for transfer in transfers]


def _transfer(transfer: Fields) -> Fields:
    fields = dict(transfer)
    use = {key: fields.pop(key, 0) for key in ("gpus", "price_micros", "start_us", "end_us")}
    return {**fields, "use": use if use["gpus"] else None}


def _cleared(event: Fields) -> Fields:
    lines = {name: [_line(line) for line in event[name]] for name in ("left", "won", "waiting")}
    return {**event, **lines}


def _line(line: Fields) -> Fields:
    fields = dict(line)
    name = fields.pop("workload")
    kind = "claim" if name.startswith("c") else "workload"
    return {**fields, "demand": {"kind": kind, kind: name}}


_LIFTS_1: dict[str, Callable[[Fields], Fields]] = {
    "PoolOpened": _pool_opened,
    "ReachabilityChanged": _reachability_changed,
    "MoneyMoved": _money_moved,
    "ReservationPaid": _reservation_paid,
    "Cleared": _cleared,
}
