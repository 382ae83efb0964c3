"""No command of compound replaces an input, a run's files, or a file that it did not write."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parkade.cli.compound.app import compound
from parkade.cli.exit_codes import COMPOUND_WRONG

RULES = """
def answer(call): return str(call.sample)
def is_right(question, candidate): return candidate.text == str(question.fields["answer"])
"""
NETWORK = """
models: {m: {function: "rules.py:answer", price: {input: 1, output: 1}}}
verifiers: {v: {function: "rules.py:is_right"}}
network: "8E@m >> V@v"
"""
#: What writes a file, with the file as {}; q.jsonl and o are read.
WRITERS = [
    "distil o q.jsonl --to {}.jsonl",
    "outcomes o --labels q.jsonl --out {}.jsonl",
    "show o q1 --questions q.jsonl --html {}.html",
    "evaluate o --labels q.jsonl --plot {}.svg",
    "evaluate o --labels q.jsonl --plot {}.png",
    "plan o --labels q.jsonl --target 0.5 --plot {}.svg",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.py").write_text(RULES)
    (tmp_path / "net.yaml").write_text(NETWORK)
    rows = [{"id": f"q{n}", "prompt": f"what is {n}", "answer": n} for n in range(6)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert typed("run net.yaml q.jsonl --out o") == (0, "")
    return tmp_path


def typed(line: str) -> tuple[int, str]:
    ended = CliRunner().invoke(compound, line.split())
    return ended.exit_code, ended.stderr


@pytest.mark.parametrize("writer", WRITERS)
def test_what_a_command_wrote_it_writes_again(folder: Path, writer: str) -> None:
    for _ in range(2):
        assert typed(writer.format("new"))[0] == 0


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_of_something_else_needs_force(folder: Path, writer: str) -> None:
    line = writer.format("mine")
    mine = folder / line.split()[-1]
    mine.write_text('{"id": "q1", "prompt": "mine"}\n')
    status, said = typed(line)
    assert status == COMPOUND_WRONG
    assert "--force replaces it" in said
    assert "mine" in mine.read_text()
    assert typed(f"{line} --force")[0] == 0
    assert b"mine" not in mine.read_bytes()


@pytest.mark.parametrize("writer", WRITERS)
def test_a_place_in_a_run_is_refused_also_with_force(folder: Path, writer: str) -> None:
    before = {path: path.read_bytes() for path in (folder / "o").iterdir()}
    for line in (writer.format("o/new"), f"{writer.format('o/journal')} --force"):
        status, said = typed(line)
        assert status == COMPOUND_WRONG
        assert "the folder of a run" in said
    assert {path: path.read_bytes() for path in (folder / "o").iterdir()} == before


@pytest.mark.parametrize(
    "line",
    [
        "distil o q.jsonl --to q.jsonl",
        "distil o q.jsonl --to ./q.jsonl --force",
        "distil o q.jsonl --test-set net.jsonl --to net.jsonl --force",
        "outcomes o --labels q.jsonl --out q.jsonl --force",
        "evaluate out.svg --plot out.svg --force",
    ],
)
def test_an_input_is_never_replaced(folder: Path, line: str) -> None:
    before = (folder / "q.jsonl").read_bytes()
    (folder / "net.jsonl").write_bytes(before)
    assert typed("outcomes o --labels q.jsonl --out out.svg")[0] == 0
    status, said = typed(line)
    assert status == COMPOUND_WRONG
    assert "what the command reads" in said
    assert (folder / "q.jsonl").read_bytes() == before
