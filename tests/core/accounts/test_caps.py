"""Caps of users and orgs: on money in all and by month, and on GPUs held at once."""

from typing import Any

import pytest

from parkade.core.billing.commitments import spending_of_org, spending_of_user
from parkade.core.state import commands, events
from parkade.core.state.people import CapPeriod, Role
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.units.time import month_of
from parkade.core.workloads.life import Cause, Phase
from tests import builders
from tests.core.kernel.story import Parkade


def lab(*users: str, **terms: Any) -> Parkade:
    """An org with money and members."""
    parkade = Parkade(**terms)
    parkade.org("lab")
    for user in users or ("eve",):
        parkade.do(builders.create_user(user, "lab"))
    return parkade


def submit(parkade: Parkade, user: str, limit: float = 9, **shape: Any) -> str:
    """A spot workload of a user."""
    spec = parkade.spec(limit=limit, **shape)
    command = commands.Submit(by=user, org="lab", market=None, spec=spec, is_held=False)
    return next(e.workload.workload for e in parkade.do(command) if isinstance(e, events.Submitted))


def held(parkade: Parkade, user: str | None = None) -> int:
    """GPUs of the attempts of a user, or of all."""
    live = (parkade.workload(name) for name in parkade.world.live)
    return sum(it.attempt.gpus for it in live if it.attempt and user in (None, it.user))


def test_an_orgs_cap_stops_all_its_users_with_notice_and_says_why() -> None:
    parkade = lab("eve", "ann")
    cap = commands.SetOrgCap(by=None, org="lab", cap_micros=6 * MICROS)
    parkade.do(cap)
    jobs = [submit(parkade, user) for user in ("eve", "ann")]
    parkade.run(3600)
    spent = spending_of_org(parkade.world, "lab")
    assert 5 * MICROS < spent.total_micros <= 6 * MICROS
    assert {parkade.workload(job).why for job in jobs} == {"org_cap"}
    cleared = [it for it in parkade.journal if isinstance(it, events.Cleared)]
    stops = [each.stop for it in cleared for each in it.left if each.stop is not None]
    assert {it.cause for it in stops} == {Cause.BUDGET}
    parkade.do(commands.SetOrgCap(by=None, org="lab", cap_micros=None))
    parkade.run(60)
    assert {parkade.phase(job) for job in jobs} == {Phase.RUNNING}


def test_of_a_users_and_its_orgs_cap_the_one_that_is_reached_first_is_the_reason() -> None:
    parkade = lab("eve", "ann")
    parkade.do(commands.SetOrgCap(by=None, org="lab", cap_micros=1000 * MICROS))
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=2 * MICROS))
    mine, others = submit(parkade, "eve"), submit(parkade, "ann")
    parkade.run(1800)
    assert parkade.workload(mine).why == "user_cap"
    assert parkade.phase(others) is Phase.RUNNING


def test_a_monthly_cap_lets_work_go_on_in_the_next_month() -> None:
    parkade = lab()
    month = CapPeriod.MONTH
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=3 * MICROS, period=month))
    job = submit(parkade, "eve")
    parkade.run(3600)
    assert parkade.workload(job).why == "user_cap"
    before = spending_of_user(parkade.world, "eve")
    assert 2 * MICROS < before.total_micros <= 3 * MICROS
    # The story begins on 14 November 2023, 22:13 UTC.
    parkade.tick(17 * 86_400)
    parkade.run(300)
    assert parkade.phase(job) is Phase.RUNNING
    parkade.run(3600)
    after = spending_of_user(parkade.world, "eve")
    assert after.month == before.month + 1
    assert after.month_micros <= 3 * MICROS < after.total_micros
    noted = [it for it in parkade.journal if isinstance(it, events.CapNoted)]
    assert [month_of(it.at_us) for it in noted] == [before.month, after.month]


def test_four_fifths_of_a_cap_are_told_once() -> None:
    parkade = lab("eve", "ann")
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=5 * MICROS))
    parkade.do(commands.SetOrgCap(by=None, org="lab", cap_micros=9 * MICROS))
    submit(parkade, "eve")
    for _ in range(4):
        parkade.run(600)
    noted = [it for it in parkade.journal if isinstance(it, events.CapNoted)]
    assert [(it.org, it.user) for it in noted] == [("lab", "eve")]
    assert noted[0].spent_micros * 5 >= noted[0].cap_micros * 4 == 20 * MICROS
    submit(parkade, "ann")
    for _ in range(6):
        parkade.run(600)
    noted = [it for it in parkade.journal if isinstance(it, events.CapNoted)]
    assert [(it.org, it.user) for it in noted] == [("lab", "eve"), ("lab", None)]
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=MICROS))
    noted = [it for it in parkade.journal if isinstance(it, events.CapNoted)]
    assert len(noted) == 3, "a lower cap of which all is spent is told at once"


def test_four_fifths_are_told_before_the_notice_though_use_is_charged_by_the_hour() -> None:
    parkade = lab()
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=3 * MICROS))
    job = submit(parkade, "eve")
    parkade.run(700)
    kinds = [type(it).__name__ for it in parkade.journal]
    stop = next(
        place
        for place, it in enumerate(parkade.journal)
        if isinstance(it, events.Cleared) and any(each.stop for each in it.left)
    )
    assert kinds.index("CapNoted") < stop < kinds.index("UsePosted")
    assert parkade.workload(job).why == "user_cap"
    before = len(parkade.journal)
    parkade.clear()
    assert len(parkade.journal) == before, "a clearing that changes nothing tells nothing"


def test_a_user_never_holds_more_gpus_than_its_cap() -> None:
    parkade = lab("eve", "ann")
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=None, most_gpus=4))
    high, low, third = (submit(parkade, "eve", limit=limit) for limit in (20, 15, 10))
    others = submit(parkade, "ann")
    parkade.run(300)
    assert held(parkade, "eve") == 4
    assert parkade.workload(third).why == "user_gpus"
    assert {parkade.phase(it) for it in (high, low, others)} == {Phase.RUNNING}
    parkade.do(commands.Cancel(by="eve", workload=high, now=False))
    parkade.clear()
    assert parkade.phase(third) is Phase.QUEUED, "what leaves counts until it is gone"
    parkade.run(120)
    assert parkade.phase(third) is Phase.RUNNING
    assert held(parkade, "eve") == 4


def test_a_lowered_cap_on_gpus_keeps_the_best_bids() -> None:
    parkade = lab()
    low, high = submit(parkade, "eve", limit=10), submit(parkade, "eve", limit=20)
    parkade.run(120)
    assert held(parkade) == 4
    parkade.do(commands.SetOrgCap(by=None, org="lab", cap_micros=None, most_gpus=2))
    parkade.clear()
    assert parkade.stop(low).cause is Cause.BUDGET
    assert parkade.workload(low).why == "org_gpus"
    parkade.run(300)
    assert (parkade.phase(high), parkade.phase(low)) == (Phase.RUNNING, Phase.QUEUED)


def test_a_cap_on_gpus_bounds_how_far_an_elastic_workload_grows() -> None:
    parkade = lab(regrow_us=60_000_000, start_grace_us=1_000_000)
    job = submit(parkade, "eve", nodes=1, most_nodes=3)
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=None, most_gpus=4))
    parkade.run(600)
    assert held(parkade) == 4
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=None, most_gpus=3))
    parkade.run(300)
    assert held(parkade) == 2
    assert parkade.phase(job) is Phase.RUNNING


def test_on_demand_beyond_a_cap_on_gpus_is_refused() -> None:
    parkade = lab()
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=None, most_gpus=3))
    running = submit(parkade, "eve")
    parkade.run(60)
    spec = parkade.spec(on_demand_hours=1)
    window = commands.Submit(by="eve", org="lab", market=None, spec=spec, is_held=False)
    refusal = parkade.refused(window)
    assert refusal.reason is Reason.OVER_CAP
    assert "eve may hold 3 GPUs at once and holds 2" in refusal.detail
    parkade.do(commands.Cancel(by="eve", workload=running, now=True))
    parkade.run(60)
    assert parkade.do(window)
    parkade.run(60)
    waits = submit(parkade, "eve")
    parkade.run(60)
    assert parkade.workload(waits).why == "user_gpus"


def test_work_in_a_reservation_counts_and_is_not_kept_waiting() -> None:
    parkade = Parkade()
    parkade.reserve("lab", 2)
    parkade.do(commands.SetOrgCap(by=None, org="lab", cap_micros=None, most_gpus=2))
    own = parkade.on_reservation("lab", "lab", nodes=2)
    guest = parkade.bid("lab", 20)
    parkade.run(60)
    assert parkade.phase(own) is Phase.RUNNING
    assert parkade.workload(guest).why == "org_gpus"


def test_lowering_a_cap_does_not_dodge_the_minimum_charge() -> None:
    """A sweep whose owner then caps itself pays for those that it made leave."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    victim = parkade.bid("other", 9)
    parkade.run(60)
    parkade.org("lab")
    parkade.do(builders.create_user("boss", "lab", role=Role.OWNER))
    sweep = submit(parkade, "boss", limit=40)
    parkade.clear()
    assert parkade.stop(victim).cause is Cause.OUTBID
    before = parkade.balance("org/lab")
    parkade.do(commands.SetOrgCap(by="boss", org="lab", cap_micros=None, most_gpus=0))
    parkade.clear()
    assert parkade.workload(sweep).promise is None
    assert parkade.balance("org/lab") < before


def test_an_owner_changes_the_cap_of_its_own_org_unless_an_operator_set_it() -> None:
    parkade = Parkade()
    for org in ("lab", "acme"):
        parkade.org(org)
        parkade.do(builders.create_user(f"{org}-boss", org, role=Role.OWNER))
    own = commands.SetOrgCap(by="lab-boss", org="lab", cap_micros=MICROS)
    parkade.do(own)
    theirs = commands.SetOrgCap(by="lab-boss", org="acme", cap_micros=MICROS)
    assert parkade.refused(theirs).reason is Reason.DENIED
    parkade.do(builders.create_user("eve", "lab"))
    by_member = commands.SetOrgCap(by="eve", org="lab", cap_micros=MICROS)
    assert parkade.refused(by_member).reason is Reason.DENIED
    parkade.do(commands.SetOrgCap(by=None, org="lab", cap_micros=2 * MICROS))
    refusal = parkade.refused(own)
    assert refusal.reason is Reason.DENIED and "operator" in refusal.detail
    parkade.do(commands.SetOrgCap(by=None, org="lab", cap_micros=None))
    assert parkade.do(own), "without a cap of the operator's it is its own again"


@pytest.mark.parametrize(("micros", "gpus"), [(-1, None), (None, -1), (None, 6_400_001)])
def test_a_cap_is_not_below_zero_and_not_beyond_any_fleet(
    micros: int | None, gpus: int | None
) -> None:
    parkade = lab()
    command = commands.SetOrgCap(by=None, org="lab", cap_micros=micros, most_gpus=gpus)
    assert parkade.refused(command).reason is Reason.INVALID
