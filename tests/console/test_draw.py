"""The names beside a chart: round numbers, none below what is drawn, and no two alike."""

import re

import pytest

from parkade.console.draw import usage_chart
from parkade.console.history import Point


def names(gpus: int, price_micros: int | None) -> tuple[list[str], list[str]]:
    """Those of the axes of GPUs and of prices, from below."""
    points = [Point(at, (gpus,), price_micros) for at in (0, 120)]
    drawn = str(usage_chart(points, ("spot",), unit="USD"))

    def beside(kind: str) -> list[str]:
        part = re.search(rf'<svg class="{kind}".*?</svg>', drawn)
        assert part is not None
        return re.findall(r">([^<]+)</text>", part[0])

    return beside("gpus"), beside("prices")


@pytest.mark.parametrize(
    ("gpus", "shown"),
    [
        (0, ["0", "1", "2"]),
        (2, ["0", "1", "2"]),
        (7, ["0", "4", "8"]),
        (24, ["0", "12", "24"]),
        (97, ["0", "50", "100"]),
        (998, ["0", "500", "1,000"]),
        (1_026, ["0", "600", "1,200"]),
        (99_000, ["0", "50k", "100k"]),
    ],
)
def test_the_axis_of_gpus_has_round_numbers(gpus: int, shown: list[str]) -> None:
    assert names(gpus, None)[0] == shown


@pytest.mark.parametrize(
    ("price_micros", "shown"),
    [
        (2_500_000, ["1.50", "3.00"]),
        (20_000, ["0.012", "0.024"]),
        (1_000, ["0.0006", "0.0012"]),
    ],
)
def test_the_axis_of_prices_names_its_half(price_micros: int, shown: list[str]) -> None:
    assert names(4, price_micros)[1] == shown
