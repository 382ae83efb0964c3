"""What a request body may ask for is bounded by what it says, or refused by name."""

from typing import Any

import msgspec
import pytest

from parkade.compound.models.local import LocalModel
from parkade.compound.models.protocol import Model, TokenBounds
from parkade.compound.network import Generate, NetworkError
from parkade.compound.network.binding import bind
from parkade.compound.network.bounding import attachments
from parkade.compound.run.budget import Budget
from parkade.compound.run.reserving import check_bounds
from parkade.compound.values import Question
from tests.compound.building import names

TOKENS = Budget(tokens=1_000)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}


def model(**bounds: Any) -> LocalModel:
    return LocalModel("m", lambda call: "x", bounds=TokenBounds(**bounds))


def checked(options: dict[str, Any], *, most: int | None = 10, **bounds: Any) -> None:
    network = Generate("m", max_tokens=most, options=options)
    check_bounds(bind(network, names({"m": model(**bounds)})), TOKENS)


def most_input(messages: list[Any], known: Model) -> int | None:
    bound = bind(Generate("m", max_tokens=10), names({"m": known}))
    assert bound.root.writer is not None
    question = Question(id="q", prompt="", fields={"messages": messages})
    return bound.root.writer.write(question.fields).most_input_tokens


@pytest.mark.parametrize(
    ("own", "options"),
    [
        (10, {"max_completion_tokens": 5_000}),
        (10, {"max_tokens": 5_000}),
        (None, {"max_tokens": 10, "max_completion_tokens": 5_000}),
    ],
)
def test_two_limits_of_output_are_refused(own: int | None, options: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="leave one out"):
        bind(Generate("m", max_tokens=own, options=options), names({"m": model()}))


@pytest.mark.parametrize("limit", ["many", None, 0, -1, 1.5, True, 10**12, [3]])
def test_a_limit_in_options_is_a_count(limit: object) -> None:
    with pytest.raises(NetworkError, match=r"options\.max_tokens must be a whole number"):
        bind(Generate("m", options={"max_tokens": limit}), names({"m": model()}))


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_in_options_bounds_the_output(name: str) -> None:
    bound = bind(Generate("m", options={name: 77}), names({"m": model()}))
    assert bound.root.writer is not None
    call = bound.root.writer.write({"prompt": "x"}).call(0)
    assert call.most_output_tokens == 77
    assert msgspec.json.decode(call.body)[name] == 77


@pytest.mark.parametrize(
    "options",
    [
        {"best_of": 4},
        {"best_of": True},
        {"min_tokens": 11},
        {"min_tokens": "many"},
        {"use_beam_search": True},
        {"echo": True},
        {"n_predict": -1},
        {"max_new_tokens": 10_000},
        {"thinking": {"type": "enabled", "budget_tokens": 9_000}},
        {"prediction": {"type": "content", "content": "x"}},
        {"modalities": ["text", "audio"]},
        {"service_tier": "priority"},
        {"web_search_options": {}},
        {"chat_template": "{{ messages * 1000 }}"},
        {"chat_template_kwargs": {"enable_thinking": True}},
        {"documents": [{"text": "x"}]},
        {"tools": [{"type": "function", "function": {}}, {"type": "web_search"}]},
    ],
    ids=str,
)
def test_what_may_ask_for_more_is_refused_by_name_under_a_budget(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(NetworkError, match=rf"^generate: m: .*options\.{name}\b"):
        checked(options)
    network = Generate("m", max_tokens=10, options=options)
    check_bounds(bind(network, names({"m": model()})), Budget(calls=5))


@pytest.mark.parametrize(
    "options",
    [
        {"best_of": 1},
        {"min_tokens": 10},
        {"echo": False},
        {"seed": 1, "top_p": 0.9, "stop": ["x"], "logit_bias": {"1": 2}, "reasoning_effort": "low"},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto"},
        {"chat_template": None},
    ],
    ids=str,
)
def test_what_asks_for_no_more_is_kept_under_a_budget(options: dict[str, Any]) -> None:
    checked(options)


def test_a_models_own_words_bound_its_options_and_its_template() -> None:
    checked({"chat_template_kwargs": {"enable_thinking": False}}, template_tokens=50)
    checked({"thinking": {}}, bounded_options=frozenset({"thinking"}))
    with pytest.raises(NetworkError, match="beam"):
        checked({"thinking": {}, "use_beam_search": True}, bounded_options=frozenset({"thinking"}))


@pytest.mark.parametrize(
    ("content", "count"),
    [
        ("text", 0),
        ([{"type": "text", "text": "a"}], 0),
        (['{"type": "image_url"}'], 0),
        ([{"type": "text", "text": "a"}, IMAGE], 1),
        ([{"type": "video_url", "video_url": {"url": "x"}}] * 3, 3),
        ([{"image_url": {"url": "x"}}], 1),
        ([{"type": "input_image", "image": "x"}], 1),
        ([{"type": "text", "text": {"file": "x"}}], 1),
        ({"type": "file"}, 1),
        (None, 0),
    ],
    ids=str,
)
def test_each_part_that_is_no_text_is_an_attachment(content: object, count: int) -> None:
    messages: list[Any] = [{"role": "user", "content": content}]
    assert attachments(messages) == count
    plain = most_input(messages, model())
    known = most_input(messages, model(attachment_tokens=1_000))
    assert known is not None
    assert plain == (None if count else known)
    assert known >= count * 1_000


def test_a_word_in_a_text_or_a_tool_is_no_attachment() -> None:
    messages = [{"role": "user", "content": 'say "image_url"'}, {"role": "tool", "content": "file"}]
    assert most_input(messages, model()) is not None


def test_an_earlier_answer_in_sound_is_an_attachment() -> None:
    assert attachments([{"role": "assistant", "audio": {"id": "a"}}]) == 1


def test_what_a_template_adds_is_counted_for_each_call() -> None:
    messages = [{"role": "user", "content": "x"}]
    plain, more = most_input(messages, model()), most_input(messages, model(template_tokens=600))
    assert plain is not None
    assert more == plain + 600


def test_an_operators_image_needs_a_bound_before_the_run() -> None:
    network = Generate("m", max_tokens=10, messages=({"role": "user", "content": [IMAGE]},))
    with pytest.raises(NetworkError, match=r"models\.m\.attachment_tokens"):
        check_bounds(bind(network, names({"m": model()})), TOKENS)
    check_bounds(bind(network, names({"m": model(attachment_tokens=900)})), TOKENS)
