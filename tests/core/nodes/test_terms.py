"""From when new terms hold: each case by hand."""

from typing import Any

import msgspec
import pytest

from parkade.core.fleet.market import AnnouncedTerms
from parkade.core.kernel.decide import decide
from parkade.core.nodes.terms import take_terms, terms_due_us
from parkade.core.state import commands, events
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US
from tests import builders
from tests.core.records import world as world_of

S = SECOND_US


@pytest.mark.parametrize(
    ("change", "from_s", "outcome"),
    [
        # Notice 30 s and kill 5 s hold now; the present is 1000 s.
        ({"notice_us": 60 * S}, None, "now"),
        ({"notice_us": 60 * S}, 900, "now"),
        ({"notice_us": 60 * S}, 1001, "announced"),
        ({"notice_us": 20 * S}, None, "refused"),
        ({"notice_us": 20 * S}, 1034, "refused"),
        ({"notice_us": 20 * S}, 1035, "announced"),
        ({"kill_us": 4 * S}, 1034, "refused"),
        ({"kill_us": 4 * S}, 1035, "announced"),
        # Half of it is longer, and half is shorter.
        ({"notice_us": 60 * S, "kill_us": 4 * S}, None, "refused"),
        ({"backoff_us": 0}, None, "now"),
        ({"notice_us": 30 * S}, None, "nothing"),
        ({}, 2000, "nothing"),
    ],
)
def test_time_to_leave_is_shortened_only_after_the_time_to_leave(
    change: dict[str, Any], from_s: int | None, outcome: str
) -> None:
    command = commands.ChangeTerms(
        by=None,
        market="market",
        change=commands.TermsChange(**change),
        from_us=None if from_s is None else from_s * S,
    )
    found = decide(world_of(), command, 1000 * S)
    if outcome == "refused":
        assert isinstance(found, Refusal) and found.field == "from"
        return
    expected = builders.terms(**change)
    match found:
        case ():
            assert outcome == "nothing"
        case (events.TermsChanged(terms=terms),):
            assert outcome == "now" and terms == expected
        case (events.TermsAnnounced(announced=announced),):
            assert outcome == "announced" and announced.terms == expected
            assert from_s is not None and announced.from_us == from_s * S
        case _:
            raise AssertionError(found)


def test_announced_terms_come_at_their_date_with_the_prices_of_that_day() -> None:
    then = builders.terms(notice_us=60 * S, public_floor_micros=1)
    today = builders.terms(public_floor_micros=7)
    market = builders.market(
        "market", terms=today, announced=(AnnouncedTerms(from_us=50, terms=then),)
    )
    assert terms_due_us(market) == 50
    (event,) = take_terms(market, 50)
    assert event.terms == builders.terms(notice_us=60 * S, public_floor_micros=7)
    assert terms_due_us(builders.market("market")) is None


def test_a_term_that_a_market_need_not_have_is_taken_away() -> None:
    change = commands.TermsChange(off=("assemble_us", "min_runtime_us"), backoff_us=0)
    command = commands.ChangeTerms(by=None, market="market", change=change, from_us=None)
    world = world_of()
    terms = msgspec.structs.replace(builders.terms(), min_runtime_us=S, assemble_us=S)
    market = world.records.markets["market"]
    world.records.markets["market"] = msgspec.structs.replace(market, terms=terms)
    found = decide(world, command, 1000 * S)
    assert not isinstance(found, Refusal)
    (changed,) = found
    assert isinstance(changed, events.TermsChanged)
    given = {"assemble_us": None, "min_runtime_us": None, "backoff_us": 0}
    assert changed.terms == msgspec.structs.replace(terms, **given)
    assert change.given == given and commands.TermsChange.to(given) == change


def test_a_term_that_every_market_has_is_not_taken_away() -> None:
    change = commands.TermsChange(off=("notice_us",))
    command = commands.ChangeTerms(by=None, market="market", change=change, from_us=None)
    refused = decide(world_of(), command, 1000 * S)
    assert isinstance(refused, Refusal)
    assert (refused.field, refused.detail) == (
        "terms.notice_us",
        "every market has it; leave it out to keep it",
    )
