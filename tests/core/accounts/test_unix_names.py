"""An operator says as which Unix user a user's workloads run, and says so again later."""

import pytest

from parkade.core.kernel.decide import decide
from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.units.refusal import Reason, Refusal
from tests import builders
from tests.core.kernel.story import Parkade


def test_a_unix_name_is_set_later_and_holds_from_the_next_attempt_on() -> None:
    parkade = Parkade()
    parkade.org("lab")
    parkade.do(builders.create_user("eve", "lab", role=Role.OWNER, unix_name=None))
    for name in ("eve", "eva", None):
        parkade.do(commands.SetUnixName(by=None, user="eve", unix_name=name))
        assert parkade.world.records.users["eve"].unix_name == name


@pytest.mark.parametrize("name", ["root", "daemon", "nobody", "Eve", "a" * 33, "", "../x"])
def test_a_name_of_the_system_or_of_no_grammar_is_refused(name: str) -> None:
    parkade = Parkade()
    parkade.org("lab")
    parkade.do(builders.create_user("eve", "lab", role=Role.OWNER, unix_name=None))
    command = commands.SetUnixName(by=None, user="eve", unix_name=name)
    refusal = decide(parkade.world, command, parkade.now_us)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.field) == (Reason.INVALID, "unix_name")


def test_an_owner_names_no_unix_user() -> None:
    parkade = Parkade()
    parkade.org("lab")
    parkade.do(builders.create_user("eve", "lab", role=Role.OWNER, unix_name=None))
    command = commands.SetUnixName(by="eve", user="eve", unix_name="eve")
    refusal = decide(parkade.world, command, parkade.now_us)
    assert isinstance(refusal, Refusal) and refusal.reason is Reason.DENIED
