"""Every page shows an amount as the ledger has it: no figure of money is cut."""

from decimal import Decimal
from pathlib import Path

import pytest

from parkade.console import pages

TEMPLATES = Path(pages.__file__).parent / "templates"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("1239.4171", "1,239.4171"),
        ("0.009999", "0.009999"),
        ("12.5", "12.50"),
        ("-3", "-3.00"),
        ("0.000001", "0.000001"),
    ],
)
def test_an_amount_is_shown_to_the_micro_unit(amount: str, shown: str) -> None:
    assert pages.money(Decimal(amount)) == shown


def test_no_template_rounds_money() -> None:
    cut = [it.name for it in TEMPLATES.glob("*.html") if "money(" in it.read_text("utf-8")]
    assert cut == []
