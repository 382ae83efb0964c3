"""Ways to cheat, and what each costs: none pays, or no more than the test says."""

from collections.abc import Callable

import pytest

from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event
from parkade.core.state.people import Role
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from tests import builders
from tests.auditor import audit
from tests.core.kernel.journeys import Journey
from tests.core.kernel.story import Parkade

MINIMUM_S = 30


def given_a_guest(*, limit: float = 5, nodes: int = 1) -> tuple[Parkade, str]:
    """One node a guest, all free of a floor, each running."""
    parkade = Parkade(fabrics={"a": nodes}, buffer_nodes=0, public_floor_micros=0)
    guest = parkade.bid("guest", limit)
    parkade.clear()
    parkade.started(guest)
    return parkade, guest


def cancelled(parkade: Parkade, name: str) -> None:
    parkade.do(commands.Cancel(by=None, workload=name, now=True))


def lowered(parkade: Parkade, name: str) -> None:
    lower = commands.ChangeBid(by=None, workload=name, limit_price_micros=1)
    assert parkade.refused(lower).reason == "conflict"
    cancelled(parkade, name)


def held(parkade: Parkade, name: str) -> None:
    parkade.do(commands.Hold(by=None, workload=name))


def out_of_funds(parkade: Parkade, name: str) -> None:
    """The owner caps the user below what the bid may cost."""
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=MICROS // 100))
    parkade.clear()


def launched_and(parkade: Parkade, name: str, code: int) -> None:
    parkade.stop_all()
    parkade.started(name)
    parkade.ended(name, code=code)


def failed_at_once(parkade: Parkade, name: str) -> None:
    launched_and(parkade, name, 1)


def succeeded_at_once(parkade: Parkade, name: str) -> None:
    launched_and(parkade, name, 0)


def cancelled_before_it_started(parkade: Parkade, name: str) -> None:
    parkade.stop_all()
    cancelled(parkade, name)
    parkade.ended(name, code=1)


WAYS_OUT = (
    cancelled,
    lowered,
    held,
    out_of_funds,
    failed_at_once,
    succeeded_at_once,
    cancelled_before_it_started,
)


def given_eve(parkade: Parkade) -> None:
    parkade.org("cheat")
    parkade.do(builders.create_user("eve", "cheat", role=Role.OWNER))


def eves_bid(parkade: Parkade, limit: float) -> str:
    spec = parkade.spec(limit=limit)
    command = commands.Submit(by="eve", org="cheat", market=None, spec=spec, is_held=False)
    made = parkade.do(command)
    return next(e.workload.workload for e in made if isinstance(e, events.Submitted))


@pytest.mark.parametrize("leave", WAYS_OUT)
def test_a_cheap_sweep_costs_the_minimum_charge_whatever_way_it_is_given_up(
    leave: Callable[[Parkade, str], None],
) -> None:
    parkade, guest = given_a_guest()
    given_eve(parkade)
    sweep = eves_bid(parkade, 20)
    parkade.clear()
    assert parkade.stop(guest).cause == "outbid"
    price = parkade.price(sweep)
    before = parkade.balance("org/cheat")
    leave(parkade, sweep)
    paid = before - parkade.balance("org/cheat")
    without_credits = price * 20**2 // 21**2
    assert without_credits * 2 * MINIMUM_S // 3600 <= paid <= price * 2 * MINIMUM_S // 3600


def test_on_demand_that_makes_guests_leave_and_cancels_pays_the_minimum_charge() -> None:
    parkade, guest = given_a_guest()
    before = parkade.balance("org/guest")
    parkade.org("cheat")
    had = parkade.balance("org/cheat")
    sure = parkade.on_demand("cheat")
    assert parkade.stop(guest).cause == "reclaimed"
    cancelled(parkade, sure)
    assert had - parkade.balance("org/cheat") == 12 * MICROS * 2 * MINIMUM_S // 3600
    assert parkade.balance("org/guest") == before


def given_an_outbid_cheat() -> tuple[Parkade, str, str]:
    """The cheat was outbid and, before it left, raised its bid so that another must leave."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, public_floor_micros=0)
    cheat, guest = parkade.bid("cheat", 4), parkade.bid("guest", 6)
    parkade.clear()
    parkade.start_all()
    rich = parkade.bid("rich", 20)
    parkade.clear()
    assert parkade.stop(cheat).cause == "outbid"
    assert parkade.phase(rich) is Phase.PLACED
    parkade.do(commands.ChangeBid(by=None, workload=cheat, limit_price_micros=50 * MICROS))
    parkade.clear()
    return parkade, cheat, guest


@pytest.mark.parametrize("way", ["cancel", "succeed"])
def test_a_leaver_whose_promise_displaces_others_pays_for_giving_it_up(way: str) -> None:
    parkade, cheat, guest = given_an_outbid_cheat()
    assert parkade.stop(guest).cause == "outbid"
    price = parkade.price(cheat)
    before = parkade.balance("org/cheat")
    if way == "cancel":
        cancelled(parkade, cheat)
        parkade.ended(cheat, code=1)
    else:
        parkade.ended(cheat, code=0)
    assert before - parkade.balance("org/cheat") >= price * 2 * MINIMUM_S // 3600 > 0
    audit(encode_event(event) for event in parkade.journal)


def test_alternating_bids_change_no_price_and_a_bid_that_others_leave_for_is_not_lowered() -> None:
    parkade, _ = given_a_guest()
    parkade.org("cheat")
    sweep = parkade.bid("cheat", 20)
    parkade.clear()
    parkade.clear()
    price = parkade.price(sweep)
    for limit in (30, 1000, 21):
        change = commands.ChangeBid(by=None, workload=sweep, limit_price_micros=limit * MICROS)
        if limit == 21:
            assert parkade.refused(change).reason == "conflict"
        else:
            parkade.do(change)
        parkade.clear()
        assert parkade.price(sweep) == price


def test_a_claim_that_loses_its_node_leaves_it_unsanitised_for_the_next_org() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=1, turnaround_us=7 * SECOND_US)
    parkade.reserve("acme", 1)
    parkade.lend("acme", 0)
    claim = parkade.claim("acme", 1)
    (seat,) = parkade.world.records.claims[claim].seats
    parkade.tick(100)
    parkade.fail(seat.node)
    (new,) = parkade.world.records.claims[claim].seats
    assert new.node != seat.node
    parkade.do(commands.RestoreNode(by=None, node=seat.node))
    guest = parkade.bid("guest", 20)
    parkade.clear()
    assert parkade.nodes_of(guest) == (seat.node,)
    assert parkade.phase(guest) is Phase.PLACED
    parkade.tick(7)
    assert parkade.phase(guest) is Phase.STARTING


def test_a_part_of_a_node_is_had_only_once_the_other_org_has_left_and_its_seat_is_clean() -> None:
    parkade = Parkade(
        fabrics={"a": 1}, buffer_nodes=0, public_floor_micros=0, turnaround_us=7 * SECOND_US
    )
    guest = parkade.bid("guest", 5, gpus=1)
    parkade.clear()
    parkade.started(guest)
    rich = parkade.bid("rich", 20, gpus=1)
    parkade.clear()
    assert parkade.stop(guest).cause == "outbid"
    assert parkade.phase(rich) is Phase.PLACED
    parkade.tick(20)
    parkade.ended(guest, code=85)
    assert parkade.phase(rich) is Phase.PLACED
    parkade.tick(7)
    assert parkade.phase(rich) is Phase.STARTING


def test_a_sweep_with_parts_of_nodes_costs_the_minimum_charge_too() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, public_floor_micros=0)
    parkade.bid("guest", 5, gpus=1)
    parkade.clear()
    parkade.start_all()
    parkade.org("cheat")
    before = parkade.balance("org/cheat")
    sweep = parkade.bid("cheat", 20, gpus=1)
    parkade.clear()
    price = parkade.price(sweep)
    cancelled(parkade, sweep)
    assert before - parkade.balance("org/cheat") == price * MINIMUM_S // 3600 > 0


def test_a_suspect_node_is_well_again_once_the_overdue_workload_has_left() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, public_floor_micros=0)
    stays, leaves = (parkade.bid("lab", limit, gpus=1) for limit in (9, 5))
    parkade.clear()
    parkade.start_all()
    # Both stand as one bid of 5 for 2 GPUs, so a third job needs 10.50 for one.
    parkade.bid("lab", 11, gpus=1)
    parkade.clear()
    assert parkade.stop(leaves).cause == "outbid"
    parkade.tick(30 + 5 + 60)
    assert parkade.world.records.nodes["a1"].health == "suspect"
    parkade.ended(leaves, signal=9)
    assert parkade.phase(stays) is Phase.RUNNING
    assert parkade.world.records.nodes["a1"].health == "healthy"


@pytest.mark.parametrize("seed", range(20))
def test_two_orgs_never_sit_on_one_node(seed: int) -> None:
    journey = Journey(seed)
    for _ in range(60):
        journey.act()
        records = journey.parkade.world.records
        for node, held in journey.parkade.world.held_on.items():
            orgs = {(records.claims.get(it) or records.workloads[it]).org for it in held}
            assert len(orgs) <= 1, f"{node} holds {held}"


def test_a_claim_made_before_its_window_says_why_it_waits() -> None:
    parkade = Parkade()
    parkade.reserve("acme", 1, in_hours=1, hours=1)
    claim = parkade.claim("acme", 1)
    assert parkade.world.records.claims[claim].why == "reservation_not_in_force"
    parkade.run(3700)
    assert parkade.world.records.claims[claim].seated_us is not None


@pytest.mark.parametrize("rival", [None, "acme"])
def test_an_owners_own_bid_does_not_push_up_what_it_is_paid(rival: str | None) -> None:
    """A shill under another org's name does, up to the guest's limit: orgs are admitted."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    parkade.lend("acme", 5)
    guests = [parkade.bid("lab", 20) for _ in range(2)]
    if rival is not None:
        parkade.bid(rival, 15)
    parkade.clear()
    parkade.start_all()
    parkade.clear()
    before = parkade.balance("org/acme")
    parkade.tick(1800)
    for guest in guests:
        parkade.ended(guest)
    assert parkade.balance("org/acme") - before == 5 * 4 * MICROS // 2


def test_reserving_only_to_lend_gains_no_more_than_guests_paid_less_fee_and_rate() -> None:
    """It pays where guests pay more than the rate, until payouts are capped."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2, hours=1)
    parkade.lend("acme", 5)
    guests = [parkade.bid("lab", 20) for _ in range(2)]
    parkade.clear()
    parkade.start_all()
    parkade.tick(1800)
    for guest in guests:
        parkade.ended(guest)
    paid = 1_000_000 * MICROS - parkade.balance("org/lab")
    received = parkade.balance("org/acme") - (1_000_000 - 4 * 4) * MICROS
    assert received <= paid * 5 // 7


def test_guests_pay_for_their_notice_only_however_often_an_owner_claims_and_gives_up() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.reserve("acme", 1)
    parkade.lend("acme", 5)
    guest = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(guest)
    had, owner = parkade.balance("org/lab"), parkade.balance("org/acme")
    for _ in range(5):
        claim = parkade.claim("acme", 1)
        parkade.do(commands.Unclaim(by=None, claim=claim))
        parkade.tick(5)
    assert parkade.stop(guest).cause == "reclaimed"
    parkade.tick(60)
    parkade.ended(guest, code=85)
    paid = had - parkade.balance("org/lab")
    assert paid == 7 * MICROS * 2 * 35 // 3600
    assert parkade.balance("org/acme") - owner <= paid * 5 // 7


def test_a_users_cap_holds_over_all_its_workloads_together() -> None:
    parkade = Parkade(fabrics={"a": 3, "b": 3}, buffer_nodes=0)
    given_eve(parkade)
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=2 * MICROS))
    for _ in range(6):
        eves_bid(parkade, 9)
    parkade.run(3600)
    assert 0 < 1_000_000 * MICROS - parkade.balance("org/cheat") <= 2 * MICROS


def test_a_grant_that_comes_late_pays_each_period_once() -> None:
    parkade = Parkade()
    parkade.org("lab", deposit=0)
    grant = commands.SetGrant(by=None, org="lab", micros=MICROS, every_us=60 * SECOND_US)
    parkade.do(grant)
    parkade.tick(600)
    assert parkade.balance("org/lab") == 11 * MICROS
    parkade.do(commands.SetGrant(by=None, org="lab", micros=0, every_us=0))
    parkade.tick(600)
    assert parkade.balance("org/lab") == 11 * MICROS


def test_a_cancel_while_being_healed_is_billed_to_the_failure_and_frees_the_seats() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, public_floor_micros=0)
    strong, weak = parkade.bid("strong", 9), parkade.bid("weak", 5)
    parkade.clear()
    parkade.start_all()
    parkade.tick(60)
    before = parkade.balance("org/strong")
    parkade.fail(parkade.nodes_of(strong)[0])
    assert parkade.stop(weak).cause == "outbid"
    cancelled(parkade, strong)
    parkade.tick(5)
    parkade.ended(strong, signal=9)
    parkade.ended(weak, code=85)
    assert parkade.phase(strong) is Phase.CANCELLED
    assert parkade.balance("org/strong") == before
    parkade.tick(120)
    parkade.clear()
    assert parkade.phase(weak) is Phase.STARTING


def test_max_duration_runs_on_while_a_workload_is_healed_and_gives_up_its_seats() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    job = parkade.bid("lab", 9, max_duration_us=600 * SECOND_US)
    parkade.clear()
    parkade.started(job)
    parkade.fail(parkade.nodes_of(job)[0])
    parkade.tick(700)
    assert parkade.workload(job).promise is None
    assert parkade.stop(job).cause in ("healed", "expired")
    parkade.ended(job, signal=9)
    assert parkade.phase(job) is Phase.EXPIRED
    assert not any(parkade.world.held_on.values()) and not any(parkade.world.promised_on.values())
