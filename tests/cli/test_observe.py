"""`parkade observe` as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parkade.cli.app import app
from tests.sim.observe.record import KEPT
from tests.sim.observe.traces import row, write_sacct

TRACE = [str(KEPT / "fifo.sacct"), "--sinfo", str(KEPT / "fifo.sinfo")]


def test_the_report_is_text_and_a_page(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = CliRunner().invoke(
        app, ["observe", "sacct", *TRACE, "--floor", "1", "--html", str(page)]
    )
    assert done.exit_code == 0, done.output
    assert "What stood idle" in done.output and "chem" in done.output
    assert page.read_text().startswith("<!doctype html>")


def test_the_report_is_json_for_programs() -> None:
    done = CliRunner().invoke(app, ["observe", "sacct", *TRACE, "--floor", "1", "--json"])
    assert json.loads(done.stdout)["version"] == 1


def test_the_commands_are_printed() -> None:
    done = CliRunner().invoke(app, ["observe", "commands"])
    assert [line.split()[0] for line in done.output.splitlines()] == [
        "SLURM_TIME_FORMAT=%s",
        "sinfo",
    ]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--floor", "free"], 2, "--floor"),
        (["--floor", "nan"], 2, "--floor"),
        (["--limit", "0"], 2, "--limit"),
        (["--fee", "3/2"], 2, "--fee"),
        (["--sinfo", "/nonexistent"], 3, "cannot be read"),
        (["--entitlements", "/dev/null"], 3, "account,gpus"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, words: list[str], code: int, says: str) -> None:
    file = write_sacct(tmp_path, row(1))
    done = CliRunner().invoke(app, ["observe", "sacct", str(file), *words])
    assert done.exit_code == code
    assert says in done.output
