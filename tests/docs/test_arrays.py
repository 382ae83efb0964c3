"""The page of arrays: its numbers are computed here."""

import re

from msgspec.structs import replace

from parkade.core.market.clear import clear
from parkade.core.market.market_state import Demand
from parkade.core.units import bounds
from parkade.core.units.money import MICROS
from tests.core.clearing.test_entries import SPOT, asks, right, submit
from tests.core.clearing.test_entries import market as small_market
from tests.core.clearing.test_linking import one_node_each
from tests.core.market.story import bid, given_market, terms, winners
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "arrays.md"
FLOOR = terms(floor=1)


def members(count: int, limit: float) -> list[Demand]:
    found = (bid(f"sweep_{index}", limit) for index in range(count))
    return [replace(it, org="sweep", array="sweep") for it in found]


def test_members_and_others_pay_what_the_page_says() -> None:
    others = {
        row[0].strip("`"): (float(row[1]), row[3])
        for row in table(PAGE, "What members pay")
        if "sweep" not in row[0]
    }
    bids = [bid(name, limit) for name, (limit, _) in others.items()]
    market = given_market(*members(6, 5), *bids, fabrics={"amber": 3}, on=FLOOR)
    paid = {name: price // MICROS for name, price in winners(clear(market)).items()}
    told = {
        row[0].strip("`"): int(re.match(r"\d+", row[3])[0])  # type: ignore[index]
        for row in table(PAGE, "What members pay")
        if row[2] == "yes"
    }
    assert paid == told
    alone = given_market(*members(6, 5), fabrics={"amber": 3}, on=FLOOR)
    assert list(winners(clear(alone)).values()) == [MICROS] * 3


def test_a_lower_limit_gains_as_the_page_says() -> None:
    for limit, expected in ((10, [7] * 5), (6, [1] * 4)):
        market = given_market(*members(5, limit), bid("late", 7), fabrics={"amber": 5}, on=FLOOR)
        paid = winners(clear(market))
        found = [price // MICROS for name, price in paid.items() if name != "late"]
        assert found == expected


def test_the_page_names_the_bounds() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    for bound in (
        f"at most {bounds.ARRAY_MEMBERS.most:,} members",
        f"indexes up to {bounds.ARRAY_INDEX.most:,}",
        f"at most {bounds.MOST_ARRAY_CHARACTERS:,} characters",
    ):
        assert bound in text


def test_the_table_of_a_reservation_first_is_what_the_market_does() -> None:
    parkade = small_market(3)
    parkade.reserve("acme", 1)
    parkade.bid("rival", 1.5)
    array = submit(parkade, right("acme"), SPOT, array="0-3")
    parkade.clear()
    names = [f"{array}_{index}" for index in range(4)]
    uses = [asks(parkade, name) for name in names]
    whys = [parkade.workload(name).why or "placed" for name in names]
    told = table(PAGE, "A reservation first, then spot")
    by_member = {
        member.strip("` "): (row[1], row[3]) for row in told for member in row[0].split(",")
    }
    assert list(by_member) == [f"sweep_{index}" for index in range(4)]
    assert list(by_member.values()) == list(zip(uses, whys, strict=True))


def test_the_table_of_several_kinds_of_node_is_what_the_markets_do() -> None:
    parkade = one_node_each()
    parkade.in_market("late", "other", 3)
    array = parkade.bid_in("lab", {"pool": 5, "other": 6}, array="0-3")
    parkade.clear()
    places = {"pool": "`large`", "other": "`small`", None: "waits"}
    found = [places[parkade.stands(f"{array}_{index}")] for index in range(4)]
    told = table(PAGE, "Several kinds of node")
    by_member = [row[1] for row in told for _ in row[0].split(",")]
    assert by_member == found
    prices = [parkade.attempt(f"{array}_{it}").rates[0].price_micros for it in range(2)]
    assert [row[2].split(",")[0] for row in told[:2]] == [f"{it // MICROS}" for it in prices]
