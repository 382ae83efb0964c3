"""Grants come again by themselves, and a user's cap holds like its org's balance."""

from parkade.core.billing.commitments import spending_of_user
from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.units import bounds
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.life import Phase
from tests import builders
from tests.core.kernel.story import Parkade


def test_a_grant_comes_at_its_own_times_however_late_they_are_taken() -> None:
    parkade = Parkade()
    parkade.org("lab", deposit=0)
    grant = commands.SetGrant(by=None, org="lab", micros=5 * MICROS, every_us=HOUR_US)
    parkade.do(grant)
    assert parkade.balance("org/lab") == 5 * MICROS
    parkade.tick(3 * 3600 + 60)
    assert parkade.balance("org/lab") == 20 * MICROS
    parkade.do(commands.SetGrant(by=None, org="lab", micros=0, every_us=0))
    parkade.tick(5 * 3600)
    assert parkade.balance("org/lab") == 20 * MICROS


def test_neither_deposits_nor_grants_take_a_balance_beyond_what_any_can_be() -> None:
    parkade = Parkade()
    parkade.org("lab", deposit=0)
    most = bounds.BALANCE_MICROS.most
    parkade.do(commands.Deposit(by=None, org="lab", micros=most - 7))
    refusal = parkade.refused(commands.Deposit(by=None, org="lab", micros=8))
    assert refusal.reason == "too_large" and "0.000007" in refusal.detail
    parkade.do(commands.SetGrant(by=None, org="lab", micros=5, every_us=HOUR_US))
    parkade.tick(3 * 3600)
    assert parkade.balance("org/lab") == most
    parkade.do(
        commands.Adjust(by=None, org="lab", micros=1_000, is_refund=False, reason="it moved")
    )
    parkade.tick(3600)
    assert parkade.balance("org/lab") == most - 995, "the grant goes on when there is room"


def test_a_user_never_spends_more_than_its_cap() -> None:
    parkade = Parkade()
    parkade.org("lab")
    parkade.do(builders.create_user("eve", "lab"))
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=3 * MICROS))
    spec = parkade.spec(limit=9)
    for _ in range(3):
        parkade.do(commands.Submit(by="eve", org="lab", market=None, spec=spec, is_held=False))
    others = parkade.bid("lab", 9)
    parkade.run(3600)
    assert 2 * MICROS < spending_of_user(parkade.world, "eve").total_micros <= 3 * MICROS
    mine = [it for it in parkade.world.records.workloads.values() if it.user == "eve"]
    assert {it.why for it in mine} == {"user_cap"}
    assert parkade.phase(others) is Phase.RUNNING


def test_an_owner_caps_its_own_users_only() -> None:
    parkade = Parkade()
    for org in ("lab", "acme"):
        parkade.org(org)
        parkade.do(builders.create_user(f"{org}-boss", org, role=Role.OWNER))
    parkade.do(commands.SetCap(by="lab-boss", user="lab-boss", cap_micros=MICROS))
    refusal = parkade.refused(commands.SetCap(by="lab-boss", user="acme-boss", cap_micros=MICROS))
    assert refusal.reason == "not_found"
    refusal = parkade.refused(
        commands.SetGrant(by="lab-boss", org="lab", micros=1, every_us=HOUR_US)
    )
    assert refusal.reason == "denied"
