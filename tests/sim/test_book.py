"""A book in a file, and what it comes to."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parkade.core.book.orders import Buy, Sell
from parkade.core.units.money import MICROS
from parkade.sim.book.file import MOST_ROOMS, read_book
from parkade.sim.book.report import VERSION, BookReport, report_of, why
from parkade.wire.yaml import Unreadable
from tests.docs.pages import ROOT, steps

KEPT = Path(__file__).parent / "kept" / "book-1.json"
EXAMPLE = next(step.text for step in steps(ROOT / "docs" / "book.md") if step.file is not None)


def order(**changes: Any) -> dict[str, Any]:
    return {
        "name": "one", "org": "lab", "side": "buy", "nodes": 2,
        "start": "2026-12-01T08:00Z", "end": "2026-12-01T10:00Z", "limit": "2.00",
    } | changes  # fmt: skip


def book(*orders: dict[str, Any], **more: Any) -> str:
    return json.dumps({"gpus_per_node": 8, "orders": list(orders)} | more)


def test_limits_are_per_gpu_hour_in_the_file_and_per_node_in_the_batch() -> None:
    _, batch = read_book(book(order(), order(name="two", org="acme", side="sell")))
    first, second = batch.orders
    assert isinstance(first, Buy) and isinstance(second, Sell) and second.is_by_slot
    assert first.limit_micros == 16 * MICROS and batch.hours(first.start, first.end) == 2


def test_the_report_says_what_the_orders_trade_and_why_not() -> None:
    found = report_of(*read_book(EXAMPLE))
    gang, day, idle = found.orders
    assert gang.fills == () and [fill.nodes for fill in (*day.fills, *idle.fills)] == [5, 8]
    assert day.fills[0].amount_micros == 5 * 8 * (2 * 2_000_000 + 4 * 1_800_000)
    assert [(slot.bought, slot.by_operator) for slot in found.slots] == [(5, 5)] * 2 + [(5, -3)] * 4
    received = sum(fill.amount_micros for fill in idle.fills)
    by_operator = sum(slot.by_operator * slot.price_micros_per_node for slot in found.slots)
    assert sum(fill.amount_micros for fill in day.fills) == received + by_operator
    (advice,) = found.advice
    assert "with 3 nodes, or without `whole` (3 nodes now), or at a limit of 2.50" in why(advice)


@pytest.mark.parametrize(("key", "value"), [("nodes", 3), ("whole", False), ("limit", "2.50")])
def test_each_answer_is_true_of_the_same_file(key: str, value: object) -> None:
    asked, _ = read_book(EXAMPLE)
    changed = json.loads(asked.model_dump_json())
    changed["orders"][0][key] = value
    found = report_of(*read_book(json.dumps(changed)))
    assert sum(fill.nodes for fill in found.orders[0].fills) == (16 if key == "limit" else 3)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (book(), "document", "the book is empty"),
        (book(order(nodes=0)), "orders[0].nodes", "1 or more"),
        (book(order(limit="0")), "orders[0].limit", "more than 0"),
        (book(order(side="sell", whole=True)), "orders[0]", "never all or nothing"),
        (book(order(whole_window=True)), "orders[0]", "always of the whole window"),
        (book(order(start="2026-12-01T08:30Z")), "orders[0]", "whole hours UTC"),
        (book(order(end="2026-12-01T08:00Z")), "orders[0]", "ends before it begins"),
        (book(order(end="2027-07-01T08:00Z")), "document", "26 weeks"),
        (book(order(), order(name="far", end="2027-01-10T08:00Z")), "orders[1]", "midnight UTC"),
        (book(order(), order()), "orders", "two orders are named one"),
        (book(order(), order(name="two", side="sell")), "orders", "an org has one side in an hour"),
        (book(order(), operator={"curve": [{"up_to": "1/2", "price": "1"}]}), "operator.curve",
         "ascend to 1"),
    ],
)  # fmt: skip
def test_what_is_no_book_is_refused_with_its_place(text: str, place: str, words: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_book(text)
    (fault, *_) = refused.value.problem.errors
    assert fault.place == place and words in fault.message


def test_rooms_that_overlap_are_refused() -> None:
    room = {"nodes": 2, "start": "2026-12-01T08:00Z", "end": "2026-12-01T10:00Z"}
    later = room | {"start": "2026-12-01T09:00Z"}
    operator = {"curve": [{"up_to": "1", "price": "1"}], "room": [room, later]}
    with pytest.raises(Unreadable) as refused:
        read_book(book(order(), operator=operator))
    assert "overlaps room 0" in refused.value.problem.errors[0].message
    assert MOST_ROOMS < 10_000


def test_a_report_of_each_earlier_version_is_still_read() -> None:
    kept = msgspec.json.decode(KEPT.read_bytes(), type=BookReport)
    assert kept.version == VERSION and kept == report_of(*read_book(EXAMPLE))
