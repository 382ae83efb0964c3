"""`parkade sim book` as a person and a program use it; its page has what it prints."""

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.sim.book.report import BookReport
from tests.sim.test_book import EXAMPLE, KEPT, book, order


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "book.yaml"
    found.write_text(EXAMPLE)
    return found


def test_a_program_gets_the_whole_report(file: Path) -> None:
    result = CliRunner().invoke(app, ["sim", "book", str(file), "--json"])
    assert result.exit_code == 0
    kept = msgspec.json.decode(KEPT.read_bytes(), type=BookReport)
    assert msgspec.json.decode(result.output, type=BookReport) == kept


def test_a_person_sees_hours_that_are_alike_in_one_line(file: Path) -> None:
    result = CliRunner().invoke(app, ["sim", "book", str(file)], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    hours = [line for line in result.output.splitlines() if line.startswith("2026-")]
    assert len(hours) == 2 and hours[1].split()[2:] == ["1.80", "5", "8", "-3"]


def test_a_book_is_read_from_stdin() -> None:
    text = book(order(), order(name="two", org="acme", side="sell", limit="1"))
    result = CliRunner().invoke(app, ["sim", "book", "-"], input=text)
    assert result.exit_code == 0 and "all" in result.output


def test_what_is_wrong_is_named_with_the_file(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(book(order(nodes=0)))
    result = CliRunner().invoke(app, ["sim", "book", str(bad)])
    assert result.exit_code == 3
    assert "orders[0].nodes" in result.output and "bad.yaml" in result.output
