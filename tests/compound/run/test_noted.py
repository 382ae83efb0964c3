"""What operators could not read or use is counted in the summary, and told by `show`."""

from pathlib import Path

import pytest

from parkade.cli.compound.progress import fields_of
from parkade.compound.network import (
    Generate,
    Judge,
    Knockout,
    ModelVerifier,
    Operator,
    Rank,
    Verify,
)
from parkade.compound.show.text import as_text
from parkade.compound.show.trace import read_trace
from tests.compound.building import answering, ask, names, run_network

KNOWN = names(
    {
        "m": answering(lambda call: f"text {call.key}", "m"),
        "mute": answering(lambda call: "hm", "mute"),
    }
)
SCHEMA = {"type": "object", "required": ["a"]}


@pytest.mark.parametrize("stage", [Judge("mute"), Rank("mute"), Knockout("mute")])
def test_replies_that_say_nothing_are_counted(
    stage: Operator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary, _ = run_network(Generate("m", n=3) >> stage, [ask(1), ask(2)], KNOWN, tmp_path)
    assert summary.noted.unread == 2
    fields_of(summary)
    assert "2 questions with replies of a judge that say nothing" in capsys.readouterr().out


def test_a_verifiers_replies_without_a_verdict_are_counted(tmp_path: Path) -> None:
    network = Generate("m") >> Verify(ModelVerifier("mute"))
    summary, _ = run_network(network, [ask(1)], KNOWN, tmp_path)
    assert summary.noted.unread == 1


def test_a_schema_that_no_answer_meets_is_told_and_a_repair_is_a_repair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Generate("m", n=2, schema=SCHEMA, repairs=2)
    summary, results = run_network(network, [ask(1)], KNOWN, tmp_path)
    assert (summary.abstained, summary.noted.off_schema) == (1, 1)
    (note,) = results["q1"].notes
    assert note.startswith("generate: 2 of 2 answers do not meet the schema: not JSON")
    fields_of(summary)
    assert "off schema" in capsys.readouterr().out
    shown = as_text(read_trace(tmp_path, "q1"))
    assert "m#0 repair 1" in shown
    assert "m#1 repair 2" in shown
    assert "vote" not in shown


def test_answers_that_meet_it_are_not_noted(tmp_path: Path) -> None:
    known = names({"m": answering(lambda call: '{"a": 1}', "m")})
    summary, results = run_network(Generate("m", schema=SCHEMA), [ask(1)], known, tmp_path)
    assert (summary.noted.off_schema, results["q1"].notes) == (0, ())
