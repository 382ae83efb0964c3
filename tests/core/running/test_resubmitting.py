"""A workload that ended is submitted again under its id, from its checkpoints."""

import pytest

from parkade.core.running.expiry import folder_due_us
from parkade.core.state import commands
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.units.time import HOUR_US, MINUTE_US
from parkade.core.workloads.life import Phase
from tests.core.kernel.story import Parkade


@pytest.fixture
def parkade() -> Parkade:
    made = Parkade(
        fabrics={"a": 2},
        buffer_nodes=0,
        retention_us=30 * 24 * HOUR_US,
        folder_retention_us=HOUR_US,
    )
    made.org("lab")
    return made


def resubmit(name: str, *, limit: int | None = None, **bounds: int | None) -> commands.Resubmit:
    asked = {key: commands.NewBound(value=value) for key, value in bounds.items()}
    return commands.Resubmit(
        by=None, workload=name, limit_price_micros=limit and limit * MICROS, **asked
    )


def ended(parkade: Parkade, *, code: int = 1, **shape: object) -> str:
    """A workload that ran for five minutes, saved step 7 and ended."""
    name = parkade.bid("lab", 9, **shape)
    parkade.run(300)
    parkade.saved(name, 7)
    parkade.run(60)
    parkade.ended(name, code=code)
    return name


def test_it_goes_on_under_its_id_with_its_checkpoint_and_its_attempts_numbered_on(
    parkade: Parkade,
) -> None:
    name = ended(parkade)
    assert parkade.phase(name) is Phase.FAILED
    spent, before = parkade.workload(name).spent_micros, parkade.workload(name)
    parkade.do(resubmit(name))
    again = parkade.workload(name)
    assert (again.phase, again.checkpoint_step, again.failures) == (Phase.QUEUED, 7, 0)
    assert (again.submitted_us, again.spent_micros) == (before.submitted_us, spent)
    assert folder_due_us(parkade.world, again) is None
    parkade.run(60)
    assert parkade.attempt(name).attempt == f"{name}.2"
    parkade.ended(name)
    assert parkade.phase(name) is Phase.SUCCEEDED
    assert parkade.workload(name).spent_micros > spent > 0
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_its_first_85_waits_as_that_of_a_new_one(parkade: Parkade) -> None:
    name = ended(parkade)
    for _ in range(3):
        parkade.do(resubmit(name))
        parkade.run(60)
        parkade.ended(name, code=1)
    parkade.do(resubmit(name))
    parkade.run(60)
    parkade.saved(name, 8)
    parkade.ended(name, code=85)
    waits_us = parkade.workload(name).not_before_us - parkade.now_us
    assert waits_us == parkade.world.records.markets["pool"].terms.backoff_us


def test_what_its_max_spend_ended_needs_a_greater_one(parkade: Parkade) -> None:
    name = parkade.bid("lab", 9, max_spend=4)
    parkade.run(1800)
    assert parkade.phase(name) is Phase.EXPIRED
    refusal = parkade.refused(resubmit(name))
    assert refusal.field == "max_spend" and "so far; give at least" in refusal.detail
    parkade.do(resubmit(name, max_spend_micros=40 * MICROS))
    parkade.run(60)
    assert parkade.phase(name) is Phase.RUNNING


def test_max_duration_counts_from_its_next_start(parkade: Parkade) -> None:
    name = parkade.bid("lab", 9, max_duration_us=10 * MINUTE_US)
    parkade.run(900)
    assert parkade.phase(name) is Phase.EXPIRED
    parkade.do(resubmit(name, max_duration_us=20 * MINUTE_US))
    assert parkade.workload(name).must_end_us is None
    parkade.run(900)
    assert parkade.phase(name) is Phase.RUNNING
    parkade.run(600)
    assert parkade.phase(name) is Phase.EXPIRED


def test_another_limit_is_bid_from_then_on(parkade: Parkade) -> None:
    name = ended(parkade)
    parkade.do(resubmit(name, limit=12))
    assert parkade.workload(name).spec.limit_price_micros == 12 * MICROS
    assert parkade.refused(resubmit(name)).reason is Reason.CONFLICT


def test_work_on_a_reservation_goes_on_while_that_is_in_force(parkade: Parkade) -> None:
    right = parkade.reserve("acme", 1, hours=1)
    name = parkade.on_reservation("acme", right)
    parkade.run(60)
    parkade.ended(name, code=1)
    parkade.do(resubmit(name))
    parkade.run(60)
    assert parkade.phase(name) is Phase.RUNNING
    parkade.run(3700)
    assert parkade.phase(name).is_ended
    assert parkade.refused(resubmit(name)).reason is Reason.RESERVATION_ENDED


def test_it_is_refused_once_its_checkpoints_are_kept_no_more(parkade: Parkade) -> None:
    name = ended(parkade)
    parkade.tick(3601)
    assert "kept no more" in parkade.refused(resubmit(name)).detail


def test_arrays_and_on_demand_are_refused_with_what_to_do(parkade: Parkade) -> None:
    sure = parkade.on_demand("lab")
    array = parkade.bid("lab", 9, array="0-1")
    parkade.run(60)
    for name in (sure, f"{array}_0"):
        parkade.ended(name)
    assert "parkade retry" in parkade.refused(resubmit(f"{array}_0")).detail
    assert "new window" in parkade.refused(resubmit(sure)).detail


def test_a_chain_behind_it_is_not_waited_for_again(parkade: Parkade) -> None:
    first = parkade.bid("lab", 9)
    second = parkade.bid("lab", 9, after=(("after_ok", first),))
    parkade.run(60)
    parkade.ended(first)
    parkade.run(60)
    parkade.ended(second, code=1)
    parkade.do(resubmit(second))
    parkade.run(60)
    assert parkade.phase(second) is Phase.RUNNING


def test_what_was_cancelled_while_it_waited_for_another_goes_on_without_that(
    parkade: Parkade,
) -> None:
    first = parkade.bid("lab", 9)
    name = parkade.bid("lab", 9, after=(("after_ok", first),))
    parkade.do(commands.Cancel(by=None, workload=name, now=False))
    parkade.do(resubmit(name))
    parkade.run(60)
    assert parkade.phase(name) is Phase.RUNNING
    parkade.ended(first)
    parkade.run(60)
    assert parkade.phase(name) is Phase.RUNNING
    assert parkade.replayed() == encode_snapshot(parkade.world)
