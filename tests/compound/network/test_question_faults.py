"""What is wrong with a question is known before a call is paid for, wherever in the file it is."""

from typing import Any

import pytest

from parkade.compound.network import Generate, Judge, NetworkError, Route
from parkade.compound.network.binding import bind
from parkade.compound.network.operators import BestOf, Operator
from parkade.compound.network.question_faults import check_questions
from parkade.compound.values import Question
from parkade.compound.verify import exact
from parkade.compound.verify.python_tests import PythonTests, human_eval, mbpp
from parkade.compound.verify.sandbox.pool import Sandbox
from tests.compound.building import answers, ask, names

FIT = {"answer": 1, "city": "Paris"}


def checked(network: Operator, last: dict[str, Any], *, count: int = 300, fit: Any = FIT) -> int:
    """So many questions, the last of them another."""
    known = names({"m": answers("x"), "j": answers("y")})
    questions = [ask(n, **fit) for n in range(count - 1)] + [ask(count, **last)]
    return check_questions(bind(network, known), iter(questions))


def with_number(field: str = "answer") -> BestOf:
    return BestOf(Generate("m"), 2, exact.exact_number(field=field))


def test_all_are_counted_where_nothing_is_wrong() -> None:
    assert checked(with_number(), FIT) == 300
    assert check_questions(bind(Generate("m"), names({"m": answers("x")})), []) == 0


def test_a_field_that_one_question_lacks_is_told_with_its_id() -> None:
    with pytest.raises(
        NetworkError,
        match=r"^best of 2: .* the verifier needs the field 'answer', which is missing in 1 of 300 "
        r"questions \('q300'\): correct them, or leave them out; nothing was asked$",
    ):
        checked(with_number(), {"city": "Rome"})


def test_a_name_of_a_later_template_is_told_too() -> None:
    network = Generate("m", n=2) >> Judge("j", prompt="{candidates} for {city}")
    with pytest.raises(
        NetworkError, match=r"^judge: j: the prompt uses \{city\}, which is missing"
    ):
        checked(network, {"answer": 1})


def test_the_first_ids_are_shown_and_other_kinds_counted() -> None:
    known = names({"m": answers("x")})
    questions = [ask(n, answer="none") for n in range(5)] + [ask(9)]
    with pytest.raises(
        NetworkError, match=r"holds no number in 5 of 6 questions \('q0', 'q1', 'q2', …\).*; 1 more"
    ):
        check_questions(bind(with_number(), known), questions)


def test_behind_a_route_the_run_decides() -> None:
    ways = {"number": with_number(), "text": Generate("m")}

    def way(question: Question) -> str:
        return "number" if "answer" in question.fields else "text"

    assert checked(Route(way, ways), {"city": "Rome"}) == 300


@pytest.mark.parametrize(
    ("verifier", "fields", "says"),
    [
        (exact.exact_number(), {"answer": "many"}, "the field 'answer' holds no number"),
        (exact.multiple_choice(), {"answer": 4}, "is none of ABCD, nor an index from 0"),
        (exact.multiple_choice(), {"answer": "E"}, "is none of ABCD"),
        (exact.exact_json(), {"answer": "{a: 1"}, "is a text and no JSON"),
        (exact.pattern(), {"pattern": "(a"}, "is no regular expression"),
    ],
)
def test_a_reference_that_is_none_is_told(verifier: Any, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(NetworkError, match=says):
        checked(BestOf(Generate("m"), 2, verifier), fields, count=1)


@pytest.mark.parametrize(
    ("verifier", "answer"),
    [
        (exact.exact_number(), "so it is\n#### 7"),
        (exact.exact_number(), "1,024"),
        (exact.multiple_choice(), "b"),
        (exact.multiple_choice(), 3),
        (exact.exact_json(), {"a": [1]}),
        (exact.exact_json(), "[1]"),
        (exact.exact_text(), ["one", "two"]),
    ],
)
def test_usual_references_are_taken(verifier: Any, answer: Any) -> None:
    assert checked(BestOf(Generate("m"), 2, verifier), {"answer": answer}, count=1) == 1


@pytest.mark.parametrize(
    ("contract", "fields", "says"),
    [
        (human_eval, {"test": "def check(f): pass"}, "needs the field 'entry_point'"),
        (human_eval, {"test": "def check(f): pass", "entry_point": 3}, "'entry_point' is no text"),
        (human_eval, {"test": "assert f(1)", "entry_point": "f"}, "'test' defines no `check`"),
        (mbpp, {"test_list": "assert f(1)"}, "'test_list' is no list of texts"),
        (mbpp, {"test_list": [1]}, "'test_list' is no list of texts"),
    ],
)
def test_unit_tests_that_cannot_be_run_are_told_before_a_call(
    contract: Any, fields: dict[str, Any], says: str
) -> None:
    verifier = PythonTests(Sandbox(), contract)
    with pytest.raises(NetworkError, match=says):
        checked(BestOf(Generate("m"), 2, verifier), fields, count=1)


def test_unit_tests_that_can_be_run_are_taken() -> None:
    fields = {"entry_point": "f", "test": "def check(candidate):\n    assert candidate(1)\n"}
    verifier = PythonTests(Sandbox(), human_eval)
    assert checked(BestOf(Generate("m"), 2, verifier), fields, count=1) == 1
