"""Who earns what a winner pays."""

import pytest

from parkade.core.market.clear import clear
from tests.core.market.story import (
    bid,
    given_market,
    line_of,
    on_demand,
    reserved,
    terms,
)


@pytest.mark.parametrize("limit", [7, 9, 40])
def test_a_lone_guest_pays_seven_of_which_the_owner_gets_five_and_the_operator_two(
    limit: int,
) -> None:
    state = given_market(
        bid("guest", limit, gpus=8),
        fabrics={"amber": 1},
        reservations=(reserved("acme", {"amber": 1}, lends_at=5),),
        on=terms(floor=1, fee="2/7"),
    )
    line = line_of(clear(state), "guest")
    assert line.price_micros == 7_000_000
    assert line.shares == (("operator", 8 * 2_000_000), ("owner-acme", 8 * 5_000_000))


def test_equal_floors_share_their_revenue_by_what_they_offered() -> None:
    state = given_market(
        bid("guest", 7),
        fabrics={"amber": 1, "birch": 3},
        reservations=(
            reserved("one", {"amber": 1}, lends_at=5),
            reserved("two", {"birch": 3}, lends_at=5),
        ),
        on=terms(floor=1),
    )
    line = line_of(clear(state), "guest")
    assert line.shares == (
        ("operator", 16_000_000),
        ("owner-one", 10_000_000),
        ("owner-two", 30_000_000),
    )


def test_a_lender_earns_only_its_floor_where_its_own_bid_set_the_price() -> None:
    def shares(org: str) -> dict[str, int]:
        state = given_market(
            bid("guest", 20),
            bid("rival", 14, org=org),
            fabrics={"amber": 1},
            reservations=(reserved("acme", {"amber": 1}, lends_at=5),),
        )
        line = line_of(clear(state), "guest")
        assert line.price_micros == 14_000_000
        return dict(line.shares)

    assert shares("stranger") == {"owner-acme": 80_000_000, "operator": 32_000_000}
    assert shares("org-acme") == {"owner-acme": 40_000_000, "operator": 72_000_000}


def test_on_demand_is_the_supplier_s_less_the_fee() -> None:
    line = line_of(clear(given_market(on_demand("now"), fabrics={"amber": 1})), "now")
    assert line.shares == (
        ("operator", 12_000_000 * 8 - 68_571_428),
        ("supplier", 68_571_428),
    )
