"""Answers as servers really write them: wrong usage, halves of characters."""

import json
from typing import Any

import pytest

from parkade.compound.models.answers import completion_from, completions_from
from parkade.compound.values import Call, Completion, Usage


def call(sample: int = 0) -> Call:
    return Call(
        model="m",
        kind="chat",
        body=b"{}",
        sample=sample,
        key=f"k{sample}",
        most_input_tokens=70,
        most_output_tokens=9,
    )


def body(usage: dict[str, Any], text: str = "x") -> bytes:
    choices = [{"message": {"content": text}, "index": n} for n in range(2)]
    return json.dumps({"choices": choices, "usage": usage}).encode()


@pytest.mark.parametrize(
    ("prompt", "made", "usage"),
    [
        (20, 5, (20, 5)),
        (20.5, 4.0, (21, 4)),
        (-1, 5, (70, 5)),
        (0, 5, (70, 5)),
        (20, -5, (20, 9)),
        (20, 10**30, (20, 9)),
    ],
)
def test_usage_that_cannot_be_is_missing_usage(
    prompt: float, made: float, usage: tuple[int, int]
) -> None:
    answer = body({"prompt_tokens": prompt, "completion_tokens": made})
    found = completion_from(answer, call(), None, 0)
    assert isinstance(found, Completion)
    assert found.usage == Usage(input_tokens=usage[0], output_tokens=usage[1])


def test_half_a_character_becomes_a_replacement_character() -> None:
    answer = body({"prompt_tokens": 3, "completion_tokens": 2}, "a\ud83d b\U0001f600")
    for found in completions_from(answer, [call(0), call(1)], None, 0):
        assert isinstance(found, Completion)
        assert found.text == "a\ufffd b\U0001f600"
