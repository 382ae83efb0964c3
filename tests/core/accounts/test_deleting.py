"""Users and orgs are deleted once they hold nothing; their names stay theirs."""

import pytest

from parkade.control.viewers import Viewers
from parkade.core.kernel.check import check
from parkade.core.kernel.decide import decide
from parkade.core.ledger.accounts import org_account
from parkade.core.state import commands, events
from parkade.core.state.people import Role
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import HOUR_US
from tests import builders
from tests.core.kernel.story import Parkade

DIGEST, OTHER, OF_AGENT = "d" * 64, "e" * 64, "a" * 64


@pytest.fixture
def parkade() -> Parkade:
    """`lab` with an owner, a member and operators, and `guests` without money, with its owner."""
    made = Parkade()
    made.org("lab")
    made.org("guests", deposit=0)
    for user, org, role in (
        ("ada", "lab", Role.OWNER),
        ("eve", "lab", Role.MEMBER),
        ("root", "lab", Role.OPERATOR),
        ("second", "lab", Role.OPERATOR),
        ("gus", "guests", Role.OWNER),
    ):
        made.do(builders.create_user(user, org, role=role, unix_name=None))
    return made


def disable(parkade: Parkade, user: str) -> None:
    parkade.do(commands.SetUserDisabled(by=None, user=user, is_disabled=True))


def disable_org(parkade: Parkade, org: str = "guests") -> None:
    parkade.do(commands.SetOrgDisabled(by=None, org=org, is_disabled=True))


def delete(user: str = "eve", by: str | None = None) -> commands.DeleteUser:
    return commands.DeleteUser(by=by, user=user)


def delete_org(by: str | None = None) -> commands.DeleteOrg:
    return commands.DeleteOrg(by=by, org="guests")


def refused(parkade: Parkade, command: commands.AnyCommand) -> Refusal:
    found = decide(parkade.world, command, parkade.now_us)
    assert isinstance(found, Refusal), found
    return found


def test_a_deleted_user_keeps_its_name_and_loses_its_tokens(parkade: Parkade) -> None:
    viewers = Viewers(parkade.world)
    for name, digest in (("t", DIGEST), ("u", OTHER)):
        parkade.do(commands.AddToken(by=None, token=name, user="eve", digest=digest))
    disable(parkade, "eve")
    made = parkade.do(delete(by="ada"))
    viewers.publish(parkade.world, tuple((0, each) for each in made))
    first, *rest = made
    assert isinstance(first, events.UserDeleted)
    assert len(rest) == 2 and all(isinstance(it, events.TokenRevoked) for it in rest)
    assert viewers.find(DIGEST) is None and Viewers(parkade.world).find(OTHER) is None
    user = parkade.world.records.users["eve"]
    assert user.deleted_us == parkade.now_us and user.is_disabled
    for name in ("eve", "eve@lab"):
        again = refused(parkade, builders.create_user(name, "lab", role=Role.MEMBER))
        assert again.reason is Reason.ALREADY_EXISTS and "deleted" in again.detail
    before = len(parkade.journal)
    parkade.do(delete())
    assert len(parkade.journal) == before, "twice is once"


def test_a_user_is_deleted_once_it_is_disabled_and_runs_nothing(parkade: Parkade) -> None:
    submit = commands.Submit(
        by="eve", org="lab", market=None, spec=parkade.spec(limit=9), is_held=False
    )
    parkade.do(submit)
    parkade.do(submit)
    parkade.run(120)
    first = refused(parkade, delete())
    assert first.reason is Reason.CONFLICT and "parkade user disable eve" in first.detail
    disable(parkade, "eve")
    second = refused(parkade, delete())
    assert second.reason is Reason.CONFLICT
    name, other = parkade.world.records.workloads
    assert second.detail.endswith(
        f"2 open workloads, {name}, {other}: parkade cancel {name} {other}"
    )
    parkade.do(commands.Cancel(by=None, workload=other, now=False))
    parkade.run(600)
    third = refused(parkade, delete())
    assert third.detail.endswith(f"1 open workload, {name}: parkade cancel {name}")
    parkade.do(commands.Cancel(by=None, workload=name, now=False))
    parkade.run(600)
    parkade.do(delete())
    assert parkade.world.records.workloads[name].user == "eve", "its history has its name"
    for command in (
        commands.Retry(by="ada", workload=name, members=None),
        commands.SetUserDisabled(by=None, user="eve", is_disabled=False),
        commands.SetUserRole(by=None, user="eve", role=Role.OWNER),
        commands.AddToken(by=None, token="t", user="eve", digest=DIGEST),
        commands.SetCap(by=None, user="eve", cap_micros=5),
    ):
        found = refused(parkade, command)
        assert found.reason is Reason.CONFLICT and "was deleted" in found.detail, command


def test_the_maker_of_an_agents_token_is_deleted_once_the_agent_has_another(
    parkade: Parkade,
) -> None:
    parkade.do(commands.AddToken(by=None, token="a", user="root", digest=OF_AGENT, pool="pool"))
    disable(parkade, "root")
    found = refused(parkade, delete("root"))
    assert found.reason is Reason.CONFLICT and "pool pool" in found.detail and "a" in found.detail
    assert found.detail.endswith("(parkade pool agent-token pool), then parkade token revoke a")
    parkade.do(commands.RevokeToken(by=None, token="a"))
    parkade.do(delete("root", by="second"))
    assert parkade.world.records.users["root"].deleted_us is not None


def test_no_user_deletes_itself_and_no_owner_an_operator(parkade: Parkade) -> None:
    for user in ("ada", "root", "eve"):
        disable(parkade, user)
    for by, user in (("root", "root"), ("ada", "ada"), ("ada", "root"), ("gus", "eve")):
        reason = refused(parkade, delete(user, by=by)).reason
        assert reason in (Reason.DENIED, Reason.NOT_FOUND), (by, user)


def test_all_that_an_org_still_holds_is_said_at_once(parkade: Parkade) -> None:
    parkade.do(commands.Deposit(by=None, org="guests", micros=500_000 * MICROS))
    right = parkade.reserve("guests", 1)
    parkade.do(commands.SetGrant(by=None, org="guests", micros=5 * MICROS, every_us=HOUR_US))
    first = refused(parkade, delete_org())
    assert first.reason is Reason.CONFLICT and "parkade org disable guests" in first.detail
    disable_org(parkade)
    found = refused(parkade, delete_org())
    assert found.reason is Reason.CONFLICT
    for says in (
        f"parkade end {right}",
        "parkade org grant guests 0",
        "parkade disburse guests ",
        "parkade user delete gus",
    ):
        assert says in found.detail


def test_an_org_that_holds_nothing_is_deleted_and_begins_nothing_again(parkade: Parkade) -> None:
    disable_org(parkade)
    parkade.do(delete("gus"))
    parkade.do(delete_org())
    org = parkade.world.records.orgs["guests"]
    assert org.deleted_us == parkade.now_us and org.disabled_us is not None
    for command in (
        commands.SetOrgDisabled(by=None, org="guests", is_disabled=False),
        commands.Deposit(by=None, org="guests", micros=MICROS),
        commands.SetGrant(by=None, org="guests", micros=MICROS, every_us=HOUR_US),
        builders.create_user("gil", "guests", role=Role.OWNER, unix_name=None),
        delete("gus"),
    ):
        if isinstance(command, commands.DeleteUser):
            assert decide(parkade.world, command, parkade.now_us) == ()
            continue
        assert "guests was deleted" in refused(parkade, command).detail, command
    again = refused(parkade, commands.CreateOrg(by=None, org="guests"))
    assert again.reason is Reason.ALREADY_EXISTS and "deleted" in again.detail
    before = len(parkade.journal)
    parkade.do(delete_org())
    assert len(parkade.journal) == before


def test_what_guests_still_owe_an_org_is_posted_before_it_is_deleted(parkade: Parkade) -> None:
    """A guest on lent nodes is charged each hour; its owner's share comes with that."""
    parkade.do(commands.Deposit(by=None, org="guests", micros=500_000 * MICROS))
    right = parkade.reserve("guests", 4)
    parkade.do(commands.Lend(by=None, reservation=right, floor_micros=MICROS, keep=0))
    parkade.run(120)
    parkade.bid("lab", 20)
    parkade.run(600)
    disable_org(parkade)
    parkade.do(delete("gus"))
    parkade.do(commands.EndReservation(by=None, reservation=right))
    parkade.run(600)
    held = parkade.world.ledger.balance(org_account("guests"))
    if held:
        paid = commands.Adjust(
            by=None, org="guests", micros=held, is_refund=False, reason="it leaves"
        )
        parkade.do(paid)
    found = decide(parkade.world, delete_org(), parkade.now_us)
    refusals = []
    while isinstance(found, Refusal):
        refusals.append(found.detail)
        parkade.run(3_600)
        held = parkade.world.ledger.balance(org_account("guests"))
        if held:
            parkade.do(
                commands.Adjust(by=None, org="guests", micros=held, is_refund=False, reason="rest")
            )
        found = decide(parkade.world, delete_org(), parkade.now_us)
    parkade.do(delete_org())
    parkade.run(8 * 3_600)
    assert parkade.world.ledger.balance(org_account("guests")) == 0
    assert any("owed for what it lent" in it for it in refusals), "guests owed it something"
    check(parkade.world)


def test_an_org_of_operators_and_a_supplier_are_not_deleted(parkade: Parkade) -> None:
    command = commands.DeleteOrg(by=None, org="lab")
    assert "parkade org disable lab" in refused(parkade, command).detail
    assert refused(parkade, commands.DeleteOrg(by="ada", org="guests")).reason is Reason.DENIED
    assert refused(parkade, commands.DeleteOrg(by=None, org="none")).reason is Reason.NOT_FOUND
