"""Bids with several markets in a world: promises, notices, debts, and what is set aside."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.billing.commitments import bid_earmark_micros
from parkade.core.clearing.linking import linked_with
from parkade.core.clearing.plan import Plan, plan
from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.choice import Answer, Choice
from parkade.core.workloads.deadline import DeadlineTerms
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.moves import OtherMarket
from parkade.core.workloads.spec import Capacity, CapacityKind
from tests import builders
from tests.core.clearing.two_markets import TwoMarkets, refusal_of
from tests.core.kernel.story import TERMS, Parkade


def one_node_each(**terms: Any) -> TwoMarkets:
    """Two markets of one node, at a floor of 1."""
    made = {"buffer_nodes": 0, "public_floor_micros": MICROS} | terms
    return TwoMarkets(here={"a": 1}, there={"b": 1}, **made)


def cleared(parkade: TwoMarkets) -> events.Cleared:
    """The last clearing that changed something."""
    return [it for it in parkade.journal if isinstance(it, events.Cleared)][-1]


def test_a_bid_stands_in_the_first_market_that_it_wins_and_pays_that_markets_price() -> None:
    parkade = one_node_each()
    first = parkade.in_market("first", "pool", 7)
    second = parkade.in_market("second", "other", 3)
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    parkade.clear()
    assert [parkade.stands(it) for it in (first, second, both)] == ["pool", None, "other"]
    assert parkade.price(first) == 5 * MICROS and parkade.price(both) == 3 * MICROS
    workload = parkade.workload(both)
    assert (workload.market, workload.spec.limit_price_micros) == ("other", 6 * MICROS)
    assert workload.answers == (
        Answer(market="pool", why="outbid", price_to_win_micros=7 * MICROS + 1),
    )


def test_what_loses_its_seats_is_promised_others_in_the_same_event() -> None:
    parkade = one_node_each()
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    parkade.run(60)
    assert parkade.stands(both) == "pool"
    parkade.in_market("first", "pool", 9)
    parkade.clear()
    event = cleared(parkade)
    (left,), (lost,) = event.left, [it for it in event.won if it.promise.market is not None]
    assert left.stop is not None and left.stop.cause is Cause.OUTBID
    assert lost.promise.market == "other" and lost.moved == OtherMarket(market="pool")
    assert (event.market, [it.market for it in event.linked]) == ("other", ["pool"])
    leaving = parkade.workload(both)
    assert (leaving.market, leaving.bids_in, leaving.phase) == ("pool", "other", Phase.PREEMPTING)
    parkade.run(60)
    moved = parkade.workload(both)
    assert (moved.market, moved.phase, moved.preemptions) == ("other", Phase.RUNNING, 1)
    assert moved.promise is None and moved.spec.limit_price_micros == 6 * MICROS


def test_what_the_same_clearing_promises_seats_elsewhere_waits_for_no_back_off() -> None:
    """It is moved. What is promised none waits, as in one market."""
    parkade = one_node_each()
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    parkade.run(60)
    first = parkade.in_market("first", "pool", 6)
    parkade.run(60)
    assert (parkade.stands(both), parkade.workload(both).preemptions) == ("other", 1)
    parkade.ended(first)
    parkade.in_market("second", "other", 7)
    parkade.run(60)
    moved = parkade.workload(both)
    assert (moved.phase, parkade.stands(both)) == (Phase.RUNNING, "pool")
    assert (moved.preemptions, moved.not_before_us) == (2, 0)
    parkade.in_market("third", "pool", 8)
    parkade.run(60)
    waits = parkade.workload(both)
    assert (waits.phase, waits.why, waits.preemptions) == (Phase.QUEUED, "back_off", 3)
    assert waits.not_before_us > parkade.now_us


def test_what_its_lost_promise_held_idle_is_not_carried_to_another_market() -> None:
    """It was charged for where the promise was lost to its own org, and is free where not."""
    parkade = TwoMarkets(
        here={"a": 2}, there={"b": 2}, buffer_nodes=0, public_floor_micros=MICROS, notice_us=10**9
    )
    own = parkade.in_market("both", "other", 3)
    parkade.run(60)
    both = parkade.bid_in("both", {"other": 4, "pool": 6}, nodes=2)
    parkade.do(commands.Cancel(by=None, workload=own, now=False))
    parkade.clear()
    promise = parkade.workload(both).promise
    assert parkade.stands(both) == "other"
    assert promise is not None and promise.own_wait is not None and promise.own_wait.names == (own,)
    parkade.tick(20)
    parkade.in_market("rich", "other", 9, nodes=2)
    parkade.clear()
    assert parkade.stands(both) == "pool"
    assert parkade.attempt(both).waited_us == 0


def test_it_stays_where_it_runs_though_its_first_wish_has_room() -> None:
    parkade = one_node_each()
    first = parkade.in_market("first", "pool", 9)
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    parkade.run(60)
    parkade.ended(first)
    parkade.run(120)
    assert parkade.stands(both) == "other" and parkade.workload(both).preemptions == 0


def test_a_bid_that_loses_everywhere_is_told_what_each_market_says() -> None:
    parkade = one_node_each()
    parkade.in_market("first", "pool", 9)
    parkade.in_market("second", "other", 8)
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    parkade.clear()
    workload = parkade.workload(both)
    assert (workload.market, workload.why) == ("pool", "outbid")
    assert [(it.market, it.price_to_win_micros) for it in workload.answers] == [
        ("pool", 9 * MICROS + 1),
        ("other", 8 * MICROS + 1),
    ]


@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "without a node"])
@pytest.mark.parametrize("gone", ["pool", "other"])
def test_a_market_whose_pool_is_gone_lets_the_others_clear(gone: str, is_silent: bool) -> None:
    parkade = one_node_each()
    there, node = ("other", "a1") if gone == "pool" else ("pool", "b1-other")
    both = parkade.bid_in("both", {gone: 5, there: 6})
    if is_silent:
        parkade.do(commands.ReportReachability(by=None, pool=gone, is_reachable=False))
    else:
        parkade.fail(node)
    parkade.run(60)
    assert (parkade.stands(both), parkade.phase(both)) == (there, Phase.RUNNING)
    alone = parkade.in_market("alone", there, 9)
    parkade.clear()
    assert parkade.stands(alone) == there and parkade.stop(both).cause is Cause.OUTBID
    parkade.do(commands.DrainNode(by=None, node=node, reason="sold"))
    assert both in parkade.refused(commands.ClosePool(by=None, pool=gone)).detail


def test_one_org_sets_its_money_aside_once_for_all_linked_markets() -> None:
    parkade = one_node_each()
    market = parkade.world.records.markets["pool"]
    needs = bid_earmark_micros(market, 6 * MICROS, 2)
    parkade.org("poor", deposit=0)
    parkade.do(commands.Deposit(by=None, org="poor", micros=2 * needs - 1))
    ones = [parkade.bid_in("poor", it) for it in ({"pool": 5, "other": 6}, {"other": 6, "pool": 5})]
    parkade.clear()
    # The dearest market counts, whatever comes first; the highest limit is asked first.
    assert [parkade.stands(it) for it in ones] == [None, "other"]
    assert parkade.workload(ones[0]).why == "insufficient_funds"


def test_one_that_cannot_pay_for_leaving_is_asked_where_it_stands_alone() -> None:
    parkade = one_node_each()
    market = parkade.world.records.markets["pool"]
    parkade.org("poor", deposit=0)
    parkade.do(
        commands.Deposit(by=None, org="poor", micros=bid_earmark_micros(market, 6 * MICROS, 2))
    )
    both = parkade.bid_in("poor", {"pool": 5, "other": 6})
    parkade.run(60)
    assert parkade.stands(both) == "pool"
    parkade.in_market("rich", "pool", 9)
    parkade.clear()
    assert parkade.stands(both) is None
    assert parkade.workload(both).phase is Phase.PREEMPTING


def test_what_comes_from_another_market_owes_for_those_that_it_makes_leave() -> None:
    parkade = one_node_each(minimum_charge_us=600 * 10**6)
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    guest = parkade.in_market("guest", "other", 3)
    parkade.run(60)
    parkade.in_market("first", "pool", 9)
    parkade.clear()
    promise = parkade.workload(both).promise
    assert promise is not None and promise.displaces and promise.debt is not None
    assert promise.debt.nodes == ("b1-other",)
    assert parkade.stop(guest).cause is Cause.OUTBID
    before = parkade.balance("org/both")
    parkade.do(commands.Cancel(by=None, workload=both, now=False))
    # Six minutes at least are owed for the promise that was given up, at the market's price.
    assert before - parkade.balance("org/both") >= 2 * 3 * MICROS * 600 // 3600


def test_markets_are_linked_while_a_bid_names_both() -> None:
    parkade = one_node_each()
    assert linked_with(parkade.world, "pool") == ("pool",)
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    assert linked_with(parkade.world, "other") == ("other", "pool")
    parkade.do(commands.Hold(by=None, workload=both))
    assert linked_with(parkade.world, "pool") == ("pool",)
    parkade.do(commands.Release(by=None, workload=both))
    parkade.do(commands.Cancel(by=None, workload=both, now=True))
    parkade.stop_all()
    assert linked_with(parkade.world, "pool") == ("pool",)


def test_a_plan_is_what_the_next_clearing_gives() -> None:
    parkade = one_node_each()
    parkade.in_market("first", "pool", 7)
    parkade.in_market("second", "other", 3)
    parkade.run(60)
    command = parkade.list_bid("both", {"pool": 5, "other": 6})
    planned = plan(parkade.world, command, parkade.now_us)
    assert isinstance(planned, Plan) and planned.displaces == 1
    (made,) = [it for it in parkade.do(command) if isinstance(it, events.Submitted)]
    name = made.workload.workload
    parkade.clear()
    assert parkade.nodes_of(name) == tuple(it.node for it in planned.seats)
    assert (planned.workload.market, planned.price_micros) == ("other", parkade.price(name))
    assert planned.workload.answers == parkade.workload(name).answers


@pytest.mark.parametrize(
    ("limits", "named", "after"),
    [
        ({"pool": 5, "other": 6}, "small", {"pool": 5, "other": 4}),
        ({"pool": 5, "other": 6}, "kind", {"pool": 4, "other": 6}),
        ({"pool": 5, "other": 5}, None, {"pool": 4, "other": 4}),
    ],
)
def test_a_limit_is_changed_in_one_market_or_in_all_that_have_one(
    limits: dict[str, float], named: str | None, after: dict[str, float]
) -> None:
    parkade = one_node_each()
    name = parkade.bid_in("both", limits)
    change = commands.ChangeBid(
        by=None, workload=name, limit_price_micros=4 * MICROS, instance_type=named
    )
    parkade.do(change)
    workload = parkade.workload(name)
    assert {it.market: it.limit_price_micros for it in workload.spec.choices} == {
        market: limit * MICROS for market, limit in after.items()
    }
    assert workload.spec.limit_price_micros == after["pool"] * MICROS
    assert parkade._do(change) == ()


@pytest.mark.parametrize("named", [None, "large"])
def test_a_change_names_one_of_the_limits(named: str | None) -> None:
    parkade = one_node_each()
    name = parkade.bid_in("both", {"pool": 5, "other": 6})
    refusal = parkade.refused(
        commands.ChangeBid(by=None, workload=name, limit_price_micros=1, instance_type=named)
    )
    assert refusal.field == "instance_type" and "kind, small" in refusal.detail


def test_one_that_others_left_for_is_not_lowered_where_it_is_promised_seats() -> None:
    parkade = one_node_each(minimum_charge_us=600 * 10**6)
    parkade.in_market("guest", "other", 3)
    parkade.in_market("first", "pool", 9)
    parkade.run(60)
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    parkade.clear()
    lower = commands.ChangeBid(
        by=None, workload=both, limit_price_micros=MICROS, instance_type="small"
    )
    assert parkade.refused(lower).reason is Reason.CONFLICT
    parkade.do(replace(lower, instance_type="kind"))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (
            {"capacity": Capacity(kind=CapacityKind.ON_DEMAND), "max_duration_us": HOUR_US},
            "capacity",
        ),
        ({"most_nodes": 2}, "nodes"),
        ({"deadline": DeadlineTerms(by_us=2**60, duration_us=HOUR_US)}, "deadline"),
        ({"gpus": 4}, "gpus"),
        ({"nodes": 3}, "nodes"),
        ({"storage": ("home",)}, "storage"),
    ],
)
def test_what_a_list_is_not_carried_out_with_is_refused_by_name(
    changes: dict[str, Any], field: str
) -> None:
    parkade = one_node_each()
    command = parkade.list_bid("both", {"pool": 5, "other": 6})
    outcome = decide(
        parkade.world, replace(command, spec=replace(command.spec, **changes)), parkade.now_us
    )
    assert refusal_of(outcome).field == field


@pytest.mark.parametrize(
    ("types", "says"),
    [(("kind", "huge"), "huge"), (("kind", "H100"), "already"), (("pool", "kind"), "already")],
)
def test_each_entry_names_another_market(types: tuple[str, ...], says: str) -> None:
    parkade = one_node_each()
    command = parkade.list_bid("both", {"pool": 5, "other": 6})
    choices = tuple(Choice(instance_type=it, limit_price_micros=MICROS) for it in types)
    outcome = decide(
        parkade.world, replace(command, spec=replace(command.spec, choices=choices)), parkade.now_us
    )
    refusal = refusal_of(outcome)
    assert refusal.field == "instance_type" and says in refusal.detail


@pytest.mark.parametrize(
    ("types", "changes", "says"),
    [
        (("big", "kind"), {"gpus": 4}, "kind: a node of 'kind' has 2 GPUs"),
        (("kind", "big"), {"gpus": 4}, "kind: a node of 'kind' has 2 GPUs"),
        (("kind", "big"), {"nodes": 2}, "big: at most 1 nodes can be had together here"),
        (
            ("big", "kind"),
            {"storage": ("home",)},
            "big: the nodes of market 'big' do not share home",
        ),
    ],
)
def test_an_entry_that_does_not_fit_is_named_with_what_it_lacks(
    types: tuple[str, ...], changes: dict[str, Any], says: str
) -> None:
    parkade = TwoMarkets(here={"a": 2}, there={"b": 2})
    large = replace(builders.instance_type(8), name="big", gpu_model="B200")
    parkade._do(builders.open_pool("big", (("c", ("c1",)),), instance_type=large, terms=TERMS))
    command = parkade.list_bid("both", {"pool": 5, "other": 6})
    choices = tuple(Choice(instance_type=it, limit_price_micros=5 * MICROS) for it in types)
    spec = replace(command.spec, choices=choices, **changes)
    outcome = decide(parkade.world, replace(command, spec=spec), parkade.now_us)
    assert refusal_of(outcome).detail.startswith(says)


def test_a_type_that_the_only_market_lacks_is_named() -> None:
    parkade = Parkade(fabrics={"a": 1})
    parkade.org("lab")
    choices = tuple(
        Choice(instance_type=it, limit_price_micros=5 * MICROS) for it in ("pool", "huge")
    )
    spec = replace(parkade.spec(limit=5), choices=choices)
    submit = commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)
    outcome = decide(parkade.world, submit, parkade.now_us)
    assert refusal_of(outcome).detail.startswith("huge: there are no such nodes")


def test_a_market_by_name_and_a_gpu_model_are_entries_too() -> None:
    parkade = one_node_each()
    command = parkade.list_bid("both", {"pool": 5, "other": 6})
    choices = tuple(
        Choice(instance_type=it, limit_price_micros=5 * MICROS) for it in ("A100", "pool")
    )
    made = parkade.do(replace(command, spec=replace(command.spec, choices=choices)))
    (submitted,) = [it for it in made if isinstance(it, events.Submitted)]
    assert [it.market for it in submitted.workload.spec.choices] == ["other", "pool"]
    assert submitted.workload.market == "other"


def test_what_ended_is_submitted_again_with_its_list() -> None:
    parkade = one_node_each()
    parkade.in_market("first", "pool", 9)
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    parkade.run(60)
    parkade.ended(both, code=1)
    assert parkade.phase(both) is Phase.FAILED
    parkade.do(commands.Resubmit(by=None, workload=both))
    parkade.clear()
    assert parkade.stands(both) == "other"
    assert [it.market for it in parkade.workload(both).spec.choices] == ["pool", "other"]


def test_a_market_that_a_live_bid_names_is_not_closed() -> None:
    parkade = one_node_each()
    parkade.bid_in("both", {"pool": 5, "other": 6})
    parkade.do(commands.DrainNode(by=None, node="b1-other", reason="gone"))
    parkade.run(60)
    refusal = parkade.refused(commands.ClosePool(by=None, pool="other"))
    assert "w1" in refusal.detail
