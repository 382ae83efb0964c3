"""What a user's function raised names the function and its line."""

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest

from parkade.compound.network.raising import raised


def guess(text: str) -> Any:
    return json.loads(text)


class Guesser:
    def __call__(self, text: str) -> Any:
        return guess(text)

    def method(self, text: str) -> Any:
        return guess(text)


@functools.wraps(guess)
def wrapped(text: str) -> Any:
    return guess(text)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (guess, "guess"),
        (functools.partial(guess), None),
        (Guesser(), None),
        (Guesser().method, "Guesser.method"),
        (wrapped, "guess"),
    ],
)
def test_the_last_line_of_the_functions_own_file_is_named(
    function: Callable[[str], Any], name: str | None
) -> None:
    with pytest.raises(ValueError, match="Expecting property name") as error:
        function("{]")
    told = raised(function, error.value)
    assert told.startswith(f"{name or ''}") and " raised JSONDecodeError: " in told
    line = guess.__code__.co_firstlineno + 1
    assert told.endswith(f"(test_raising.py, line {line})")


def test_a_function_without_a_file_has_no_place() -> None:
    with pytest.raises(ValueError, match="invalid literal") as error:
        int("x")
    assert raised(int, error.value) == (
        "int raised ValueError: invalid literal for int() with base 10: 'x'"
    )
