"""What owners may count on: their window, their wait, their money when too much breaks."""

from hypothesis import given
from hypothesis import strategies as st

from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.life import Phase
from tests.core.kernel.story import Parkade


def test_a_window_is_free_when_it_begins_and_its_own_are_gone_when_it_ends() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2, in_hours=1, hours=1)
    start_us = parkade.now_us + HOUR_US
    guests = [parkade.bid("lab", 9) for _ in range(2)]
    own = parkade.on_reservation("acme", "acme", nodes=2)
    parkade.run(3500)
    assert [parkade.phase(guest) for guest in guests] == [Phase.RUNNING] * 2
    parkade.run(200)
    assert [parkade.phase(guest) for guest in guests] == [Phase.QUEUED] * 2
    assert parkade.phase(own) is Phase.RUNNING
    started_us = parkade.attempt(own).started_us
    assert started_us is not None and start_us <= started_us <= start_us + 60 * SECOND_US
    parkade.tick(3480)
    assert parkade.stop(own).kill_us == start_us + HOUR_US
    parkade.run(200)
    assert parkade.phase(own) is Phase.EXPIRED
    assert parkade.workload(own).why == "reservation_ended"
    assert [parkade.phase(guest) for guest in guests] == [Phase.RUNNING] * 2


@given(
    floors=st.sampled_from((0, 5)),
    keep=st.integers(min_value=0, max_value=2),
    shapes=st.lists(st.sampled_from(((1, 1), (1, 2), (2, 2), (2, 1), (3, 2))), max_size=8),
    nodes=st.integers(min_value=1, max_value=2),
    is_claim=st.booleans(),
    turnaround_s=st.sampled_from((0, 9)),
)
def test_an_owner_waits_at_most_notice_kill_and_turnaround_and_not_for_kept_nodes(
    floors: int,
    keep: int,
    shapes: list[tuple[int, int]],
    nodes: int,
    is_claim: bool,
    turnaround_s: int,
) -> None:
    parkade = Parkade(turnaround_us=turnaround_s * SECOND_US)
    parkade.reserve("acme", 2)
    parkade.lend("acme", floors, keep=keep)
    for number, (count, gpus) in enumerate(shapes):
        parkade.bid(f"org-{number}", 9 + number, nodes=count, gpus=gpus)
    parkade.clear()
    parkade.start_all()
    asked_us = parkade.now_us
    name = parkade.claim("acme", nodes) if is_claim else ""
    name = name or parkade.on_reservation("acme", "acme", nodes=nodes)
    if nodes <= keep:
        assert seated_us(parkade, name) == asked_us
    for _ in range(50):
        parkade.tick(1)
        for guest in list(parkade.world.live):
            attempt = parkade.workload(guest).attempt
            is_due = attempt is not None and attempt.stop is not None
            if is_due and parkade.stop(guest).kill_us <= parkade.now_us:
                parkade.ended(guest, signal=9)
    at_us = seated_us(parkade, name)
    assert at_us is not None
    assert at_us - asked_us <= (30 + 5 + turnaround_s) * SECOND_US


def seated_us(parkade: Parkade, name: str) -> int | None:
    """When a claim or workload had its seats."""
    for event in parkade.journal:
        match event:
            case events.ClaimSeated(at_us=at_us, claim=claim) if claim == name:
                return at_us
            case events.Launched(at_us=at_us, workload=workload) if workload == name:
                return at_us
            case _:
                pass
    return None


def test_an_owner_sees_how_often_it_waited_and_what_one_more_kept_node_would_change() -> None:
    parkade = Parkade(fabrics={"a": 3})
    parkade.reserve("acme", 2)
    parkade.lend("acme", 5)
    guest = parkade.bid("lab", 9, nodes=3)
    parkade.clear()
    parkade.started(guest)
    own = parkade.on_reservation("acme", "acme")
    parkade.tick(20)
    parkade.ended(guest, code=85)
    assert parkade.phase(own) is Phase.STARTING
    waits = parkade.world.records.reservations["acme"].waits
    assert (waits.times, waits.for_one) == (1, 1)
    assert waits.total_us == waits.longest_us == 20 * SECOND_US


def test_when_failures_exceed_the_buffer_the_loser_is_credited_for_the_time() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    own = parkade.on_reservation("acme", "acme", nodes=2)
    parkade.started(own)
    parkade.fail("a1")
    parkade.ended(own, signal=9)
    assert parkade.workload(own).why == "no_room"
    parkade.tick(1800)
    before = parkade.balance("org/acme")
    parkade.do(commands.RestoreNode(by=None, node="a1"))
    assert parkade.phase(own) is Phase.STARTING
    assert parkade.balance("org/acme") - before == 4 * 4 * MICROS // 2


def test_a_promise_lost_to_anothers_right_costs_nothing() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, public_floor_micros=0)
    first = parkade.bid("first", 5)
    parkade.clear()
    parkade.started(first)
    second = parkade.bid("second", 20)
    parkade.clear()
    before = parkade.balance("org/second")
    lower = commands.ChangeBid(by=None, workload=second, limit_price_micros=MICROS)
    assert parkade.refused(lower).reason == "conflict"
    parkade.reserve("acme", 1)
    parkade.clear()
    assert parkade.phase(second) is Phase.QUEUED
    assert parkade.balance("org/second") == before


def test_on_demand_keeps_the_price_it_was_accepted_at() -> None:
    parkade = Parkade()
    sure = parkade.on_demand("lab")
    parkade.started(sure)
    before = parkade.balance("org/lab")
    parkade.do(
        commands.SetPrices(
            by=None,
            market="pool",
            pay_as_you_go_micros=99 * MICROS,
            reservation_rate_micros=None,
            public_floor_micros=None,
        )
    )
    parkade.clear()
    parkade.tick(1800)
    parkade.ended(sure)
    assert before - parkade.balance("org/lab") == 12 * MICROS


def test_what_ended_is_forgotten_after_its_retention() -> None:
    parkade = Parkade(retention_us=2 * HOUR_US)
    parkade.reserve("acme", 2, hours=1)
    job = parkade.on_reservation("acme", "acme")
    parkade.run(3700)
    assert parkade.phase(job) is Phase.EXPIRED
    parkade.tick(3 * 3600)
    assert not parkade.world.records.workloads
    assert not parkade.world.records.reservations


def test_the_name_of_a_reservation_is_never_given_again() -> None:
    parkade = Parkade(retention_us=2 * HOUR_US)
    parkade.reserve("acme", 2, hours=1)
    parkade.tick(4 * 3600)
    assert not parkade.world.records.reservations
    assert parkade.reserve("acme", 2, hours=1) != "acme"
    again = commands.Reserve(
        by=None, org="acme", market=None, name="acme", nodes=1, start_us=None, end_us=None
    )
    refusal = parkade.refused(again)
    assert refusal.reason is Reason.ALREADY_EXISTS
    assert "choose another name" in refusal.detail


def test_a_later_reservation_takes_no_name_that_is_another_orgs_own() -> None:
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0)
    names = [parkade.reserve("acme", 1), parkade.reserve("acme", 1), parkade.reserve("acme-2", 1)]
    assert names == ["acme", "acme-2@acme", "acme-2"]


def test_a_future_window_is_paid_for_when_it_is_sold_and_can_be_given_up_for_that() -> None:
    parkade = Parkade()
    parkade.org("acme", deposit=100)
    parkade.reserve("acme", 2, in_hours=5, hours=3)
    assert parkade.balance("org/acme") == 84 * MICROS
    parkade.do(commands.EndReservation(by=None, reservation="acme"))
    assert parkade.world.records.reservations["acme"].state == "ended"
    parkade.tick(9 * 3600)
    assert parkade.balance("org/acme") == 84 * MICROS


def test_a_new_floor_leaves_what_is_kept_as_it_is() -> None:
    parkade = Parkade()
    parkade.reserve("acme", 2)
    parkade.lend("acme", 5, keep=1)
    parkade.do(commands.Lend(by=None, reservation="acme", floor_micros=6 * MICROS, keep=None))
    lending = parkade.world.records.reservations["acme"].lending
    assert lending is not None and lending.keep == 1


def test_the_limit_that_would_win_counts_no_credit_after_a_notice() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, public_floor_micros=0)
    low = parkade.bid("low", 5)
    parkade.clear()
    parkade.started(low)
    parkade.bid("high", 10)
    parkade.clear()
    hint = parkade.workload(low).price_to_win_micros
    assert hint is not None
    parkade.do(commands.ChangeBid(by=None, workload=low, limit_price_micros=round(hint * 1.05) + 1))
    parkade.ended(low, code=85)
    parkade.clear()
    assert parkade.phase(low) in (Phase.PLACED, Phase.STARTING)
