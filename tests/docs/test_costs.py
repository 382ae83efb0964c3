"""The page about costs names every column of the file."""

import re

from parkade.api.views.focus import COLUMNS
from parkade.wire.costs import ShowbackLine
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "costs.md"


def test_the_page_names_each_column_of_focus() -> None:
    told = [name for row in table(PAGE, "Every charge, in FOCUS") for name in _names(row[0])]
    assert sorted(told) == sorted(COLUMNS)


def test_the_page_names_each_sum() -> None:
    told = {name for row in table(PAGE, "What each month cost") for name in _names(row[0])}
    assert told == set(ShowbackLine.model_fields) - {"month", "org", "of", "gpu_hours"}


def _names(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell) or [name.strip() for name in cell.split(",")]
