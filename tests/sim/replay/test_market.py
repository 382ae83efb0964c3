from functools import cache

import pytest
from msgspec.structs import replace

from parkade.core.ledger.accounts import TransferKind
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.sim.replay.demand import Demand
from parkade.sim.replay.market import MarketRun
from parkade.sim.replay.resale import setup_of
from parkade.sim.replay.tally import Level, Outcome
from parkade.sim.replay.traces import Trace
from tests.sim.replay.replays import GPUS, demand, scenario, trace

BOUND_US = 180 * SECOND_US
PAUSE_US = SECOND_US // 2


def busy_day() -> Trace:
    """Two hours in which three owners come and go and a long queue fills what they leave."""
    minutes = 120
    acme = [8 * (minute // 7 % 4) for minute in range(minutes)]
    birch = [16 if minute // 11 % 2 else 3 for minute in range(minutes)]
    cedar = [24 if 50 <= minute < 90 else 0 for minute in range(minutes)]
    queued = [40 if minute // 13 % 2 else 11 for minute in range(minutes)]
    return trace(
        acme=(24, acme, [0] * minutes),
        birch=(16, birch, queued),
        cedar=(24, cedar, [6] * minutes),
    )


def run(given: Demand, *, keep: int = 0, checks: bool = False, every: bool = False) -> MarketRun:
    found = MarketRun(
        replace(setup_of(scenario()), keep_percent=keep),
        given,
        check_every=1 if checks else None,
        is_every_clearing_run=every,
    )
    found.run(lambda _: None)
    return found


@cache
def checked() -> MarketRun:
    return run(demand(busy_day(), saves=50), checks=True)


def test_the_invariants_hold_after_every_event_of_a_replay() -> None:
    assert checked().core.events > 200


def test_the_same_scenario_gives_the_same_events() -> None:
    assert run(demand(busy_day(), saves=50)).core.digest == checked().core.digest


def test_clearings_that_are_left_out_would_have_changed_nothing() -> None:
    every = run(demand(busy_day(), saves=50), every=True)
    assert every.core.digest == checked().core.digest
    assert every.core.clearings > checked().core.clearings


def test_no_owner_waits_beyond_notice_kill_and_turnaround() -> None:
    waits = [reclaim.wait_us for reclaim in checked().tally.reclaims]
    assert max(waits) <= BOUND_US + PAUSE_US
    assert sum(wait > PAUSE_US for wait in waits) > 0, "no reclaim of this day is a hard one"


def test_an_owner_that_keeps_its_nodes_waits_for_no_guest() -> None:
    kept = run(demand(busy_day(), saves=50), keep=100)
    assert {reclaim.outcome for reclaim in kept.tally.reclaims} == {Outcome.UNTOUCHED}
    assert kept.tally.gpu_hours(Level.GUESTS) == 0


def test_what_guests_pay_is_paid_out_or_is_the_operators() -> None:
    money = checked().money
    paid = money.total(TransferKind.USAGE, TransferKind.MINIMUM_CHARGE, TransferKind.LATE_START)
    assert paid > 0
    assert paid == pytest.approx(money.total(TransferKind.PAYOUT, TransferKind.FEE), abs=0.001)


def test_a_lone_guest_runs_but_for_the_clearing_and_its_start() -> None:
    found = run(demand(trace(acme=(8, [0] * 60, [0] * 60), birch=(8, [8] * 60, [8] * 60))))
    ran_us = found.tally.gpu_hours(Level.GUESTS) * HOUR_US / 8
    assert 60 * MINUTE_US - 40 * SECOND_US <= ran_us <= 60 * MINUTE_US - 5 * SECOND_US


def test_background_guests_fill_the_fleet_but_for_its_headroom() -> None:
    calm = demand(trace(acme=(80, [8] * 240, [0] * 240)))
    filled = MarketRun(replace(setup_of(scenario()), headroom_percent=20), calm, check_every=50)
    filled.run(lambda _: None)
    background = filled.tally.gpu_hours(Level.BACKGROUND) / 4 / GPUS
    assert 6 < background <= 7
    assert filled.tally.gpu_hours(Level.GUESTS) == 0


def test_each_reason_for_not_running_is_counted() -> None:
    found = run(demand(busy_day(), saves=50, limit=0.1))
    waited = found.tally.waited_us
    queued_us = found.tally.gpu_hours(Level.QUEUED) * HOUR_US
    assert found.tally.gpu_hours(Level.GUESTS) == 0
    assert sum(waited.values()) == pytest.approx(queued_us)
    assert waited["below_floor"] > 0.9 * queued_us


def test_a_reclaim_of_a_full_fleet_stops_a_guest_within_its_notice() -> None:
    minutes = 40
    given = trace(
        acme=(8, [0] * 20 + [8] * 20, [0] * minutes), birch=(8, [8] * minutes, [8] * minutes)
    )
    found = run(demand(given, saves=0))
    reclaim = found.tally.reclaims[-1]
    assert reclaim.outcome is Outcome.RESTARTED
    assert reclaim.wait_us == BOUND_US
    # Killed at minute 22:30, its last checkpoint is 7 minutes or more old.
    assert found.tally.lost_us > 8 * 7 * MINUTE_US
    saved = run(demand(given, saves=100))
    # It saves in 20 s, and the node is turned around 30 s later.
    assert saved.tally.reclaims[-1].wait_us == 50 * SECOND_US
    assert saved.tally.lost_us == 0
