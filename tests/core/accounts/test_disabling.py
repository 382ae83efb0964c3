"""Tokens that expire or only look, and users whose tokens are refused while their work goes on."""

import pytest

from parkade.control.cycle import Committed
from parkade.control.viewers import Viewers
from parkade.core.kernel.deadlines import take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events
from parkade.core.state.people import Role
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.life import Phase
from tests import builders
from tests.core.kernel.story import Parkade

DIGEST, OF_AGENT = "d" * 64, "a" * 64


class Lab:
    """An org with an owner, a member with a token, and the map that requests are looked up in."""

    def __init__(self) -> None:
        self.parkade = Parkade()
        self.parkade.org("lab")
        for user, role in (("ada", Role.OWNER), ("eve", Role.MEMBER)):
            self.parkade.do(builders.create_user(user, "lab", role=role, unix_name=None))
        self.parkade.do(builders.create_user("root", "lab", role=Role.OPERATOR, unix_name=None))
        self.viewers = Viewers(self.parkade.world)

    def do(self, command: commands.AnyCommand) -> None:
        made: Committed = tuple((0, event) for event in self.parkade.do(command))
        self.viewers.publish(self.parkade.world, made)

    def token(self, user: str = "eve", digest: str = DIGEST, **keys: object) -> None:
        self.do(commands.AddToken(by=None, token=digest[:4], user=user, digest=digest, **keys))  # type: ignore[arg-type]

    def disable(
        self, user: str = "eve", *, by: str | None = None, is_disabled: bool = True
    ) -> None:
        self.do(commands.SetUserDisabled(by=by, user=user, is_disabled=is_disabled))

    def is_good(self, digest: str = DIGEST, *, in_us: int = 0) -> bool:
        self.viewers.now_us = self.parkade.now_us + in_us
        return self.viewers.find(digest) is not None

    def refusal(self, command: commands.AnyCommand) -> Refusal:
        found = decide(self.parkade.world, command, self.parkade.now_us)
        assert isinstance(found, Refusal)
        return found


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_a_token_is_refused_from_the_instant_that_it_expires(lab: Lab) -> None:
    lab.token(lasts_us=HOUR_US)
    assert lab.is_good(in_us=HOUR_US - 1)
    assert not lab.is_good(in_us=HOUR_US)
    again = Viewers(lab.parkade.world)
    again.now_us = lab.parkade.now_us + HOUR_US
    assert again.find(DIGEST) is None, "also after a restart"


@pytest.mark.parametrize("lasts_us", [0, -1, SECOND_US, 10**19])
def test_a_life_of_no_minute_or_of_centuries_is_refused(lab: Lab, lasts_us: int) -> None:
    command = commands.AddToken(by=None, token="t", user="eve", digest=DIGEST, lasts_us=lasts_us)
    refusal = lab.refusal(command)
    assert (refusal.reason, refusal.field) == (Reason.INVALID, "lasts")


def test_tokens_of_a_disabled_user_are_refused_until_it_is_enabled(lab: Lab) -> None:
    lab.token()
    lab.disable()
    assert not lab.is_good() and Viewers(lab.parkade.world).find(DIGEST) is None
    lab.token(digest="e" * 64)
    assert not lab.is_good("e" * 64), "nor is one that is made meanwhile"
    lab.disable(is_disabled=False)
    assert lab.is_good() and lab.is_good("e" * 64)


def test_a_revoked_token_stays_so_where_its_user_is_enabled_again(lab: Lab) -> None:
    lab.token()
    lab.do(commands.RevokeToken(by=None, token=DIGEST[:4]))
    for is_disabled in (True, False):
        lab.disable(is_disabled=is_disabled)
    assert not lab.is_good()


def test_agents_go_on_where_the_operator_who_made_their_token_is_disabled(lab: Lab) -> None:
    lab.token("root", OF_AGENT, pool="pool")
    lab.token("root")
    lab.disable("root")
    assert lab.is_good(OF_AGENT) and not lab.is_good()


def test_the_work_of_a_disabled_user_goes_on(lab: Lab) -> None:
    spec = lab.parkade.spec(limit=9)
    lab.do(commands.Submit(by="eve", org="lab", market=None, spec=spec, is_held=False))
    lab.parkade.run(120)
    lab.disable()
    lab.parkade.run(600)
    (workload,) = lab.parkade.world.records.workloads.values()
    assert (workload.user, workload.phase) == ("eve", Phase.RUNNING)


def test_twice_is_once(lab: Lab) -> None:
    lab.disable()
    before = len(lab.parkade.journal)
    lab.disable()
    assert len(lab.parkade.journal) == before


def test_no_user_disables_itself_and_no_owner_an_operator(lab: Lab) -> None:
    for by, user in (("root", "root"), ("ada", "ada"), ("ada", "root"), ("eve", "ada")):
        command = commands.SetUserDisabled(by=by, user=user, is_disabled=True)
        assert lab.refusal(command).reason is Reason.DENIED, (by, user)
    lab.disable(by="ada")
    assert lab.parkade.world.records.users["eve"].is_disabled


def orgs_set(lab: Lab, *, is_disabled: bool = True, by: str | None = None) -> None:
    lab.do(commands.SetOrgDisabled(by=by, org="guests", is_disabled=is_disabled))


@pytest.fixture
def guests() -> Lab:
    """A lab beside another org, `guests`, with work of each kind."""
    lab = Lab()
    lab.parkade.org("guests")
    lab.do(builders.create_user("gus", "guests", role=Role.OWNER, unix_name=None))
    lab.token("gus")
    return lab


def test_work_of_a_disabled_org_ends_with_notice_and_its_money_stays(guests: Lab) -> None:
    parkade = guests.parkade
    right = parkade.reserve("guests", 2)
    claim = parkade.claim(right, 1)
    running = parkade.bid("guests", 9)
    parkade.run(180)
    waiting = parkade.bid("guests", 0.01)
    attempt = parkade.world.records.workloads[running].attempt
    assert attempt is not None and attempt.started_us is not None
    orgs_set(guests)
    assert not guests.is_good(), "its tokens are refused at once"
    parkade.tick()
    records = parkade.world.records
    stop = records.workloads[running].attempt
    assert stop is not None and stop.stop is not None
    notice_us = records.markets[records.workloads[running].market].terms.notice_us
    assert stop.stop.deadline_us - stop.stop.noticed_us == notice_us, "it has its whole notice"
    assert records.workloads[waiting].phase is Phase.CANCELLED
    assert claim not in records.claims
    parkade.run(600)
    assert records.workloads[running].phase is Phase.CANCELLED
    assert right in records.reservations, "what it reserved stays"
    assert parkade.world.ledger.balance("org/guests") > 0


def test_a_disabled_org_begins_nothing_and_ends_over_a_restart(guests: Lab) -> None:
    parkade = guests.parkade
    running = parkade.bid("guests", 9)
    parkade.run(180)
    command = commands.SetOrgDisabled(by=None, org="guests", is_disabled=True)
    made = decide(parkade.world, command, parkade.now_us)
    assert not isinstance(made, Refusal)
    for event in made:
        evolve(parkade.world, event)
    again = World(parkade.world.records)
    found = take_deadline(again)
    assert [type(event).__name__ for event in found] == ["StopOrdered"], "also after a restart"
    for event in found:
        evolve(again, event)
    assert again.records.workloads[running].attempt is not None
    refused = guests.refusal(builders.submit("guests"))
    assert refused.reason is Reason.DENIED and "parkade org enable guests" in refused.detail


def test_what_a_disabled_org_ended_is_not_submitted_again(guests: Lab) -> None:
    parkade = guests.parkade
    ended = parkade.bid("guests", 9)
    orgs_set(guests)
    parkade.run(600)
    assert parkade.world.records.workloads[ended].phase.is_ended
    asked = commands.Resubmit(by=None, workload=ended)
    assert "parkade org enable guests" in guests.refusal(asked).detail


def test_an_array_of_a_disabled_org_opens_no_more_members(guests: Lab) -> None:
    parkade = guests.parkade
    array = parkade.bid("guests", 9, array="0-5%1")
    parkade.run(180)
    orgs_set(guests)
    parkade.run(600)
    record = parkade.world.records.workloads[array]
    assert record.phase.is_ended
    assert not parkade.world.live_of_org.get("guests")


def test_an_enabled_org_is_as_any_other_and_twice_is_once(guests: Lab) -> None:
    for is_disabled in (True, True, False, False):
        orgs_set(guests, is_disabled=is_disabled)
        assert guests.is_good() is not is_disabled
    told = [it for it in guests.parkade.journal if isinstance(it, events.OrgDisabled)]
    assert [it.is_disabled for it in told] == [True, False]
    assert guests.parkade.bid("guests", 9) in guests.parkade.world.live


def test_an_org_of_operators_stays_and_only_operators_disable(guests: Lab) -> None:
    command = commands.SetOrgDisabled(by=None, org="lab", is_disabled=True)
    assert "operators" in guests.refusal(command).detail
    for by in ("gus", "ada"):
        asked = commands.SetOrgDisabled(by=by, org="guests", is_disabled=True)
        assert guests.refusal(asked).reason is Reason.DENIED
