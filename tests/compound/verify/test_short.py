"""Short names of verifiers in network files and in the notation."""

import json
import sys
from pathlib import Path

import pytest

from parkade.compound.loading import load
from parkade.compound.network import NetworkError
from parkade.compound.questions import question_of
from parkade.compound.run.running import run
from parkade.compound.verify.sandbox.errors import ACCEPTANCE
from parkade.compound.verify.short import SHORT

MODELS = 'models: {m: {function: "rules.py:say"}}\n'
RULES = """
TEXTS = %r
def say(call): return TEXTS[call.sample %% len(TEXTS)]
"""


def answer(folder: Path, network: str, texts: list[str], **fields: object) -> str | None:
    """What the network answers where the model says these texts in turn; None: nothing."""
    (folder / "rules.py").write_text(RULES % (texts,))
    (folder / "net.yaml").write_text(MODELS + network)
    loaded = load(folder / "net.yaml")
    answers: list[str | None] = []
    question = question_of({"prompt": "def two():\n", **fields}, 1)
    out = folder / "out"
    run(loaded.network, [question], names=loaded.names, out=out)
    for line in (out / "results.jsonl").read_text().splitlines():
        row = json.loads(line)
        answers.append(row["answer"] if row["accepted"] else None)
    return answers[-1] if answers else None


@pytest.mark.parametrize(
    ("name", "wrong", "right", "fields"),
    [
        ("exact", "London", "paris.", {"answer": "Paris"}),
        ("number", "about 41", "so it is 42", {"answer": 42}),
        ("choice", "Answer: A", "Answer: B", {"answer": 1}),
        ("json", '{"a": 1}', '{"a": 2.0}', {"answer": {"a": 2}}),
        ("regex", "abc", "a12c", {"pattern": r"a\d+c"}),
        (
            "unit_tests",
            "    return 1\n",
            "    return 2\n",
            {"test": "def check(f):\n    assert f() == 2\n", "entry_point": "two"},
        ),
    ],
)
def test_a_short_name_alone_verifies_with_its_defaults(
    tmp_path: Path, name: str, wrong: str, right: str, fields: dict[str, object]
) -> None:
    network = f'network: "2E@m >> V@{name}"'
    assert answer(tmp_path, network, [wrong, right], **fields) == right


@pytest.mark.parametrize(
    "network",
    [
        "network: [{generate: {model: m, n: 2}}, {verify: {number: {relative: 0.1}}}]",
        "network: {best_of: {source: E@m, k: 2, verify: {number: {relative: 0.1}}}}",
        "verifiers: {v: {number: {relative: 0.1}}}\nnetwork: 2B(E@m)@v",
        "network: 2E@m >> V@number\nverifiers: {number: {number: {relative: 0.1}}}",
    ],
)
def test_fields_may_stand_in_place_or_under_a_name(tmp_path: Path, network: str) -> None:
    assert answer(tmp_path, network, ["80", "95"], answer=100) == "95"


def test_a_command_is_a_short_name_too(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(
        "import json, sys\nsys.exit(json.loads(input())['candidate']['text'] != 'good')\n"
    )
    command = f"[{sys.executable}, check.py]"
    network = f"network: [2E@m, {{verify: {{command: {{command: {command}, version: 1}}}}}}]"
    assert answer(tmp_path, network, ["bad", "good"]) == "good"
    shorter = f"network: [2E@m, {{verify: {{command: '{sys.executable} check.py'}}}}]"
    assert answer(tmp_path, shorter, ["bad", "good"]) == "good"


@pytest.mark.parametrize("words", [None, ACCEPTANCE])
def test_a_network_file_runs_code_without_a_sandbox_only_with_the_whole_sentence(
    words: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fields = "{}" if words is None else f"{{allow_unsandboxed: '{words}'}}"
    network = f"network: [E@m, {{verify: {{unit_tests: {fields}}}}}]"
    tests = {"test": "def check(f):\n    assert f() == 2\n", "entry_point": "two"}
    given = answer(tmp_path, network, ["    return 2\n"], **tests)
    assert given == (None if words is None else "    return 2\n")


def test_a_name_of_the_file_is_stronger_than_a_short_name(tmp_path: Path) -> None:
    network = 'network: "2E@m >> V@exact"\nverifiers: {exact: {number: {}}}'
    assert answer(tmp_path, network, ["it is 1", "it is 2"], answer=2) == "it is 2"


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("exact: {oops: 1}", "verifiers.v.exact.*oops"),
        ("exact: {find: nowhere}", "no 'nowhere'; there are: whole"),
        ("choice: {letters: '?'}", "letters"),
        ("unit_tests: {contract: x}", "human_eval, mbpp"),
        ("unit_tests: {limits: {cpu_seconds: 0}}", "cpu_seconds"),
        ("unit_tests: {allow_unsandboxed: 'yes'}", "must be 'I accept that untrusted code runs"),
        ("command: {}", "command"),
        ("number: {relative: 2}", "tolerance"),
    ],
)
def test_a_wrong_field_says_where(tmp_path: Path, section: str, says: str) -> None:
    (tmp_path / "net.yaml").write_text(f"network: E@m\nverifiers: {{v: {{{section}}}}}\n")
    with pytest.raises(NetworkError, match=says):
        load(tmp_path / "net.yaml")


def test_the_page_has_each_short_name_with_its_fields() -> None:
    page = (Path(__file__).parents[3] / "docs" / "compound.md").read_text("utf-8")
    for name, fields in SHORT.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        for field in fields.__struct_fields__:
            assert f"`{field}" in row, (name, field)
