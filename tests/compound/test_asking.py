"""`ask` gives what a run of the same network file would."""

import asyncio
import pydoc
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

from parkade.compound.answered import LEFT, AllFailed, Answers
from parkade.compound.asking import AskOptions, ask, ask_async, chosen_of, questions_of
from parkade.compound.models.local import LocalModel
from parkade.compound.models.protocol import Price
from parkade.compound.network import BestOf, Generate, NetworkError
from parkade.compound.run.affording import BudgetTooSmall
from parkade.compound.run.budget import Budget
from parkade.compound.run.progressing import RunStopped, VerifierBroken
from parkade.compound.values import Call, Candidate, Question


def numbered(call: Call) -> str:
    return f"{call.prompt}: {call.sample}"


def ends_with_two(question: Question, candidate: Candidate) -> bool:
    return candidate.text.endswith("2")


TWO = {"two": ends_with_two}


def test_a_text_is_a_network_and_a_question_and_a_function_a_model() -> None:
    answers = ask("3E@m", "hello", models={"m": numbered})
    assert isinstance(answers, Answers)
    assert answers.texts == ["hello: 0"]
    assert answers[0].candidates == ("hello: 0", "hello: 1", "hello: 2")
    assert answers.summary.calls == 3


def test_answers_come_in_the_order_of_the_questions_and_by_id() -> None:
    rows: list[Any] = ["a", {"id": "x", "question": "b"}, Question(id="y", prompt="c")]
    answers = ask(
        "5B(E@m)@two",
        rows,
        models={"m": LocalModel("mine", numbered)},
        verifiers={"two": ends_with_two},
    )
    assert answers.texts == ["a: 2", "b: 2", "c: 2"]
    assert [result.id for result in answers] == ["1", "x", "y"]
    assert answers["x"].accepted is True
    assert answers["x"].answer == "b: 2"


def test_verifiers_by_short_name_and_operators_as_values() -> None:
    network = BestOf(Generate("m"), k=9, verify="number")
    rows = [{"prompt": "what is it?", "answer": 7}]
    assert ask(network, rows, models={"m": numbered}).texts == ["what is it?: 7"]
    close = {"close": {"number": {"absolute": 1}}}
    answers = ask("9B(E@m)@close", rows, models={"m": numbered}, verifiers=close)
    assert answers.texts == ["what is it?: 6"]


def test_a_network_file_names_its_models(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def guess(call):\n    return call.prompt.upper()\n")
    file = tmp_path / "net.yaml"
    file.write_text('models: {m: {function: "m.py:guess"}}\nnetwork: "E@m"\n')
    assert ask(file, ["a"]).texts == ["A"]
    with pytest.raises(NetworkError, match="pass no names beside it"):
        ask(file, ["a"], models={"m": numbered})


def test_the_same_folder_goes_on_and_gives_all_answers(tmp_path: Path) -> None:
    asked: list[str] = []

    def noted(call: Call) -> str:
        asked.append(call.prompt)
        return numbered(call)

    models = {"m": noted}
    assert ask("E@m", ["a"], models=models, out=tmp_path / "run").texts == ["a: 0"]
    again = ask("E@m", ["a", "b"], models=models, out=tmp_path / "run")
    assert again.texts == ["a: 0", "b: 0"]
    assert asked == ["a", "b"]
    # Another network in the same folder has results of its own.
    other = ask(
        "2E@m >> V@two",
        ["a"],
        models=models,
        verifiers={"two": ends_with_two},
        out=tmp_path / "run",
    )
    assert other.texts == [None]


def test_a_folder_may_be_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ask("E@m", ["a"], models={"m": numbered}, out="runs/first").texts == ["a: 0"]
    assert (tmp_path / "runs/first/results.jsonl").exists()
    again = ask("E@m", ["a"], models={"m": numbered}, out=tmp_path / "runs/first")
    assert (again.texts, again.summary.skipped) == (["a: 0"], 1)


def test_names_left_out_may_be_none_and_each_option_is_told_by_help() -> None:
    answers = ask("E@m", "a", models={"m": numbered}, verifiers=None, out=None, budget=None)
    assert answers.texts == ["a: 0"]
    told = pydoc.render_doc(ask)
    assert [name for name in get_type_hints(AskOptions) if f"`{name}`" not in told] == []
    with pytest.raises(TypeError, match="no option 'wide'"):
        # mypy, which runs over this file and warns of a needless comment, refuses it as well.
        ask("E@m", "a", models={"m": numbered}, wide=3)  # type: ignore[call-arg]


def test_a_budget_says_which_questions_it_left() -> None:
    answers = ask("E@m", ["a", "b", "c"], models={"m": numbered}, budget=Budget(calls=2))
    assert answers.summary.is_budget_spent
    assert len(answers) == 3
    (left,) = answers.left
    # Each answer stands in the place of its question.
    told = [None if id == left else f"{row}: 0" for id, row in zip("123", "abc", strict=True)]
    assert answers.texts == told
    assert answers[left].notes == (LEFT,)
    assert "2 of 3 answered, 1 left by the budget" in repr(answers)
    assert f"{left}  {LEFT}" in repr(answers)
    with pytest.raises(NetworkError, match="budget: 'much' is not an amount"):
        ask("E@m", "a", models={"m": numbered}, budget="much")


def test_a_budget_of_not_even_one_call_raises_before_the_first() -> None:
    def never(call: Call) -> str:
        raise AssertionError("it was asked")

    model = LocalModel(
        "m", never, price=Price(input_micros_per_million=1_000_000, output_micros_per_million=0)
    )
    for budget in (Budget(calls=0), "0"):
        with pytest.raises(BudgetTooSmall, match="not even one call"):
            ask("E@m(m=5)", ["a", "b"], models={"m": model}, budget=budget)


def test_a_text_that_names_a_file_is_that_network_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.py").write_text("def guess(call):\n    return call.prompt.upper()\n")
    Path("net.yaml").write_text('models: {m: {function: "m.py:guess"}}\nnetwork: "E@m"\n')
    assert ask("net.yaml", ["a"]).texts == ["A"]
    assert ask(str(tmp_path / "net.yaml"), ["a"]).texts == ["A"]
    with pytest.raises(NetworkError, match=r"cannot read other\.yaml: No such file"):
        ask("other.yaml", ["a"])
    with pytest.raises(NetworkError, match=r"net\.yaml says itself what its names"):
        ask("net.yaml", ["a"], models={"m": numbered})
    Path("E@m").write_text('models: {m: {function: "m.py:guess"}}\nnetwork: "E@m"\n')
    with pytest.raises(NetworkError, match=r"'E@m' is a network .* pass Path\('E@m'\)"):
        ask("E@m", ["a"], models={"m": numbered})


def broken_for_b(call: Call) -> str:
    if call.prompt == "b":
        raise ZeroDivisionError("oops")
    return numbered(call)


def test_failures_of_some_questions_stand_in_their_results() -> None:
    answers = ask("E@m", ["a", "b"], models={"m": broken_for_b})
    assert [result.id for result in answers.failed] == ["2"]
    assert "oops" in answers[1].failures[0]
    assert answers[1].has_failed
    assert not answers[0].has_failed


def test_where_all_failed_it_raises_and_says_what_failed() -> None:
    with pytest.raises(AllFailed, match=r"answer: 1 × broken: .*oops") as raised:
        ask("E@m", "b", models={"m": broken_for_b})
    assert raised.value.answers[0].answer is None


def test_a_verifier_that_failed_on_every_candidate_raises() -> None:
    def check(question: Question, candidate: Candidate) -> bool:
        raise KeyError("no such field")

    with pytest.raises(VerifierBroken, match=r"on every candidate .*no such field"):
        ask("3B(E@m)@check", "a", models={"m": numbered}, verifiers={"check": check})


def test_answers_print_readably_and_as_a_table_in_a_notebook() -> None:
    answers = ask("3B(E@m)@two", ["<a>", "b"], models={"m": broken_for_b}, verifiers=TWO)
    *others, failed = repr(answers).splitlines()
    assert others == ["<Answers: 1 of 2 answered, 1 failed>", "  1  ✓ <a>: 2"]
    assert failed.startswith("  2  failed: broken: broken_for_b raised ZeroDivisionError: oops")
    shown = answers._repr_html_()
    assert "<td>✓ &lt;a&gt;: 2</td><td>3</td><td>0.00</td>" in shown
    assert repr(answers[0]) == "Result(id='1', answer='<a>: 2', accepted=True, calls=3, cost=0.00)"
    many = ask("E@m", [f"q{n}" for n in range(50)], models={"m": numbered})
    assert repr(many).endswith("… 30 more")
    assert "… 30 more" in many._repr_html_()


def test_a_server_that_is_not_reached_is_told_of_and_ends_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nowhere = {"url": "http://127.0.0.1:9/v1", "model": "x"}
    with pytest.raises(RunStopped, match="cannot connect"):
        ask("E@m", "a", models={"m": nowhere}, patience_s=0.1)
    assert "cannot connect to 127.0.0.1:9" in caplog.text


def test_it_runs_inside_a_loop_and_beside_it() -> None:
    async def in_a_notebook() -> tuple[list[str | None], list[str | None]]:
        beside = ask("E@m", "a", models={"m": numbered})
        inside = await ask_async("E@m", "a", models={"m": numbered})
        return beside.texts, inside.texts

    assert asyncio.run(in_a_notebook()) == (["a: 0"], ["a: 0"])


@pytest.mark.parametrize(
    ("network", "questions", "more", "error", "says"),
    [
        ("E@m", "a", {"wide": 3}, TypeError, "no option 'wide'; there are: models, verifiers, fun"),
        ("E@m", "a", {"wide": 3}, TypeError, "out, budget, width, patience_s, on_result$"),
        ("E@x", "a", {}, NetworkError, "there is no model 'x'"),
        ('E@m(prompt="{promt}")', "a", {}, NetworkError, "did you mean {prompt}"),
        ("2B(E@m)@number", "a", {}, NetworkError, "needs the field 'answer'"),
        ("E@m", ["a", 3], {}, TypeError, "question 2 is a prompt, a row or a Question, not 3"),
        ("E@m", [{"text": "a"}], {}, ValueError, "question 1: it needs a text under one of"),
        (
            "E@m",
            [{"id": 1, "prompt": "a"}, "b", {"id": 2, "prompt": "c"}],
            {},
            ValueError,
            "id '2'",
        ),
        ("E@m", "a", {"models": {"m": 3}}, NetworkError, "models.m: give a map"),
        ("E@m", "a", {"models": {"m": {"url": "x", "model": "y"}}}, NetworkError, "is no URL"),
    ],
)
def test_what_cannot_be_asked_is_told_before_a_call(
    network: Any, questions: Any, more: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        ask(network, questions, **{"models": {"m": numbered}, **more})


@pytest.mark.parametrize("wrong", [None, 42, {"text": "a"}])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_that_gives_no_text_fails_its_question_alone(
    wrong: object, is_async: bool
) -> None:
    def plain(call: Call) -> Any:
        return wrong if call.prompt == "bad" else "good"

    async def waited(call: Call) -> Any:
        return plain(call)

    answers = ask("2E@m >> M", ["bad", "fine"], models={"m": waited if is_async else plain})
    assert answers.texts == [None, "good"]
    assert f"gave {type(wrong).__name__} and not a text" in str(answers[0].failures)


@pytest.mark.parametrize("budget", [0.01, Decimal("0.01"), "0.01", 1])
def test_a_budget_is_the_amount_that_it_is_written_as(budget: Any) -> None:
    assert chosen_of({"budget": budget}).budget.micros == int(Decimal(str(budget)) * 1_000_000)


def test_a_file_of_questions_is_read_and_not_asked(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"id": "a", "prompt": "one"}\n{"id": "b", "prompt": "two"}\n')
    for given in (file, str(file)):
        assert [each.id for each in questions_of(given)] == ["a", "b"]
    (prompt,) = questions_of("what is in q.jsonl")
    assert prompt.prompt == "what is in q.jsonl"


def test_no_questions_at_all_is_a_clear_error() -> None:
    with pytest.raises(TypeError, match="questions are a prompt"):
        questions_of(None)


def test_a_function_with_a_price_is_a_model_that_a_budget_bounds() -> None:
    model = {"function": numbered, "price": {"input": 1, "output": 1}, "max_tokens": 8}
    answers = ask("E@m", ["a", "b"], models={"m": model}, budget="0.01")
    assert answers.texts == ["a: 0", "b: 0"]
    assert answers.summary.spent.micros > 0


def test_a_score_is_accepted_from_its_threshold_on() -> None:
    def score(question: Question, candidate: Candidate) -> float:
        return np.float64(int(candidate.text[-1]) / 10)

    verifiers = {"f": {"function": score, "threshold": 0.4}}
    (first,) = ask("9B(E@m)@f(parallel=1)", ["a"], models={"m": numbered}, verifiers=verifiers)
    assert (first.answer, first.score) == ("a: 4", 0.4)
    (best,) = ask("9B(E@m)@f(stop=all)", ["a"], models={"m": numbered}, verifiers=verifiers)
    assert (best.answer, best.score) == ("a: 8", 0.8)
    with pytest.raises((AllFailed, VerifierBroken), match=r"gave 0\.. \(float\).*threshold"):
        ask("2B(E@m)@f", ["a"], models={"m": numbered}, verifiers={"f": lambda q, c: 0.5})
    with pytest.raises(NetworkError, match=r"verifiers.f: no field 'treshold'"):
        ask(
            "E@m", ["a"], models={"m": numbered}, verifiers={"f": {**verifiers["f"], "treshold": 1}}
        )
