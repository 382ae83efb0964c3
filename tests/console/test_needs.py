"""What needs a person: caps of which four fifths are spent."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from parkade.console.needs import MOST_OF_A_KIND, needs
from parkade.wire.lot import Lot
from parkade.wire.people import Capped


def said(*capped: tuple[str, Capped]) -> list[str]:
    at = datetime(2026, 1, 31, tzinfo=UTC)
    lot = Lot(sequence=1, at=at, nodes=(), holders=(), fabrics=(), sums=None, promises=None)
    return [it.says for it in needs(lot, (), (), user=None, capped=capped)]


def spent(amount: str, **changes: Any) -> Capped:
    values = {"cap": Decimal(10), "spent": Decimal(amount), "spent_this_month": Decimal(0)}
    return Capped(**{**values, **changes})


def test_a_cap_is_told_of_from_four_fifths_on() -> None:
    found = said(("lab", spent("8")), ("ann", spent("7.99")), ("bob", spent("99", cap=None)))
    assert found == ["lab spent 80 % of its cap"]


def test_a_monthly_cap_counts_this_month() -> None:
    monthly = spent("99", cap_period="month", spent_this_month=Decimal("9.5"))
    past = spent("99", cap_period="month", spent_this_month=Decimal("1"))
    assert said(("lab", monthly), ("ann", past)) == ["lab spent 95 % of its monthly cap"]


def test_no_more_than_a_few_are_named() -> None:
    found = said(*((f"u{it}", spent("9")) for it in range(MOST_OF_A_KIND + 2)))
    assert len(found) == MOST_OF_A_KIND + 1 and found[-1].startswith("2 more")
