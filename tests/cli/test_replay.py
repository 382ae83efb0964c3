import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parkade.cli.app import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's files, with the trace cut to its first three hours."""
    made = tmp_path_factory.mktemp("replay") / "example"
    assert CliRunner().invoke(app, ["sim", "example", str(made)]).exit_code == 0
    lines = (made / "trace.csv").read_text().splitlines(keepends=True)
    early = [line for line in lines if "2026-03-02 0" in line and line[line.find(" ") + 2] < "3"]
    (made / "trace.csv").write_text(lines[0] + "".join(early))
    return made


def test_the_example_is_replayed_into_a_report_and_json(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    words = ["sim", "replay", str(folder / "idle-resale.yaml"), "--report", str(report), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["version"], found["kind"], found["orgs"]) == (1, "idle-resale", 4)
    assert report.read_text().startswith("<!doctype html>")


def test_tables_are_shown_to_people(folder: Path) -> None:
    text = (folder / "parking.yaml").read_text()
    scenario = folder / "short.yaml"
    scenario.write_text(text.replace('["0", "1/2", "9/10", "77/80", "399/400"]', '["0"]'))
    result = CliRunner().invoke(app, ["sim", "replay", str(scenario)])
    assert result.exit_code == 0, result.output
    assert "OWNER'S_NET" in result.stdout and "16.80" in result.stdout


def test_a_bad_scenario_ends_with_its_place(folder: Path) -> None:
    scenario = folder / "bad.yaml"
    scenario.write_text((folder / "idle-resale.yaml").read_text().replace("fee: 1/10", "fee: 3"))
    result = CliRunner().invoke(app, ["sim", "replay", str(scenario)])
    assert result.exit_code == 3
    assert "terms.fee" in result.stderr


def test_missing_data_ends_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    words = ["sim", "replay", str(folder / "idle-resale.yaml"), "--data", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3
    assert "--data names the folder" in result.stderr


def test_an_example_never_overwrites(folder: Path) -> None:
    result = CliRunner().invoke(app, ["sim", "example", str(folder)])
    assert result.exit_code == 3 and "is there already" in result.stderr
