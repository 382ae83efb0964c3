"""Answers that must be JSON of a schema."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parkade.compound.models.structured import read
from parkade.compound.network import Generate, NetworkError
from parkade.compound.network.binding import bind
from parkade.compound.values import Call
from tests.compound.building import answering, ask, names, run_network

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ('{"n": 3}', '{"n": 3}'),
        ('```json\n{"n": 3}\n```', '{"n": 3}'),
        ('Here it is:\n```\n{"n": 3}\n```\nDone.', '{"n": 3}'),
        ('The answer is {"n": 3}.', '{"n": 3}'),
    ],
)
def test_json_is_found_inside_what_models_wrap_around_it(text: str, inner: str) -> None:
    assert read(text, SCHEMA) == (inner, "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("three", "not JSON"),
        ('{"n": 0}', "minimum"),
        ('{"n": 3, "m": 1}', "unexpected"),
        ("[]", "object"),
    ],
)
def test_what_breaks_the_schema_is_said(text: str, says: str) -> None:
    assert says in read(text, SCHEMA)[1]


def test_a_broken_answer_is_sent_back_with_the_error_and_repaired(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def model(call: Call) -> str:
        body = msgspec.json.decode(call.body)
        seen.append(body)
        return '{"n": 0}' if len(body["messages"]) == 1 else '{"n": 1}'

    network = Generate("m", schema=SCHEMA)
    summary, results = run_network(network, [ask()], names({"m": answering(model)}), tmp_path)
    assert results["q1"].answer == '{"n": 1}'
    assert summary.calls == 2
    assert seen[0]["response_format"]["json_schema"]["schema"] == SCHEMA
    assert [turn["role"] for turn in seen[1]["messages"]] == ["user", "assistant", "user"]
    assert "minimum" in seen[1]["messages"][-1]["content"]


def test_an_answer_that_stays_broken_is_no_candidate(tmp_path: Path) -> None:
    network = Generate("m", schema=SCHEMA, repairs=2)
    model = answering(lambda call: "no")
    summary, results = run_network(network, [ask()], names({"m": model}), tmp_path)
    assert results["q1"].answer is None
    assert summary.calls == 3


def test_a_schema_without_its_library_is_refused_before_a_call_is_paid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(NetworkError, match=r"generate: .*jsonschema: pip install .*compound"):
        bind(Generate("m", schema={"type": "object"}), names({"m": answering(str)}))
    # Nothing else needs it.
    bind(Generate("m"), names({"m": answering(str)}))


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "strng"}, r"generate: its schema is no JSON Schema: \$\.type: 'strng'"),
        ({"type": "object", "required": "a"}, r"\$\.required"),
        ({"$schema": 3}, "no JSON Schema"),
    ],
)
def test_what_is_no_schema_is_refused_before_a_call_is_paid(
    schema: dict[str, Any], says: str
) -> None:
    with pytest.raises(NetworkError, match=says):
        bind(Generate("m", schema=schema), names({"m": answering(str)}))
