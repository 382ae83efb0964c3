"""What is refused when it is asked for, with the reason and what to do about it."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.units.money import MICROS
from parkade.core.units.time import MINUTE_US
from parkade.core.workloads.life import Phase
from parkade.core.workloads.saving import CheckpointTerms
from tests import builders
from tests.core.kernel.story import Parkade


def submit(
    parkade: Parkade, *, by: str | None = None, org: str = "lab", **spec: Any
) -> commands.Submit:
    return commands.Submit(by=by, org=org, market=None, spec=parkade.spec(**spec), is_held=False)


@pytest.mark.parametrize(
    ("spec", "reason", "field"),
    [
        ({}, "limit_required", "limit_price"),
        ({"limit": 9, "gpus": 3}, "too_large", "gpus"),
        ({"limit": 9, "nodes": 4}, "too_large", "nodes"),
        ({"limit": 9, "reservation": "acme", "org": "acme"}, "invalid", "limit_price"),
        ({"reservation": "nobody"}, "not_found", None),
        ({"reservation": "acme"}, "not_found", None),
        ({"on_demand_hours": 1, "nodes": 3}, "no_capacity", "nodes"),
        ({"limit": 9, "max_spend": 0}, "invalid", "max_spend"),
        ({"on_demand_hours": 1, "max_spend": 1}, "invalid", "max_spend"),
    ],
)
def test_what_can_never_run_is_refused_with_its_reason(
    spec: dict[str, Any], reason: str, field: str | None
) -> None:
    parkade = Parkade()
    parkade.org("lab")
    parkade.reserve("acme", 2)
    refusal = parkade.refused(submit(parkade, **spec))
    assert (refusal.reason, refusal.field) == (reason, field)
    assert refusal.detail


def test_a_checkpoint_that_needs_longer_than_the_notice_is_refused() -> None:
    parkade = Parkade()
    parkade.org("lab")
    command = submit(parkade, limit=9)
    slow = CheckpointTerms(signal="SIGUSR1", needs_us=MINUTE_US)
    command = replace(command, spec=replace(command.spec, checkpoint=slow))
    assert parkade.refused(command).reason == "notice_too_short"


def test_on_demand_that_its_org_could_not_pay_to_the_end_is_refused() -> None:
    parkade = Parkade()
    parkade.org("lab", deposit=24)
    assert parkade.refused(submit(parkade, on_demand_hours=1)).reason == "insufficient_funds"


def test_max_spend_may_be_exactly_what_one_clearing_could_cost() -> None:
    # 36 per GPU-hour, two GPUs, 185 s until it could be gone: 3.7 and no more.
    parkade = Parkade()
    parkade.org("lab")
    command = submit(parkade, limit=36)
    enough = replace(command, spec=replace(command.spec, max_spend_micros=3_700_000))
    assert parkade.do(enough)
    too_little = replace(command, spec=replace(command.spec, max_spend_micros=3_699_999))
    assert "give at least 3.70" in parkade.refused(too_little).detail


@pytest.mark.parametrize(("micros", "is_accepted"), [(73_400_000, True), (73_399_999, False)])
def test_on_demand_is_sold_to_an_org_that_has_exactly_its_cost(
    micros: int, is_accepted: bool
) -> None:
    # 36 per GPU-hour, two GPUs, an hour and twice 35 s to leave: 73.4.
    parkade = Parkade(pay_as_you_go_micros=36 * MICROS)
    parkade.org("lab", deposit=0)
    parkade.do(commands.Deposit(by=None, org="lab", micros=micros))
    command = submit(parkade, on_demand_hours=1)
    if is_accepted:
        assert parkade.do(command)
    else:
        assert "costs up to 73.40" in parkade.refused(command).detail


def test_a_bid_without_money_waits_and_runs_when_there_is_some() -> None:
    parkade = Parkade()
    parkade.org("lab", deposit=0)
    job = parkade.bid("lab", 9)
    parkade.clear()
    assert parkade.workload(job).why == "insufficient_funds"
    parkade.do(commands.Deposit(by=None, org="lab", micros=10 * MICROS))
    parkade.clear()
    assert parkade.phase(job) is Phase.STARTING


def test_a_member_changes_its_own_work_only() -> None:
    parkade = Parkade()
    parkade.org("lab")
    for user in ("ann", "bob"):
        parkade.do(builders.create_user(user, "lab"))
    parkade.do(submit(parkade, by="ann", limit=9))
    cancel = commands.Cancel(by="bob", workload="w1", now=True)
    assert parkade.refused(cancel).reason == "denied"
    assert parkade.refused(submit(parkade, by="ann", org="acme", limit=9)).reason == "denied"
    parkade.do(replace(cancel, by="ann"))
    assert parkade.refused(replace(cancel, by="ann")).reason == "already_ended"


def test_strangers_cannot_tell_whether_a_workload_exists() -> None:
    parkade = Parkade()
    parkade.org("acme")
    job = parkade.bid("lab", 9)
    parkade.do(builders.create_user("eve", "acme", role=Role.OWNER))
    real = parkade.refused(commands.Cancel(by="eve", workload=job, now=False))
    unreal = parkade.refused(commands.Cancel(by="eve", workload="w99", now=False))
    assert real.reason == unreal.reason == "not_found"
    assert real.detail.replace(job, "w99") == unreal.detail


def test_a_raised_bid_takes_its_seats_back_in_the_next_clearing() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, public_floor_micros=0)
    high = parkade.bid("high", 10)
    low = parkade.bid("low", 5)
    parkade.clear()
    parkade.start_all()
    parkade.clear()
    assert parkade.workload(low).price_to_win_micros == 10_500_001
    parkade.do(commands.ChangeBid(by=None, workload=low, limit_price_micros=12 * MICROS))
    assert parkade.phase(high) is Phase.RUNNING
    parkade.clear()
    assert parkade.stop(high).cause == "outbid"
    assert parkade.phase(low) is Phase.PLACED
