"""Tokens that are made with a token: never good for longer than it, nor for more."""

import pytest

from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events
from parkade.core.state.people import Role, Token
from parkade.core.units import bounds
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import HOUR_US, MINUTE_US
from tests import builders
from tests.core.kernel.story import Parkade


@pytest.fixture
def parkade() -> Parkade:
    """An owner of an org with three tokens: one that lasts, one for an hour, one to look."""
    made = Parkade()
    made.org("lab")
    made.do(builders.create_user("ada", "lab", role=Role.OWNER, unix_name=None))
    made.do(builders.create_user("root", "lab", role=Role.OPERATOR, unix_name=None))
    make(made, "lasting")
    make(made, "hour", lasts_us=HOUR_US)
    make(made, "looks", is_read_only=True)
    make(made, "agent", user="root", pool="pool")
    return made


def make(
    parkade: Parkade, name: str, *, with_token: str | None = None, user: str = "ada", **keys: object
) -> Token | Refusal:
    command = commands.AddToken(
        by="root" if user == "root" else "ada",
        token=name,
        user=user,
        digest=name.ljust(64, "0"),
        made_with=with_token,
        **keys,  # type: ignore[arg-type]
    )
    decided = decide(parkade.world, command, parkade.now_us)
    if isinstance(decided, Refusal):
        return decided
    (event,) = parkade.do(command)
    assert isinstance(event, events.TokenAdded)
    return event.token


def test_a_token_ends_with_the_one_that_it_was_made_with_unless_it_ends_earlier(
    parkade: Parkade,
) -> None:
    parkade.run(60)
    ends_us = parkade.world.records.tokens["hour"].expires_us
    made = make(parkade, "t1", with_token="hour")
    short = make(parkade, "t2", with_token="hour", lasts_us=10 * MINUTE_US)
    again = make(parkade, "t3", with_token="t1")
    assert isinstance(made, Token) and isinstance(short, Token) and isinstance(again, Token)
    assert made.expires_us == again.expires_us == ends_us
    assert short.expires_us == parkade.now_us + 10 * MINUTE_US
    assert (made.made_with, again.made_with) == ("hour", "t1")


@pytest.mark.parametrize("lasts_us", [HOUR_US + 1, 1000 * HOUR_US])
def test_a_life_beyond_the_makers_is_refused_and_says_why(parkade: Parkade, lasts_us: int) -> None:
    refusal = make(parkade, "t", with_token="hour", lasts_us=lasts_us)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.field) == (Reason.INVALID, "lasts")
    assert "expires" in refusal.detail


@pytest.mark.parametrize(("maker", "user"), [("looks", "ada"), ("agent", "root")])
def test_a_token_of_fewer_rights_makes_none(parkade: Parkade, maker: str, user: str) -> None:
    refusal = make(parkade, "t", with_token=maker, user=user)
    assert isinstance(refusal, Refusal) and refusal.reason is Reason.DENIED


def test_a_token_that_lasts_makes_tokens_that_last_and_so_does_the_server(
    parkade: Parkade,
) -> None:
    for number, maker in enumerate(("lasting", None)):
        made = make(parkade, f"t{number}", with_token=maker)
        assert isinstance(made, Token)
        assert (made.expires_us, made.made_with) == (None, maker)


def test_a_user_has_so_many_good_tokens_and_room_again_once_one_is_not(
    parkade: Parkade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_GOOD_TOKENS", 4)
    assert isinstance(make(parkade, "t1"), Token)
    refused = make(parkade, "t2")
    assert isinstance(refused, Refusal) and refused.reason is Reason.TOO_MANY
    parkade.run(2 * HOUR_US // 1_000_000)
    assert isinstance(make(parkade, "t2"), Token), "the one for an hour has expired"
    parkade.do(commands.RevokeToken(by="ada", token="t1"))
    assert isinstance(make(parkade, "t3"), Token)
    assert isinstance(make(parkade, "t4"), Refusal)
    assert isinstance(make(parkade, "t5", user="root"), Token), "another user's are counted apart"


def test_an_org_has_so_many_users(parkade: Parkade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_USERS", 2)
    command = builders.create_user("eve", "lab", role=Role.MEMBER, unix_name=None)
    refused = decide(parkade.world, command, parkade.now_us)
    assert isinstance(refused, Refusal) and refused.reason is Reason.TOO_MANY
    parkade.org("other")
    parkade.do(builders.create_user("eve", "other", role=Role.MEMBER, unix_name=None))
