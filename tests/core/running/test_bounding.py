"""Other bounds of a workload that lives: raised, lowered where that is safe, lifted."""

import re

import pytest

from parkade.core.state import commands, events
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.indexes import Spans
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.units.time import HOUR_US, MINUTE_US
from parkade.core.workloads.life import Phase
from tests.core.kernel.story import Parkade

KEEP = "keep"


@pytest.fixture
def parkade() -> Parkade:
    made = Parkade(fabrics={"a": 4}, buffer_nodes=0)
    made.org("lab")
    return made


def change(
    name: str,
    *,
    spend: float | str | None = KEEP,
    minutes: float | str | None = KEEP,
    members: Spans | None = None,
) -> commands.ChangeBounds:
    def bound(value: float | str | None, unit: int) -> commands.NewBound | None:
        if value == KEEP:
            return None
        return commands.NewBound(value=None if value is None else round(float(value) * unit))

    return commands.ChangeBounds(
        by=None,
        workload=name,
        max_spend_micros=bound(spend, MICROS),
        max_duration_us=bound(minutes, MINUTE_US),
        members=members,
    )


def spec_of(parkade: Parkade, name: str) -> tuple[int | None, int | None]:
    spec = parkade.workload(name).spec
    return spec.max_spend_micros, spec.max_duration_us


def test_a_workload_runs_on_past_the_max_spend_it_had_once_that_is_raised(
    parkade: Parkade,
) -> None:
    name, other = (parkade.bid("lab", 9, max_spend=4) for _ in range(2))
    parkade.run(300)
    parkade.do(change(name, spend=50))
    parkade.run(1800)
    assert parkade.phase(name) is Phase.RUNNING
    assert parkade.phase(other) is Phase.EXPIRED
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_the_event_at_four_fifths_is_made_again_after_a_raise(parkade: Parkade) -> None:
    name = parkade.bid("lab", 9, max_spend=15)
    parkade.run(2790)
    parkade.saved(name, 1)
    parkade.run(60)
    noted = [it for it in parkade.journal if isinstance(it, events.BudgetNoted)]
    assert len(noted) == 1
    parkade.do(change(name, spend=30))
    assert not parkade.workload(name).is_budget_noted
    parkade.run(4200)
    noted = [it for it in parkade.journal if isinstance(it, events.BudgetNoted)]
    assert len(noted) == 2


def test_max_spend_is_lowered_to_what_was_spent_and_may_still_come_to(parkade: Parkade) -> None:
    """The example of the module: 9 x 2 GPUs x (30 + 30 + 5 + 120) s = 0.925."""
    name = parkade.bid("lab", 9, max_spend=20)
    parkade.run(300)
    refusal = parkade.refused(change(name, spend=0.9))
    assert refusal.reason is Reason.INVALID and "give at least" in refusal.detail
    least = refusal.detail.partition("give at least ")[2].partition(",")[0]
    parkade.do(change(name, spend=least))
    assert spec_of(parkade, name)[0] == round(float(least) * MICROS)
    parkade.run(600)
    assert parkade.workload(name).spent_micros <= round(float(least) * MICROS)


def test_the_least_max_spend_of_what_waits_is_one_earmark(parkade: Parkade) -> None:
    name = parkade.bid("lab", 1, max_spend=20)
    refusal = parkade.refused(change(name, spend=0.102777))
    assert "give at least 0.102778" in refusal.detail
    parkade.do(change(name, spend="0.102778"))
    parkade.do(change(name, spend=None))
    assert spec_of(parkade, name) == (None, None)


def test_a_raised_max_duration_moves_the_end_and_a_lowered_one_brings_it_forward(
    parkade: Parkade,
) -> None:
    name = parkade.bid("lab", 9, max_duration_us=HOUR_US)
    parkade.run(60)
    started_us = parkade.workload(name).first_started_us
    assert started_us is not None
    parkade.do(change(name, minutes=120))
    assert parkade.workload(name).must_end_us == started_us + 2 * HOUR_US
    parkade.run(3700)
    assert parkade.phase(name) is Phase.RUNNING
    parkade.do(change(name, minutes=70))
    parkade.run(600)
    assert parkade.phase(name) is Phase.EXPIRED
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_a_first_max_duration_counts_from_the_first_start_and_can_be_taken_away(
    parkade: Parkade,
) -> None:
    name = parkade.bid("lab", 9)
    parkade.run(600)
    started_us = parkade.workload(name).first_started_us
    assert started_us is not None
    parkade.do(change(name, minutes=60))
    assert parkade.workload(name).must_end_us == started_us + HOUR_US
    parkade.do(change(name, minutes=None))
    assert parkade.workload(name).must_end_us is None
    parkade.run(7200)
    assert parkade.phase(name) is Phase.RUNNING


def test_a_max_duration_that_leaves_no_notice_is_refused(parkade: Parkade) -> None:
    name = parkade.bid("lab", 9)
    parkade.run(600)
    refusal = parkade.refused(change(name, minutes=10))
    assert refusal.field == "max_duration" and "cancel it" in refusal.detail


def test_a_notice_to_end_is_not_withdrawn_by_more_time(parkade: Parkade) -> None:
    name = parkade.bid("lab", 9, max_duration_us=5 * MINUTE_US)
    parkade.run(60)
    parkade.tick(250)
    stop = parkade.attempt(name).stop
    assert stop is not None
    assert parkade.refused(change(name, minutes=60)).reason is Reason.CONFLICT


def test_an_on_demand_window_grows_in_the_calendar_as_far_as_it_has_room(
    parkade: Parkade,
) -> None:
    parkade.reserve("acme", 3, hours=4, in_hours=3)
    name = parkade.on_demand("lab", nodes=2)
    parkade.run(60)
    end_us = parkade.workload(name).must_end_us
    assert end_us is not None
    parkade.do(change(name, minutes=120))
    assert parkade.workload(name).must_end_us == end_us + HOUR_US
    refusal = parkade.refused(change(name, minutes=240))
    assert refusal.reason is Reason.NO_CAPACITY and refusal.detail == (
        "it needs 2 nodes in a until then, and 1 is unsold there: 1 is missing; ask for less"
    )
    parkade.do(change(name, minutes=30))
    assert parkade.workload(name).must_end_us == end_us - HOUR_US // 2
    assert parkade.refused(change(name, minutes=None)).field == "max_duration"


def test_an_on_demand_window_does_not_grow_at_a_price_of_before(parkade: Parkade) -> None:
    name = parkade.on_demand("lab")
    parkade.run(60)
    dearer = commands.SetPrices(
        by=None,
        market="pool",
        pay_as_you_go_micros=20 * MICROS,
        reservation_rate_micros=None,
        public_floor_micros=None,
    )
    parkade.do(dearer)
    assert parkade.refused(change(name, minutes=120)).reason is Reason.CONFLICT
    parkade.do(change(name, minutes=30))


def test_an_on_demand_window_grows_only_while_its_org_and_its_max_spend_can_bear_it(
    parkade: Parkade,
) -> None:
    parkade.org("poor", deposit=30)
    name = parkade.on_demand("poor", max_spend=30)
    refusal = parkade.refused(change(name, minutes=120))
    assert refusal.reason is Reason.INSUFFICIENT_FUNDS
    assert re.search(r" more, and poor can commit .*: .* are missing; ", refusal.detail)
    parkade.do(commands.Deposit(by=None, org="poor", micros=100 * MICROS))
    assert parkade.refused(change(name, minutes=120)).field == "max_spend"
    parkade.do(change(name, minutes=120, spend=60))


def test_max_duration_changes_for_some_members_or_all_and_max_spend_for_the_whole_array(
    parkade: Parkade,
) -> None:
    array = parkade.bid("lab", 9, array="0-9%4", max_spend=900)
    parkade.run(60)
    parkade.do(change(array, minutes=90, members=((1, 1), (8, 8))))
    assert spec_of(parkade, f"{array}_1")[1] == 90 * MINUTE_US
    assert spec_of(parkade, f"{array}_0")[1] is None
    parkade.do(change(array, spend=300))
    assert spec_of(parkade, array)[0] == 300 * MICROS
    for index in range(5):
        parkade.ended(f"{array}_{index}")
        parkade.run(60)
    assert spec_of(parkade, f"{array}_7")[1] is None
    assert spec_of(parkade, f"{array}_8")[1] == 90 * MINUTE_US
    parkade.do(change(array, minutes=30, members=((9, 9),)))
    parkade.do(change(array, minutes=60))
    parkade.ended(f"{array}_5")
    parkade.run(60)
    assert spec_of(parkade, f"{array}_9")[1] == spec_of(parkade, f"{array}_8")[1] == HOUR_US
    assert parkade.refused(change(f"{array}_8", spend=9)).field == "max_spend"
    assert parkade.refused(change(array, spend=9, members=((8, 8),))).field == "max_spend"
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_an_array_that_spent_its_max_spend_goes_on_with_more(parkade: Parkade) -> None:
    array = parkade.bid("lab", 9, array="0-9", max_spend=4)
    parkade.run(1800)
    assert all(parkade.workload(it).attempt is None for it in parkade.world.members.of(array).names)
    parkade.do(change(array, spend=400))
    parkade.run(60)
    assert parkade.world.members.of(array).phases.get(Phase.RUNNING) == 4


def test_what_changes_nothing_makes_no_event_and_nonsense_is_refused(parkade: Parkade) -> None:
    name = parkade.bid("lab", 9, max_spend=20)
    assert parkade.do(change(name, spend=20)) == ()
    assert parkade.refused(change(name)).reason is Reason.INVALID
    assert parkade.refused(change(name, spend=0)).field == "max_spend"
    assert parkade.refused(change(name, minutes=-1)).field == "max_duration"
    assert parkade.refused(change(name, minutes=9, members=((0, 0),))).field == "members"
    parkade.do(commands.Cancel(by=None, workload=name, now=True))
    assert parkade.refused(change(name, spend=30)).reason is Reason.ALREADY_ENDED
