"""The priority order: which demand takes its turn before which."""

from parkade.core.market.clear import clear
from parkade.core.market.priority import in_priority_order, key_of
from tests.core.market.story import (
    MICROS,
    bid,
    claim,
    given_market,
    nodes_of,
    on,
    on_demand,
    reserved,
)

OLD = reserved("old", {"amber": 1}, age=1)
YOUNG = reserved("young", {"amber": 1}, age=2)


def test_reservations_come_before_on_demand_before_spot() -> None:
    state = given_market(
        bid("spot", 99),
        on_demand("sure"),
        claim("owner", "old"),
        fabrics={"amber": 3},
        reservations=(OLD,),
    )
    assert [it.demand for it in in_priority_order(state)] == ["owner", "sure", "spot"]


def test_no_priority_beats_anothers_older_reservation() -> None:
    state = given_market(
        claim("urgent", "young", priority=9, submitted_us=1),
        claim("calm", "old", priority=0, submitted_us=2),
        fabrics={"amber": 2, "birch": 1},
        failed=("amber-1", "birch-0"),
        reservations=(OLD, YOUNG),
    )
    assert [it.demand for it in in_priority_order(state)] == ["calm", "urgent"]
    assert nodes_of(clear(state), "calm") == ("amber-0",)


def test_priority_orders_the_demands_of_one_reservation_before_their_age() -> None:
    state = given_market(
        claim("first", "old", submitted_us=1),
        claim("urgent", "old", priority=1, submitted_us=3),
        claim("second", "old", submitted_us=2),
        fabrics={"amber": 1},
        reservations=(OLD,),
    )
    assert [it.demand for it in in_priority_order(state)] == ["urgent", "first", "second"]


def test_reservations_of_one_moment_are_not_mixed() -> None:
    twin = reserved("twin", {"amber": 1}, age=1)
    state = given_market(
        claim("a", "twin", submitted_us=1),
        claim("b", "old", submitted_us=2),
        claim("c", "twin", priority=5, submitted_us=3),
        fabrics={"amber": 2},
        reservations=(OLD, twin),
    )
    assert [it.demand for it in in_priority_order(state)] == ["b", "c", "a"]


def test_running_demands_come_before_newcomers_of_older_reservations() -> None:
    state = given_market(
        claim("newcomer", "old", priority=5),
        on(claim("runs", "young"), "amber-0"),
        fabrics={"amber": 2},
        reservations=(OLD, YOUNG),
    )
    assert [it.demand for it in in_priority_order(state)] == ["runs", "newcomer"]


def test_a_running_bid_counts_more_by_the_switching_credit() -> None:
    runs = on(bid("runs", 9.6), "amber-0")
    market = given_market(bid("new", 10), runs, fabrics={"amber": 1})
    assert [key_of(it, market.terms) for it in (market.demands)] == [200 * MICROS, 201_600_000]
    assert [it.demand for it in in_priority_order(market)] == ["runs", "new"]
