"""A budget that holds not even one call ends before anything is rented or asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.compound.models.local_server import ModelServer
from parkade.compound.network import Cascade, Function, Generate, Operator
from parkade.compound.run.affording import BudgetTooSmall
from parkade.compound.run.budget import Budget
from parkade.compound.run.running import Settings
from parkade.compound.values import Call, Question
from tests.compound.building import ask, names, priced, prompt, run_network


def never(call: Call) -> tuple[str, int, int]:
    raise AssertionError("it was asked")


def with_budget(budget: Budget, server: ModelServer | None = None) -> Settings:
    return Settings(budget=budget, server=server)


@pytest.mark.parametrize("budget", [Budget(micros=0), Budget(tokens=20), Budget(calls=0)])
@pytest.mark.parametrize("asked", [1, 5, 30])
def test_nothing_is_asked_and_no_server_started(tmp_path: Path, budget: Budget, asked: int) -> None:
    begun = tmp_path / "begun"
    server = ModelServer(command=["touch", str(begun)], ready="http://127.0.0.1:9/", timeout=1)
    questions = [ask(number) for number in range(asked)]
    network = Generate("m", max_tokens=10)
    with pytest.raises(BudgetTooSmall, match="not even one call: it may need"):
        run_network(
            network, questions, names({"m": priced(never)}), tmp_path, with_budget(budget, server)
        )
    assert not begun.exists()


def test_what_it_may_need_is_told_in_words(tmp_path: Path) -> None:
    known = names({"m": priced(never)})
    network = Generate("m", max_tokens=10)
    with pytest.raises(BudgetTooSmall, match="it may need 1 call, 0 are left"):
        run_network(network, [ask()], known, tmp_path, with_budget(Budget(calls=0)))
    with pytest.raises(BudgetTooSmall, match=r"it may need 0\.00\d+, 0\.000001 are left"):
        run_network(network, [ask()], known, tmp_path, with_budget(Budget(micros=1)))


def test_one_question_that_fits_is_enough_and_no_more_are_read(tmp_path: Path) -> None:
    read = []

    def questions() -> Iterator[Question]:
        for each in (Question(id="long", prompt="x" * 5_000), ask(1), ask(2)):
            read.append(each.id)
            yield each

    model = priced(lambda call: (prompt(call), 5, 1), concurrency=1)
    network = Generate("m", max_tokens=10)
    settings = with_budget(Budget(tokens=500))
    summary, results = run_network(network, questions(), names({"m": model}), tmp_path, settings)
    assert (list(results), summary.failed) == (["q1", "q2"], 1)
    assert read == ["long", "q1", "q2"]


def one(question: Question) -> str:
    return "1"


@pytest.mark.parametrize(
    "network",
    [Function(one), Cascade((Function(one), Generate("m", max_tokens=10)), accept=lambda *_: True)],
)
def test_a_network_that_may_need_no_call_runs_on_a_budget_of_nothing(
    tmp_path: Path, network: Operator
) -> None:
    known = names({"m": priced(never)})
    summary, _ = run_network(network, [ask()], known, tmp_path, with_budget(Budget(calls=0)))
    assert summary.answered == 1


def test_what_the_journal_knows_needs_no_budget(tmp_path: Path) -> None:
    known = names({"m": priced(lambda call: ("x", 5, 1))})
    run_network(Generate("m", max_tokens=10), [ask()], known, tmp_path)
    again = Generate("m", max_tokens=10, n=1) >> Function(lambda question, items: items)
    settings = with_budget(Budget(calls=1))
    summary, _ = run_network(again, [ask()], known, tmp_path, settings)
    assert (summary.answered, summary.cached) == (1, 1)


def test_a_part_of_a_body_without_a_bound_is_left_to_the_run(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    question = ask(messages=[{"role": "user", "content": [image]}])
    settings = with_budget(Budget(tokens=10))
    known = names({"m": priced(never)})
    summary, _ = run_network(Generate("m", max_tokens=10), [question], known, tmp_path, settings)
    assert "attachment_tokens" in summary.reasons[0].reason
