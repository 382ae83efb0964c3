"""A tight budget answers whole questions in their order."""

import asyncio
from pathlib import Path

import pytest

from parkade.compound.models.local import LocalModel
from parkade.compound.network import BestOf, Generate
from parkade.compound.run.budget import Budget
from parkade.compound.run.running import Settings
from parkade.compound.values import Call, Candidate, Question
from tests.compound.building import PRICE, ask, names, run_network


def third(question: Question, candidate: Candidate) -> bool:
    return candidate.text == "2"


class Counting:
    """A model that notes how many questions it answers at once."""

    def __init__(self) -> None:
        self.open = 0
        self.most = 0

    async def __call__(self, call: Call) -> str:
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        return str(call.sample)


NETWORK = BestOf(Generate("m", max_tokens=5), k=10, verify=third, parallel=1)


@pytest.mark.parametrize("calls", [7, 20, 31, 60])
def test_what_it_pays_for_is_whole_questions(tmp_path: Path, calls: int) -> None:
    """Three calls a question: at most one question is begun in vain."""
    known = names({"m": LocalModel("m", Counting(), price=PRICE)})
    settings = Settings(budget=Budget(calls=calls), counts_not_begun=True)
    questions = [ask(number) for number in range(100)]
    summary, results = run_network(NETWORK, questions, known, tmp_path, settings)
    assert summary.is_budget_spent
    assert list(results) == [f"q{number}" for number in range(calls // 3)]
    assert summary.cut_short <= 1
    assert summary.answered + summary.cut_short + summary.not_begun == 100


def test_a_budget_that_is_large_beside_a_question_makes_none_wait(tmp_path: Path) -> None:
    for folder, budget in (("a", Budget()), ("b", Budget(calls=5_000))):
        model = Counting()
        known = names({"m": LocalModel("m", model, price=PRICE)})
        questions = [ask(number) for number in range(100)]
        settings = Settings(budget=budget)
        summary, _ = run_network(NETWORK, questions, known, tmp_path / folder, settings)
        assert summary.answered == 100
        assert model.most > 20


def test_what_questions_took_says_how_many_fit_at_once(tmp_path: Path) -> None:
    """Ten calls at worst and three in truth: 40 calls hold four at worst, and ten in truth."""
    model = Counting()
    known = names({"m": LocalModel("m", model, price=PRICE)})
    settings = Settings(budget=Budget(calls=3 * 8 + 40))
    questions = [ask(number) for number in range(12)]
    summary, _ = run_network(NETWORK, questions, known, tmp_path, settings)
    assert summary.answered == 12
    assert 1 < model.most <= 10
