"""What is wrong with a value is said in words, with its place first."""

from typing import Annotated, Any

import msgspec
import pytest

from parkade.compound.wrong_values import in_words


class Small(msgspec.Struct, forbid_unknown_fields=True):
    n: int
    names: list[str] = []
    notes: dict[str, str] = {}
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    either: str | list[str] = ""
    flag: bool = False
    maybe: int | None = None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"n": "a"}, "n must be a whole number, not a text"),
        ({"n": None}, "n must be a whole number, not nothing"),
        ({"n": 1, "names": 3}, "names must be a list, not a whole number"),
        ({"n": 1, "names": ["a", 2]}, "names[1] must be a text, not a whole number"),
        ({"n": 1, "notes": {"k": 1}}, "notes must be a text, not a whole number"),
        ({"n": 1, "share": 7}, "share must be a number at most 1.0"),
        ({"n": 1, "share": -1}, "share must be a number at least 0.0"),
        ({"n": 1, "either": 3}, "either must be a text or a list, not a whole number"),
        ({"n": 1, "flag": "no"}, "flag must be true or false, not a text"),
        ({"n": 1, "maybe": "x"}, "maybe must be a whole number or nothing, not a text"),
        ({}, "lacks the field 'n'"),
        ({"n": 1, "m": 2}, "has no field 'm'"),
        (3, "must be a map, not a whole number"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_words_with_its_place_first(given: Any, says: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(given, Small)
    assert in_words(error.value) == says


@pytest.mark.parametrize("text", ["JSON is malformed: trailing comma", "", "it is `odd`"])
def test_another_message_stays_as_it_is(text: str) -> None:
    assert in_words(ValueError(text)) == text
