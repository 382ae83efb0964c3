"""`parkade sim fuzz`: what it prints and how it ends."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.sim.fuzz import FuzzReport
from parkade.sim.story import Story, StoryOutcome

KEPT = Path(__file__).parent / "kept" / "fuzz-report-1.json"


def test_a_sound_story_is_told_in_a_few_lines() -> None:
    words = ["sim", "fuzz", "--seed", "3", "--events", "60", "--troubles", "none"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "1 stories" in result.output and "nothing is broken" in result.output


def test_the_report_of_the_first_version_is_still_read() -> None:
    report = msgspec.json.decode(KEPT.read_bytes(), type=FuzzReport)
    assert report.version == 1
    assert report.broken[0].command.startswith("parkade sim fuzz")


def test_the_json_has_the_fields_of_the_kept_report() -> None:
    words = ["sim", "fuzz", "--seed", "3", "--events", "60", "--troubles", "none", "--json"]
    result = CliRunner().invoke(app, words)
    assert set(json.loads(KEPT.read_text())) <= set(json.loads(result.output))


def test_two_processes_report_what_one_does(tmp_path: Path) -> None:
    words = ["sim", "fuzz", "--seed", "3", "--seeds", "3", "--events", "40"]
    reports = []
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        more = ["--jobs", str(jobs), "--results", str(folder)]
        result = CliRunner().invoke(app, [*words, *more])
        assert result.exit_code == 0, result.output
        report = msgspec.json.decode((folder / "fuzz.json").read_bytes(), type=FuzzReport)
        assert report.jobs == jobs and report.cpu_s > 0
        reports.append(msgspec.structs.replace(report, jobs=1, cpu_s=0.0, wall_s=0.0))
    assert reports[0] == reports[1]
    assert reports[0].stories == 3


def test_a_story_is_told_act_by_act_and_event_by_event(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[Story] = []
    play = Story.tell

    def counted(story: Story) -> StoryOutcome:
        played.append(story)
        return play(story)

    monkeypatch.setattr(Story, "tell", counted)
    words = ["sim", "fuzz", "--seed", "3", "--events", "60", "--troubles", "none", "--tell"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told = [
        line for line in result.output.splitlines() if re.match(r"at [\d.]+ s, act \d+: ", line)
    ]
    assert len(told) > 10
    assert len(played) == 1
    assert re.search(r"^ +\d+\. [\d.]+ s: w1 \S+: submitted", result.output, re.MULTILINE)
    refused = CliRunner().invoke(app, [*words, "--json"])
    assert refused.exit_code == 2 and "--tell" in refused.output


def test_no_story_begins_after_the_time_that_is_given() -> None:
    words = ["sim", "fuzz", "--seeds", "1000", "--events", "60", "--seconds", "0.1", "--json"]
    report = json.loads(CliRunner().invoke(app, words).output)
    assert 0 < report["stories"] < 1000


def test_a_folder_that_cannot_be_made_is_named_before_a_story_is_played(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    words = ["sim", "fuzz", "--events", "20", "--troubles", "none", "--results", str(taken)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    told = " ".join(result.output.split())
    assert f"{taken} cannot be written; name a folder that you may write to" in told
    assert "stories" not in told


def test_a_report_that_cannot_be_kept_is_printed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "fuzz.json").mkdir()
    words = ["sim", "fuzz", "--events", "20", "--troubles", "none", "--results", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "nothing is broken" in result.output and "fuzz.json cannot be written" in result.output


def test_an_unknown_trouble_and_bad_acts_are_refused() -> None:
    for words in (["--troubles", "frogs"], ["--only", "x"]):
        result = CliRunner().invoke(app, ["sim", "fuzz", *words])
        assert result.exit_code == 2
        assert words[0] in result.output
