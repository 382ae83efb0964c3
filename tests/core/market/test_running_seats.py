"""Owners and on-demand that run are counted where they stand, and stay there."""

from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.outcome import Change, MovedFor
from tests.core.market.story import (
    bid,
    changes,
    claim,
    given_market,
    line_of,
    nodes_of,
    on,
    on_demand,
    reserved,
    terms,
)


def test_an_owners_overflow_stays_though_a_newcomer_would_fit_only_there() -> None:
    state = given_market(
        on(claim("owner", "acme", 3), "amber-0", "amber-1", "amber-2"),
        bid("gang", 9, 4),
        fabrics={"amber": 4, "birch": 3},
        reservations=(reserved("acme", {"birch": 3}, lends_at=5),),
    )
    clearing = clear(state)
    assert changes(clearing) == {"owner": Change.KEEP, "gang": Change.WAIT}


def test_an_owners_newcomer_does_not_send_its_running_overflow_home() -> None:
    state = given_market(
        on(claim("old", "acme"), "birch-0"),
        claim("new", "acme", 2),
        fabrics={"amber": 2, "birch": 1},
        reservations=(reserved("acme", {"amber": 2}, lends_at=5),),
    )
    assert changes(clear(state)) == {"old": Change.KEEP, "new": Change.WAIT}


def test_a_divided_claim_that_overflows_in_part_stays_where_it_is() -> None:
    """It stands on three nodes of birch, where its reservation has two."""
    state = given_market(
        on(claim("owner", "acme", 3, any_fabric=True), "birch-0", "birch-1", "birch-2"),
        bid("guest", 9),
        bid("other", 8),
        fabrics={"amber": 1, "birch": 3},
        reservations=(reserved("acme", {"amber": 1, "birch": 2}, lends_at=5),),
        on=terms(floor=1),
    )
    clearing = clear(state)
    assert changes(clearing)["owner"] is Change.KEEP
    assert nodes_of(clearing, "guest") == ("amber-0",)


def test_a_gang_that_stands_in_its_own_fabric_in_part_pushes_no_other_owner_out() -> None:
    """Counted whole at home, the older would take three nodes of amber, where it has one. Its
    nodes of birch are kept idle for the third from now on."""
    state = given_market(
        on(claim("old", "acme", 3, any_fabric=True), "amber-0", "birch-0", "birch-1"),
        on(claim("young", "best", 3), "amber-1", "amber-2", "amber-3"),
        fabrics={"amber": 4, "birch": 2},
        reservations=(
            reserved("acme", {"amber": 3}),
            reserved("best", {"amber": 3}, age=1),
            reserved("cove", {"birch": 2}, age=2),
        ),
    )
    clearing = clear(state)
    assert nodes_of(clearing, "young") == ("amber-1", "amber-2", "amber-3")
    assert changes(clearing) == {"old": Change.PREEMPT, "young": Change.KEEP}


def test_two_overflows_of_which_one_stands_in_the_fabric_of_the_other_both_stay() -> None:
    state = given_market(
        on(claim("one", "acme", 2), "cedar-0", "cedar-1"),
        on(claim("two", "bolt", 2), "amber-0", "amber-1"),
        bid("guest", 9, 2),
        fabrics={"amber": 2, "birch": 2, "cedar": 2},
        reservations=(
            reserved("acme", {"birch": 2}, lends_at=5),
            reserved("bolt", {"cedar": 2}, lends_at=5),
        ),
    )
    clearing = clear(state)
    assert changes(clearing) == {"one": Change.KEEP, "two": Change.KEEP, "guest": Change.START}


def test_on_demand_below_a_node_keeps_its_node_though_one_would_hold_it_with_its_mates() -> None:
    state = given_market(
        on(on_demand("one", gpus=4, org="lab"), "amber-0"),
        on(on_demand("two", gpus=4, org="lab"), "amber-1"),
        bid("guest", 9),
        fabrics={"amber": 2},
    )
    clearing = clear(state)
    assert changes(clearing) == {"one": Change.KEEP, "two": Change.KEEP, "guest": Change.WAIT}


def test_an_owner_with_the_right_to_a_node_comes_before_anothers_overflow() -> None:
    state = given_market(
        on(claim("overflow", "acme"), "birch-0"),
        claim("owner", "bolt", 2),
        fabrics={"amber": 1, "birch": 2},
        reservations=(reserved("acme", {"amber": 1}), reserved("bolt", {"birch": 2})),
    )
    clearing = clear(state)
    assert nodes_of(clearing, "owner") == ("birch-0", "birch-1")
    assert nodes_of(clearing, "overflow") == ("amber-0",)


@settings(max_examples=100)
@given(
    st.integers(min_value=1, max_value=3),
    st.integers(min_value=1, max_value=3),
    st.integers(min_value=0, max_value=3),
    st.integers(min_value=1, max_value=4),
)
def test_overflow_is_counted_where_it_stands_whatever_asks_beside_it(
    home: int, runs: int, singles: int, gang: int
) -> None:
    runs = min(home, runs)
    state = given_market(
        on(claim("owner", "acme", runs), *(f"birch-{number}" for number in range(runs))),
        *(bid(f"single-{number}", 9) for number in range(singles)),
        bid("gang", 12, gang),
        fabrics={"amber": home, "birch": 3},
        reservations=(reserved("acme", {"amber": home}, lends_at=5),),
    )
    counted = allocate(state).parts["owner"]
    assert [(part.fabric, len(part.levels)) for part in counted] == [(1, runs)]
    assert changes(clear(state))["owner"] is Change.KEEP


def test_an_idle_owners_demand_sits_in_its_own_fabric_though_a_guest_must_move_for_it() -> None:
    state = given_market(
        on(bid("guest", 9), "amber-0"),
        claim("owner", "acme"),
        fabrics={"amber": 1, "birch": 1},
        reservations=(reserved("acme", {"amber": 1}, lends_at=5),),
    )
    clearing = clear(state)
    assert nodes_of(clearing, "owner") == ("amber-0",)
    assert nodes_of(clearing, "guest") == ("birch-0",)
    assert line_of(clearing, "guest").moved == MovedFor(demand="owner")
    assert not clearing.used_fallback_seating


def test_an_owner_waits_for_its_own_fabric_rather_than_sit_in_anothers_free_one() -> None:
    """What is free elsewhere is another's to offer; its own node is free after a notice."""
    state = given_market(
        claim("owner", "acme"),
        fabrics={"amber": 1, "birch": 1},
        free_from={"amber-0": 50},
        reservations=(reserved("acme", {"amber": 1}, lends_at=5),),
    )
    assert nodes_of(clear(state), "owner") == ("amber-0",)


def test_a_divided_claim_sits_in_as_many_nodes_of_each_fabric_as_it_reserved() -> None:
    state = given_market(
        on(bid("guest", 9, 2), "amber-0", "amber-1"),
        claim("owner", "acme", 3, any_fabric=True),
        fabrics={"amber": 2, "birch": 3},
        reservations=(reserved("acme", {"amber": 2, "birch": 1}, lends_at=5),),
    )
    clearing = clear(state)
    amber, amber_too, birch = sorted(nodes_of(clearing, "owner"))
    assert (amber, amber_too, birch[:5]) == ("amber-0", "amber-1", "birch")
    assert {node[:5] for node in nodes_of(clearing, "guest")} == {"birch"}
    assert not clearing.used_fallback_seating
