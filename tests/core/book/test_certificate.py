"""Every record that says something else of a batch is refused."""

import random
from collections.abc import Iterator

import pytest
from msgspec import structs

from parkade.core.book.certificate import BadCertificate, check_certificate
from parkade.core.book.matching import match
from parkade.core.book.outcome import Fill, Matched
from tests.core.book.drawn import draw_batch
from tests.core.book.test_matching import buy, one_slot, sell

TAMPERED = 1000


def test_a_thousand_changed_records_are_all_refused() -> None:
    chance = random.Random(1)
    passed = []
    for number in range(TAMPERED):
        batch = draw_batch(random.Random(number), slots=6, orders=24, nodes=6)
        found = match(batch)
        check_certificate(batch, found)
        changed = tamper(chance, found)
        try:
            check_certificate(batch, changed)
        except BadCertificate:
            continue
        passed.append((number, found, changed))
    assert passed == []


def tamper(chance: random.Random, found: Matched) -> Matched:
    """One small change of a record."""
    ways = list(changes(chance, found))
    changed = chance.choice(ways)
    assert changed != found
    return changed


def changes(chance: random.Random, found: Matched) -> Iterator[Matched]:
    """A change of each kind."""
    prices = list(found.prices_micros)
    prices[chance.randrange(1, len(prices))] += chance.choice((-1, 1))
    yield structs.replace(found, prices_micros=tuple(prices))
    if found.left_out:
        kept = list(found.left_out)
        kept.remove(chance.choice(kept))
        yield structs.replace(found, left_out=tuple(kept))
    if not found.fills:
        return
    place = chance.randrange(len(found.fills))
    fill = found.fills[place]
    yield with_fill(found, place, structs.replace(fill, nodes=fill.nodes + 1))
    yield with_fill(found, place, structs.replace(fill, nodes=fill.nodes - 1))
    yield with_fill(found, place, structs.replace(fill, end=fill.end + 1))
    yield with_fill(found, place, structs.replace(fill, start=fill.start - 1))
    yield structs.replace(found, fills=found.fills[:place] + found.fills[place + 1 :])
    yield structs.replace(found, fills=(*found.fills, fill))
    yield structs.replace(found, left_out=(*found.left_out, fill.order))
    yield with_fill(found, place, structs.replace(fill, order="another"))
    other = chance.randrange(len(found.fills))
    if (moved := found.fills[other]).order != fill.order and fill.nodes > 1:
        fewer = with_fill(found, place, structs.replace(fill, nodes=fill.nodes - 1))
        yield with_fill(fewer, other, structs.replace(moved, nodes=moved.nodes + 1))


def with_fill(found: Matched, place: int, fill: Fill) -> Matched:
    return structs.replace(found, fills=(*found.fills[:place], fill, *found.fills[place + 1 :]))


def test_a_younger_order_in_place_of_an_older_one_is_refused() -> None:
    batch = one_slot(sell("s", 1, 5), buy("old", 1, 8), buy("young", 1, 8))
    found = match(batch)
    assert [fill.order for fill in found.fills] == ["s", "old"]
    turned = with_fill(found, 1, structs.replace(found.fills[1], order="young"))
    with pytest.raises(BadCertificate, match="another order comes first"):
        check_certificate(batch, turned)


def test_that_holds_for_longer_windows_too() -> None:
    batch = structs.replace(
        one_slot(sell("s", 1, 5, end=2), buy("old", 1, 8, end=2), buy("young", 1, 8, end=2)),
        boundaries=(0, 1, 2),
    )
    found = match(batch)
    assert [fill.order for fill in found.fills] == ["s", "old"]
    turned = with_fill(found, 1, structs.replace(found.fills[1], order="young"))
    with pytest.raises(BadCertificate, match="an older order waits"):
        check_certificate(batch, turned)


def test_prices_of_another_grid_are_refused() -> None:
    batch = one_slot(buy("b", 1, 8))
    found = structs.replace(match(batch), prices_micros=(0,))
    with pytest.raises(BadCertificate, match="not those of the grid"):
        check_certificate(batch, found)
