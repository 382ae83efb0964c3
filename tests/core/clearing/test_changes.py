"""What a clearing's outcome changes in the world, as one event: each line of the table by hand.

Each world has one node of four GPUs unless a test says otherwise, and demands of whole nodes.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.fleet.node import Cordon, Health, Node
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events, lines
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import HOUR_US, SECOND_US, Window
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Attempt, Promise, Workload
from tests import builders
from tests.core import records
from tests.core.records import attempt, claim, node, rate, reservation, seats, stop, workload

S = SECOND_US
NOW_US = 1000 * S
A1 = node("a1")
RICH = {"org/lab": 10**9, "org/acme": 10**9, "org/rich": 10**9}
FLOOR = replace(rate(MICROS, operator=4 * MICROS), floor_micros=MICROS)
"""What a guest of unreserved nodes pays at the floor of 1, and what its four GPUs earn."""


def bid(name: str, limit: float, *, org: str = "lab", **changes: Any) -> Workload:
    """A spot workload that wants a whole node."""
    spec = builders.spec(gpus=4, limit_price_micros=round(limit * MICROS))
    return workload(name, **{"org": org, "user": org, "spec": spec} | changes)


def runs(name: str, **changes: Any) -> Attempt:
    fields = {"attempt": f"{name}.1", "seats": seats(a1=4), "rates": (FLOOR,)} | changes
    return attempt(**fields)


def promised(**changes: Any) -> Promise:
    return records.promise(**{"seats": seats(a1=4), "rates": (FLOOR,)} | changes)


def world(*given: Any, nodes: tuple[Node, ...] = (A1,), **changes: Any) -> World:
    return records.world(*given, nodes=nodes, balances=RICH, **changes)


def clearing(made: World, *, now_us: int = NOW_US) -> tuple[events.AnyEvent, ...]:
    found = decide(made, commands.RunClearing(by=None, market="market"), now_us)
    assert not isinstance(found, Refusal)
    return found


def cleared(made: World) -> events.Cleared:
    """The event of a clearing that charges nothing."""
    (event,) = clearing(made)
    assert isinstance(event, events.Cleared)
    return event


def names(changed: tuple[Any, ...]) -> list[str]:
    return [lines.name_of(line.demand) for line in changed]


def test_the_worked_example_of_the_theory_of_operation() -> None:
    event = cleared(world(bid("w1", 2, attempt=runs("w1")), bid("w2", 5, org="acme")))
    (left,), (won,) = event.left, event.won
    assert names(event.left) == ["w1"] and names(event.won) == ["w2"]
    assert left.stop is not None and left.stop.cause is Cause.OUTBID
    assert left.stop.deadline_us == NOW_US + 30 * S and left.stop.kill_us == NOW_US + 35 * S
    assert (left.phase, left.price_to_win_micros) == (Phase.PREEMPTING, 5_000_001)
    assert won.promise.rates[-1].price_micros == 2_100_000
    assert won.promise.seats == seats(a1=4)
    assert (won.promise.busy, won.promise.displaces) == (1, True)
    assert event.waiting == () and event.repriced == ()


def test_what_is_as_it_was_makes_no_event() -> None:
    made = world(
        bid("w1", 2, attempt=runs("w1")), bid("w2", 1.5, org="acme"), bid("w3", 0.5, org="acme")
    )
    for event in clearing(made):
        evolve(made, event)
    assert clearing(made, now_us=NOW_US + 30 * S) == ()


@pytest.mark.parametrize(
    ("one", "part"),
    [
        (bid("w1", 2), "won"),
        (bid("w1", 0.5), "waiting"),
        (bid("w1", 2, attempt=runs("w1")), None),
        (bid("w1", 2, attempt=runs("w1", rates=(rate(2 * MICROS),))), "repriced"),
        (bid("w1", 2, promise=promised(rates=(rate(2 * MICROS),))), "repriced"),
        (bid("w1", 2, promise=promised()), None),
        (bid("w1", 0.5, attempt=runs("w1")), "left"),
        (bid("w1", 0.5, promise=promised()), "left"),
        # What leaves already gets its next promise, and no second notice.
        (bid("w1", 2, attempt=runs("w1", stop=stop()), phase=Phase.PREEMPTING), "won"),
        (bid("w1", 0.5, attempt=runs("w1", stop=stop()), phase=Phase.PREEMPTING), None),
        (bid("w1", 0.5, why="below_floor", price_to_win_micros=MICROS), None),
    ],
    ids=[
        "newcomer wins", "newcomer waits", "stays", "another price", "a promise at another price",
        "stays promised", "notice", "promise falls away", "next promise", "leaves", "waits on",
    ],
)  # fmt: skip
def test_each_demand_is_in_at_most_the_part_that_changed_it(
    one: Workload, part: str | None
) -> None:
    made = world(one)
    made.records.markets["market"] = replace(made.records.markets["market"], ladder=())
    found = [event for event in clearing(made) if isinstance(event, events.Cleared)]
    (event,) = found
    counts = {name: len(getattr(event, name)) for name in ("left", "won", "repriced", "waiting")}
    assert counts == {name: int(name == part) for name in counts}


def closed_under_w1(limit: float, *, floor_micros: int | None, **changes: Any) -> World:
    """w1 runs on a1, which was cordoned since."""
    cordon = Cordon(holder="user/ops", reason="", at_us=0)
    paid = replace(FLOOR, floor_micros=floor_micros)
    one = bid("w1", limit, attempt=runs("w1", rates=(paid,)), **changes)
    return world(one, nodes=(node("a1", cordons=(cordon,)),))


@pytest.mark.parametrize(
    ("limit", "floor", "paid"), [(9, 7, 7), (9, None, None), (7, 7, 7), (6, 7, "left")]
)
def test_a_closed_node_costs_the_floor_that_its_holder_drew_when_it_closed(
    limit: float, floor: int | None, paid: int | str | None
) -> None:
    """None: a journal of before says no floor, so it is the public one, which w1 pays already."""
    micros = None if floor is None else floor * MICROS
    event = cleared(closed_under_w1(limit, floor_micros=micros))
    assert (names(event.left) == ["w1"]) == (paid == "left")
    if paid != "left":
        (repriced,) = event.repriced
        assert repriced.rate.price_micros == (paid or 1) * MICROS
        assert repriced.rate.floor_micros == (floor or 1) * MICROS


@pytest.mark.parametrize(("assemble", "wins"), [(None, False), (100 * S, True), (101 * S, False)])
def test_smaller_running_bids_give_way_to_a_gang_that_waited_as_long_as_the_market_says(
    assemble: int | None, wins: bool
) -> None:
    spec = builders.spec(nodes=2, gpus=4, limit_price_micros=2_050_000)
    gang = workload("w3", org="acme", user="acme", spec=spec, submitted_us=NOW_US - 100 * S)
    small = [bid(f"w{n}", 2, attempt=runs(f"w{n}", seats=seats(**{f"a{n}": 4}))) for n in (1, 2)]
    made = world(*small, gang, nodes=(A1, node("a2")))
    market = made.records.markets["market"]
    terms = replace(market.terms, assemble_us=assemble)
    made.records.markets["market"] = replace(market, terms=terms)
    assert names(cleared(made).won) == (["w3"] if wins else [])


def owned(nodes: int = 1, **changes: Any) -> Workload:
    capacity = Capacity(kind=CapacityKind.RESERVATION, reservation="acme")
    spec = builders.spec(gpus=4, nodes=nodes, capacity=capacity, limit_price_micros=None)
    return workload("w2", **{"org": "acme", "spec": spec} | changes)


def on_demand() -> Workload:
    spec = builders.spec(
        gpus=4,
        capacity=Capacity(kind=CapacityKind.ON_DEMAND),
        limit_price_micros=None,
        max_duration_us=HOUR_US,
    )
    return workload(
        "w2", org="acme", spec=spec, fabric="a", must_end_us=2 * HOUR_US, agreed_price_micros=12
    )


ONE_NODE = reservation(shape=(("a", 1),), paid_until_us=9 * HOUR_US)


@pytest.mark.parametrize(
    ("arrival", "cause", "displaces"),
    [
        ([bid("w2", 5, org="acme")], Cause.OUTBID, True),
        ([on_demand()], Cause.RECLAIMED, True),
        ([ONE_NODE, owned()], Cause.RECLAIMED, False),
        ([ONE_NODE, claim()], Cause.RECLAIMED, False),
    ],
    ids=["a higher bid", "on-demand", "an owner's workload", "an owner's claim"],
)
def test_the_cause_of_leaving_and_the_debt_follow_from_what_takes_the_seats(
    arrival: list[Any], cause: Cause, displaces: bool
) -> None:
    event = cleared(world(bid("w1", 2, attempt=runs("w1")), *arrival))
    (left,), (won,) = event.left, event.won
    assert left.stop is not None and left.stop.cause is cause
    assert won.promise.displaces is displaces


@pytest.mark.parametrize(
    ("broken", "guest_notice_s"), [(False, 30), (True, 10)], ids=["a move", "a heal"]
)
def test_a_guest_leaves_with_the_shorter_notice_for_a_broken_gang_of_higher_right(
    broken: bool, guest_notice_s: int
) -> None:
    """acme's workload ran on a2, which failed, or waits; the guest on a1 makes room."""
    made_attempt = runs("w2", seats=seats(a2=4), rates=(rate(0),), broken_us=5 if broken else None)
    a2 = node("a2", health=Health.FAILED)
    phase = Phase.DEGRADED if broken else Phase.QUEUED
    owner = owned(attempt=made_attempt if broken else None, phase=phase, why=Why.NEXT_CLEARING)
    guest = bid("w1", 2, attempt=runs("w1"))
    record = reservation(paid_until_us=9 * HOUR_US)
    event = cleared(world(guest, record, owner, nodes=(A1, a2)))
    stops = {lines.name_of(it.demand): it.stop for it in event.left}
    assert stops["w1"] is not None
    assert stops["w1"].deadline_us == NOW_US + guest_notice_s * S
    if broken:
        own = stops["w2"]
        assert own is not None and own.cause is Cause.HEALED
        assert own.deadline_us == NOW_US + 10 * S, "its surviving ranks save what they can"
        assert own.kill_us == NOW_US + 15 * S


@pytest.mark.parametrize(
    ("changes", "why", "charged"),
    [
        ({"balances": {"org/lab": 100}}, Why.INSUFFICIENT_FUNDS, True),
        ({}, "below_floor", False),
    ],
    ids=["cannot pay", "lost to the floor"],
)
def test_only_a_workload_that_cannot_pay_owes_for_the_promise_it_loses(
    changes: dict[str, Any], why: str, charged: bool
) -> None:
    limit = 2 if charged else 0.5
    one = bid("w1", limit, promise=promised(displaces=True, busy=1, rates=(rate(3600),)))
    made = records.world(one, nodes=(A1,), **{"balances": RICH} | changes)
    found = clearing(made)
    assert [type(event).__name__ for event in found] == (
        ["WithdrawalCharged", "Cleared"] if charged else ["Cleared"]
    )
    event = found[-1]
    assert isinstance(event, events.Cleared)
    (left,) = event.left
    assert (left.stop, left.phase, left.why) == (None, Phase.QUEUED, why)


@pytest.mark.parametrize(
    ("why", "one", "cause", "phase"),
    [
        (Why.INSUFFICIENT_FUNDS, bid("w1", 2, org="poor"), Cause.BUDGET, Phase.PREEMPTING),
        (Why.RESERVATION_ENDED, owned(), Cause.EXPIRED, Phase.STOPPING),
    ],
    ids=["out of funds", "its reservation is over"],
)
def test_a_workload_that_takes_no_part_gets_its_notice(
    why: Why, one: Workload, cause: Cause, phase: Phase
) -> None:
    running = replace(one, attempt=runs(one.workload), phase=Phase.RUNNING, why="", generation=1)
    (left,) = cleared(world(running)).left
    assert left.stop is not None
    assert (left.stop.cause, left.phase, left.why) == (cause, phase, why)


def test_on_demand_keeps_the_price_that_was_agreed() -> None:
    (won,) = cleared(world(on_demand())).won
    (paid,) = won.promise.rates
    assert (paid.price_micros, paid.shares) == (12, (("operator", 48),))


def test_a_shortfall_is_credited_in_the_clearing_that_ends_it() -> None:
    short = owned(short_us=NOW_US - HOUR_US, why="no_room")
    record = reservation(
        shape=(("a", 1),), window=Window(start_us=-9 * HOUR_US, end_us=None), paid_until_us=HOUR_US
    )
    made = records.world(record, short, nodes=(A1,), balances={"operator": 10**9})
    credit, event = clearing(made)
    assert isinstance(credit, events.ReservationSettled) and isinstance(event, events.Cleared)
    assert credit.transfers[0].micros == 4 * 4 * MICROS, "an hour of four GPUs at 4"
    assert names(event.won) == ["w2"]


def test_a_shortage_is_told_once_with_what_is_credited_for_it() -> None:
    record = reservation(
        shape=(("a", 1),), window=Window(start_us=-9 * HOUR_US, end_us=None), paid_until_us=HOUR_US
    )
    made = world(record, owned(why="no_room"), nodes=(node("a1", health=Health.FAILED),))
    (told,) = (it for it in clearing(made) if isinstance(it, events.ReservationSettled))
    assert told.short == (("w2", 4),)
    evolve(made, told)
    assert made.records.workloads["w2"].short_us == NOW_US
    assert not any(it.waiting for it in clearing(made) if isinstance(it, events.Cleared))


def test_no_market_is_cleared_while_the_clock_is_doubted() -> None:
    command = commands.RunClearing(by=None, market="market")
    refused = decide(world(is_clock_doubted=True), command, NOW_US)
    assert isinstance(refused, Refusal) and refused.reason is Reason.CLOCK_JUMPED
    unknown = decide(world(), replace(command, market="gone"), NOW_US)
    assert isinstance(unknown, Refusal) and unknown.reason is Reason.NOT_FOUND
