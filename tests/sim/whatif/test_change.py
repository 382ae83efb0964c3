"""Changes are read, or refused with what to write; and what they make of commands."""

import pytest

from parkade.core.state import commands
from parkade.core.state.world import Records, World
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.time import MINUTE_US
from parkade.sim.whatif.change import BadChange, Changed, Keep, parse_change
from tests import builders

NOTHING = World(Records())


def test_terms_prices_lending_and_nodes_are_read() -> None:
    words = ("notice=5m", "credit=1/10", "public_floor=1.50", "floor=2", "floor.acme=3")
    change = parse_change((*words, "keep=5%", "nodes.b=-2"))
    assert change.terms.notice_us == 5 * MINUTE_US
    assert change.terms.switching_credit == Fraction(numerator=1, denominator=10)
    assert change.prices == {"public_floor": 3 * MICROS // 2}
    assert change.floors == {"": 2 * MICROS, "acme": 3 * MICROS}
    assert change.keeps == {"": Keep(number=5, is_percent=True)}
    assert change.nodes == {"b": -2}


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("notice", "KEY=VALUE"),
        ("notice=soon", "notice"),
        ("fee=3", "fee"),
        ("colour=red", "names no term"),
        ("keep=200%", "percent"),
        ("floor=-1", "below 0"),
        ("nodes=4", "+4 or -4"),
        ("shared_nodes=perhaps", "true or false"),
        ("x" * 5_000, "KEY=VALUE"),
    ],
)
def test_a_bad_change_is_refused_with_what_to_write(word: str, says: str) -> None:
    with pytest.raises(BadChange, match=says.replace("+", r"\+")) as refused:
        parse_change([word])
    assert len(str(refused.value)) < 600


def test_percent_of_a_reservation_is_the_nearest_node() -> None:
    keep = Keep(number=10, is_percent=True)
    assert [keep.of(nodes) for nodes in (1, 4, 6, 20)] == [0, 0, 1, 2]
    assert Keep(number=9, is_percent=False).of(4) == 4


def test_a_market_opens_on_the_changed_terms_and_with_other_nodes() -> None:
    changed = Changed(parse_change(["notice=5m", "public_floor=2", "nodes=+2", "nodes.b=-1"]))
    opening = builders.open_pool("pool", {"a": 2, "b": 2})
    opened = changed.command(NOTHING, opening)
    assert isinstance(opened, commands.OpenPool) and opened.supply.opens is not None
    assert opened.supply.opens.terms.notice_us == 5 * MINUTE_US
    assert opened.supply.opens.terms.public_floor_micros == 2 * MICROS
    assert [len(names) for _, names in opened.supply.fabrics] == [4, 1]


def test_what_operators_changed_later_does_not_undo_a_change() -> None:
    changed = Changed(parse_change(["notice=5m"]))
    other = commands.TermsChange(notice_us=MINUTE_US, kill_us=MINUTE_US)
    command = commands.ChangeTerms(by=None, market="pool", change=other, from_us=None)
    left = changed.command(NOTHING, command)
    assert isinstance(left, commands.ChangeTerms)
    assert (left.change.notice_us, left.change.kill_us) == (None, MINUTE_US)
    only = commands.TermsChange(notice_us=MINUTE_US)
    alone = commands.ChangeTerms(by=None, market="pool", change=only, from_us=None)
    assert changed.command(NOTHING, alone) is None


def test_an_owner_that_does_not_lend_does_not_begin_to() -> None:
    changed = Changed(parse_change(["floor=9"]))
    stops = commands.Lend(by=None, reservation="acme", floor_micros=None, keep=None)
    lends = commands.Lend(by=None, reservation="acme", floor_micros=1, keep=1)
    assert changed.command(NOTHING, stops) == stops
    now = changed.command(NOTHING, lends)
    assert isinstance(now, commands.Lend) and (now.floor_micros, now.keep) == (9 * MICROS, 1)
