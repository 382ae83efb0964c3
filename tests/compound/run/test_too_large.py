"""A question too large for what is left of a budget fails alone."""

from pathlib import Path

import pytest

from parkade.compound.network import Generate
from parkade.compound.run.budget import Budget
from parkade.compound.run.running import Settings
from parkade.compound.values import Question
from tests.compound.building import ask, names, priced, prompt, run_network

LIMIT = Settings(budget=Budget(tokens=100_000), counts_not_begun=True)


@pytest.mark.parametrize("place", [0, 4, 19])
def test_one_question_too_large_for_the_budget_fails_alone(tmp_path: Path, place: int) -> None:
    known = names({"m": priced(lambda call: ("x", 10, 1), concurrency=4)})
    questions = [ask(number) for number in range(20)]
    questions[place] = Question(id="long", prompt="x" * 200_000)
    network = Generate("m", max_tokens=10)
    summary, results = run_network(network, questions, known, tmp_path, LIMIT)
    assert (summary.answered, summary.failed, summary.not_begun) == (19, 1, 0)
    assert not summary.is_budget_spent
    (reason,) = summary.reasons
    assert "it may need 200," in reason.reason
    assert "are left" in reason.reason
    assert "long" not in results
    summary, _ = run_network(network, questions, known, tmp_path, LIMIT)
    assert (summary.answered, summary.skipped, summary.failed) == (0, 19, 1)


def test_a_budget_that_holds_no_more_questions_is_spent_after_several(tmp_path: Path) -> None:
    known = names({"m": priced(lambda call: ("x", 10, 1), concurrency=4)})
    long = (Question(id=f"{n}", prompt="x" * 200_000 + str(n)) for n in range(100))
    questions = (ask(), *long)
    summary, _ = run_network(Generate("m", max_tokens=10), questions, known, tmp_path, LIMIT)
    assert summary.is_budget_spent
    assert summary.answered == 1
    assert summary.not_begun >= 50


def test_a_question_that_grew_too_large_has_no_result_and_more_budget_goes_on(
    tmp_path: Path,
) -> None:
    """Two of its samples fit, and other questions still fit when the third does not."""
    model = priced(lambda call: ("x", len(prompt(call)), 1), concurrency=1)
    questions = [ask(1), Question(id="long", prompt="x" * 400)]
    network = Generate("m", n=3, max_tokens=10)
    for limit, answered in ((1_250, ["q1"]), (10_000, ["long"])):
        settings = Settings(budget=Budget(tokens=limit))
        summary, results = run_network(network, questions, names({"m": model}), tmp_path, settings)
        assert list(results) == answered
        assert (summary.failed, summary.calls) == ((1, 5) if limit == 1_250 else (0, 1))
