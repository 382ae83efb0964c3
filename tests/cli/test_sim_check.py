"""`parkade sim check` as a person and a program use it."""

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.cli.sim.check import MOST_JOBS
from parkade.sim.check.frontier import MOST_WRITERS
from parkade.sim.check.search import Found, Search

KEPT = Path(__file__).parents[1] / "sim" / "check" / "kept"


def test_a_sound_world_ends_with_0_and_says_how_far_it_was_searched() -> None:
    result = CliRunner().invoke(app, ["sim", "check", "--world", "shared", "--depth", "2"])
    assert result.exit_code == 0
    assert "shared: " in result.output
    assert "complete to depth 2" in result.output


def test_what_programs_read_is_one_line_a_world() -> None:
    result = CliRunner().invoke(app, ["sim", "check", "--depth", "1", "--json"])
    assert result.exit_code == 0
    found = [msgspec.json.decode(line, type=Found) for line in result.output.splitlines()]
    assert [each.world for each in found] == [
        "owners",
        "claims",
        "shared",
        "elastic",
        "live",
        "array",
        "rights",
        "changes",
        "agent",
        "windows",
        "deadlines",
        "linked",
        "lists",
        "jobs",
        "buying",
    ]
    assert all(each.complete_depth == 1 and each.invariant is None for each in found)


def test_what_an_earlier_version_said_is_still_read() -> None:
    kept = sorted(KEPT.glob("found-*.json"))
    assert kept
    for path in kept:
        found = msgspec.json.decode(path.read_bytes(), type=Found)
        assert found.version == int(path.stem.partition("-")[2])
        assert sum(level.states for level in found.levels) == found.states


def test_an_unknown_world_is_named_with_those_that_are_there() -> None:
    result = CliRunner().invoke(app, ["sim", "check", "--world", "mars"])
    assert result.exit_code == 2
    assert "owners, claims, shared, elastic, live, array, rights, changes, agent" in result.output


def test_more_processes_than_a_search_can_tell_apart_are_refused() -> None:
    assert MOST_JOBS == MOST_WRITERS - 1
    result = CliRunner().invoke(app, ["sim", "check", "--jobs", "300"])
    assert result.exit_code == 2 and str(MOST_JOBS) in result.output


def test_a_folder_that_cannot_be_made_is_named_before_a_world_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[object] = []
    monkeypatch.setattr(Search, "run", searched.append)
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "results"
    result = CliRunner().invoke(app, ["sim", "check", "--depth", "1", "--results", str(folder)])
    assert result.exit_code == 2 and not searched
    told = " ".join(result.output.split())
    assert f"{folder} cannot be written; name a folder that you may write to" in told


def test_a_world_that_cannot_be_kept_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "check-shared.json").mkdir()
    words = ["sim", "check", "--depth", "1", "--results", str(tmp_path), "--world"]
    result = CliRunner().invoke(app, [*words, "shared"])
    assert result.exit_code == 2
    assert "complete to depth 1" in result.output
    assert "check-shared.json cannot be written" in result.output
    assert CliRunner().invoke(app, [*words, "owners"]).exit_code == 0
    kept = (tmp_path / "check-owners.json").read_bytes()
    assert msgspec.json.decode(kept, type=Found).complete_depth == 1
