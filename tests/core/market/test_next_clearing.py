"""A market cleared on its own outcome: the next clearing changes no seat, and nothing is overpaid.

The named markets are the smallest of those that a search over walks found (`market_walk`).
"""

from collections.abc import Iterator

import pytest

from parkade.core.market.clear import clear
from parkade.core.market.market_state import MarketState
from parkade.core.market.outcome import Change
from tests.core.market.market_findings import Finding, evicted, overpaid, restless
from tests.core.market.market_walk import carried_out, walk
from tests.core.market.story import (
    bid,
    changes,
    given_market,
    incumbents,
    line_of,
    nodes_of,
    on,
    on_demand,
    reserved,
    terms,
    winners,
)


def is_at_rest(state: MarketState) -> bool:
    return not list(restless(state, clear(state)))


def test_a_price_that_falls_by_the_credit_of_a_loser_moves_none_in_the_next_clearing() -> None:
    """Two guests stand in acme's fabric, and the node that acme keeps is counted there; the price
    that the gang sets falls below the floor 5 once the gang does not run any more."""
    market = given_market(
        on(bid("a", 10), "birch-0"),
        on(bid("b", 6), "birch-1"),
        on(bid("gang", 5, 2), "amber-1", "amber-2"),
        fabrics={"amber": 3, "birch": 2},
        failed=("amber-2",),
        reservations=(reserved("acme", {"birch": 1}, lends_at=5, keep=1),),
        on=terms(fee="0/1"),
    )
    found = clear(market)
    assert changes(found) == {"a": Change.KEEP, "b": Change.MOVE, "gang": Change.PREEMPT}
    assert is_at_rest(market)


def test_which_nodes_are_kept_does_not_depend_on_whether_on_demand_runs_already() -> None:
    market = given_market(
        on_demand("od", 2, only_fabric="amber"),
        bid("gang", 8, 2),
        fabrics={"amber": 3, "birch": 4},
        reservations=(
            reserved("acme", {"amber": 2, "birch": 1}, lends_at=5, keep=1),
            reserved("bolt", {"birch": 2}, age=1),
        ),
        on=terms(fee="0/1"),
    )
    assert is_at_rest(market)


def test_of_a_gangs_nodes_the_one_shared_with_the_lowest_price_draws_the_lowest_floor() -> None:
    """The job pays 0 beside a gang on floors 0 and 3.03, whichever node the two share."""
    market = given_market(
        bid("gang", 3.75, 2, gpus=5, org="bee"),
        bid("job", 3, gpus=1, org="bee"),
        fabrics={"birch": 3},
        free_from={"birch-0": 150, "birch-1": 150},
        reservations=(reserved("acme", {"birch": 2}, lends_at=3.03),),
        on=terms(fee="0/1"),
    )
    found = clear(market)
    assert winners(found) == {"gang": 3_030_000, "job": 0}
    assert is_at_rest(market)


def test_a_job_that_shares_a_node_does_not_take_another_in_the_name_of_both() -> None:
    """Together on one node the two jobs come before the whole-node bid. The one that moves for a
    lower floor would take that bid's node."""
    market = given_market(
        on_demand("od", only_fabric="birch"),
        bid("whole", 7),
        bid("large", 8, gpus=7, moves_if_cheaper=True, submitted_us=1),
        bid("small", 9, gpus=1),
        fabrics={"amber": 1, "birch": 2},
        reservations=(reserved("acme", {"birch": 1}, lends_at=3),),
        on=terms(fee="0/1", shared_nodes=True),
    )
    found = clear(market)
    assert nodes_of(found, "large") == nodes_of(found, "small") == ("birch-1",)
    again = clear(incumbents(market, found))
    assert set(changes(again).values()) == {Change.KEEP}


def test_work_is_counted_where_it_stands_only_if_the_next_clearing_does_so_too() -> None:
    """With `job` where it stands the newcomer `half` draws the floor 3.03, as it would without it.
    Once `half` runs there it would draw 0, so `job` would lose in the next clearing."""
    market = given_market(
        bid("elastic", 11, most_nodes=5),
        bid("whole", 10),
        bid("half", 5, gpus=4),
        on(bid("job", 2, gpus=6), "amber-0"),
        fabrics={"amber": 3, "birch": 3},
        reservations=(reserved("acme", {"amber": 1, "birch": 2}, lends_at=3.03),),
        on=terms(fee="0/1"),
    )
    assert is_at_rest(market)


def markets(first: int, walks: int) -> Iterator[tuple[int, int, MarketState]]:
    for seed in range(first, first + walks):
        for step, state in enumerate(walk(seed)):
            yield seed, step, state


def unrest(first: int, walks: int) -> tuple[int, list[tuple[int, int, Finding]]]:
    """How many markets change seats in the second clearing; and what is never excused."""
    seconds = 0
    found = []
    for seed, step, state in markets(first, walks):
        clearing = clear(state)
        changed = list(restless(state, clearing))
        seconds += bool(changed)
        unexcused = [it for it in changed if it.kind in ("restless", "restless twice")]
        found += [(seed, step, it) for it in (*unexcused, *evicted(state, clearing))]
    return seconds, found


def test_walks_change_no_seat_twice_nor_at_one_floor_and_move_no_on_demand() -> None:
    assert unrest(0, 60) == (0, [])


@pytest.mark.slow
def test_many_walks_rarely_change_a_seat_where_several_floors_bind() -> None:
    """Of 8,000 markets few, and none a third time."""
    seconds, found = unrest(10_000, 2_000)
    assert found == []
    assert seconds <= 4


def unexcused_prices(first: int, walks: int) -> list[tuple[int, int, Finding]]:
    """Prices above the critical value that nothing excuses (`market_findings.excuses`)."""
    return [
        (seed, step, it)
        for seed, step, state in markets(first, walks)
        for it in overpaid(state, clear(state))
        if it.kind in ("overpaid", "overpaid elastic")
    ]


def test_no_winner_of_a_walk_pays_above_its_critical_value() -> None:
    assert unexcused_prices(0, 40) == []


@pytest.mark.slow
def test_no_winner_of_many_walks_pays_above_its_critical_value() -> None:
    assert unexcused_prices(50_000, 1_500) == []


def test_a_walk_has_elastic_work_owners_closed_nodes_and_work_below_a_node() -> None:
    """So that the walks above are about something."""
    states = [state for _, _, state in markets(0, 20)]
    demands = [demand for state in states for demand in state.demands if demand.seats]
    assert sum(it.most_nodes > 0 for it in demands) >= 10
    assert sum(it.gpus < 4 for it in demands) >= 10
    assert sum(not node.is_open for state in states for node in state.nodes) >= 10
    assert sum(len(state.reservations) > 0 for state in states) >= 10
    carried = carried_out(states[0], clear(states[0]))
    assert line_of(clear(carried), carried.demands[0].demand) is not None
