"""Whole clearings: who wins, where it sits, and what moves when the market changes."""

from parkade.core.market.clear import clear
from parkade.core.market.outcome import Change, WaitReason
from tests.core.market.story import (
    bid,
    changes,
    claim,
    given_market,
    incumbents,
    line_of,
    nodes_of,
    on,
    on_demand,
    rebid,
    reserved,
    terms,
    winners,
    with_demands,
)

SIX = tuple(bid(f"w{n}", limit) for n, limit in enumerate((23, 21, 16, 13, 12, 8)))


def test_single_nodes_pay_the_highest_rejected_bid() -> None:
    clearing = clear(given_market(*SIX, fabrics={"amber": 3}, gpus=8))
    assert winners(clearing) == {"w0": 13_000_000, "w1": 13_000_000, "w2": 13_000_000}
    assert {line.price_set_by for line in clearing.lines[:3]} == {"w3"}


def test_runners_pay_less_by_the_credit_from_the_next_clearing_on() -> None:
    clearing = clear(incumbents(given_market(*SIX, fabrics={"amber": 3})))
    assert winners(clearing) == {"w0": 12_380_953, "w1": 12_380_953, "w2": 12_380_953}


def test_a_loser_is_told_the_price_that_would_win() -> None:
    state = given_market(*SIX, fabrics={"amber": 3})
    line = line_of(clear(state), "w5")
    assert (line.reason, line.price_to_win_micros) == (WaitReason.OUTBID, 16_000_001)
    assert "w5" in winners(clear(rebid(state, "w5", 16_000_001)))
    assert "w5" not in winners(clear(rebid(state, "w5", 15_999_999)))


def test_the_ladder_prices_gangs_of_powers_of_two() -> None:
    assert clear(given_market(*SIX, fabrics={"amber": 4, "birch": 1})).ladder == (
        (1, 12_000_001),
        (2, 13_000_001),
        (4, 21_000_001),
    )


def test_the_ladder_of_an_empty_market_is_its_floors() -> None:
    state = given_market(
        fabrics={"amber": 2},
        on=terms(floor=1),
        reservations=(reserved("acme", {"amber": 1}, lends_at=5),),
    )
    assert clear(state).ladder == ((1, 1_000_000), (2, 7_000_000))


def test_a_gang_that_does_not_fit_is_skipped_and_no_node_idles_for_it() -> None:
    clearing = clear(
        given_market(bid("big", 20, 3), bid("small", 5), fabrics={"amber": 2, "birch": 2})
    )
    assert line_of(clearing, "big").reason is WaitReason.TOO_LARGE
    assert nodes_of(clearing, "small")


def test_a_gang_over_any_fabrics_stands_where_no_one_fabric_holds_it() -> None:
    state = given_market(bid("big", 20, 3, any_fabric=True), fabrics={"amber": 2, "birch": 2})
    assert nodes_of(clear(state), "big") == ("amber-0", "amber-1", "birch-0")


def test_on_demand_displaces_spot_and_pays_as_you_go() -> None:
    state = given_market(on(bid("guest", 50), "amber-0"), on_demand("now"), fabrics={"amber": 1})
    clearing = clear(state)
    assert winners(clearing) == {"now": 12_000_000}
    assert line_of(clearing, "guest").change is Change.PREEMPT
    assert line_of(clearing, "guest").reason is WaitReason.NO_ROOM


def test_an_owner_regains_its_shape() -> None:
    guests = [on(bid(f"g{n}", 30), f"amber-{n}") for n in range(3)]
    strangers = [on(bid(f"s{n}", 40), f"birch-{n}") for n in range(3)]
    state = given_market(
        *guests,
        *strangers,
        claim("mine", "acme", 3),
        fabrics={"amber": 3, "birch": 3},
        reservations=(reserved("acme", {"amber": 3}, lends_at=1),),
    )
    clearing = clear(state)
    assert len({node.split("-")[0] for node in nodes_of(clearing, "mine")}) == 1
    assert len(nodes_of(clearing, "mine")) == 3


def test_idle_room_that_is_not_lent_stays_empty() -> None:
    state = given_market(
        bid("guest", 30, 2),
        fabrics={"amber": 3},
        reservations=(reserved("acme", {"amber": 2}),),
    )
    clearing = clear(state)
    assert line_of(clearing, "guest").reason is WaitReason.NO_ROOM
    assert clearing.reservations[0].kept == 2


def test_kept_seats_stay_empty_and_the_rest_is_lent() -> None:
    state = given_market(
        *(bid(f"g{n}", 30) for n in range(3)),
        fabrics={"amber": 3},
        reservations=(reserved("acme", {"amber": 3}, lends_at=5, keep=1),),
    )
    clearing = clear(state)
    assert len(winners(clearing)) == 2
    (lent,) = clearing.reservations
    assert (lent.used, lent.kept, lent.offered, lent.lent) == (0, 1, 2, 2)


def test_kept_seats_leave_the_lent_room_together() -> None:
    state = given_market(
        bid("gang", 30, 3),
        fabrics={"amber": 3, "birch": 2},
        reservations=(reserved("acme", {"amber": 3, "birch": 2}, lends_at=5, keep=2),),
    )
    assert nodes_of(clear(state), "gang") == ("amber-0", "amber-1", "amber-2")


def test_demand_beyond_a_reservation_is_told_so() -> None:
    state = given_market(
        claim("a", "acme", 2),
        claim("b", "acme", 1),
        fabrics={"amber": 4},
        reservations=(reserved("acme", {"amber": 2}),),
    )
    clearing = clear(state)
    assert line_of(clearing, "b").reason is WaitReason.RESERVATION_FULL


def test_an_owner_whose_nodes_failed_overflows_to_another_fabric() -> None:
    state = given_market(
        claim("mine", "acme", 2),
        bid("guest", 30, 2),
        fabrics={"amber": 2, "birch": 2},
        failed=("amber-1",),
        reservations=(reserved("acme", {"amber": 2}),),
    )
    clearing = clear(state)
    assert nodes_of(clearing, "mine") == ("birch-0", "birch-1")
    assert not nodes_of(clearing, "guest")


def test_lent_steps_shrink_only_after_the_unreserved_one() -> None:
    rooms = (
        reserved("one", {"amber": 2}, lends_at=5),
        reserved("two", {"amber": 2}, lends_at=5),
    )
    state = given_market(
        fabrics={"amber": 6}, failed=("amber-0", "amber-1"), reservations=rooms, on=terms(floor=1)
    )
    assert [lent.offered for lent in clear(state).reservations] == [2, 2]
    state = given_market(
        fabrics={"amber": 6},
        failed=("amber-0", "amber-1", "amber-2"),
        reservations=rooms,
        on=terms(floor=1),
    )
    assert [lent.offered for lent in clear(state).reservations] == [2, 1]


def test_orgs_never_share_a_node() -> None:
    state = given_market(
        bid("ant-1", 9, gpus=2, org="ant"),
        bid("ant-2", 9, gpus=4, org="ant"),
        bid("bee-1", 8, gpus=1, org="bee"),
        fabrics={"amber": 2},
    )
    clearing = clear(state)
    assert nodes_of(clearing, "ant-1") == nodes_of(clearing, "ant-2")
    assert nodes_of(clearing, "bee-1") != nodes_of(clearing, "ant-1")


def test_a_broken_gang_keeps_its_surviving_seats() -> None:
    state = given_market(
        on(bid("gang", 9, 2), "amber-0", "amber-1"),
        fabrics={"amber": 3, "birch": 2},
        failed=("amber-0",),
    )
    clearing = clear(state)
    assert changes(clearing) == {"gang": Change.HEAL}
    assert nodes_of(clearing, "gang") == ("amber-2", "amber-1")


def test_a_broken_gang_moves_whole_where_its_fabric_has_no_spare() -> None:
    state = given_market(
        on(bid("gang", 9, 2), "amber-0", "amber-1"),
        fabrics={"amber": 2, "birch": 2},
        failed=("amber-0",),
    )
    clearing = clear(state)
    assert changes(clearing) == {"gang": Change.MOVE}
    assert nodes_of(clearing, "gang") == ("birch-0", "birch-1")


def test_a_demand_on_a_closed_node_stays_and_no_other_joins() -> None:
    state = given_market(
        on(bid("stays", 1), "amber-0"),
        bid("rich", 50),
        fabrics={"amber": 1},
        closed=("amber-0",),
    )
    clearing = clear(state)
    assert changes(clearing) == {"stays": Change.KEEP, "rich": Change.WAIT}
    assert line_of(clearing, "rich").reason is WaitReason.NO_ROOM


def test_newcomers_take_nodes_that_are_free_now() -> None:
    state = given_market(bid("new", 9), fabrics={"amber": 2}, free_from={"amber-0": 99})
    assert nodes_of(clear(state), "new") == ("amber-1",)


def test_one_arrival_in_a_full_market_moves_no_winner() -> None:
    state = incumbents(
        given_market(
            *(bid(f"w{n:02}", 10 + n) for n in range(16)), fabrics={"amber": 8, "birch": 8}
        )
    )
    clearing = clear(with_demands(state, *state.demands, bid("new", 99)))
    found = changes(clearing)
    assert found.pop("new") is Change.START
    assert found.pop("w00") is Change.PREEMPT
    assert set(found.values()) == {Change.KEEP}


def test_one_reclaim_in_a_full_market_moves_no_winner() -> None:
    state = incumbents(
        given_market(
            *(bid(f"w{n:02}", 10 + n) for n in range(16)),
            fabrics={"amber": 8, "birch": 8},
            reservations=(reserved("acme", {"birch": 4}, lends_at=1),),
        )
    )
    clearing = clear(with_demands(state, *state.demands, claim("owner", "acme", 1)))
    found = changes(clearing)
    assert found.pop("owner") is Change.START
    assert found.pop("w00") is Change.PREEMPT
    assert set(found.values()) == {Change.KEEP}


def test_spot_takes_the_cheapest_highest_floor_before_the_tightest_fit() -> None:
    state = given_market(
        bid("new", 9),
        fabrics={"amber": 1, "birch": 3},
        reservations=(reserved("acme", {"amber": 1}, lends_at=5),),
        on=terms(floor=1),
    )
    line = line_of(clear(state), "new")
    assert line.seats[0].node.startswith("birch")
    assert (line.price_micros, line.floor_micros) == (1_000_000, 1_000_000)


def test_a_bid_under_every_floor_is_told_so() -> None:
    state = given_market(bid("poor", 1), fabrics={"amber": 1}, on=terms(floor=2))
    line = line_of(clear(state), "poor")
    assert (line.reason, line.price_to_win_micros) == (WaitReason.BELOW_FLOOR, 2_000_000)


def test_kept_seats_come_without_a_wait_and_are_kept_anew_elsewhere() -> None:
    guests = [on(bid(f"g{n}", 30 + n), f"amber-{n}") for n in range(3)]
    state = given_market(
        *guests,
        claim("owner", "acme"),
        fabrics={"amber": 3, "birch": 1},
        reservations=(reserved("acme", {"amber": 3, "birch": 1}, lends_at=5, keep=1),),
    )
    clearing = clear(state)
    assert nodes_of(clearing, "owner") == ("birch-0",)
    assert [name for name, change in changes(clearing).items() if change is Change.PREEMPT] == [
        "g0"
    ]


def test_a_running_on_demand_gang_is_displaced_by_no_other() -> None:
    state = given_market(
        on(on_demand("older", 2, submitted_us=1), "amber-0", "amber-1"),
        on(on_demand("younger", 2, submitted_us=2), "birch-0", "birch-1"),
        fabrics={"amber": 2, "birch": 2},
        failed=("amber-0",),
    )
    assert changes(clear(state)) == {"younger": Change.KEEP, "older": Change.PREEMPT}


def test_an_empty_market_clears() -> None:
    clearing = clear(given_market(bid("alone", 5), fabrics={}))
    assert line_of(clearing, "alone").reason is WaitReason.TOO_LARGE
    assert clearing.ladder == ()


def test_ranks_larger_than_a_node_are_too_large() -> None:
    clearing = clear(given_market(bid("fat", 5, gpus=16), fabrics={"amber": 4}))
    assert line_of(clearing, "fat").reason is WaitReason.TOO_LARGE
