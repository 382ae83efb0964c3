"""Counts with their nouns, and the first of many names."""

import pytest

from parkade.core.units.phrases import counted, some_of


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 nodes"), (1, "1 node"), (2, "2 nodes"), (1_024, "1,024 nodes")]
)
def test_one_of_a_thing_has_no_s(count: int, text: str) -> None:
    assert counted(count, "node") == text


@pytest.mark.parametrize(
    ("names", "text"),
    [("", ""), ("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more")],
)
def test_names_beyond_the_most_are_counted(names: str, text: str) -> None:
    assert some_of(names) == text
    assert some_of(iter(names)) == text


def test_so_many_names_are_given_as_were_asked_for() -> None:
    assert some_of(map(str, range(2_005)), most=5) == "0, 1, 2, 3, 4 and 2,000 more"
