"""Ranks below a node that share nodes: room, order, prices, seats."""

import msgspec

from parkade.core.market.clear import clear
from parkade.core.market.outcome import Change, WaitReason
from parkade.core.market.priority import WEIGHT_UNITS, key_of, mates_of
from tests.core.market.story import (
    MICROS,
    bid,
    changes,
    claim,
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

WHOLE_NODE = 20 * 8 * WEIGHT_UNITS * MICROS
"""The key of a newcomer that bids 1 for a whole node."""


def test_four_ranks_of_two_gpus_fill_one_node() -> None:
    gang = bid("gang", 5, 4, gpus=2, ranks_per_node=4)
    found = clear(given_market(gang, fabrics={"amber": 4}, on=terms(floor=1)))
    assert nodes_of(found, "gang") == ("amber-0",) * 4
    assert winners(found) == {"gang": MICROS}
    assert sum(share for _, share in line_of(found, "gang").shares) == 8 * MICROS


def test_a_spread_gang_takes_a_node_for_each_rank() -> None:
    gang = bid("gang", 5, 4, gpus=2)
    found = clear(given_market(gang, fabrics={"amber": 4}))
    assert nodes_of(found, "gang") == ("amber-0", "amber-1", "amber-2", "amber-3")


def test_ranks_fill_gaps_of_their_org_before_they_open_nodes() -> None:
    jobs = [on(bid(name, 5, gpus=4, org="ant"), f"amber-{n}") for n, name in enumerate("ab")]
    gang = bid("gang", 5, 6, gpus=2, org="ant", ranks_per_node=4)
    found = clear(given_market(*jobs, gang, fabrics={"amber": 3}))
    assert sorted(nodes_of(found, "gang")) == [
        *("amber-0",) * 2,
        *("amber-1",) * 2,
        *("amber-2",) * 2,
    ]


def test_a_gang_counts_the_part_of_the_nodes_that_it_would_open_alone() -> None:
    packed = [bid("even", 8, 4, gpus=1, ranks_per_node=8), bid("odd", 8, 11, gpus=1)]
    packed[1] = msgspec.structs.replace(packed[1], ranks_per_node=8)
    market = given_market(*packed, fabrics={"amber": 2})
    keys = [key_of(it, market.terms) / WHOLE_NODE for it in market.demands]
    assert keys == [8 * 4 / 8, 8 * 11 / 16]


def test_a_gang_that_fills_its_node_is_not_outbid_by_a_lower_whole_node_bid() -> None:
    gang = bid("gang", 9, 8, gpus=1, ranks_per_node=8)
    found = clear(given_market(gang, bid("rival", 8), fabrics={"amber": 1}))
    assert winners(found) == {"gang": 8 * MICROS}
    spread = bid("gang", 9, 8, gpus=1)
    found = clear(given_market(spread, bid("rival", 8, 8), fabrics={"amber": 8}))
    assert winners(found) == {"rival": round(9 / 8 * MICROS)}


def test_a_gang_on_one_node_is_one_bid_with_the_jobs_there() -> None:
    gang = on(bid("gang", 6, 2, gpus=3, org="ant", ranks_per_node=2), "amber-0", "amber-0")
    job = on(bid("job", 4, gpus=2, org="ant"), "amber-0")
    market = given_market(gang, job, fabrics={"amber": 1})
    sharing = mates_of(market)
    assert sharing == {
        "gang": ("amber-0", ((4 * MICROS, 2),)),
        "job": ("amber-0", ((6 * MICROS, 6),)),
    }
    rival = bid("rival", 4.7)
    beaten = clear(msgspec.structs.replace(market, demands=(*market.demands, rival)))
    # 6 x 6 = 36 > 4 x 8 = 32, so the node stands at 36 / 8 x 1.05 = 4.725.
    assert changes(beaten) == {
        "gang": Change.KEEP,
        "job": Change.KEEP,
        "rival": Change.WAIT,
    }
    # The gang alone has to make it worth 4.7 / 1.05 x 8 = 35.81; the job does nothing for it.
    assert winners(beaten) == {"gang": 5_968_254, "job": 0}


def test_a_gang_on_several_nodes_is_no_job() -> None:
    gang = on(bid("gang", 6, 3, gpus=3, org="ant", ranks_per_node=2), "a-0", "a-0", "a-1")
    job = on(bid("job", 4, gpus=2, org="ant"), "a-0")
    assert mates_of(given_market(gang, job, fabrics={"a": 2})) == {}


def test_a_lost_node_is_replaced_rank_by_rank() -> None:
    gang = on(
        bid("gang", 6, 4, gpus=4, ranks_per_node=2), "amber-0", "amber-1", "amber-0", "amber-1"
    )
    found = clear(given_market(gang, fabrics={"amber": 4}, failed=("amber-1",)))
    assert line_of(found, "gang").change is Change.HEAL
    assert nodes_of(found, "gang") == ("amber-0", "amber-2", "amber-0", "amber-2")


def test_the_same_nodes_with_other_ranks_on_them_are_a_move() -> None:
    gang = bid("gang", 6, 3, gpus=2, org="ant", ranks_per_node=4)
    before = on(gang, "amber-0", "amber-0", "amber-1")
    market = incumbents(given_market(before, fabrics={"amber": 2}))
    assert changes(clear(market)) == {"gang": Change.KEEP}
    assert clear(market).lines[0].seats == before.seats


def test_an_owners_gang_uses_as_many_nodes_of_its_reservation_as_it_opens() -> None:
    room = reserved("acme", {"amber": 1})
    gang = claim("own", "acme", 4, gpus=2, ranks_per_node=4)
    found = clear(given_market(gang, fabrics={"amber": 2}, reservations=(room,)))
    assert nodes_of(found, "own") == ("amber-0",) * 4
    assert found.reservations[0].used == 1
    spread = msgspec.structs.replace(gang, ranks_per_node=1)
    found = clear(given_market(spread, fabrics={"amber": 2}, reservations=(room,)))
    assert line_of(found, "own").reason is WaitReason.TOO_LARGE


def test_running_owners_and_on_demand_keep_the_nodes_that_their_ranks_share() -> None:
    room = reserved("acme", {"amber": 2})
    own = on(claim("own", "acme", 3, gpus=4, ranks_per_node=2), "amber-1", "amber-1", "amber-0")
    window = on(on_demand("od", 2, gpus=4, ranks_per_node=2), "amber-2", "amber-2")
    rival = bid("rival", 50)
    found = clear(given_market(own, window, rival, fabrics={"amber": 3}, reservations=(room,)))
    assert changes(found) == {"od": Change.KEEP, "own": Change.KEEP, "rival": Change.WAIT}
    assert found.reservations[0].used == 2


def test_the_fewest_jobs_leave_a_node_for_a_gang_that_fits_nowhere_else() -> None:
    jobs = [
        on(bid("a", 5, gpus=4, org="ant"), "amber-0"),
        on(bid("b", 5, gpus=3, org="ant"), "amber-1"),
    ]
    gang = bid("gang", 6, 8, gpus=1, org="cat", ranks_per_node=8)
    found = clear(given_market(*jobs, gang, fabrics={"amber": 2}))
    assert nodes_of(found, "gang") == ("amber-1",) * 8
    assert changes(found) == {"gang": Change.START, "a": Change.KEEP, "b": Change.MOVE}
    assert nodes_of(found, "b") == ("amber-0",)
