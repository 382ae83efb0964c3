"""The priority order: which demand takes its turn before which."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.market.clear import clear
from parkade.core.market.outcome import Change
from parkade.core.market.priority import (
    WEIGHT_UNITS,
    in_priority_order,
    key_of,
    limit_as_one,
    mates_of,
)
from tests.core.market.story import (
    MICROS,
    bid,
    changes,
    claim,
    given_market,
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

WHOLE_NODE = 20 * 8 * WEIGHT_UNITS * MICROS
"""The key of a newcomer that bids 1 for a whole node."""
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
    keys = [key_of(it, market.terms) for it in market.demands]
    assert keys == [1600 * MICROS * WEIGHT_UNITS, 1_612_800_000 * WEIGHT_UNITS]
    assert [it.demand for it in in_priority_order(market)] == ["runs", "new"]


def test_work_below_a_node_is_weighed_by_the_node_it_takes() -> None:
    """Eight single GPUs on eight nodes at 11 are worth 1.375 a node: less than 64 GPUs at 9.9."""
    nodes = tuple(f"amber-{n}" for n in range(8))
    gang = on(bid("gang", 9.9, 8), *nodes)
    crumbs = bid("crumbs", 11, 8, gpus=1)
    market = given_market(gang, crumbs, fabrics={"amber": 8})
    keys = [key_of(it, market.terms) / WHOLE_NODE for it in market.demands]
    assert keys == [10.395, 1.375]
    assert changes(clear(market)) == {"gang": Change.KEEP, "crumbs": Change.WAIT}
    idle = clear(given_market(crumbs, fabrics={"amber": 8}, on=terms(floor=1)))
    assert winners(idle) == {"crumbs": MICROS}


def test_a_running_shared_node_stands_as_one_bid() -> None:
    jobs = [bid("a", 10, gpus=3), bid("b", 6, gpus=4), bid("c", 2, gpus=1)]
    running = [on(msgspec.structs.replace(it, org="ant"), "amber-0") for it in jobs]
    market = given_market(*running, fabrics={"amber": 1})
    sharing = mates_of(market)
    keys = {
        it.demand: key_of(it, market.terms, sharing[it.demand][1]) / WHOLE_NODE
        for it in market.demands
    }
    assert keys == dict.fromkeys("abc", 5.5125)
    stands = clear(with_demands(market, *running, bid("rival", 5.5)))
    assert changes(stands) == dict.fromkeys("abc", Change.KEEP) | {"rival": Change.WAIT}
    falls = clear(with_demands(market, *running, bid("rival", 5.52)))
    assert changes(falls) == dict.fromkeys("abc", Change.PREEMPT) | {"rival": Change.START}


def test_each_job_of_a_shared_node_pays_what_keeps_the_node_beside_the_others_as_they_are() -> None:
    """The rival at 4.2 asks for 4.2 / 1.05 x 8 = 32 of the jobs, limit x GPUs."""
    jobs = [bid("a", 10, gpus=3), bid("b", 6, gpus=4), bid("c", 2, gpus=1)]
    running = [on(msgspec.structs.replace(it, org="ant"), "amber-0") for it in jobs]
    market = given_market(*running, bid("rival", 4.2), fabrics={"amber": 1}, on=terms(floor=1))
    # Without a, b is worth 24, so a needs 32 / 7 with b's GPUs. Without b, a is worth 30, so b
    # needs 32 / 7 as well. Without c, a and b are worth 42.
    paid = {"a": 4_571_429, "b": 4_571_429, "c": MICROS}
    assert winners(clear(market)) == paid
    for name, price in (("a", 4_571_429), ("b", 4_571_429)):
        assert line_of(clear(rebid(market, name, price)), name).seats
        assert not line_of(clear(rebid(market, name, price - 1)), name).seats


@given(st.data())
def test_the_limit_that_a_shared_node_needs_is_the_least_one(data: st.DataObject) -> None:
    amounts = st.integers(min_value=0, max_value=30)
    mates = tuple(
        sorted(data.draw(st.lists(st.tuples(amounts, st.integers(1, 4)), max_size=4)), reverse=True)
    )
    gpus, value = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 200))

    def worth(limit: int) -> int:
        jobs = sorted([*mates, (limit, gpus)], reverse=True)
        return max(it * sum(n for _, n in jobs[: at + 1]) for at, (it, _) in enumerate(jobs))

    least = next(limit for limit in range(1000) if worth(limit) >= value)
    assert limit_as_one(value, gpus, mates) == least


def test_an_orgs_bids_of_one_limit_take_its_places_by_priority() -> None:
    state = given_market(
        bid("calm", 9, org="acme", submitted_us=1),
        bid("other", 9, org="birch", submitted_us=2),
        bid("urgent", 9, org="acme", priority=5, submitted_us=3),
        bid("dear", 10, org="acme", submitted_us=4),
        fabrics={"amber": 4},
    )
    ordered = [it.demand for it in in_priority_order(state)]
    assert ordered == ["dear", "urgent", "other", "calm"]


def test_of_an_orgs_running_bids_the_least_important_leaves_first() -> None:
    state = given_market(
        on(bid("urgent", 9, org="acme", priority=5, submitted_us=2), "amber-0"),
        on(bid("calm", 9, org="acme", submitted_us=1), "amber-1"),
        bid("richer", 20, org="birch", submitted_us=3),
        fabrics={"amber": 2},
    )
    assert changes(clear(state))["calm"] is Change.PREEMPT
    assert changes(clear(state))["urgent"] is Change.KEEP


def test_a_waiting_bid_of_more_priority_displaces_none_of_its_org_at_the_same_limit() -> None:
    state = given_market(
        bid("urgent", 9, org="acme", priority=5, submitted_us=2),
        on(bid("calm", 9, org="acme", submitted_us=1), "amber-0"),
        fabrics={"amber": 1},
    )
    assert set(winners(clear(state))) == {"calm"}


@given(st.data())
def test_no_priority_changes_what_another_org_gets_or_pays(data: st.DataObject) -> None:
    """One shape for all: the org's own bids only change places among themselves."""
    size = data.draw(st.integers(1, 8))
    drawn = [
        (data.draw(st.sampled_from(("acme", "birch"))), data.draw(st.integers(1, 3)))
        for _ in range(data.draw(st.integers(1, 10)))
    ]

    def cleared(priorities: list[int]) -> list[tuple[bool, int]]:
        state = given_market(
            *(
                bid(f"d{at}", limit, org=org, priority=priority, submitted_us=at)
                for at, ((org, limit), priority) in enumerate(zip(drawn, priorities, strict=True))
            ),
            fabrics={"amber": size},
        )
        outcome = clear(state)
        lines = [line_of(outcome, f"d{at}") for at, (org, _) in enumerate(drawn) if org == "birch"]
        return [(bool(it.seats), it.price_micros) for it in lines]

    priorities = [data.draw(st.integers(0, 9)) if org == "acme" else 0 for org, _ in drawn]
    assert cleared(priorities) == cleared([0] * len(drawn))
