"""The page of arrays: its numbers are computed here."""

import re

from msgspec.structs import replace

from parkade.core.market.clear import clear
from parkade.core.market.market_state import Demand
from parkade.core.units import bounds
from parkade.core.units.money import MICROS
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
