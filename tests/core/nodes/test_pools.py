"""Pools and markets side by side: opened, supplied, drained, closed; terms changed with a date."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.fleet.node import Node
from parkade.core.kernel.check import check
from parkade.core.state import commands, events
from parkade.core.state.codec import decode_snapshot, encode_snapshot
from parkade.core.state.commands import NewMarket, Supply, TermsChange
from parkade.core.state.world import World
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.spec import Interconnect
from tests import builders
from tests.core.kernel.story import TERMS, Parkade

OPENS = NewMarket(instance_type=builders.instance_type(2), terms=TERMS)


def supply(
    market: str, nodes: tuple[str, ...], *, fabric: str = "x", opens: bool = False
) -> Supply:
    return Supply(market=market, opens=OPENS if opens else None, fabrics=((fabric, nodes),))


def open_second(parkade: Parkade, market: str = "pool", **changes: Any) -> None:
    """A second pool, of another engine's nodes, for a market that is open."""
    command = builders.open_pool("second", supply=supply(market, ("x1", "x2")), **changes)
    parkade.do(command)


def node(parkade: Parkade, name: str) -> Node:
    return parkade.world.records.nodes[name]


def test_two_pools_supply_one_market_and_an_attempt_belongs_to_the_pool_of_its_seats() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    open_second(parkade)
    jobs = [parkade.bid("lab", 20, nodes=1) for _ in range(3)]
    parkade.clear()
    parkade.start_all()
    pools = {job: parkade.world.pool_of(parkade.attempt(job).seats) for job in jobs}
    assert sorted(pool.pool for pool in pools.values() if pool) == ["pool", "second", "second"]
    assert all(parkade.workload(job).pool == pool.pool for job, pool in pools.items() if pool)


def test_a_pool_supplies_several_markets_and_a_workload_without_a_name_finds_its_type() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    other = replace(OPENS, instance_type=replace(OPENS.instance_type, name="old", gpu_model="A1"))
    added = Supply(market="old", opens=other, fabrics=(("o", ("o1",)),))
    parkade.do(commands.AddNodes(by=None, pool="pool", supply=added))
    parkade.org("lab")
    (submitted,) = parkade.do(builders.submit("lab", instance_type="old", limit_price_micros=9))
    assert isinstance(submitted, events.Submitted) and submitted.workload.market == "old"
    refusal = parkade.refused(builders.submit("lab"))
    assert (refusal.reason, refusal.field) == ("invalid", "market")
    assert "old, pool" in refusal.detail


def test_a_gang_over_any_fabrics_is_refused_where_several_pools_supply_the_market() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.org("lab")
    gang = builders.submit("lab", nodes=2, interconnect=Interconnect.ANY)
    assert parkade.refused(gang).reason == "too_large"
    open_second(parkade)
    refusal = parkade.refused(gang)
    assert (refusal.reason, refusal.field) == ("unsupported", "interconnect")


def test_a_report_of_another_pool_changes_nothing() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    open_second(parkade)
    job = parkade.bid("lab", 20, nodes=1)
    parkade.clear()
    parkade.tick()
    attempt = parkade.workload(job).attempt
    assert attempt is not None
    mine = parkade.world.pool_of(attempt.seats)
    assert mine is not None
    other = "second" if mine.pool == "pool" else "pool"
    seen = (builders.observed(attempt.attempt, started_us=parkade.now_us),)
    assert parkade.do(commands.ReportAttempts(by=None, pool=other, attempts=seen)) == ()
    assert parkade.do(commands.ReportAttempts(by=None, pool=mine.pool, attempts=seen)) != ()


def test_a_silent_agent_stops_launches_in_its_own_pool_alone() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    open_second(parkade)
    parkade.do(commands.ReportReachability(by=None, pool="second", is_reachable=True))
    parkade.do(commands.ReportReachability(by=None, pool="second", is_reachable=False))
    jobs = [parkade.bid("lab", 20, nodes=1) for _ in range(2)]
    parkade.clear()
    placed = [job for job in jobs if parkade.workload(job).phase is not Phase.QUEUED]
    assert len(placed) == 1
    (name,) = parkade.nodes_of(placed[0])
    assert node(parkade, name).pool == "pool"


def test_the_first_word_of_an_agent_is_remembered() -> None:
    parkade = Parkade()
    assert parkade.world.records.pools["pool"].first_heard_us is None
    report = commands.ReportReachability(by=None, pool="pool", is_reachable=True)
    parkade.do(report)
    assert parkade.world.records.pools["pool"].first_heard_us == parkade.now_us
    assert parkade.do(report) == ()


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"supply": supply("pool", ("x1",), opens=True)}, "already_exists", "market"),
        ({"supply": supply("else", ("x1",))}, "not_found", "market"),
        ({"supply": supply("pool", ("a1",))}, "already_exists", None),
        ({"supply": supply("pool", ("A1",))}, "already_exists", None),
        ({"supply": supply("pool", ("x1",), fabric="a")}, "invalid", "fabrics"),
        ({"supply": supply("pool", ("x1",)), "site": "mars"}, "invalid", "market"),
        ({"supply": supply("pool", ("x1",)), "supplier": "none"}, "not_found", None),
    ],
)
def test_a_supply_that_cannot_be_is_refused_with_its_place(
    change: dict[str, Any], reason: str, field: str | None
) -> None:
    refusal = Parkade().refused(builders.open_pool("second", **change))
    assert (refusal.reason, refusal.field) == (reason, field)


def test_draining_moves_guests_with_their_notice_and_is_not_drained_until_they_left() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    job = parkade.bid("lab", 20, nodes=1)
    parkade.clear()
    parkade.start_all()
    (name,) = parkade.nodes_of(job)
    parkade.do(commands.DrainNode(by=None, node=name, reason="fan"))
    attempt = parkade.workload(job).attempt
    assert attempt is not None and attempt.stop is not None
    assert attempt.stop.cause is Cause.OPERATOR
    assert attempt.stop.deadline_us == parkade.now_us + TERMS.notice_us
    assert parkade.refused(commands.RemoveNode(by=None, node=name)).reason == "conflict"
    parkade.clear()
    parkade.ended(job, code=85)
    parkade.tick()
    assert parkade.nodes_of(job) != (name,)
    assert parkade.workload(job).failures == 0
    parkade.do(commands.RemoveNode(by=None, node=name))
    assert name not in parkade.world.records.nodes
    assert parkade.world.sizes["pool"] == {"a": 1}


def test_a_draining_node_takes_no_work_until_it_is_undrained() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.do(commands.DrainNode(by=None, node="a1", reason="fan"))
    assert parkade.do(commands.DrainNode(by=None, node="a1", reason="again")) == ()
    job = parkade.bid("lab", 20, nodes=1)
    parkade.clear()
    assert parkade.workload(job).phase is Phase.QUEUED
    parkade.do(commands.UndrainNode(by=None, node="a1"))
    parkade.clear()
    assert parkade.workload(job).phase is not Phase.QUEUED


def test_a_pool_stops_to_lend_in_one_step_with_one_notice_for_each_guest() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    gang = parkade.bid("lab", 20, nodes=2)
    parkade.clear()
    parkade.tick()
    parkade.do(commands.DrainNode(by=None, node="a3", reason="fan"))
    done = parkade.do(commands.ObservePool(by=None, pool="pool", is_on=True))
    assert [it.node for it in done if isinstance(it, events.NodeDraining)] == ["a1", "a2"]
    assert [type(it) for it in done[2:]] == [events.StopOrdered]
    assert parkade.do(commands.ObservePool(by=None, pool="pool", is_on=True)) == ()
    parkade.clear()
    parkade.ended(gang, code=85)
    parkade.clear()
    assert parkade.workload(gang).phase is Phase.QUEUED
    assert parkade.workload(gang).preemptions == 1
    lent = parkade.do(commands.ObservePool(by=None, pool="pool", is_on=False))
    assert [it.node for it in lent if isinstance(it, events.NodeUndrained)] == ["a1", "a2"]
    parkade.clear()
    assert set(parkade.nodes_of(gang)) == {"a1", "a2"}, "a3 is drained for another reason"
    nowhere = commands.ObservePool(by=None, pool="nowhere", is_on=True)
    assert parkade.refused(nowhere).reason == "not_found"


def test_a_claim_keeps_a_draining_node_until_its_owner_gives_it_up() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 1, hours=2)
    claim = parkade.claim("acme", 1)
    parkade.clear()
    parkade.tick()
    (seat,) = parkade.world.records.claims[claim].seats
    parkade.do(commands.DrainNode(by=None, node=seat.node, reason="fan"))
    parkade.clear()
    assert parkade.world.records.claims[claim].seats == (seat,)
    assert parkade.refused(commands.RemoveNode(by=None, node=seat.node)).reason == "conflict"


def test_nodes_that_were_sold_are_not_removed() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2, hours=2)
    parkade.do(commands.DrainNode(by=None, node="a1", reason="fan"))
    refusal = parkade.refused(commands.RemoveNode(by=None, node="a1"))
    assert refusal.reason == "conflict" and "acme hold up to 2 nodes" in refusal.detail
    parkade.run(3 * 3600)
    parkade.do(commands.RemoveNode(by=None, node="a1"))


def test_a_drained_pool_closes_and_its_market_with_it_unless_another_supplies_it() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    open_second(parkade)
    close = commands.ClosePool(by=None, pool="second")
    assert parkade.refused(close).reason == "conflict"
    for name in ("x1", "x2", "a1"):
        parkade.do(commands.DrainNode(by=None, node=name, reason="sold"))
    parkade.do(close)
    assert set(parkade.world.records.pools) == {"pool"}
    assert set(parkade.world.records.markets) == {"pool"}
    assert parkade.world.pools_of == World(parkade.world.records).pools_of == {"pool": {"pool": 1}}
    parkade.do(commands.ClosePool(by=None, pool="pool"))
    assert parkade.world.records.markets == {} and parkade.world.records.nodes == {}
    assert parkade.world.pools_of == {}


def test_a_market_closes_with_its_last_pool_once_its_workloads_are_over() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    job = parkade.bid("lab", 20, nodes=1)
    parkade.do(commands.DrainNode(by=None, node="a1", reason="sold"))
    close = commands.ClosePool(by=None, pool="pool")
    assert job in parkade.refused(close).detail
    parkade.do(commands.Cancel(by=None, workload=job, now=True))
    parkade.do(close)
    assert parkade.world.records.workloads == {} and parkade.world.records.markets == {}


def change(
    parkade: Parkade, *, from_us: int | None = None, **terms: Any
) -> tuple[events.AnyEvent, ...]:
    return parkade.do(
        commands.ChangeTerms(by=None, market="pool", change=TermsChange(**terms), from_us=from_us)
    )


def test_terms_change_at_their_date_and_keep_the_prices_of_that_day() -> None:
    parkade = Parkade()
    change(parkade, from_us=parkade.now_us + HOUR_US, notice_us=60 * SECOND_US)
    market = parkade.world.records.markets["pool"]
    assert market.terms.notice_us == TERMS.notice_us and len(market.announced) == 1
    parkade.do(
        commands.SetPrices(
            by=None,
            market="pool",
            pay_as_you_go_micros=99,
            reservation_rate_micros=None,
            public_floor_micros=None,
            is_meant=True,
        )
    )
    parkade.run(3599)
    assert parkade.world.records.markets["pool"].terms.notice_us == TERMS.notice_us
    parkade.run(2)
    market = parkade.world.records.markets["pool"]
    assert market.terms.notice_us == 60 * SECOND_US and market.announced == ()
    assert market.terms.pay_as_you_go_micros == 99


def test_on_demand_below_the_floor_is_refused_unless_it_is_meant() -> None:
    parkade = Parkade()
    floor = TERMS.public_floor_micros
    below = commands.SetPrices(
        by=None,
        market="pool",
        pay_as_you_go_micros=floor - 1,
        reservation_rate_micros=None,
        public_floor_micros=None,
    )
    refusal = parkade.refused(below)
    assert refusal.field == "pay_as_you_go" and "--anyway" in refusal.detail
    above = replace(
        below, pay_as_you_go_micros=None, public_floor_micros=TERMS.pay_as_you_go_micros + 1
    )
    assert parkade.refused(above).field == "pay_as_you_go"
    parkade.do(replace(below, pay_as_you_go_micros=floor))
    parkade.do(replace(below, is_meant=True))
    rate = replace(below, pay_as_you_go_micros=None, reservation_rate_micros=1)
    parkade.do(rate)
    assert parkade.world.records.markets["pool"].terms.pay_as_you_go_micros == floor - 1


def test_a_shorter_notice_begins_no_earlier_than_the_present_one_ran_out() -> None:
    parkade = Parkade()
    command = commands.ChangeTerms(
        by=None, market="pool", change=TermsChange(notice_us=SECOND_US), from_us=None
    )
    assert parkade.refused(command).field == "from"
    change(parkade, from_us=parkade.now_us + MINUTE_US, notice_us=SECOND_US)
    assert parkade.refused(command).reason == "conflict"


def test_a_buffer_that_was_sold_already_is_refused() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2, hours=2)
    command = commands.ChangeTerms(
        by=None, market="pool", change=TermsChange(buffer_nodes=1), from_us=None
    )
    assert parkade.refused(command).reason == "conflict"


def test_a_fabric_leaves_with_its_last_node_and_a_snapshot_is_the_same_world() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    open_second(parkade)
    for name in ("x1", "x2"):
        parkade.do(commands.DrainNode(by=None, node=name, reason="sold"))
    parkade.do(commands.RemoveNode(by=None, node="x1"))
    parkade.do(commands.RemoveNode(by=None, node="x2"))
    assert parkade.world.records.markets["pool"].fabrics == ("a",)
    again = decode_snapshot(encode_snapshot(parkade.world))
    check(again)
    assert again.sizes == parkade.world.sizes == {"pool": {"a": 1}}


def test_the_indexes_of_a_snapshot_are_those_of_the_world_it_was_made_of() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    open_second(parkade)
    parkade.reserve("acme", 1, hours=2)
    parkade.claim("acme", 1)
    for _ in range(3):
        parkade.bid("lab", 20, nodes=1)
    parkade.clear()
    parkade.start_all()
    parkade.do(commands.DrainNode(by=None, node="x2", reason="sold"))
    world, again = parkade.world, decode_snapshot(encode_snapshot(parkade.world))
    for index in (
        "sizes",
        "held_on",
        "promised_on",
        "live",
        "live_of_org",
        "listed",
        "tokens_by_digest",
    ):
        assert getattr(again, index) == getattr(world, index), index


def test_nothing_is_sold_of_a_pool_whose_agent_is_overdue_and_was_never_heard() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=False))
    parkade.org("acme")
    refusal = parkade.refused(
        commands.Reserve(
            by=None, org="acme", market="pool", name=None, nodes=1, start_us=None, end_us=None
        )
    )
    assert refusal.reason == "no_capacity" and "no agent of pool was ever heard" in refusal.detail
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=True))
    parkade.reserve("acme", 1, hours=1)
