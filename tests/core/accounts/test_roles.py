"""The role of a user is set later, and holds for its tokens at once."""

import itertools

import pytest

from parkade.api.views.audience import Owners, Reader, asked_by, look_up
from parkade.control.viewers import Viewers
from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events
from parkade.core.state.people import Role
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.life import Phase
from tests import builders
from tests.core.kernel.story import Parkade

DIGEST = "d" * 64


@pytest.fixture
def parkade() -> Parkade:
    """Two orgs: `lab` with a user of each role, which is its name, and `guests` with its owner."""
    made = Parkade()
    for org in ("lab", "guests"):
        made.org(org)
    for role in Role:
        made.do(builders.create_user(role.value, "lab", role=role, unix_name=None))
    made.do(builders.create_user("gus", "guests", role=Role.OWNER, unix_name=None))
    return made


def refusal(parkade: Parkade, by: str, user: str, role: Role) -> Reason | None:
    command = commands.SetUserRole(by=by, user=user, role=role)
    found = decide(parkade.world, command, parkade.now_us)
    return found.reason if isinstance(found, Refusal) else None


def test_owners_set_roles_within_their_org_but_never_an_operators_nor_their_own(
    parkade: Parkade,
) -> None:
    for user, role in itertools.product(("member", "partner"), Role):
        expected = Reason.DENIED if role is Role.OPERATOR else None
        assert refusal(parkade, "owner", user, role) is expected, (user, role)
    for role in Role:
        assert refusal(parkade, "owner", "operator", role) is Reason.DENIED
        assert refusal(parkade, "owner", "owner", role) is Reason.DENIED
        assert refusal(parkade, "operator", "operator", role) is Reason.DENIED
        assert refusal(parkade, "gus", "member", role) in (Reason.NOT_FOUND, Reason.DENIED)
        assert refusal(parkade, "member", "partner", role) is Reason.DENIED
        assert refusal(parkade, "operator", "gus", role) is None


def test_tokens_have_the_new_role_at_once_and_after_a_restart(parkade: Parkade) -> None:
    viewers = Viewers(parkade.world)
    token = commands.AddToken(by=None, token="t", user="member", digest=DIGEST)
    for command in (token, commands.SetUserRole(by=None, user="member", role=Role.OWNER)):
        viewers.publish(parkade.world, tuple((0, each) for each in parkade.do(command)))
    for known in (viewers, Viewers(parkade.world)):
        found = known.find(DIGEST)
        assert found is not None and found.role is Role.OWNER


def test_the_work_of_a_user_that_becomes_a_partner_goes_on_and_no_more_begins(
    parkade: Parkade,
) -> None:
    submit = commands.Submit(
        by="member", org="lab", market=None, spec=parkade.spec(limit=9), is_held=False
    )
    parkade.do(submit)
    parkade.run(120)
    parkade.do(commands.SetUserRole(by="owner", user="member", role=Role.PARTNER))
    parkade.run(600)
    (workload,) = parkade.world.records.workloads.values()
    assert (workload.user, workload.phase) == ("member", Phase.RUNNING)
    refused = decide(parkade.world, submit, parkade.now_us)
    assert isinstance(refused, Refusal) and refused.reason is Reason.DENIED


def test_twice_is_once_and_a_disabled_org_gets_no_operator(parkade: Parkade) -> None:
    before = len(parkade.journal)
    parkade.do(commands.SetUserRole(by=None, user="member", role=Role.MEMBER))
    assert len(parkade.journal) == before
    parkade.do(commands.SetOrgDisabled(by=None, org="guests", is_disabled=True))
    assert refusal(parkade, "operator", "gus", Role.OPERATOR) is Reason.CONFLICT
    assert refusal(parkade, "operator", "gus", Role.MEMBER) is None


def test_what_an_operator_asked_for_is_told_as_an_operators_from_then_on(parkade: Parkade) -> None:
    caps = itertools.count(5)
    owners, outsider = Owners(), Reader(org="guests", is_operator=False, may_see_money=True)

    def told(by: str) -> str | None:
        (made,) = parkade.do(commands.SetOrgCap(by=by, org="lab", cap_micros=next(caps)))
        owners.learn(look_up(parkade.world, owners.unknown([made])))
        return asked_by(made, owners, outsider)

    assert told("owner") is None
    made = parkade.do(commands.SetUserRole(by=None, user="owner", role=Role.OPERATOR))
    owners.learn(look_up(parkade.world, owners.unknown(made)))
    assert isinstance(made[0], events.UserRoleSet)
    assert told("owner") == "operator"
