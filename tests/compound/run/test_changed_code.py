"""Code that changes between two starts of a run is noticed, and its results are made anew."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from parkade.cli.compound.app import compound
from parkade.compound.asking import ask
from parkade.compound.network.sources import source_of
from parkade.compound.verify.exact import exact_number
from tests.compound.shards.farm import Farm

NETWORK = """
models:
  m: {function: "guess.py:guess", price: {input: 1, output: 1}}
verifiers:
  check: {function: "rules.py:right"}
functions:
  key: "rules.py:key"
  way: "rules.py:way"
network:
  route:
    choose: way
    routes:
      one: "3B(E@m)@check >> M@key"
      two: "E@m"
"""
GUESS = """
import os

def guess(call):
    with open(os.environ["CALLS"], "a") as file:
        file.write(call.key + "\\n")
    return str(call.sample)
"""
RULES = """
def helper():
    return True

def right(question, candidate):
    return helper()

def key(question, candidate):
    return candidate.text

def way(question):
    return "one"
"""


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Farm:
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    farm = Farm(tmp_path, 4)
    farm.network.write_text(NETWORK)
    farm.rules.write_text(RULES)
    (tmp_path / "guess.py").write_text(GUESS)
    return farm


def run(farm: Farm) -> tuple[str, str]:
    words = ("run", str(farm.network), str(farm.questions), "--out", str(farm.out))
    ended = CliRunner().invoke(compound, words)
    assert ended.exit_code == 0, ended.stderr
    return " ".join(ended.stdout.split()), ended.stderr


def test_what_has_not_changed_is_not_done_again(farm: Farm) -> None:
    run(farm)
    stdout, stderr = run(farm)
    assert "4 done before" in stdout
    assert not stderr


@pytest.mark.parametrize(
    ("was", "becomes", "named"),
    [
        ("return helper()", "return not helper()", "right"),
        ("return True", "return False", "right"),
        ("return candidate.text\n", "return len(candidate.text)\n", "key"),
        ('return "one"', 'return "two"', "way"),
    ],
)
def test_a_changed_function_is_told_and_answered_anew_without_paying_again(
    farm: Farm, was: str, becomes: str, named: str
) -> None:
    run(farm)
    before = farm.called()
    farm.rules.write_text(RULES.replace(was, becomes))
    stdout, stderr = run(farm)
    assert "4 answered" in stdout
    assert "done before" not in stdout
    assert "changed since the last start" in stderr
    assert named in stderr
    assert "4 results of it are kept aside" in stderr
    assert all(farm.called()[key] == count for key, count in before.items())


def test_a_changed_verifier_takes_its_verdicts_back(farm: Farm) -> None:
    run(farm)
    assert [row["accepted"] for row in farm.results()] == [True] * 4
    farm.rules.write_text(RULES.replace("return True", "return False"))
    run(farm)
    assert [row["accepted"] for row in farm.results()[4:]] == [False] * 4


def test_a_changed_model_function_is_asked_again(farm: Farm) -> None:
    run(farm)
    (farm.folder / "guess.py").write_text(GUESS.replace("str(call.sample)", '"new"'))
    _, stderr = run(farm)
    assert "changed since the last start: m;" in stderr
    assert [row["answer"] for row in farm.results()[4:]] == ["new"] * 4


def test_ask_notices_a_changed_lambda(tmp_path: Path) -> None:
    first = ask("E@m", "q", models={"m": lambda call: "old"}, out=tmp_path / "out")
    assert first[0].answer == "old"
    changed = ask("E@m", "q", models={"m": lambda call: "newest"}, out=tmp_path / "out")
    assert changed[0].answer == "newest"


def test_what_has_a_version_or_no_source_counts_by_its_name() -> None:
    def versioned() -> None: ...

    versioned.version = "2"  # type: ignore[attr-defined]
    assert source_of(versioned) == ""
    assert source_of(len) == ""
    assert source_of(exact_number()) == ""
    assert source_of("checks") == ""
    assert len(source_of(test_what_has_not_changed_is_not_done_again)) == 16
