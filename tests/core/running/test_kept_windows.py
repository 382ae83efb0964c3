"""What is kept for a deadline never grows over what was sold beside it, whatever comes later."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from parkade.core.state import commands
from parkade.core.steps.fallbacks import falls_back_us, must_end_us
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.life import Phase
from tests.core.kernel.story import Parkade
from tests.core.running.test_falling_back import fell_back, market, submit


def reserve(parkade: Parkade, start_us: int, end_us: int) -> None:
    parkade.do(
        commands.Reserve(
            by=None,
            org="acme",
            market=None,
            name=None,
            nodes=1,
            start_us=start_us,
            end_us=end_us,
        )
    )


def window(parkade: Parkade, name: str) -> tuple[int, int]:
    of, workload = parkade.world.records.markets["pool"], parkade.workload(name)
    return falls_back_us(of, workload), must_end_us(of, workload)


def sold_around(parkade: Parkade, name: str) -> None:
    """Its node is sold to others up to its window, and from its end on."""
    begins_us, ends_us = window(parkade, name)
    reserve(parkade, parkade.now_us + HOUR_US // 2, begins_us)
    reserve(parkade, ends_us, ends_us + HOUR_US)


@pytest.mark.parametrize(
    "change",
    [
        commands.TermsChange(notice_us=1_200 * SECOND_US),
        commands.TermsChange(kill_us=60 * SECOND_US),
        commands.TermsChange(turnaround_us=600 * SECOND_US),
        commands.TermsChange(start_grace_us=900 * SECOND_US),
        commands.TermsChange(clearing_pause_us=30 * SECOND_US),
    ],
)
def test_longer_terms_leave_the_window_that_was_sold(change: commands.TermsChange) -> None:
    parkade = market(fabrics={"a": 1})
    parkade.org("lab")
    parkade.org("acme")
    name = submit(parkade, hours=2, due=5)
    before = window(parkade, name)
    sold_around(parkade, name)
    parkade.do(commands.ChangeTerms(by=None, market="pool", change=change, from_us=None))
    assert window(parkade, name) == before
    parkade.run((before[1] - parkade.now_us) / SECOND_US - 60)
    (fell,) = fell_back(parkade)
    assert (fell.at_us >= before[0], fell.must_end_us) == (True, before[1])


def test_what_it_reports_and_then_says_on_its_notice_counts_by_the_later_of_both() -> None:
    parkade = market(fabrics={"a": 1}, notice_us=600 * SECOND_US, minimum_charge_us=600 * SECOND_US)
    parkade.org("lab")
    parkade.org("acme")
    name = submit(parkade, hours=2, due=6)
    parkade.clear()
    parkade.start_all()
    parkade.tick(1_200)
    parkade.bid("rich", 50)
    parkade.clear()
    parkade.tick(500)
    parkade.saved(name, step=5)
    before = window(parkade, name)
    sold_around(parkade, name)
    parkade.ended(name, code=85)
    assert window(parkade, name) == before
    assert parkade.workload(name).saved_us == (1_200 + 500 - 120) * SECOND_US


def until_it_falls_back(parkade: Parkade, each: Callable[[], None]) -> None:
    ends_us = parkade.now_us + 4 * HOUR_US
    while not fell_back(parkade):
        assert parkade.now_us < ends_us
        parkade.start_all()
        parkade.tick(10)
        parkade.heard()
        parkade.clear()
        each()


@pytest.mark.parametrize("is_ever_gone", [True, False])
def test_it_falls_back_beside_on_demand_that_is_late_to_leave(*, is_ever_gone: bool) -> None:
    parkade = market(fabrics={"a": 1})
    parkade.org("lab")
    parkade.org("od")
    late = parkade.on_demand("od", hours=1)
    parkade.run(10)
    must_end = parkade.workload(late).must_end_us
    assert must_end is not None
    due_s = (must_end - parkade.now_us) / SECOND_US + 2 * 3600 + 35 + 0.5 + 120 + 5
    name = submit(parkade, hours=2, due=due_s / 3600)

    def leaves_late() -> None:
        attempt = parkade.workload(late).attempt
        stop = attempt.stop if attempt is not None else None
        if is_ever_gone and stop is not None and parkade.now_us >= stop.kill_us + 20 * SECOND_US:
            parkade.ended(late, signal=9)

    until_it_falls_back(parkade, leaves_late)
    assert parkade.phase(name) in (Phase.QUEUED, Phase.PLACED)


def test_a_back_off_from_when_it_bid_does_not_make_it_late() -> None:
    parkade = market()
    parkade.org("lab")
    name = submit(parkade, hours=2, due=3)
    parkade.clear()
    parkade.start_all()
    while not fell_back(parkade):
        if parkade.phase(name) is Phase.RUNNING:
            rivals = [parkade.bid("rich", 50) for _ in range(2)]
            parkade.run(60)
            for rival in rivals:
                if parkade.phase(rival) is Phase.RUNNING:
                    parkade.ended(rival)
                else:
                    parkade.do(commands.Cancel(by=None, workload=rival, now=True))
        parkade.run(30)
    assert parkade.workload(name).preemptions > 3
    for _ in range(2):
        parkade.bid("rich", 50)
    parkade.run(180)
    attempt, deadline = parkade.attempt(name), parkade.workload(name).spec.deadline
    assert attempt.started_us is not None and deadline is not None
    assert attempt.started_us + deadline.duration_us <= deadline.by_us


def test_the_window_of_an_older_journal_follows_the_terms_in_force() -> None:
    parkade = market(fabrics={"a": 1})
    parkade.org("lab")
    name = submit(parkade, hours=2, due=5)
    kept = parkade.workload(name).fallback
    assert kept is not None and kept.terms is not None
    before = window(parkade, name)
    older = replace(parkade.workload(name), fallback=replace(kept, terms=None))
    parkade.world.put_workload(older)
    assert window(parkade, name) == before
    longer = commands.TermsChange(kill_us=65 * SECOND_US)
    parkade.do(commands.ChangeTerms(by=None, market="pool", change=longer, from_us=None))
    assert window(parkade, name) == (before[0] - 60 * SECOND_US, before[1] + 60 * SECOND_US)
