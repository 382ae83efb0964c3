"""Making others leave for nothing: each way that was found, and what it costs now."""

import pytest
from msgspec.structs import replace

from parkade.core.billing.minimum import minimum_rate
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from tests.auditor import audit
from tests.core.kernel.story import Parkade

MINIMUM_S = 30
LESS_CREDIT = 5 * MICROS * 20 // 21


def given_guests(*, nodes: int = 1, **terms: int) -> tuple[Parkade, list[str]]:
    """One node a guest, all free of a floor, each running at a limit of 5."""
    parkade = Parkade(fabrics={"a": nodes}, buffer_nodes=0, public_floor_micros=0, **terms)
    guests = [parkade.bid("guest", 5) for _ in range(nodes)]
    parkade.clear()
    parkade.start_all()
    return parkade, guests


def given_a_sweep(**terms: int) -> tuple[Parkade, str, str]:
    """The cheat outbid a guest, which has its notice."""
    parkade, (guest,) = given_guests(**terms)
    parkade.org("cheat")
    sweep = parkade.bid("cheat", 20)
    parkade.clear()
    assert parkade.stop(guest).cause == "outbid"
    return parkade, guest, sweep


def cancel(parkade: Parkade, name: str) -> None:
    parkade.do(commands.Cancel(by=None, workload=name, now=True))


def rebid(parkade: Parkade, name: str, limit: int) -> None:
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=limit))


def minimum(price: int, gpus: int = 2) -> int:
    return price * gpus * MINIMUM_S // 3600


def audited(parkade: Parkade) -> None:
    audit(encode_event(event) for event in parkade.journal)


def charges(parkade: Parkade, org: str) -> list[tuple[str, int]]:
    """(kind, micro-units) of all that an org was charged."""
    return [
        (transfer.kind.value, transfer.micros)
        for event in parkade.journal
        if isinstance(event, events.MoneyEvent)
        for transfer in event.transfers
        if transfer.debit == f"org/{org}"
    ]


def test_taking_over_the_promise_of_ones_own_bid_and_cancelling_both_costs_the_minimum() -> None:
    parkade, _, first = given_a_sweep()
    before, price = parkade.balance("org/cheat"), parkade.price(first)
    second = parkade.bid("cheat", 50)
    parkade.clear()
    assert parkade.phase(second) is Phase.PLACED and parkade.phase(first) is Phase.QUEUED
    cancel(parkade, first)
    cancel(parkade, second)
    assert before - parkade.balance("org/cheat") == minimum(price)
    audited(parkade)


def test_a_small_bid_that_takes_over_a_part_of_ones_own_large_promise_frees_none_of_it() -> None:
    parkade, _ = given_guests(nodes=4)
    parkade.org("cheat")
    large = parkade.bid("cheat", 20, nodes=4)
    parkade.clear()
    before, price = parkade.balance("org/cheat"), parkade.price(large)
    small = parkade.bid("cheat", 50)
    parkade.clear()
    assert parkade.phase(large) is Phase.QUEUED
    cancel(parkade, small)
    cancel(parkade, large)
    assert before - parkade.balance("org/cheat") == minimum(price, gpus=8)
    audited(parkade)


def given_a_gang(nodes: int = 3, floor: int = 0) -> Parkade:
    """A guest's gang at 5 has all the nodes."""
    parkade = Parkade(fabrics={"a": nodes}, buffer_nodes=0, public_floor_micros=floor * MICROS)
    parkade.bid("guest", 5, nodes=nodes)
    parkade.clear()
    parkade.start_all()
    parkade.org("cheat")
    return parkade


def given_two_that_push_a_gang_out(*, floor: int = 0) -> tuple[Parkade, list[str]]:
    """Without one of the two the other would do as well, so that each pays the floor."""
    parkade = given_a_gang(floor=floor)
    two = [parkade.bid("cheat", 20) for _ in range(2)]
    parkade.clear()
    assert [parkade.phase(it) for it in two] == [Phase.PLACED, Phase.PLACED]
    assert [parkade.price(it) for it in two] == [floor * MICROS] * 2
    return parkade, two


def test_bids_that_push_a_gang_out_together_owe_the_minimum_at_what_it_had_bid() -> None:
    parkade, two = given_two_that_push_a_gang_out()
    before = parkade.balance("org/cheat")
    for name in two:
        cancel(parkade, name)
    assert before - parkade.balance("org/cheat") == 2 * minimum(LESS_CREDIT)
    audited(parkade)


@pytest.mark.parametrize("ran_s", [0, 10, MINIMUM_S, 600])
def test_bids_that_push_a_gang_out_together_owe_it_in_all_however_long_they_run(
    ran_s: int,
) -> None:
    parkade, two = given_two_that_push_a_gang_out()
    before = parkade.balance("org/cheat")
    parkade.stop_all()
    parkade.tick()
    parkade.start_all()
    parkade.pass_time(ran_s)
    for name in two:
        parkade.ended(name)
    assert before - parkade.balance("org/cheat") == 2 * minimum(LESS_CREDIT)
    audited(parkade)


def test_lowering_the_bid_does_not_lower_what_it_owes_for_the_gang() -> None:
    parkade, two = given_two_that_push_a_gang_out()
    before = parkade.balance("org/cheat")
    parkade.stop_all()
    parkade.tick()
    parkade.start_all()
    parkade.pass_time(60)
    for name in two:
        rebid(parkade, name, 1)
    assert before - parkade.balance("org/cheat") == 2 * minimum(LESS_CREDIT)
    for name in two:
        parkade.ended(name)
    assert before - parkade.balance("org/cheat") == 2 * minimum(LESS_CREDIT)
    audited(parkade)


@pytest.mark.parametrize(
    ("ran_s", "paid"), [(60, minimum(LESS_CREDIT)), (120, 4 * MICROS * 120 // 3600)]
)
def test_what_use_costs_counts_for_what_is_owed_in_all(ran_s: int, paid: int) -> None:
    """At a floor of 2 one pays 4 an hour; what the gang had bid is 9.523808 an hour for half a
    minute, which is used up in 71 seconds."""
    parkade, two = given_two_that_push_a_gang_out(floor=2)
    before = parkade.balance("org/cheat")
    parkade.stop_all()
    parkade.tick()
    parkade.start_all()
    parkade.pass_time(ran_s)
    for name in two:
        parkade.ended(name)
    assert before - parkade.balance("org/cheat") == 2 * paid
    audited(parkade)


def test_a_bid_owes_what_it_displaced_though_another_of_its_org_makes_it_free_later() -> None:
    parkade = given_a_gang()
    first = parkade.bid("cheat", 20, nodes=2)
    parkade.clear()
    assert parkade.price(first) == 5_250_000
    before = parkade.balance("org/cheat")
    parkade.bid("cheat", 6)
    parkade.clear()
    assert parkade.price(first) == 0
    cancel(parkade, first)
    assert before - parkade.balance("org/cheat") == minimum(LESS_CREDIT, gpus=4)
    audited(parkade)


def test_no_bid_owes_more_than_its_own_limit_for_what_it_displaced() -> None:
    """A bid that takes a promise over may be lower than those that the loser outbid."""
    parkade, two = given_two_that_push_a_gang_out()
    first = parkade.workload(two[0])
    assert first.promise is not None and first.promise.debt is not None
    assert first.promise.debt.outbid_micros == (2 * LESS_CREDIT,)
    gpus, rate = minimum_rate(first, first.promise)
    assert (gpus, rate.price_micros) == (2, LESS_CREDIT)
    weaker = replace(first, spec=replace(first.spec, limit_price_micros=4 * MICROS))
    gpus, rate = minimum_rate(weaker, first.promise)
    assert (gpus, rate.price_micros) == (2, 4 * MICROS)
    assert sum(share for _, share in rate.shares) == 8 * MICROS


def test_another_org_that_takes_over_the_promise_takes_over_the_debt() -> None:
    parkade, _, sweep = given_a_sweep()
    parkade.org("rich")
    before = parkade.balance("org/cheat")
    rich = parkade.bid("rich", 50)
    parkade.clear()
    assert parkade.phase(sweep) is Phase.QUEUED
    assert parkade.balance("org/cheat") == before
    price, had = parkade.price(rich), parkade.balance("org/rich")
    cancel(parkade, rich)
    assert had - parkade.balance("org/rich") == minimum(price) > 0
    audited(parkade)


def test_two_orgs_under_one_hand_pass_a_large_debt_to_a_small_bid() -> None:
    """Bounded, not prevented: orgs are admitted by the operator. Four nodes were told to leave, and
    one is paid for."""
    parkade, _ = given_guests(nodes=4)
    large = parkade.bid("cheat", 20, nodes=4)
    parkade.clear()
    small = parkade.bid("shill", 50)
    parkade.clear()
    assert parkade.phase(large) is Phase.QUEUED
    price = parkade.price(small)
    cancel(parkade, small)
    assert charges(parkade, "cheat") == []
    assert charges(parkade, "shill") == [("minimum_charge", minimum(price))]
    audited(parkade)


def test_a_bid_that_takes_over_its_own_orgs_promise_does_not_hold_the_seats_free() -> None:
    parkade, guest, _ = given_a_sweep()
    second = parkade.bid("cheat", 50)
    parkade.clear()
    before = parkade.balance("org/cheat")
    parkade.ended(guest, code=85)
    price = parkade.price(second)
    parkade.tick(30 + 120 + 600)
    parkade.started(second)
    parkade.ended(second)
    assert before - parkade.balance("org/cheat") == price * 2 * (120 + 600) // 3600
    audited(parkade)


def test_an_owner_that_reclaims_promised_seats_takes_over_no_debt_and_frees_the_bid_of_it() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.reserve("acme", 1)
    parkade.lend("acme", 1)
    guest = parkade.bid("guest", 5)
    parkade.clear()
    parkade.started(guest)
    sweep = parkade.bid("cheat", 20)
    parkade.clear()
    assert parkade.phase(sweep) is Phase.PLACED
    before = parkade.balance("org/cheat")
    claim = parkade.claim("acme", 1)
    assert parkade.phase(sweep) is Phase.QUEUED
    had = parkade.balance("org/acme")
    parkade.do(commands.Unclaim(by=None, claim=claim))
    assert parkade.balance("org/cheat") == before
    assert parkade.balance("org/acme") == had
    audited(parkade)


def test_ones_own_on_demand_does_not_excuse_the_bid_that_it_displaces() -> None:
    parkade, _, sweep = given_a_sweep()
    before, price = parkade.balance("org/cheat"), parkade.price(sweep)
    sure = parkade.on_demand("cheat")
    assert parkade.phase(sweep) is Phase.QUEUED
    cancel(parkade, sure)
    cancel(parkade, sweep)
    assert before - parkade.balance("org/cheat") == minimum(price)
    audited(parkade)


def test_ones_own_on_demand_does_not_excuse_the_attempt_that_it_displaces() -> None:
    parkade, guest, sweep = given_a_sweep()
    parkade.ended(guest, code=85)
    assert parkade.phase(sweep) is Phase.STARTING
    before, price = parkade.balance("org/cheat"), parkade.price(sweep)
    sure = parkade.on_demand("cheat")
    assert parkade.stop(sweep).cause == "reclaimed"
    cancel(parkade, sure)
    parkade.ended(sweep, signal=9)
    assert before - parkade.balance("org/cheat") >= minimum(price)
    audited(parkade)


def test_a_displacing_bid_is_lowered_neither_before_nor_after_its_launch_until_it_started() -> None:
    parkade, guest, sweep = given_a_sweep()
    lower = commands.ChangeBid(by=None, workload=sweep, limit_price_micros=1)
    assert parkade.refused(lower).reason == "conflict"
    parkade.ended(guest, code=85)
    assert parkade.phase(sweep) is Phase.STARTING
    assert parkade.refused(lower).reason == "conflict"
    rebid(parkade, sweep, 30 * MICROS)
    parkade.started(sweep)
    rebid(parkade, sweep, 6 * MICROS)
    audited(parkade)


def test_a_displacing_bid_that_is_lowered_after_its_start_pays_the_rest_of_the_minimum() -> None:
    parkade, guest, sweep = given_a_sweep()
    parkade.ended(guest, code=85)
    parkade.started(sweep)
    before, price = parkade.balance("org/cheat"), parkade.price(sweep)
    parkade.tick(10)
    rebid(parkade, sweep, 1)
    rest = price * 2 * (MINIMUM_S - 10) // 3600
    assert before - parkade.balance("org/cheat") == rest
    parkade.clear()
    parkade.ended(sweep, code=0)
    used = price * 2 * 10 // 3600
    assert before - parkade.balance("org/cheat") == used + rest
    audited(parkade)


def test_backfillers_beside_a_displacing_gang_owe_nothing() -> None:
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0, public_floor_micros=0)
    guest = parkade.bid("guest", 5, nodes=4)
    parkade.clear()
    parkade.started(guest)
    small = [parkade.bid("small", 1) for _ in range(2)]
    gang = parkade.bid("gang", 20, nodes=2)
    parkade.clear()
    assert parkade.stop(guest).cause == "outbid"
    assert [parkade.phase(it) for it in (gang, *small)] == [Phase.PLACED] * 3
    before = parkade.balance("org/small")
    for name in small:
        cancel(parkade, name)
    assert parkade.balance("org/small") == before
    had, price = parkade.balance("org/gang"), parkade.price(gang)
    cancel(parkade, gang)
    assert had - parkade.balance("org/gang") == minimum(price, gpus=4)
    audited(parkade)


def test_a_late_start_is_charged_apart_from_the_end_of_the_notice_and_the_start_grace() -> None:
    parkade, guest, sweep = given_a_sweep()
    parkade.ended(guest, code=85)
    assert parkade.phase(sweep) is Phase.STARTING
    parkade.tick(30 + 120 + 600)
    parkade.started(sweep)
    price = parkade.price(sweep)
    parkade.tick(600)
    parkade.ended(sweep)
    assert charges(parkade, "cheat") == [
        ("late_start", price * 2 * 600 // 3600),
        ("usage", price * 2 * 1200 // 3600 - price * 2 * 600 // 3600),
    ]
    audited(parkade)


def test_turnaround_and_a_leaver_that_is_late_are_not_charged_to_the_arrival() -> None:
    parkade, guest, sweep = given_a_sweep(turnaround_us=300 * SECOND_US)
    parkade.tick(90)
    parkade.ended(guest, signal=9)
    parkade.tick(300)
    assert parkade.phase(sweep) is Phase.STARTING
    parkade.tick(119)
    parkade.started(sweep)
    price = parkade.price(sweep)
    parkade.tick(480)
    parkade.ended(sweep)
    assert charges(parkade, "cheat") == [("usage", price * 2 * 480 // 3600)]
    audited(parkade)


@pytest.mark.parametrize("by_us", [600 * SECOND_US, 0], ids=["set ahead", "no server ran"])
def test_time_in_which_no_agent_could_tell_is_not_charged_as_a_late_start(by_us: int) -> None:
    parkade, guest, sweep = given_a_sweep()
    parkade.ended(guest, code=85)
    leap = events.ClockAdvanced(at_us=parkade.now_us, by_us=by_us, unheard_us=600 * SECOND_US)
    parkade.happen((leap,))
    parkade.tick(600 + 30 + 119)
    parkade.started(sweep)
    price = parkade.price(sweep)
    parkade.tick(600)
    parkade.ended(sweep)
    assert charges(parkade, "cheat") == [("usage", price * 2 * 600 // 3600)]
    audited(parkade)


def test_the_time_in_which_the_agent_is_not_heard_is_not_charged_as_a_late_start() -> None:
    parkade, guest, sweep = given_a_sweep()
    parkade.tick(30)
    parkade.ended(guest, code=85)
    for is_reachable in (False, True):
        parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=is_reachable))
        parkade.tick(0 if is_reachable else 3600)
    parkade.tick(110)
    parkade.started(sweep)
    price = parkade.price(sweep)
    parkade.tick(480)
    parkade.ended(sweep)
    assert charges(parkade, "cheat") == [("usage", price * 2 * 480 // 3600)]
    audited(parkade)


def test_evictions_by_bids_that_replace_each_other_are_paid_one_by_one() -> None:
    """They were free, 143 times in six hours."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, public_floor_micros=0)
    parkade.org("cheat")
    for _ in range(10):
        guest = parkade.bid("guest", 5)
        parkade.clear()
        parkade.started(guest)
        before = parkade.balance("org/cheat")
        bids = []
        for limit in (20, 50, 90):
            bids.append(parkade.bid("cheat", limit))
            parkade.clear()
        for name in bids:
            cancel(parkade, name)
        assert parkade.stop(guest).cause == "outbid"
        assert before - parkade.balance("org/cheat") >= minimum(5 * MICROS)
        cancel(parkade, guest)
        parkade.ended(guest, code=85)
    audited(parkade)


def given_a_churner(preemptions: int) -> tuple[Parkade, str]:
    """A bid that lost its node soon after its start so often, each time to a stronger bid."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, public_floor_micros=0)
    churner = parkade.bid("churner", 5)
    for _ in range(preemptions):
        parkade.tick(3 * 3600)
        parkade.clear()
        parkade.start_all()
        rich = parkade.bid("rich", 50)
        parkade.clear()
        assert parkade.stop(churner).cause == "outbid"
        parkade.ended(churner, code=85)
        cancel(parkade, rich)
        parkade.stop_all()
    return parkade, churner


def test_the_back_off_counts_from_the_release_and_no_promise_cancels_it() -> None:
    parkade, churner = given_a_churner(1)
    parkade.clear()
    parkade.start_all()
    assert parkade.phase(churner) is Phase.RUNNING
    rich = parkade.bid("rich", 50)
    parkade.clear()
    cancel(parkade, rich)
    parkade.clear()
    assert parkade.workload(churner).promise is None, "its node is free again, and it must wait"
    parkade.tick(20)
    parkade.ended(churner, code=85)
    parkade.clear()
    released_us = parkade.now_us
    assert (parkade.phase(churner), parkade.workload(churner).why) == (Phase.QUEUED, "back_off")
    assert parkade.workload(churner).not_before_us == released_us + 60 * SECOND_US
    parkade.tick(60)
    parkade.clear()
    assert parkade.phase(churner) is Phase.STARTING
