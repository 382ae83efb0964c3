"""On-demand as the last entry of a list: bought where the others give it nothing."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parkade.api.views.costs import workload_cost
from parkade.core.billing.commitments import available_micros
from parkade.core.clearing.plan import Plan, plan
from parkade.core.ledger.accounts import org_account
from parkade.core.state import commands, events
from parkade.core.steps.capacity import sold
from parkade.core.units.money import MICROS, ceil_div
from parkade.core.units.refusal import Reason
from parkade.core.units.time import HOUR_US, MINUTE_US
from parkade.core.workloads.deadline import DeadlineTerms
from parkade.core.workloads.dependency import Condition
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.spec import Capacity
from tests.core.clearing.test_entries import ON_DEMAND, SPOT, asks, command, market, right
from tests.core.kernel.story import Parkade

POSTED = 12 * MICROS


def asked(parkade: Parkade, *entries: Capacity, **rest: Any) -> commands.Submit:
    limit = rest.pop("limit", 2 if SPOT in entries else None)
    return command(parkade, *entries, limit=limit, **({"max_duration_us": HOUR_US} | rest))


def submit(parkade: Parkade, *entries: Capacity, **rest: Any) -> str:
    if (org := rest.get("org", "acme")) not in parkade.world.records.orgs:
        parkade.org(org)
    made = parkade.do(asked(parkade, *entries, **rest))
    return next(it.workload.workload for it in made if isinstance(it, events.Submitted))


def cancel(parkade: Parkade, name: str) -> None:
    parkade.do(commands.Cancel(by=None, workload=name, now=True))


def windows(parkade: Parkade) -> int:
    """Nodes that are sold as on-demand now."""
    market = parkade.world.records.markets["pool"]
    rights = sum(it.nodes for it in parkade.world.records.reservations.values())
    return sum(it.nodes for it in sold(parkade.world, market)) - rights


def full(**terms: Any) -> tuple[Parkade, str]:
    """(three nodes of which acme reserved one, its own work that fills it)."""
    parkade = market(**terms)
    parkade.reserve("acme", 1)
    return parkade, parkade.on_reservation("acme", "acme")


def test_it_is_bought_where_the_reservation_is_full_at_the_posted_price() -> None:
    parkade, _ = full()
    name = submit(parkade, right("acme"), ON_DEMAND)
    parkade.run(60)
    workload = parkade.workload(name)
    assert asks(parkade, name) == "on-demand" and parkade.phase(name) is Phase.RUNNING
    assert parkade.price(name) == workload.agreed_price_micros == POSTED
    assert workload.fabric == "a" and windows(parkade) == 1
    assert parkade.replayed()


def test_it_is_not_bought_while_the_reservation_has_room() -> None:
    parkade = market()
    parkade.reserve("acme", 1)
    name = submit(parkade, right("acme"), ON_DEMAND)
    parkade.run(60)
    assert asks(parkade, name) == "reservation/acme" and parkade.price(name) == 0
    assert windows(parkade) == 0 and parkade.workload(name).fabric is None


def test_it_bids_first_and_buys_in_the_clearing_in_which_it_is_outbid() -> None:
    parkade = market(nodes=1)
    parkade.bid("rival", 5)
    parkade.run(60)
    name = submit(parkade, SPOT, ON_DEMAND)
    parkade.clear()
    assert asks(parkade, name) == "on-demand" and parkade.nodes_of(name) == ("a1",)
    parkade.run(120)
    assert parkade.phase(name) is Phase.RUNNING and parkade.price(name) == POSTED


def test_where_spot_has_room_it_pays_the_price_of_spot() -> None:
    parkade, _ = full()
    name = submit(parkade, right("acme"), SPOT, ON_DEMAND)
    parkade.run(60)
    assert asks(parkade, name) == "spot" and parkade.price(name) == MICROS
    assert windows(parkade) == 0


def test_what_is_outbid_as_spot_buys_with_its_next_clearing_and_runs_until_the_same_end() -> None:
    parkade = market(nodes=1)
    name = submit(parkade, SPOT, ON_DEMAND)
    parkade.run(60)
    ends_us = parkade.workload(name).must_end_us
    rival = parkade.bid("rival", 5)
    parkade.run(240)
    workload = parkade.workload(name)
    assert asks(parkade, name) == "on-demand" and parkade.phase(name) is Phase.RUNNING
    assert workload.must_end_us == ends_us and workload.preemptions == 1
    assert parkade.phase(rival) is Phase.QUEUED
    parkade.run(3600)
    assert parkade.phase(name) is Phase.EXPIRED and parkade.phase(rival) is Phase.RUNNING


def test_no_bid_displaces_it_once_it_is_bought() -> None:
    parkade = market(nodes=1)
    parkade.bid("rival", 5)
    name = submit(parkade, SPOT, ON_DEMAND)
    parkade.run(120)
    parkade.bid("rich", 900)
    parkade.run(600)
    assert parkade.phase(name) is Phase.RUNNING and parkade.workload(name).preemptions == 0


def test_without_room_in_the_calendar_it_waits_at_the_entry_before_and_sells_nothing() -> None:
    parkade = market(nodes=1, buffer_nodes=1)
    parkade.bid("rival", 5)
    name = submit(parkade, SPOT, ON_DEMAND)
    parkade.run(60)
    assert parkade.phase(name) is Phase.QUEUED and asks(parkade, name) == "spot"
    assert parkade.workload(name).why == "outbid" and windows(parkade) == 0
    before = parkade.world.records.sequence
    parkade.clear()
    assert parkade.world.records.sequence == before, "a clearing of an unchanged world is no event"


def test_a_window_that_wins_no_seats_is_not_sold_and_the_next_list_may_have_its_room() -> None:
    """Nodes that failed are still for sale: two nodes are in the calendar, and one is well."""
    parkade = market(nodes=2)
    parkade.fail("a2")
    parkade.bid("rival", 5)
    parkade.run(60)
    gang = submit(parkade, SPOT, ON_DEMAND, nodes=2)
    single = submit(parkade, SPOT, ON_DEMAND)
    parkade.run(120)
    assert parkade.phase(gang) is Phase.QUEUED and asks(parkade, gang) == "spot"
    assert asks(parkade, single) == "on-demand" and parkade.phase(single) is Phase.RUNNING
    assert windows(parkade) == 1


def test_the_oldest_buys_the_last_window() -> None:
    parkade = market(nodes=2)
    parkade.reserve("lab", 1)
    parkade.bid("rival", 5)
    parkade.run(60)
    names = [submit(parkade, SPOT, ON_DEMAND, limit=limit) for limit in (1, 1.5)]
    parkade.run(120)
    assert [parkade.phase(it) for it in names] == [Phase.RUNNING, Phase.QUEUED]
    assert windows(parkade) == 1


def test_while_it_runs_it_goes_on_by_right_of_the_reservation_and_the_window_is_free() -> None:
    parkade, own = full()
    name = submit(parkade, right("acme"), ON_DEMAND)
    parkade.run(60)
    seats, ends_us = parkade.nodes_of(name), parkade.workload(name).must_end_us
    cancel(parkade, own)
    parkade.run(60)
    workload = parkade.workload(name)
    assert asks(parkade, name) == "reservation/acme" and parkade.price(name) == 0
    assert parkade.nodes_of(name) == seats and parkade.attempt(name).generation == 1
    assert windows(parkade) == 0 and workload.fabric is None and workload.must_end_us == ends_us
    assert parkade.replayed()


def test_it_does_not_become_spot_again_while_it_runs() -> None:
    """Else a window of some minutes would win a place that a bid alone would not."""
    parkade = market(nodes=1)
    rival = parkade.bid("rival", 2.05)
    parkade.run(60)
    name = submit(parkade, SPOT, ON_DEMAND)
    parkade.run(120)
    cancel(parkade, rival)
    parkade.run(300)
    assert asks(parkade, name) == "on-demand" and parkade.price(name) == POSTED


def test_at_the_end_of_its_reservation_it_buys_the_rest_of_its_time() -> None:
    parkade = market(nodes=2)
    parkade.reserve("acme", 1, hours=1)
    name = submit(parkade, right("acme"), ON_DEMAND, max_duration_us=2 * HOUR_US)
    parkade.run(60)
    assert asks(parkade, name) == "reservation/acme"
    ends_us = parkade.workload(name).must_end_us
    parkade.run(3660)
    assert asks(parkade, name) == "on-demand" and parkade.phase(name) is Phase.RUNNING
    assert parkade.workload(name).must_end_us == ends_us and parkade.price(name) == POSTED


def test_one_that_waits_for_a_reservation_that_ends_does_not_end_with_it() -> None:
    parkade = market(nodes=2, buffer_nodes=1)
    parkade.reserve("acme", 1, hours=1)
    own = parkade.on_reservation("acme", "acme")
    name = submit(parkade, right("acme"), ON_DEMAND)
    parkade.run(3700)
    assert parkade.phase(own) is Phase.EXPIRED
    assert asks(parkade, name) == "on-demand" and parkade.phase(name) is Phase.RUNNING


def test_where_its_node_fails_and_nothing_is_left_it_begins_at_the_first_entry() -> None:
    parkade, own = full(nodes=2)
    name = submit(parkade, right("acme"), ON_DEMAND)
    parkade.run(60)
    (node,) = parkade.nodes_of(name)
    parkade.fail(node)
    parkade.run(120)
    assert parkade.phase(name) is Phase.QUEUED and asks(parkade, name) == "reservation/acme"
    assert windows(parkade) == 0
    cancel(parkade, own)
    parkade.run(60)
    assert asks(parkade, name) == "reservation/acme" and parkade.phase(name) is Phase.RUNNING


def committed(parkade: Parkade, org: str = "acme") -> int:
    balance = parkade.balance(org_account(org))
    return balance - available_micros(parkade.world, org, parkade.now_us)


def test_its_whole_window_is_set_aside_from_the_submission_on_whatever_it_uses() -> None:
    parkade = market()
    parkade.reserve("acme", 1)
    before = committed(parkade)
    name = submit(parkade, right("acme"), ON_DEMAND)
    whole = committed(parkade) - before
    terms = parkade.world.records.markets["pool"].terms
    assert whole == ceil_div(POSTED * 2 * (HOUR_US + 2 * terms.leave_us), HOUR_US)
    parkade.run(1830)
    assert asks(parkade, name) == "reservation/acme"
    assert 0.4 * whole < committed(parkade) - before < 0.6 * whole, "half of its time is over"


def test_no_bid_of_its_org_spends_what_is_set_aside_for_its_window() -> None:
    parkade = market(nodes=1, minimum_charge_us=0)
    parkade.org("acme", deposit=26)
    parkade.bid("rival", 5)
    name = submit(parkade, SPOT, ON_DEMAND, max_duration_us=HOUR_US)
    greedy = parkade.bid("acme", 90)
    parkade.clear()
    assert parkade.workload(greedy).why == Why.INSUFFICIENT_FUNDS
    parkade.run(120)
    assert asks(parkade, name) == "on-demand" and parkade.phase(name) is Phase.RUNNING
    parkade.run(3600)
    assert parkade.phase(name) is Phase.EXPIRED
    assert parkade.balance(org_account("acme")) >= 0


def test_what_its_org_or_its_bounds_cannot_pay_is_refused() -> None:
    parkade = market()
    parkade.org("poor", deposit=24)
    parkade.org("acme")
    poor = parkade.refused(asked(parkade, SPOT, ON_DEMAND, org="poor"))
    assert poor.reason is Reason.INSUFFICIENT_FUNDS and "a bid beside it" in poor.detail
    spec = asked(parkade, SPOT, ON_DEMAND, max_spend=24)
    assert parkade.refused(spec).field == "max_spend"
    assert isinstance(plan(parkade.world, asked(parkade, SPOT, ON_DEMAND), parkade.now_us), Plan)


def capped(parkade: Parkade, gpus: int | None) -> None:
    """What acme may hold at once, as its owner says."""
    parkade.do(commands.SetOrgCap(by=None, org="acme", cap_micros=None, most_gpus=gpus))


def test_what_its_caps_on_gpus_do_not_leave_is_refused_with_the_submission() -> None:
    parkade = market(nodes=3)
    parkade.org("acme")
    capped(parkade, 2)
    parkade.bid("rival", 5, nodes=2)
    own = parkade.bid("acme", 5)
    parkade.run(60)
    assert parkade.refused(asked(parkade, SPOT, ON_DEMAND)).reason is Reason.OVER_CAP
    cancel(parkade, own)
    parkade.run(60)
    name = submit(parkade, SPOT, ON_DEMAND)
    parkade.run(60)
    assert parkade.phase(name) is Phase.RUNNING


def test_its_gpus_are_set_aside_of_its_caps_from_the_submission_on() -> None:
    """Where on-demand is sold out it waits with them, and still bids itself."""
    parkade = market(nodes=1)
    parkade.org("acme")
    capped(parkade, 2)
    parkade.on_demand("rival", hours=1)
    name = submit(parkade, SPOT, ON_DEMAND)
    beside = parkade.bid("acme", 50)
    parkade.run(60)
    assert parkade.workload(name).why == "no_room"
    assert parkade.workload(beside).why == Why.ORG_GPUS
    assert parkade.refused(asked(parkade, SPOT, ON_DEMAND)).reason is Reason.OVER_CAP
    parkade.run(3700)
    assert asks(parkade, name) == "spot" and parkade.phase(name) is Phase.RUNNING


def test_a_cap_that_is_lowered_later_is_no_option_on_the_price_of_today() -> None:
    """Its org kept it from buying, and had the old price when on-demand was dearer."""
    parkade = market(nodes=1)
    parkade.bid("rival", 5)
    parkade.run(60)
    parkade.org("acme")
    parkade._do(asked(parkade, SPOT, ON_DEMAND))
    capped(parkade, 0)
    parkade.run(60)
    (name,) = parkade.world.live_of_org["acme"]
    assert asks(parkade, name) == "on-demand" and parkade.phase(name) is Phase.RUNNING


def test_a_list_with_on_demand_says_how_long_is_not_held_and_has_no_deadline() -> None:
    parkade = market()
    parkade.reserve("acme", 1)
    good = asked(parkade, right("acme"), SPOT, ON_DEMAND)
    other = submit(parkade, right("acme"), ON_DEMAND)
    due = DeadlineTerms(by_us=parkade.now_us + 9 * HOUR_US, duration_us=HOUR_US)
    after = asked(parkade, SPOT, ON_DEMAND, after=((Condition.AFTER_OK.value, other),))
    for refused, field in (
        (replace(good, spec=replace(good.spec, max_duration_us=None)), "max_duration"),
        (replace(good, is_held=True), "hold"),
        (replace(good, spec=replace(good.spec, deadline=due)), "capacity"),
        (after, "after_ok"),
        (asked(parkade, ON_DEMAND, SPOT, limit=2), "capacity"),
        (asked(parkade, right("acme"), ON_DEMAND, limit=2), "limit_price"),
        (asked(parkade, SPOT, ON_DEMAND, nodes=9), "nodes"),
    ):
        assert parkade.refused(refused).field == field, field
    waits = submit(parkade, SPOT, ON_DEMAND)
    hold = parkade.refused(commands.Hold(by=None, workload=waits))
    assert hold.reason is Reason.UNSUPPORTED


def test_its_answer_says_what_its_dearest_entry_costs() -> None:
    parkade = market()
    workload = parkade.workload(submit(parkade, SPOT, ON_DEMAND))
    cost = workload_cost(workload.spec, None, workload.window_price_micros)
    assert cost.price_per_gpu_hour == 12


def test_a_window_that_is_not_bought_yet_is_not_lengthened_at_an_old_price() -> None:
    parkade, _ = full()
    parkade.on_demand("rival", hours=2, nodes=2)
    name = submit(parkade, SPOT, ON_DEMAND, limit=0.5, max_duration_us=10 * MINUTE_US)
    parkade.run(60)
    parkade.do(
        commands.SetPrices(
            by=None,
            market="pool",
            pay_as_you_go_micros=50 * MICROS,
            reservation_rate_micros=None,
            public_floor_micros=None,
        )
    )

    def lasts(duration_us: int) -> commands.ChangeBounds:
        bound = commands.workloads.NewBound(value=duration_us)
        return commands.ChangeBounds(by=None, workload=name, max_duration_us=bound)

    assert parkade.refused(lasts(HOUR_US)).reason is Reason.CONFLICT
    parkade.do(lasts(5 * MINUTE_US))


def test_the_minimum_charge_of_a_short_window_is_set_aside() -> None:
    parkade, _ = full(minimum_charge_us=HOUR_US)
    parkade.on_demand("rival", hours=2, nodes=2)
    before = available_micros(parkade.world, "acme", parkade.now_us)
    submit(parkade, right("acme"), ON_DEMAND, max_duration_us=MINUTE_US)
    after = available_micros(parkade.world, "acme", parkade.now_us)
    assert before - after >= POSTED


def test_a_longer_window_has_to_be_paid_and_no_window_is_refused() -> None:
    parkade = market()
    parkade.org("acme", deposit=40)
    name = submit(parkade, SPOT, ON_DEMAND)
    parkade.run(60)

    def lasts(duration_us: int | None) -> commands.ChangeBounds:
        bound = commands.workloads.NewBound(value=duration_us)
        return commands.ChangeBounds(by=None, workload=name, max_duration_us=bound)

    assert parkade.refused(lasts(2 * HOUR_US)).reason is Reason.INSUFFICIENT_FUNDS
    assert parkade.refused(lasts(None)).field == "max_duration"
    before = committed(parkade)
    parkade.do(lasts(HOUR_US + 10 * MINUTE_US))
    assert committed(parkade) - before >= POSTED * 2 // 6 - MICROS // 10


def test_it_is_submitted_again_with_its_whole_list() -> None:
    parkade = market(nodes=1)
    parkade.bid("rival", 5)
    name = submit(parkade, SPOT, ON_DEMAND)
    parkade.run(120)
    parkade.ended(name, code=1)
    assert parkade.phase(name) is Phase.FAILED and windows(parkade) == 0
    parkade.do(commands.Resubmit(by=None, workload=name))
    parkade.run(180)
    assert asks(parkade, name) == "on-demand" and parkade.phase(name) is Phase.RUNNING


def test_a_window_of_its_own_serves_no_bid_that_would_jump_the_queue() -> None:
    """It pays the posted price for as long as it sits there, and the minimum if it leaves first."""
    parkade = market(nodes=1, minimum_charge_us=HOUR_US)
    rival = parkade.bid("rival", 2.05)
    parkade.run(60)
    name = submit(parkade, SPOT, ON_DEMAND)
    parkade.clear()
    cancel(parkade, name)
    parkade.run(120)
    assert parkade.workload(name).spent_micros >= POSTED * 2
    assert parkade.phase(rival) is Phase.RUNNING


entries = st.sampled_from(
    [
        (SPOT, ON_DEMAND),
        (right("acme"), ON_DEMAND),
        (right("acme"), SPOT, ON_DEMAND),
        (right("acme"), SPOT),
    ]
)
lists = st.tuples(entries, st.integers(1, 2), st.sampled_from([0.5, 1, 2, 3.5, 6]))
bids = st.lists(st.tuples(st.integers(1, 2), st.sampled_from([1, 2, 3, 5])), max_size=3)


@given(before=st.lists(lists, max_size=3), rivals=bids, last=lists, broken=st.booleans())
@settings(max_examples=60, deadline=None)
def test_plan_is_what_the_next_clearing_gives(
    before: list[Any], rivals: list[tuple[int, float]], last: Any, broken: bool
) -> None:
    parkade = market(nodes=4)
    parkade.reserve("acme", 2)
    for nodes, limit in rivals:
        parkade.bid("rival", limit, nodes=nodes)
    for them, nodes, limit in before:
        submit(parkade, *them, nodes=nodes, **({"limit": limit} if SPOT in them else {}))
    parkade.run(60)
    if broken:
        parkade.fail("a3")
    parkade.run(60)
    them, nodes, limit = last
    wish = asked(parkade, *them, nodes=nodes, **({"limit": limit} if SPOT in them else {}))
    planned = plan(parkade.world, wish, parkade.now_us)
    assert isinstance(planned, Plan)
    made = parkade._do(wish)
    name = next(it.workload.workload for it in made if isinstance(it, events.Submitted))
    parkade.clear()
    workload = parkade.workload(name)
    assert workload.spec.capacity == planned.workload.spec.capacity
    assert len(parkade.nodes_of(name)) == len(planned.seats)
    if planned.seats:
        assert parkade.price(name) == planned.price_micros
    assert parkade.replayed()
    free = windows(parkade)
    assert free <= 2, "no more is sold than the calendar has"
    before_us = parkade.world.records.sequence
    parkade.clear()
    parkade.clear()
    sequence = parkade.world.records.sequence
    parkade.clear()
    assert parkade.world.records.sequence == sequence >= before_us, "it comes to rest"


def test_what_loses_its_window_and_buys_another_at_one_instant_says_its_fabric() -> None:
    parkade = market(fabrics={"a": 1, "b": 1})
    name = submit(parkade, SPOT, ON_DEMAND, limit=0.5)
    parkade._do(commands.RunClearing(by=None, market="pool"))
    first = parkade.workload(name)
    (lost,) = parkade.nodes_of(name)
    parkade._do(commands.FailNode(by=None, node=lost, reason="broken"))
    for _ in range(2):
        parkade._do(commands.RunClearing(by=None, market="pool"))
    second = parkade.workload(name)
    assert first.window_from_us == second.window_from_us
    (node,) = parkade.nodes_of(name)
    assert second.fabric == parkade.world.records.nodes[node].fabric != first.fabric
