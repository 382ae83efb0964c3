"""Ranks that join a live attempt and begin late, or never."""

from typing import Any

import pytest

from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.ranks import ranks_of
from tests import builders
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_live import (
    audited,
    given_parkade,
    gpu_seconds,
    leaving,
    live,
    ranks,
)

LIMIT_S = 600


def given_one_that_joins(*, least: int = 1, **terms: Any) -> tuple[Parkade, str]:
    """A live attempt that ran on three nodes for a minute; rank 3 joins it on a4 and is not
    heard of."""
    terms = {"start_limit_us": LIMIT_S * SECOND_US, "backoff_us": 60 * SECOND_US} | terms
    parkade = given_parkade(**terms)
    parkade.do(commands.CordonNode(by=None, node="a4", reason="test"))
    name = live(parkade, least=least)
    parkade.clear()
    parkade.started(name)
    parkade.tick(60)
    parkade.do(commands.UncordonNode(by=None, node="a4"))
    parkade.clear()
    assert ranks(parkade, name) == {0: "a1", 1: "a2", 2: "a3", 3: "a4"}
    return parkade, name


def silent(parkade: Parkade, name: str, seconds: int) -> None:
    """Time passes, and the agent reports what runs, without the rank that joined."""
    for _ in range(seconds // 30):
        parkade.tick(30)
        parkade.begun(name)
        parkade.clear()


def test_a_rank_that_does_not_begin_leaves_in_time_and_is_not_billed() -> None:
    parkade, name = given_one_that_joins()
    silent(parkade, name, LIMIT_S - 30)
    assert not leaving(parkade, name)
    silent(parkade, name, 30)
    assert leaving(parkade, name) == {3: "a4"}
    attempt = parkade.attempt(name)
    stop = next(it.leaving.stop for it in attempt.ranks if it.leaving is not None)
    assert stop.cause is Cause.NOT_STARTED and stop.deadline_us == parkade.now_us
    assert parkade.phase(name) is Phase.RUNNING and attempt.generation == 1
    parkade.ranks_left(name, begun=())
    assert not leaving(parkade, name)
    parkade.tick(60)
    parkade.ended(name)
    assert gpu_seconds(parkade, name) == 3 * 2 * (60 + LIMIT_S + 60)
    assert parkade.workload(name).failures == 0
    audited(parkade)


def test_it_is_billed_from_when_it_began() -> None:
    parkade, name = given_one_that_joins()
    parkade.tick(40)
    parkade.begun(name, 3, at_us=parkade.now_us - 10 * SECOND_US)
    parkade.tick(60)
    parkade.ended(name)
    assert gpu_seconds(parkade, name) == 3 * 2 * 160 + 2 * 70
    audited(parkade)


def test_an_engine_that_does_not_tell_has_begun_what_it_took_in() -> None:
    parkade, name = given_one_that_joins()
    attempt = parkade.attempt(name)
    for resizes in (attempt.resizes - 1, attempt.resizes):
        seen = builders.observed(
            attempt.attempt, started_us=attempt.started_us, resizes=resizes, begun=None
        )
        parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(seen,)))
        has_begun = [it.has_begun for it in ranks_of(parkade.attempt(name))]
        assert has_begun == [True, True, True, resizes == attempt.resizes]
    audited(parkade)


def test_after_one_that_did_not_begin_it_waits_before_another_joins() -> None:
    parkade, name = given_one_that_joins()
    for wait_s in (60, 120, 240):
        parkade.tick(LIMIT_S)
        assert leaving(parkade, name) == {3: "a4"}
        parkade.ranks_left(name, begun=())
        silent(parkade, name, wait_s - 30)
        assert 3 not in ranks(parkade, name)
        silent(parkade, name, 30)
        assert 3 in ranks(parkade, name)
    assert parkade.attempt(name).generation == 1
    audited(parkade)


def test_the_node_of_one_that_did_not_begin_is_free_for_others() -> None:
    parkade, name = given_one_that_joins()
    silent(parkade, name, LIMIT_S)
    parkade.ranks_left(name, begun=())
    other = parkade.bid("acme", 2, nodes=1)
    parkade.run(30)
    assert parkade.nodes_of(other) == ("a4",)
    audited(parkade)


def test_time_in_which_its_agent_was_not_heard_does_not_count() -> None:
    parkade, name = given_one_that_joins()
    parkade.tick(100)
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=False))
    parkade.tick(2 * LIMIT_S)
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=True))
    parkade.tick(LIMIT_S - 101)
    assert not leaving(parkade, name)
    parkade.tick(1)
    assert leaving(parkade, name) == {3: "a4"}
    audited(parkade)


def test_where_too_few_would_stay_all_of_it_is_started_again() -> None:
    parkade, name = given_one_that_joins(least=3)
    parkade.tick(30)
    parkade.fail("a2")
    parkade.ranks_left(name, begun=())
    assert ranks(parkade, name) == {0: "a1", 2: "a3", 3: "a4"}
    parkade.tick(LIMIT_S)
    stop = parkade.stop(name)
    assert (stop.cause, stop.deadline_us - stop.noticed_us) == (Cause.HEALED, 30 * SECOND_US)
    parkade.ended(name, code=85)
    assert parkade.workload(name).failures == 0
    audited(parkade)


def test_what_leaves_or_ends_before_it_began_costs_nothing() -> None:
    for is_whole in (False, True):
        parkade, name = given_one_that_joins()
        parkade.tick(30)
        if not is_whole:
            parkade.bid("acme", 9, nodes=1)
            parkade.clear()
            assert leaving(parkade, name) == {3: "a4"}
            parkade.ranks_left(name, begun=())
        parkade.tick(30)
        parkade.ended(name)
        assert gpu_seconds(parkade, name) == 3 * 2 * 120
        audited(parkade)


def test_one_that_begins_after_it_was_told_to_leave_is_not_billed_anew() -> None:
    parkade, name = given_one_that_joins()
    parkade.bid("acme", 9, nodes=1)
    parkade.clear()
    parkade.tick(10)
    parkade.begun(name, 3)
    parkade.ranks_left(name)
    parkade.ended(name)
    assert gpu_seconds(parkade, name) == 3 * 2 * 70
    audited(parkade)


@pytest.mark.parametrize("price", [1, 3])
def test_a_clearing_in_between_prices_it_for_when_it_begins(price: int) -> None:
    parkade, name = given_one_that_joins()
    parkade.tick(30)
    if price > 1:
        parkade.bid("acme", price, nodes=1)
        parkade.clear()
    parkade.tick(30)
    parkade.begun(name, 3)
    prices = parkade.attempt(name).rates[-1].node_prices
    assert len(prices) == 4 and max(prices) >= price * MICROS - 1_000_000 // 20 * price
    parkade.tick(30)
    parkade.ended(name)
    assert gpu_seconds(parkade, name) == 3 * 2 * 150 + 2 * 30
    audited(parkade)


def test_it_owes_nothing_for_its_node_where_it_did_not_begin() -> None:
    parkade = given_parkade(minimum_charge_us=3600 * SECOND_US, start_limit_us=60 * SECOND_US)
    one, _ = parkade.bid("one", 2, nodes=1), parkade.bid("other", 2, nodes=1)
    parkade.run(30)
    name = live(parkade, 1.5)
    parkade.run(60)
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=4 * MICROS))
    parkade.run(60)
    parkade.bid("acme", 5, nodes=2)
    parkade.clear()
    parkade.ended(one, code=85)
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=9 * MICROS))
    parkade.clear()
    assert any(it.owed for it in parkade.attempt(name).ranks)
    parkade.tick(60)
    assert list(leaving(parkade, name)) == [2]
    parkade.ranks_left(name, begun=())
    assert not any(isinstance(it, events.WithdrawalCharged) for it in parkade.journal[-5:])
    audited(parkade)


def test_nothing_follows_from_a_report_of_another_rank() -> None:
    parkade, name = given_one_that_joins()
    parkade.tick(10)
    before = len(parkade.journal)
    parkade.begun(name, 0, 1, 2)
    assert len(parkade.journal) == before


def test_one_that_left_before_another_was_late_may_be_reported_after_it() -> None:
    """What was decided of the late one is dated after what the report says of the other."""
    parkade, name = given_one_that_joins()
    parkade.tick(LIMIT_S - 60)
    parkade.fail("a3")
    parkade.tick(60)
    assert sorted(leaving(parkade, name)) == [2, 3]
    parkade.ranks_left(name, at_us=parkade.now_us - 40 * SECOND_US, begun=())
    assert not leaving(parkade, name)
    audited(parkade)
