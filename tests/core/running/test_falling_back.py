"""Spot work with a deadline: when it becomes on-demand, and what is kept and set aside for that."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.billing.commitments import available_micros
from parkade.core.state import commands, events
from parkade.core.steps.fallbacks import fallback_micros, falls_back_us
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.deadline import DeadlineTerms
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.spec import CapacityKind
from parkade.sim.auditor.fallbacks import FallbackAuditor
from tests.core.kernel.story import Parkade

UNTIL_IT_RUNS_S = 30 + 5 + 0.5 + 120
"""Notice, kill, the clearing pause and the start grace of the tests' terms."""

PAUSE: dict[str, int] = {"clearing_pause_us": SECOND_US // 2, "turnaround_us": 0}


def market(**terms: Any) -> Parkade:
    given: dict[str, Any] = {"fabrics": {"a": 2}, "buffer_nodes": 0, **PAUSE}
    return Parkade(**(given | {"public_floor_micros": MICROS} | terms))


def command(
    parkade: Parkade, *, hours: float, due: float, limit: float = 2, **shape: Any
) -> commands.Submit:
    spec = replace(
        parkade.spec(limit=limit, **shape),
        deadline=DeadlineTerms(
            by_us=parkade.now_us + round(due * HOUR_US), duration_us=round(hours * HOUR_US)
        ),
    )
    return commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)


def submit(parkade: Parkade, **asked: Any) -> str:
    made = parkade.do(command(parkade, **asked))
    return next(it.workload.workload for it in made if isinstance(it, events.Submitted))


def falls_back_in_s(parkade: Parkade, name: str) -> float:
    of = parkade.world.records.markets["pool"]
    return (falls_back_us(of, parkade.workload(name)) - parkade.now_us) / SECOND_US


def fell_back(parkade: Parkade) -> list[events.FellBack]:
    return [it for it in parkade.journal if isinstance(it, events.FellBack)]


def test_the_moment_is_the_last_one_and_checkpoints_move_it_later() -> None:
    parkade = market()
    parkade.org("lab")
    name = submit(parkade, hours=48, due=52)
    assert falls_back_in_s(parkade, name) == 4 * 3600 - UNTIL_IT_RUNS_S
    parkade.clear()
    parkade.start_all()
    parkade.tick(10 * 3600)
    parkade.saved(name, step=1)
    saved_s = 10 * 3600 - 120
    assert falls_back_in_s(parkade, name) == 4 * 3600 - UNTIL_IT_RUNS_S - 10 * 3600 + saved_s


def test_what_was_saved_counts_where_it_is_submitted_again() -> None:
    parkade = market()
    parkade.org("lab")
    name = submit(parkade, hours=2, due=4)
    parkade.clear()
    parkade.start_all()
    parkade.tick(3600)
    parkade.saved(name, step=1)
    before_s = falls_back_in_s(parkade, name)
    parkade.do(commands.Cancel(by=None, workload=name, now=True))
    parkade.ended(name, code=1)
    assert parkade.phase(name) is Phase.CANCELLED
    parkade.tick(6000)
    parkade.do(commands.Resubmit(by=None, workload=name))
    assert falls_back_in_s(parkade, name) == before_s - 6000
    assert before_s - 6000 > 0, "all of the two hours could not be done any more"
    auditor = FallbackAuditor()
    for event in parkade.journal:
        auditor.read(event)


def outbid(parkade: Parkade) -> None:
    for _ in range(2):
        parkade.bid("rich", 50)


def test_work_that_waits_becomes_on_demand_in_time_and_makes_its_deadline() -> None:
    parkade = market()
    parkade.org("lab")
    outbid(parkade)
    parkade.run(60)
    due_us = parkade.now_us + 3 * HOUR_US
    name = submit(parkade, hours=2, due=3)
    parkade.run(3600 - UNTIL_IT_RUNS_S - 1)
    assert parkade.phase(name) is Phase.QUEUED and not fell_back(parkade)
    parkade.run(2)
    (event,) = fell_back(parkade)
    assert event.must_end_us == due_us + 35 * SECOND_US
    parkade.run(120)
    assert parkade.phase(name) is Phase.RUNNING
    assert parkade.workload(name).spec.capacity.kind is CapacityKind.ON_DEMAND
    attempt = parkade.attempt(name)
    assert attempt.started_us is not None and attempt.started_us + 2 * HOUR_US <= due_us
    assert (
        attempt.rates[-1].price_micros
        == parkade.world.records.markets["pool"].terms.pay_as_you_go_micros
    )
    parkade.run(2 * 3600)
    parkade.ended(name)
    assert parkade.phase(name) is Phase.SUCCEEDED and parkade.now_us <= due_us


def test_work_that_runs_goes_on_in_its_seats_and_no_bid_displaces_it_then() -> None:
    parkade = market(fabrics={"a": 1})
    parkade.org("lab")
    name = submit(parkade, hours=2, due=3)
    parkade.run(3600 - UNTIL_IT_RUNS_S + 5)
    assert fell_back(parkade) and parkade.attempt(name).stop is None
    assert parkade.workload(name).generation == 1
    parkade.bid("rich", 50)
    parkade.run(600)
    assert parkade.phase(name) is Phase.RUNNING and parkade.workload(name).generation == 1


def test_a_checkpoint_before_a_preemption_counts_and_what_came_after_does_not() -> None:
    parkade = market()
    parkade.org("lab")
    name = submit(parkade, hours=48, due=60)
    parkade.clear()
    parkade.start_all()
    parkade.tick(3600)
    parkade.saved(name, step=1)
    parkade.tick(3600)
    outbid(parkade)
    parkade.clear()
    assert parkade.stop(name).cause is Cause.OUTBID
    parkade.ended(name, code=1)
    assert parkade.workload(name).saved_us == 3600 * SECOND_US - 120 * SECOND_US


def test_what_says_that_it_saved_counts_until_its_notice() -> None:
    parkade = market()
    parkade.org("lab")
    name = submit(parkade, hours=48, due=60)
    parkade.clear()
    parkade.start_all()
    parkade.tick(3600)
    outbid(parkade)
    parkade.clear()
    parkade.tick(20)
    parkade.ended(name, code=85)
    assert parkade.workload(name).saved_us == (3600 - 120) * SECOND_US


def test_the_window_is_kept_in_the_calendar_while_it_bids() -> None:
    parkade = market(fabrics={"a": 1})
    parkade.org("lab")
    parkade.org("acme")
    submit(parkade, hours=2, due=5)

    def reserve(start: int, end: int) -> commands.Reserve:
        return commands.Reserve(
            by=None,
            org="acme",
            market=None,
            name=None,
            nodes=1,
            start_us=parkade.now_us + start * HOUR_US,
            end_us=parkade.now_us + end * HOUR_US,
        )

    assert parkade.refused(reserve(1, 4)).reason is Reason.NO_CAPACITY
    assert parkade.do(reserve(1, 2))
    refusal = parkade.refused(command(parkade, hours=1, due=4))
    assert (refusal.reason, refusal.field) == (Reason.NO_CAPACITY, "deadline")


def test_its_cost_is_set_aside_and_spot_never_takes_it() -> None:
    parkade = market()
    parkade.org("lab", deposit=100)
    before = available_micros(parkade.world, "lab", parkade.now_us)
    name = submit(parkade, hours=2, due=5)
    of = parkade.world.records.markets["pool"]
    kept = fallback_micros(of, parkade.workload(name))
    assert kept > of.terms.pay_as_you_go_micros * 2 * 2
    parkade.clear()
    assert available_micros(parkade.world, "lab", parkade.now_us) < before - kept
    poor = market()
    poor.org("lab", deposit=10)
    assert poor.refused(command(poor, hours=2, due=5)).reason is Reason.INSUFFICIENT_FUNDS


def test_while_it_waits_no_bid_of_its_org_takes_what_is_set_aside_either() -> None:
    parkade = market()
    parkade.org("lab", deposit=52)
    outbid(parkade)
    parkade.run(60)
    name = submit(parkade, hours=2, due=4)
    other = parkade.bid("lab", 90)
    parkade.clear()
    assert parkade.phase(name) is Phase.QUEUED
    assert parkade.workload(other).why == Why.INSUFFICIENT_FUNDS


def test_within_max_spend_or_refused() -> None:
    parkade = market()
    parkade.org("lab")
    refusal = parkade.refused(command(parkade, hours=2, due=5, max_spend=10))
    assert (refusal.reason, refusal.field) == (Reason.INVALID, "max_spend")
    name = submit(parkade, hours=2, due=5, max_spend=60)
    parkade.run(5.5 * 3600)
    workload = parkade.workload(name)
    assert workload.phase.is_ended and workload.spent_micros <= 60 * MICROS


def test_a_deadline_that_even_on_demand_would_miss_is_refused() -> None:
    parkade = market()
    parkade.org("lab")
    refusal = parkade.refused(command(parkade, hours=3, due=3))
    assert refusal.field == "deadline" and "156 s late" in refusal.detail


def test_a_deadline_keeps_no_window_for_longer_than_two_weeks() -> None:
    """Jobs of a second that were due in a year stopped all open-ended reservations until then."""
    parkade = market()
    parkade.org("lab")
    second, day = 1 / 3600, 24
    refusal = parkade.refused(command(parkade, hours=second, due=365 * day))
    assert (refusal.reason, refusal.field) == (Reason.INVALID, "deadline")
    assert "at most 14 days and its duration ahead" in refusal.detail
    parkade.refused(command(parkade, hours=day, due=15 * day + second))
    assert submit(parkade, hours=day, due=15 * day)


@pytest.mark.parametrize(("hours", "due"), [(1, 24), (48, 52), (7 * 24, 14 * 24), (1, 7 * 24)])
def test_usual_deadlines_are_near_enough(hours: float, due: float) -> None:
    parkade = market()
    parkade.org("lab")
    assert submit(parkade, hours=hours, due=due)


@pytest.mark.parametrize(
    ("shape", "field"),
    [
        ({"max_duration_us": HOUR_US}, "max_duration"),
        ({"array": "0-3"}, "deadline"),
        ({"most_nodes": 2}, "deadline"),
        ({"any_fabric": True, "nodes": 2}, "deadline"),
    ],
)
def test_what_has_another_end_or_another_shape_is_refused(
    shape: dict[str, Any], field: str
) -> None:
    parkade = market()
    parkade.org("lab")
    assert parkade.refused(command(parkade, hours=1, due=3, **shape)).field == field


def test_it_is_not_held_and_its_end_is_not_changed() -> None:
    parkade = market()
    parkade.org("lab")
    outbid(parkade)
    parkade.run(60)
    name = submit(parkade, hours=1, due=3)
    hold = parkade.refused(commands.Hold(by=None, workload=name))
    assert hold.reason is Reason.UNSUPPORTED
    assert "its on-demand window is kept for its deadline, so it is not held" in hold.detail
    bound = commands.NewBound(value=HOUR_US)
    change = commands.ChangeBounds(
        by=None, workload=name, max_spend_micros=None, max_duration_us=bound, members=None
    )
    assert parkade.refused(change).field == "max_duration"


def test_a_cancel_gives_its_window_back() -> None:
    parkade = market(fabrics={"a": 1})
    parkade.org("lab")
    name = submit(parkade, hours=2, due=5)
    parkade.do(commands.Cancel(by=None, workload=name, now=True))
    parkade.run(60)
    assert parkade.do(command(parkade, hours=2, due=5))
    assert not fell_back(parkade)


def test_what_missed_its_deadline_is_not_submitted_again_as_it_was() -> None:
    parkade = market()
    parkade.org("lab")
    name = submit(parkade, hours=1, due=3)
    parkade.run(4 * 3600)
    assert parkade.workload(name).phase.is_ended
    refusal = parkade.refused(
        commands.Resubmit(
            by=None,
            workload=name,
            limit_price_micros=None,
            max_spend_micros=None,
            max_duration_us=None,
        )
    )
    assert "its deadline is past: submit it anew with a later one" in refusal.detail


def test_where_it_runs_in_another_fabric_it_leaves_that_for_its_owner_and_goes_to_its_window() -> (
    None
):
    parkade = market(fabrics={"a": 1, "b": 1})
    parkade.org("lab")
    blocker = parkade.bid("other", 30)
    parkade.run(60)
    taken = parkade.nodes_of(blocker)[0][0]
    name = submit(parkade, hours=2, due=3)
    parkade.run(60)
    stands = parkade.nodes_of(name)[0][0]
    assert stands != taken
    kept = parkade.workload(name).fallback
    assert kept is not None
    if kept.fabric == stands:
        # Put it where the window is not: what is kept is a fact of the record alone.
        moved = replace(kept, fabric=taken)
        parkade.world.put_workload(replace(parkade.workload(name), fallback=moved))
    parkade.org("acme")
    parkade.reserve("acme", 1, in_hours=1, hours=9)
    parkade.run(4000)
    assert fell_back(parkade)[0].fabric == taken
    claim = parkade.claim("acme", 1)
    parkade.run(180)
    assert [it.node[0] for it in parkade.world.records.claims[claim].held] == [stands]
    assert parkade.phase(name) is Phase.RUNNING and parkade.nodes_of(name)[0][0] == taken
