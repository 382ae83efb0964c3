"""A pilot in one call finds what a run and `calibrate` would."""

import random
from pathlib import Path
from typing import Any

import pytest

from parkade.compound.evaluate import Target, plan
from parkade.compound.evaluate.calibration import calibration_of
from parkade.compound.evaluate.outcomes import OutcomesUnreadable
from parkade.compound.evaluate.recorded_run import outcomes_of_run, read_labels
from parkade.compound.network import BestOf, Generate, NetworkError
from parkade.compound.pilot import pilot
from parkade.compound.run.budget import Budget
from parkade.compound.values import Call, Candidate, Question

ROWS: list[dict[str, Any]] = [{"id": f"q{n}", "prompt": f"{n}", "answer": n} for n in range(60)]


def guess(call: Call) -> str:
    """Right for three samples in ten, drawn by question and sample."""
    chance = random.Random(f"{call.prompt} {call.sample}")
    return call.prompt if chance.random() < 0.3 else str(1_000 + chance.randrange(9))


def lenient(question: Question, candidate: Candidate) -> bool:
    """Accepts what is right, and of the rest those that end with 0."""
    return candidate.text == question.prompt or candidate.text.endswith("0")


OPTIONS: dict[str, Any] = {"models": {"m": guess}, "verifiers": {"lenient": lenient}}


def test_a_network_that_stops_early_is_piloted_without_stopping() -> None:
    found = pilot("2B(E@m)@lenient", ROWS, samples=20, **OPTIONS)
    assert (found.questions, found.candidates) == (60, 1_200)
    assert found.accuracy.low < 0.3 < found.accuracy.high
    assert found.verifier is not None
    assert found.verifier.true_positive_rate is not None
    assert found.verifier.true_positive_rate.value == 1
    assert found.verifier.false_positive_rate is not None
    assert found.verifier.false_positive_rate.low < 1 / 9 < found.verifier.false_positive_rate.high
    assert (plan(found, Target(accuracy=0.6)).k or 0) > 1


def test_it_is_what_the_commands_find_in_its_folder(tmp_path: Path) -> None:
    network = BestOf(Generate("m"), k=9, verify="lenient")
    found = pilot(network, ROWS, samples=4, out=tmp_path / "run", **OPTIONS)
    (tmp_path / "labels.jsonl").write_text(
        "".join(f'{{"id": "{row["id"]}", "answer": {row["answer"]}}}\n' for row in ROWS)
    )
    labels = read_labels(tmp_path / "labels.jsonl", "answer")
    again = calibration_of(outcomes_of_run(tmp_path / "run", labels))
    assert found.accuracy == again.accuracy
    assert found.verifier == again.verifier


def test_any_other_network_runs_as_it_is_and_labels_may_be_left_out() -> None:
    found = pilot("5E@m >> V@lenient", ROWS, field=None, **OPTIONS)
    assert found.candidates == 300
    assert found.verifier is None
    assert found.accuracy.low < 0.3 + 0.7 / 9 < found.accuracy.high


def test_plain_data_with_a_verifier_in_its_place_is_piloted() -> None:
    network = {"best_of": {"source": "E@m", "k": 4, "verify": {"number": {"absolute": 0.5}}}}
    found = pilot(network, ROWS[:10], samples=4, models={"m": guess})
    assert found.candidates == 40
    assert found.verifier is not None
    assert found.verifier.accepted_wrong == found.verifier.rejected_right == 0


SHORT = """
from parkade.compound.values import Verdict

made = []


class Short:
    name = "short"

    def __init__(self):
        made.append(self)

    def version(self):
        return "1"

    async def verify(self, question, candidate):
        assert len(made) == 1, "one pilot makes its verifier once"
        return Verdict(is_accepted=len(candidate.text) < 3)
"""


def test_a_pilot_takes_the_options_of_ask_and_makes_a_model_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checks.py").write_text(SHORT)
    heard: list[str] = []
    found = pilot(
        "2B(E@m)@short",
        ROWS[:10],
        samples=4,
        models={"m": guess},
        verifiers={"short": {"make": "checks.py:Short"}},
        out="runs/pilot",
        budget=Budget(calls=40),
        width=2,
        on_result=lambda result: heard.append(result.id),
    )
    assert found.candidates == 40
    assert found.verifier is not None
    assert sorted(heard) == sorted(row["id"] for row in ROWS[:10])
    assert (tmp_path / "runs/pilot/results.jsonl").exists()
    with pytest.raises(TypeError, match="no option 'sample'; there are: samples, field, rule, mod"):
        pilot("2B(E@m)@lenient", ROWS, **{"sample": 4, **OPTIONS})


def test_what_cannot_be_piloted_is_told(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="use calibrate"):
        pilot(tmp_path / "net.yaml", ROWS)
    with pytest.raises(OutcomesUnreadable, match="no question has the field 'label'"):
        pilot("2B(E@m)@lenient", ROWS, field="label", **OPTIONS)
