"""The page of several instance types: its numbers are computed here."""

from parkade.core.units import bounds
from parkade.core.units.money import MICROS
from parkade.wire.spec import ONE_GANG
from tests.core.clearing.two_markets import TwoMarkets
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "instance-types.md"
PLACES = {"large": "pool", "small": "other"}


def test_each_workload_stands_and_pays_as_the_page_says() -> None:
    parkade = TwoMarkets(here={"a": 1}, there={"b": 1}, buffer_nodes=0, public_floor_micros=MICROS)
    told = {}
    for name, *limits, stands, pays in table(PAGE, "Where it stands"):
        given = zip(PLACES.values(), limits, strict=True)
        named = {market: float(limit) for market, limit in given if limit != "–"}
        made = parkade.bid_in(name.strip("`"), named)
        told[made] = (PLACES.get(stands.strip("`")), float(pays or 0))
    parkade.clear()
    found = {
        name: (parkade.stands(name), parkade.price(name) / MICROS if parkade.stands(name) else 0)
        for name in told
    }
    assert found == told


def test_the_page_names_what_is_refused_and_the_bound() -> None:
    keys = {
        key.strip().strip("`")
        for row in table(PAGE, "What it is not carried out with")
        for key in row[0].split(",")
    }
    assert keys == set(ONE_GANG)
    assert f"at most {bounds.MOST_CHOICES} entries" in PAGE.read_text("utf-8")
