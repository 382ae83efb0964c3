"""`parkade sim check` as a person and a program use it."""

from pathlib import Path

import msgspec
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.sim.check.search import Found

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
        "array",
        "rights",
        "changes",
        "agent",
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
    assert "owners, claims, shared, elastic, array, rights, changes, agent" in result.output
