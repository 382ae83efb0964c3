"""A run's folder is measured by the commands that measure."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parkade.cli.compound.app import compound
from parkade.compound.evaluate.outcomes import OutcomesUnreadable, read_outcomes
from parkade.compound.evaluate.recorded_run import (
    outcomes_of_run,
    read_labels,
    stops_early,
    with_rule_of_run,
)
from parkade.compound.network import Generate, ModelVerifier, Verify
from parkade.compound.network.notation import parse
from parkade.compound.values import Call, Candidate, Question
from parkade.compound.verify.exact import multiple_choice
from tests.compound.building import ask, names, priced, prompt, run_network

QUESTIONS = 40
SAMPLES = 6


def is_small(question: Question, candidate: Candidate) -> bool:
    return float(candidate.text) <= 2


def recorded(out: Path, text: str = f"{SAMPLES}E@m(m=50) >> V@v") -> Path:
    model = priced(lambda call: (f"{call.sample}.0", 10, 3))
    known = names({"m": model}, verifiers={"v": is_small})
    run_network(parse(text), [ask(n) for n in range(QUESTIONS)], known, out)
    return out


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.jsonl"
    rows = [{"id": f"q{n}", "truth": n % 4} for n in range(QUESTIONS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_labels_say_what_is_right_and_the_journal_what_was_accepted(
    tmp_path: Path, labels: Path
) -> None:
    out = recorded(tmp_path / "run")
    found = list(outcomes_of_run(out, read_labels(labels, "truth")))
    assert len(found) == QUESTIONS * SAMPLES
    for each in found:
        assert each.answer is not None
        assert each.is_correct is (int(each.answer) == int(each.question[1:]) % 4)
        assert each.is_accepted is (int(each.answer) <= 2)
        assert each.cost_micros == 16


def test_a_label_that_ends_with_its_number_is_a_number(tmp_path: Path, labels: Path) -> None:
    out = recorded(tmp_path / "run")
    rows = [{"id": f"q{n}", "truth": f"3 - {n} is it.\n#### {n % 4}"} for n in range(QUESTIONS)]
    prose = tmp_path / "prose.jsonl"
    prose.write_text("\ufeff" + "".join(json.dumps(row) + "\n" for row in rows))
    found = [
        [each.is_correct for each in outcomes_of_run(out, read_labels(path, "truth"))]
        for path in (labels, prose)
    ]
    assert found[0] == found[1]
    done = CliRunner().invoke(
        compound,
        ["evaluate", str(out), "--labels", str(prose), "--field", "truth"],
    )
    assert "labels compared as" in done.stdout
    assert "number" in done.stdout
    assert "(SIMULATED)" in done.stdout


def test_labels_are_compared_as_the_run_itself_compares(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(
        "".join(json.dumps({"id": f"q{n}", "answer": n % 4}) + "\n" for n in range(QUESTIONS))
    )
    model = priced(lambda call: (f"It is ({'ABCD'[call.sample % 4]}).", 10, 3))
    known = names({"m": model}, verifiers={"v": multiple_choice()})
    asked = [ask(n, answer=n % 4) for n in range(QUESTIONS)]
    out = tmp_path / "run"
    run_network(parse("4E@m(m=50) >> V@v"), asked, known, out)
    given = with_rule_of_run(out, read_labels(path, "answer"))
    assert given.rule == "choice"
    assert all(each.is_correct is each.is_accepted for each in outcomes_of_run(out, given))


def says_small(call: Call) -> tuple[str, int, int]:
    """Accepts up to 2; nothing that can be read for a 5. Costs 2 micro-units a vote."""
    shown = float(prompt(call).split("said ")[1])
    text = "well…" if shown == 5 else f"Verdict: {'correct' if shown <= 2 else 'wrong'}"
    return text, 0, 1


def test_a_model_verifier_is_measured_like_any_other_and_its_votes_cost(
    tmp_path: Path, labels: Path
) -> None:
    judge = ModelVerifier("j", votes=3, prompt="{id} said {candidate}", max_tokens=50)
    network = Generate("m", n=SAMPLES, max_tokens=50) >> Verify(judge)
    known = names({"m": priced(lambda call: (f"{call.sample}.0", 10, 3)), "j": priced(says_small)})
    questions = [ask(n) for n in range(QUESTIONS)]
    run_network(network, questions, known, tmp_path)
    found = list(outcomes_of_run(tmp_path, read_labels(labels, "truth")))
    assert len(found) == QUESTIONS * SAMPLES
    for each in found:
        assert each.answer is not None
        said = int(each.answer)
        assert each.is_accepted is (None if said == 5 else said <= 2)
        assert each.cost_micros == (16 if said == 5 else 16 + 3 * 2)


def test_verdicts_of_a_changed_model_verifier_are_not_mixed_with_the_earlier_ones(
    tmp_path: Path, labels: Path
) -> None:
    known = names({"m": priced(lambda call: (f"{call.sample}.0", 10, 3)), "j": priced(says_small)})
    for words in ("{id} said {candidate}", "Please. {id} said {candidate}"):
        judge = ModelVerifier("j", prompt=words, max_tokens=50)
        network = Generate("m", n=2, max_tokens=50) >> Verify(judge)
        run_network(network, [ask(1)], known, tmp_path)
    found = list(outcomes_of_run(tmp_path, read_labels(labels, "truth")))
    assert [each.cost_micros for each in found] == [18, 18]


def test_without_labels_the_verdicts_are_the_truth_and_nothing_is_said_of_the_verifier(
    tmp_path: Path,
) -> None:
    found = list(outcomes_of_run(recorded(tmp_path), None))
    assert sum(each.is_correct is True for each in found) == QUESTIONS * 3
    assert {each.is_accepted for each in found} == {None}


def test_without_labels_and_verifier_it_says_what_is_missing(tmp_path: Path) -> None:
    out = recorded(tmp_path, "3E@m(m=50) >> M")
    with pytest.raises(OutcomesUnreadable, match="no verifier, so nothing"):
        outcomes_of_run(out, None)


def test_labels_of_other_questions_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": "other", "answer": 1}\n')
    out = recorded(tmp_path / "run")
    with pytest.raises(OutcomesUnreadable, match="no label has the id"):
        list(outcomes_of_run(out, read_labels(path, "answer")))
    with pytest.raises(OutcomesUnreadable, match="no line has the field 'solution'"):
        read_labels(path, "solution")


def test_a_network_that_stops_at_the_first_accepted_sample_is_known(tmp_path: Path) -> None:
    assert stops_early(recorded(tmp_path / "stops", "6B(E@m(m=50))@v"))
    assert not stops_early(recorded(tmp_path / "draws"))


@pytest.mark.parametrize(
    "words", [("evaluate",), ("calibrate",), ("plan", "--target", "0.5")], ids=lambda w: w[0]
)
def test_the_commands_take_a_run_and_labels(
    tmp_path: Path, labels: Path, words: tuple[str, ...]
) -> None:
    out = recorded(tmp_path / "run")
    name, *more = words
    typed = [name, str(out), "--labels", str(labels), "--field", "truth", *more]
    done = CliRunner().invoke(compound, typed)
    assert done.exit_code == 0, done.output
    assert str(QUESTIONS) in done.output
    wrong = CliRunner().invoke(compound, [name, str(out / "results.jsonl"), *more])
    assert wrong.exit_code == 3
    assert "give its folder" in wrong.output


def test_the_outcomes_are_written_and_read_again(tmp_path: Path, labels: Path) -> None:
    out, to = recorded(tmp_path / "run"), tmp_path / "outcomes.jsonl"
    words = ["outcomes", str(out), "--labels", str(labels), "--field", "truth", "--out", str(to)]
    done = CliRunner().invoke(compound, words)
    assert done.exit_code == 0, done.output
    assert list(read_outcomes(to)) == list(outcomes_of_run(out, read_labels(labels, "truth")))
