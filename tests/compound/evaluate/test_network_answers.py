"""What a network answers is measured apart from the candidates that it chose among."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from parkade.cli.compound.app import compound
from parkade.compound.evaluate.network_answers import network_answers
from parkade.compound.evaluate.recorded_run import Labels
from parkade.compound.network import BestOf, Generate, ModelVerifier, Operator, Refine, Verify, Vote
from parkade.compound.network.notation import parse
from parkade.compound.values import Call, Candidate, Question
from tests.compound.building import answering, ask, names, priced, prompt, run_network

#: Questions 1 to 6; the label is the rest by 3.
LABELS = Labels(references={f"q{n}": n % 3 for n in range(1, 7)}, rule="number")


def guess(call: Call) -> tuple[str, int, int]:
    return str(call.sample), 10, 1


def is_two(question: Question, candidate: Candidate) -> bool:
    return candidate.text == "2"


def ran(out: Path, network: Operator, **more: Any) -> None:
    known = names({"m": priced(guess), "j": answering(lambda call: "Best: 2")}, **more)
    run_network(network, [ask(n) for n in range(1, 7)], known, out)


def test_a_judge_s_choice_is_measured_and_not_its_candidates(tmp_path: Path) -> None:
    """The judge takes some candidate of 0, 1, 2 for each question: what it took is compared."""
    ran(tmp_path, parse("3E@m >> J@j"))
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    right = sum(int(line["answer"]) == LABELS.references[line["id"]] for line in lines)
    found = network_answers(tmp_path, LABELS)
    assert found is not None
    assert found.right.value == pytest.approx(right / 6)
    assert found.right.low < found.right.value < found.right.high or right in (0, 6)
    # 18 candidates at 12 micro-units, and judges that cost nothing.
    assert found.cost_micros == 18 * 12
    assert found.cost_per_solved_micros == (18 * 12 / right if right else None)


def test_an_abstention_is_no_right_answer(tmp_path: Path) -> None:
    """The vote is 0, which is right for q3 and q6; q1 and q4 are not labelled."""
    labels = Labels(references={"q2": 2, "q3": 0, "q5": 2, "q6": 0}, rule="number")
    ran(tmp_path, parse("E@m >> F@odd"), functions={"odd": lambda q, c: q.id in ("q3", "q5")})
    found = network_answers(tmp_path, labels)
    assert found is not None
    assert (found.questions, found.abstained) == (4, 2)
    assert found.right.value == 0.25
    assert found.right_of_answered is not None
    assert found.right_of_answered.value == 0.5


def test_without_labels_what_was_accepted_counts(tmp_path: Path) -> None:
    ran(tmp_path / "a", BestOf(Generate("m"), 2, is_two))
    nothing_right = network_answers(tmp_path / "a", None)
    assert nothing_right is not None
    assert (nothing_right.right.value, nothing_right.cost_per_solved_micros) == (0, None)
    ran(tmp_path / "b", BestOf(Generate("m"), 3, is_two))
    all_right = network_answers(tmp_path / "b", None)
    assert all_right is not None
    assert all_right.right.value == 1
    ran(tmp_path / "c", Generate("m", n=3) >> Vote())
    assert network_answers(tmp_path / "c", None) is None


def test_only_the_last_network_of_a_folder_counts(tmp_path: Path) -> None:
    ran(tmp_path, BestOf(Generate("m"), 3, is_two))
    ran(tmp_path, BestOf(Generate("m"), 2, is_two))
    found = network_answers(tmp_path, None)
    assert found is not None
    assert found.right.value == 0


def test_a_network_whose_verifier_judges_no_sample_is_evaluated_all_the_same(
    tmp_path: Path,
) -> None:
    """The verdicts are about what refine wrote; of the samples of generate nothing is known."""
    known = names(
        {
            "m": answering(lambda call: f"draft of {prompt(call)[:9]}"),
            "j": answering(
                lambda call: f"Verdict: {'wrong' if 'n 2' in prompt(call) else 'right'}"
            ),
        }
    )
    network = Generate("m") >> Refine("m") >> Verify(ModelVerifier("j"))
    run_network(network, [ask(n) for n in (1, 2)], known, tmp_path)
    done = CliRunner().invoke(compound, ["evaluate", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "nothing is told of single candidates" in done.output
    assert "the network is right      50.0 %" in done.output
    told = json.loads(CliRunner().invoke(compound, ["evaluate", str(tmp_path), "--json"]).stdout)
    assert told["version"] == 2
    assert told["answers"]["abstained"] == 1


def test_questions_that_failed_are_counted_as_such(tmp_path: Path) -> None:
    def broken(call: Call) -> tuple[str, int, int]:
        if prompt(call) != "question 1":
            raise ZeroDivisionError("oops")
        return guess(call)

    known = names({"m": priced(broken)})
    run_network(parse("E@m"), [ask(n) for n in range(1, 6)], known, tmp_path)
    found = network_answers(tmp_path, LABELS)
    assert found is not None
    assert (found.questions, found.failed) == (1, 4)
    (tmp_path / "labels.jsonl").write_text(
        "".join(json.dumps({"id": f"q{n}", "answer": n % 3}) + "\n" for n in range(1, 7))
    )
    words = ["evaluate", str(tmp_path), "--labels", str(tmp_path / "labels.jsonl")]
    shown = " ".join(CliRunner().invoke(compound, words).output.split())
    assert "failed, not counted 4 of 5" in shown
    assert "labels 6 in the file" in shown
