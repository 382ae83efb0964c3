"""Answers as servers really write them: wrong usage, halves of characters."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest

from parkade.compound.models.answers import (
    completion_from,
    completions_from,
    failure_from,
    refusal_of,
    shared,
)
from parkade.compound.models.protocol import Failure, FailureKind, Price
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
    assert found.is_usage_missing == (70 in usage or 9 in usage)


def test_usage_that_is_written_as_a_text_is_read() -> None:
    told = {"prompt_tokens": "27", "completion_tokens": "5", "total_tokens": "32"}
    found = completion_from(body(told), call(), None, 0)
    assert isinstance(found, Completion)
    assert found.usage == Usage(input_tokens=27, output_tokens=5)
    assert not found.is_usage_missing
    for text in ("", "27 tokens", "-1", "1e3", "9" * 19):
        found = completion_from(body({**told, "prompt_tokens": text}), call(), None, 0)
        assert isinstance(found, Completion)
        assert found.is_usage_missing
        assert found.usage == Usage(input_tokens=70, output_tokens=5)


@pytest.mark.parametrize(
    ("usage", "text", "made"),
    [
        ({"completion_tokens": 0}, "x", 9),
        ({"completion_tokens": None}, "x", 9),
        ({}, "x", 9),
        ({}, "", 9),
        ({"completion_tokens": 0}, "", 0),
        ({"completion_tokens": 0, "total_tokens": 26}, "x", 6),
        ({"total_tokens": 26}, "x", 6),
        ({"total_tokens": 20}, "x", 9),
        ({"completion_tokens": 3, "total_tokens": 26}, "x", 3),
    ],
)
def test_an_answer_that_holds_text_was_made_of_tokens(
    usage: dict[str, Any], text: str, made: int
) -> None:
    found = completion_from(body({"prompt_tokens": 20, **usage}, text), call(), None, 0)
    assert isinstance(found, Completion)
    assert found.usage == Usage(input_tokens=20, output_tokens=made)


def test_where_nothing_limits_an_answer_a_missing_count_is_its_bytes() -> None:
    unlimited = msgspec.structs.replace(call(), most_output_tokens=None)
    found = completion_from(body({"prompt_tokens": 20}, "ä" * 30), unlimited, None, 0)
    assert isinstance(found, Completion)
    assert found.usage.output_tokens == 60


def test_samples_that_were_asked_for_together_share_a_usage_that_lacks_a_count() -> None:
    price = Price(input_micros_per_million=500_000, output_micros_per_million=500_000)
    calls = [call(0), call(1)]
    found = completions_from(body({"prompt_tokens": 21}), calls, price, 0)
    assert [
        (each.usage.input_tokens, each.usage.output_tokens, each.cost_micros)
        for each in found
        if isinstance(each, Completion)
    ] == [(21, 9, 15), (0, 9, 5)]


@pytest.mark.parametrize(
    ("status", "is_billed"),
    [
        *((status, True) for status in (408, 500, 502, 504, 520, 524)),
        *((status, False) for status in (400, 401, 403, 404, 422, 429, 503, 522, 529)),
    ],
)
def test_a_status_that_is_said_after_the_model_has_worked_may_be_billed(
    status: int, is_billed: bool
) -> None:
    failure = failure_from(status, {}, b"upstream timed out")
    assert failure.may_be_billed is is_billed
    assert failure.usage is None


@pytest.mark.parametrize("status", [200, 503, 504])
def test_usage_beside_an_error_is_known(status: int) -> None:
    told = b'{"error": {"message": "cut"}, "usage": {"prompt_tokens": 20, "completion_tokens": 5}}'
    failure = failure_from(status, {}, told)
    if status == 200:
        heard = completion_from(told, call(), None, 0)
        assert isinstance(heard, Failure)
        failure = heard
    assert failure.usage == Usage(input_tokens=20, output_tokens=5)
    first, second = shared(failure, 2)
    assert first.usage == Usage(input_tokens=20, output_tokens=3)
    assert second.usage == Usage(input_tokens=0, output_tokens=2)


@pytest.mark.parametrize(("code", "is_billed"), [(429, False), ("503", False), (502, True)])
def test_an_error_inside_a_success_may_be_billed_unless_it_says_that_none_worked(
    code: Any, is_billed: bool
) -> None:
    told = json.dumps({"error": {"message": "no", "code": code}}).encode()
    heard = completion_from(told, call(), None, 0)
    assert isinstance(heard, Failure)
    assert heard.may_be_billed is is_billed


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, FailureKind.REFUSED),
        ("413", FailureKind.REFUSED),
        (401, FailureKind.DENIED),
        (402, FailureKind.DENIED),
        (429, FailureKind.RATE_LIMITED),
        (502, FailureKind.UNAVAILABLE),
        ("server_error", FailureKind.UNAVAILABLE),
        (None, FailureKind.UNAVAILABLE),
        (4000, FailureKind.UNAVAILABLE),
    ],
)
def test_an_error_inside_a_success_is_asked_again_where_its_status_would_be(
    code: Any, kind: FailureKind
) -> None:
    told = json.dumps({"error": {"message": "no", "code": code}}).encode()
    heard = completion_from(told, call(), None, 0)
    assert isinstance(heard, Failure)
    assert heard.kind is kind
    assert (heard.refused_as is not None) == (kind is FailureKind.REFUSED)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"finish_reason": "error", "message": {"content": "The ans"}}, "broke off"),
        (
            {
                "finish_reason": "stop",
                "error": {"code": 502, "message": "upstream"},
                "message": {"content": ""},
            },
            "upstream",
        ),
    ],
)
def test_an_answer_that_broke_off_is_none_and_what_it_used_is_billed(
    choice: dict[str, Any], says: str
) -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 2}
    told = json.dumps({"choices": [choice], "usage": usage}).encode()
    heard = completion_from(told, call(), None, 0)
    assert isinstance(heard, Failure)
    assert heard.kind is FailureKind.UNAVAILABLE
    assert says in heard.message
    assert (heard.may_be_billed, heard.usage) == (True, Usage(input_tokens=4, output_tokens=2))


def test_half_a_character_becomes_a_replacement_character() -> None:
    answer = body({"prompt_tokens": 3, "completion_tokens": 2}, "a\ud83d b\U0001f600")
    for found in completions_from(answer, [call(0), call(1)], None, 0):
        assert isinstance(found, Completion)
        assert found.text == "a\ufffd b\U0001f600"


@pytest.mark.parametrize(
    ("headers", "least_s", "most_s"),
    [
        ({"retry-after": "120"}, 120, 120),
        ({"retry-after": "0.5"}, 0.5, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25, 0.25),
        ({"retry-after": "1e300"}, 7 * 86_400, 7 * 86_400),
        ({"retry-after": "-5"}, 0, 0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0, 0),
        ({"retry-after": "DATE"}, 500, 600),
        ({"retry-after": "soon"}, None, None),
        ({"retry-after": "nan"}, None, None),
        ({}, None, None),
    ],
)
def test_the_wait_that_a_server_asks_for_is_read_in_each_form(
    headers: dict[str, str], least_s: float | None, most_s: float | None
) -> None:
    in_ten_minutes = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    sent = {name: value.replace("DATE", in_ten_minutes) for name, value in headers.items()}
    wait_us = failure_from(429, sent, b"{}").retry_after_us
    if least_s is None or most_s is None:
        assert wait_us is None
    else:
        assert wait_us is not None
        assert least_s * 1e6 <= wait_us <= most_s * 1e6


@pytest.mark.parametrize(
    ("message", "text", "refusal"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", ""),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "", "No."),
        ({"content": None, "refusal": "I will not."}, "", "I will not."),
        ({"content": None, "reasoning_content": "hm"}, "", ""),
        ({"content": "a", "refusal": None}, "a", ""),
    ],
)
def test_parts_are_joined_and_the_words_of_a_refusal_are_found(
    message: dict[str, Any], text: str, refusal: str
) -> None:
    told = {"choices": [{"message": {"role": "assistant", **message}}]}
    found = completion_from(msgspec.json.encode(told), call(), None, 0)
    assert isinstance(found, Completion)
    assert (found.text, refusal_of(found.message)) == (text, refusal)
