"""The supply of spot: guest floors, and how steps shrink when nodes failed."""

import pytest

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.supply import DrawnFloors, guest_floor
from parkade.core.units.fraction import Fraction
from tests.core.market.story import (
    MICROS,
    bid,
    claim,
    given_market,
    line_of,
    on,
    reserved,
    terms,
)

ONE = reserved("one", {"amber": 2}, lends_at=5)
TWO = reserved("two", {"amber": 1}, lends_at=3)


@pytest.mark.parametrize(
    ("floor", "fee", "guest"),
    [
        (5 * MICROS, Fraction(numerator=2, denominator=7), 7 * MICROS),
        (3 * MICROS, Fraction(numerator=0, denominator=1), 3 * MICROS),
        (0, Fraction(numerator=2, denominator=7), 0),
        (1, Fraction(numerator=1, denominator=3), 2),
        (MICROS, Fraction(numerator=1, denominator=10), 1_111_112),
    ],
)
def test_a_guest_floor_leaves_the_owner_its_floor(floor: int, fee: Fraction, guest: int) -> None:
    assert guest_floor(floor, fee) == guest
    assert guest * (fee.denominator - fee.numerator) >= floor * fee.denominator


@pytest.mark.parametrize(
    ("failed", "floors", "offered"),
    [
        (0, [1, 1, 1, 4.2, 7, 7], {"": 3, "two": 1, "one": 2}),
        (3, [4.2, 7, 7], {"two": 1, "one": 2}),
        (4, [4.2, 7], {"two": 1, "one": 1}),
        (5, [7], {"one": 1}),
        (6, [], {}),
    ],
)
def test_the_public_step_shrinks_first_then_lent_steps_by_largest_remainder(
    failed: int, floors: list[float], offered: dict[str, int]
) -> None:
    market = given_market(
        fabrics={"amber": 6, "birch": 1},
        failed=tuple(f"amber-{n}" for n in range(failed)),
        reservations=(ONE, TWO),
        on=terms(floor=1),
    )
    supply = allocate(market).supply
    assert supply.floors[:-1] == ([[round(it * MICROS) for it in floors]] if floors else [])
    amber = {source: nodes for (_, source), nodes in supply.offered.items()}
    amber[""] -= 1
    assert {source: nodes for source, nodes in amber.items() if nodes} == offered


def test_closed_nodes_are_not_supplied_whoever_sits_there() -> None:
    market = given_market(
        on(bid("stays", 9), "amber-0"),
        fabrics={"amber": 3},
        closed=("amber-0", "amber-1"),
        on=terms(floor=1),
    )
    assert allocate(market).supply.floors == [[MICROS]]


def test_named_nodes_draw_floors_in_the_order_of_seating() -> None:
    floors = DrawnFloors([[1, 1, 7], [3]], 7)
    assert not floors.is_one
    assert floors.highest(0, ("amber-0", "amber-1", "amber-2")) == 7
    assert [floors.draw(0, node) for node in ("amber-2", "amber-0", "amber-0")] == [1, 1, 1]
    assert floors.highest(0, ("amber-1",)) == 7
    assert [floors.draw(1, node) for node in ("birch-0", "birch-1")] == [3, 7]
    assert DrawnFloors([[3, 3], [], [3]], 3).is_one


def test_a_copy_of_drawn_floors_is_independent_and_a_forgotten_fabric_is_drawn_anew() -> None:
    floors = DrawnFloors([[1, 7], [3]], 7)
    assert [floors.draw(0, "amber-0"), floors.draw(1, "birch-0")] == [1, 3]
    twin = floors.copy()
    assert twin.draw(0, "amber-1") == 7
    assert floors.highest(0, ("amber-2",)) == 7
    twin.forget(0)
    assert [twin.draw(0, "amber-1"), twin.draw(1, "birch-0"), twin.draw(1, "birch-1")] == [1, 3, 7]
    floors.release(0, "amber-0")
    assert floors.highest(0, ("amber-2",)) == 1


def shares_with_owner_abroad(
    lends_at: float, keep: int, *, hosts: float = 3
) -> tuple[int, dict[str, int]]:
    """What a guest pays and who earns it, where acme stands on the node that bolt lends."""
    market = given_market(
        on(claim("own", "acme"), "birch-0"),
        bid("guest", 9),
        fabrics={"amber": 1, "birch": 1},
        reservations=(
            reserved("acme", {"amber": 1}, lends_at=lends_at, keep=keep),
            reserved("bolt", {"birch": 1}, lends_at=hosts, age=1),
        ),
        on=terms(floor=1, fee="1/10"),
    )
    line = line_of(clear(market), "guest")
    return line.price_micros, dict(line.shares)


@pytest.mark.parametrize("keep", [0, 1])
def test_an_owner_abroad_leaves_the_lender_that_it_stands_on_what_it_left_at_home(
    keep: int,
) -> None:
    """The operator gets its fee of 10 % and not all that the guest pays."""
    price, earned = shares_with_owner_abroad(3, keep)
    assert price == guest_floor(3 * MICROS, Fraction(numerator=1, denominator=10))
    assert earned["owner-bolt"] == 9 * 8 * price // 10
    assert earned["operator"] == 8 * price - earned["owner-bolt"]


def test_no_guest_meets_a_higher_floor_because_an_owner_stands_abroad() -> None:
    price, earned = shares_with_owner_abroad(2, 0)
    assert (price, earned["supplier"]) == (MICROS, 8 * 900_000)


def test_an_owner_abroad_on_nodes_that_are_not_lent_changes_nothing() -> None:
    market = given_market(
        on(claim("own", "acme"), "birch-0"),
        fabrics={"amber": 1, "birch": 2},
        reservations=(
            reserved("acme", {"amber": 1}, lends_at=3),
            reserved("bolt", {"birch": 1}, lends_at=3, age=1),
        ),
        on=terms(floor=1, fee="0/1"),
    )
    assert allocate(market).supply.floors == [[MICROS], [3 * MICROS]]
