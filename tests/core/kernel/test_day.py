"""The story of a day, as the world decides it."""

from fractions import Fraction

from parkade.core.state import commands, events
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.moves import ForWorkload
from tests.core.kernel.story import Parkade


def given_lent_parkade(*, fabrics: dict[str, int] | None = None) -> Parkade:
    """acme reserved two nodes of fabric a and lends them at 5."""
    parkade = Parkade(fabrics=fabrics)
    parkade.reserve("acme", 2)
    parkade.lend("acme", 5)
    return parkade


def test_a_lone_guest_pays_the_floor_of_which_the_owner_gets_five_and_the_operator_two() -> None:
    parkade = given_lent_parkade()
    gang = parkade.bid("lab", 9, nodes=2)
    before = {name: parkade.balance(name) for name in ("org/lab", "org/acme", "operator")}
    parkade.clear()
    parkade.started(gang)
    assert parkade.price(gang) == 7 * MICROS
    parkade.tick(1800)
    parkade.ended(gang)
    assert before["org/lab"] - parkade.balance("org/lab") == 14 * MICROS
    assert parkade.balance("org/acme") - before["org/acme"] == 10 * MICROS
    assert parkade.balance("operator") - before["operator"] == 4 * MICROS


def test_an_owner_comes_back_to_its_own_fabric_and_the_guest_moves_to_the_free_one() -> None:
    parkade = given_lent_parkade()
    gang = parkade.bid("lab", 9, nodes=2)
    parkade.clear()
    parkade.started(gang)
    own = parkade.on_reservation("acme", "acme", nodes=2)
    assert parkade.phase(own) is Phase.PLACED
    assert all(node.startswith("a") for node in parkade.nodes_of(own))
    assert parkade.stop(gang).cause is Cause.MOVED
    assert parkade.workload(gang).moved == ForWorkload(workload=own, org="acme")
    assert all(node.startswith("b") for node in parkade.nodes_of(gang))
    assert parkade.price(gang) == 8 * MICROS


def test_an_owner_comes_back_within_the_notice_and_the_gang_resumes_elsewhere() -> None:
    parkade = given_lent_parkade()
    sure = parkade.on_demand("studio", nodes=2)
    gang = parkade.bid("lab", 9, nodes=2)
    parkade.clear()
    parkade.start_all()
    assert parkade.nodes_of(gang) == ("a1", "a2")
    parkade.tick(100)
    own = parkade.on_reservation("acme", "acme", nodes=2)
    assert parkade.stop(gang).cause == "reclaimed"
    assert parkade.stop(gang).deadline_us - parkade.now_us == 30_000_000
    assert all(node.startswith("a") for node in parkade.nodes_of(own))
    assert parkade.phase(own) is Phase.PLACED
    parkade.tick(20)
    parkade.ended(gang, code=85)
    assert parkade.phase(own) is Phase.STARTING
    assert parkade.phase(gang) is Phase.QUEUED
    parkade.ended(sure)
    assert parkade.nodes_of(gang) == ("b1", "b2")
    assert parkade.phase(gang) is Phase.STARTING
    assert parkade.workload(gang).failures == 0


def test_a_failed_node_is_healed_on_the_buffer_and_displaces_the_guest_there() -> None:
    parkade = given_lent_parkade()
    own = parkade.on_reservation("acme", "acme", nodes=2)
    gang = parkade.bid("lab", 9, nodes=2)
    student = parkade.bid("student", 8.5, gpus=1)
    parkade.clear()
    parkade.start_all()
    assert parkade.nodes_of(gang) == ("b1", "b2")
    assert parkade.nodes_of(student) == ("a3",)
    parkade.tick(60)
    parkade.fail("a1")
    assert set(parkade.nodes_of(own)) == {"a2", "a3"}
    assert parkade.stop(student).deadline_us - parkade.now_us == 10_000_000
    assert parkade.phase(own) is Phase.HEALING
    parkade.ended(own, signal=9)
    assert parkade.phase(own) is Phase.PLACED
    parkade.ended(student, code=85)
    assert parkade.phase(own) is Phase.STARTING
    parkade.start_all()
    assert parkade.workload(own).failures == 0
    assert parkade.phase(student) is Phase.RUNNING


def test_three_newcomers_pay_thirteen_and_then_less_by_the_credit() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0, public_floor_micros=0)
    bids = [parkade.bid(f"org-{limit}", limit) for limit in (23, 21, 16, 13, 12, 8)]
    parkade.clear()
    assert [parkade.price(bid) for bid in bids[:3]] == [13 * MICROS] * 3
    parkade.start_all()
    parkade.clear()
    assert [parkade.price(bid) for bid in bids[:3]] == [12_380_953] * 3
    assert parkade.workload(bids[3]).why == "outbid"


def test_a_winner_that_displaces_others_and_cancels_pays_the_minimum_charge() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, public_floor_micros=0)
    first = parkade.bid("first", 5)
    parkade.clear()
    parkade.started(first)
    second = parkade.bid("second", 20)
    parkade.clear()
    assert parkade.stop(first).cause == "outbid"
    price = parkade.price(second)
    before = parkade.balance("org/second")
    parkade.do(commands.Cancel(by=None, workload=second, now=False))
    assert parkade.phase(second) is Phase.CANCELLED
    assert before - parkade.balance("org/second") == price * 2 * 30 // 3600


def test_a_seat_held_in_starting_is_billed_from_the_end_of_the_notice() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, public_floor_micros=0)
    first = parkade.bid("first", 5)
    parkade.clear()
    parkade.started(first)
    second = parkade.bid("second", 20)
    parkade.clear()
    parkade.ended(first, code=85)
    parkade.tick(120 + 3600)
    parkade.started(second)
    price = parkade.price(second)
    before = parkade.balance("org/second")
    parkade.tick(10)
    parkade.ended(second)
    # An hour and two minutes before the first process, less the notice: a quarter of the run is
    # free of that, and the rest as the first slow start of its org in a day.
    held_s = 3720 - 30
    paid = before - parkade.balance("org/second")
    assert paid == int(price * 2 * (held_s + 10) / 3600)


def test_an_idle_reservation_without_lending_stays_empty() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    bids = [parkade.bid("lab", 20) for _ in range(3)]
    parkade.clear()
    assert [parkade.phase(bid) for bid in bids] == [Phase.STARTING, Phase.QUEUED, Phase.QUEUED]


def test_kept_nodes_come_back_without_any_wait() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    parkade.lend("acme", 1, keep=1)
    for _ in range(3):
        parkade.bid("lab", 20)
    parkade.clear()
    parkade.start_all()
    own = parkade.on_reservation("acme", "acme")
    assert parkade.phase(own) is Phase.STARTING


def test_a_claim_takes_seats_like_a_workload_and_gives_them_back() -> None:
    parkade = given_lent_parkade(fabrics={"a": 3})
    gang = parkade.bid("lab", 9, nodes=2)
    parkade.clear()
    parkade.started(gang)
    claim = parkade.claim("acme", 2)
    assert parkade.world.records.claims[claim].seated_us is None
    parkade.ended(gang, code=85)
    assert parkade.world.records.claims[claim].seated_us is not None
    parkade.do(commands.Unclaim(by=None, claim=claim))
    assert not parkade.world.records.claims


def test_an_unreachable_pool_moves_and_fails_no_workload() -> None:
    parkade = given_lent_parkade(fabrics={"a": 3})
    gang = parkade.bid("lab", 9, nodes=2)
    parkade.clear()
    parkade.started(gang)
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=False))
    own = parkade.on_reservation("acme", "acme", nodes=2)
    assert parkade.phase(gang) is Phase.RUNNING
    assert parkade.phase(own) is Phase.QUEUED
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=True))
    assert parkade.phase(gang) is Phase.PREEMPTING
    assert parkade.phase(own) is Phase.PLACED


def test_a_node_not_seen_free_in_time_is_suspect_and_the_promise_moves() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, public_floor_micros=0)
    first, second = parkade.bid("one", 5), parkade.bid("two", 6)
    parkade.clear()
    parkade.start_all()
    top = parkade.bid("top", 20)
    parkade.clear()
    (node,) = parkade.nodes_of(top)
    stuck = first if parkade.attempt(first).stop else second
    other = second if stuck == first else first
    parkade.tick(30 + 5 + 60)
    assert parkade.world.records.nodes[node].health == "suspect"
    parkade.clear()
    assert parkade.stop(other).cause == "outbid"
    assert parkade.nodes_of(top) != (node,)
    parkade.ended(stuck, signal=9)
    assert parkade.world.records.nodes[node].health == "healthy"
    assert parkade.workload(stuck).failures == 0


def test_eighty_five_without_a_new_checkpoint_outside_a_notice_is_a_failure() -> None:
    parkade = Parkade()
    job = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(job)
    parkade.ended(job, code=85)
    assert parkade.phase(job) is Phase.FAILED
    again = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(again)
    parkade.tick(5)
    parkade.saved(again, 3)
    parkade.ended(again, code=85)
    assert parkade.workload(again).failures == 0
    assert parkade.phase(again) is not Phase.FAILED


def test_a_bid_that_cannot_be_renewed_gets_its_notice_before_the_balance_is_gone() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.org("poor", deposit=0)
    parkade.do(commands.Deposit(by=None, org="poor", micros=20 * 2 * MICROS // 10))
    job = parkade.bid("poor", 20)
    parkade.run(3600)
    assert parkade.phase(job) is Phase.QUEUED
    assert parkade.workload(job).why == "insufficient_funds"
    assert parkade.balance("org/poor") >= 0


def test_a_workload_stops_before_it_spends_more_than_its_most() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    job = parkade.bid("lab", 10, max_spend=5)
    parkade.run(4 * 3600)
    workload = parkade.workload(job)
    assert workload.phase is Phase.EXPIRED and workload.why == "max_spend"
    assert 4 * MICROS < workload.spent_micros <= 5 * MICROS
    assert any(isinstance(event, events.BudgetNoted) for event in parkade.journal)


def test_a_clearing_that_comes_late_takes_no_more_than_there_is() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.org("poor", deposit=1)
    poor = parkade.bid("poor", 9)
    bounded = parkade.bid("lab", 9, max_spend=1)
    parkade.clear()
    parkade.start_all()
    parkade.tick(10 * 3600)
    parkade.ended(poor)
    parkade.ended(bounded)
    assert parkade.balance("org/poor") == 0
    assert parkade.workload(bounded).spent_micros == MICROS


def test_on_demand_is_never_displaced_and_gone_at_its_end() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    sure = parkade.on_demand("lab", hours=1)
    parkade.start_all()
    rich = [parkade.bid("rich", 1000) for _ in range(2)]
    parkade.run(1800)
    assert parkade.phase(sure) is Phase.RUNNING
    assert sorted(parkade.phase(bid) for bid in rich) == [Phase.QUEUED, Phase.RUNNING]
    parkade.run(3600)
    assert parkade.phase(sure) is Phase.EXPIRED


def test_a_reservation_is_never_oversold_and_its_end_frees_its_guests_seats() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=1)
    parkade.reserve("acme", 2, hours=1)
    refusal = parkade.refused(
        commands.Reserve(
            by=None, org="acme", market=None, name="more", nodes=1, start_us=None, end_us=None
        )
    )
    assert refusal.reason == "no_capacity"
    own = parkade.on_reservation("acme", "acme", nodes=2)
    parkade.start_all()
    paid = parkade.balance("org/acme")
    parkade.run(3700)
    assert parkade.phase(own) is Phase.EXPIRED
    assert parkade.world.records.reservations["acme"].state == "ended"
    assert parkade.balance("org/acme") == paid


def test_a_reservation_that_cannot_be_paid_lapses() -> None:
    parkade = Parkade(billing_period_us=600_000_000)
    parkade.org("acme", deposit=6)
    parkade.reserve("acme", 2)
    parkade.run(3 * 3600)
    assert parkade.world.records.reservations["acme"].state == "lapsed"
    assert parkade.balance("org/acme") >= 0


def test_a_broken_nodes_time_is_not_billed_since_the_last_checkpoint() -> None:
    parkade = Parkade()
    job = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(job)
    parkade.tick(600)
    parkade.saved(job, 5)
    parkade.tick(900)
    before = parkade.balance("org/lab")
    parkade.fail(parkade.nodes_of(job)[0])
    parkade.tick(3)
    parkade.ended(job, signal=9)
    assert before - parkade.balance("org/lab") == 8 * MICROS * 2 * 600 // 3600


def test_use_is_posted_each_full_hour_and_its_sum_is_exact() -> None:
    parkade = Parkade()
    job = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(job)
    before = parkade.balance("org/lab")
    for _ in range(3):
        parkade.tick(3600)
        parkade.heard()
    assert before - parkade.balance("org/lab") > 16 * MICROS
    parkade.tick(1234.567891)
    parkade.ended(job)
    span_us = 3 * 3600 * 10**6 + 1234567891
    assert before - parkade.balance("org/lab") == int(Fraction(16 * span_us, 3600))


def test_hours_in_which_nothing_was_heard_are_not_billed_beyond_the_end() -> None:
    parkade = Parkade()
    job = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(job)
    before = parkade.balance("org/lab")
    ended_us = parkade.now_us + 300_000_000
    parkade.tick(10 * 3600)
    assert parkade.balance("org/lab") == before
    parkade.ended(job, at_us=ended_us)
    assert before - parkade.balance("org/lab") == 16 * MICROS * 300 // 3600


def test_the_journal_replays_to_the_same_world_byte_for_byte() -> None:
    parkade = given_lent_parkade()
    parkade.bid("lab", 9, nodes=2)
    parkade.run(200)
    parkade.on_reservation("acme", "acme", nodes=2)
    parkade.run(200)
    parkade.fail("a1")
    parkade.run(3600)
    assert parkade.replayed() == encode_snapshot(parkade.world)
