import gzip
import itertools
import json

import pytest

from parkade.compound.values import MAX_REASON, Verifier
from parkade.compound.verify.exact import (
    Exact,
    NoReference,
    exact_json,
    exact_number,
    exact_text,
    multiple_choice,
    pattern,
)
from parkade.compound.verify.extract import boxed, whole
from tests.compound.verify.asking import question, verdict
from tests.shared_data import shared_data


@pytest.mark.parametrize(
    ("verifier", "reference", "text", "is_accepted"),
    [
        (exact_number(), "42", "so it is 42.", True),
        (exact_number(), 42, "so it is 43", False),
        (exact_number(), "They have 3*4=<<3*4=12>>12\n#### 12", "12 apples", True),
        (exact_number(), "1", "none", False),
        (exact_number(relative=0.01), "3.14159", "about 3.14", True),
        (exact_number(find=boxed), "1/2", "3 so \\boxed{\\frac{1}{2}}", True),
        (exact_text(), "Paris", " paris. ", True),
        (exact_text(), ["Paris", "Lutetia"], "lutetia", True),
        (exact_text(), "Paris", "London", False),
        (multiple_choice(), "B", "The answer is B", True),
        (multiple_choice(), 2, "(C)", True),
        (multiple_choice(), 2, "(B)", False),
        (multiple_choice(letters="ABCDEF"), "F", "answer: F", True),
        (exact_json(), {"a": 1}, 'it is {"a": 1.0}', True),
        (exact_json(), '{"a": 1}', '{"a": 2}', False),
    ],
)
def test_an_answer_is_accepted_if_it_equals_the_reference(
    verifier: Exact, reference: object, text: str, is_accepted: bool
) -> None:
    found = verdict(verifier, question(answer=reference), text)
    assert found.is_accepted is is_accepted
    assert bool(found.reason) is not is_accepted


def test_a_pattern_of_the_question_must_be_found() -> None:
    asked = question(pattern="^a+$")
    assert verdict(pattern(), asked, "aaa").is_accepted
    assert not verdict(pattern(), asked, "aab").is_accepted


def test_a_question_without_a_reference_is_an_error_that_names_it() -> None:
    with pytest.raises(NoReference, match="question 'q1' has no field 'answer'"):
        verdict(exact_number(), question(), "42")


def test_a_reason_is_bounded_however_long_the_answer() -> None:
    found = verdict(exact_text(), question(answer="y" * 10_000), "x" * 10_000)
    assert 0 < len(found.reason) <= MAX_REASON


def test_versions_differ_where_verdicts_may() -> None:
    made = [
        exact_number(), exact_number(relative=0.1), exact_number(absolute=0.1),
        exact_number(find=boxed), exact_number(field="target"), exact_text(),
        exact_text(find=boxed), multiple_choice(), multiple_choice(letters="AB"), exact_json(),
        pattern(), pattern(find=whole),
    ]  # fmt: skip
    keys = [(one.name, one.version()) for one in made]
    assert len(set(keys)) == len(keys) - 1  # the last two are the same verifier
    assert (exact_number().name, exact_number().version()) in keys


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance"):
        exact_number(relative=tolerance)
    with pytest.raises(ValueError, match="tolerance"):
        exact_number(absolute=tolerance)


def test_every_exact_verifier_is_a_verifier() -> None:
    made: list[Verifier] = [exact_number(), exact_text(), multiple_choice(), exact_json()]
    assert {one.name for one in made} == {"number", "text", "choice", "json"}


def test_recorded_answers_of_gsm8k_are_judged_as_their_authors_did() -> None:
    rows = shared_data("eval/gsm8k_model_solutions.jsonl.gz")
    verifier = exact_number()
    systems = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    differ = total = 0
    with gzip.open(rows, "rt", encoding="utf-8") as lines:
        for line in itertools.islice(lines, 0, None, 4):
            row = json.loads(line)
            asked = question(answer=row["ground_truth"])
            for system in systems:
                judged = verifier.judge(asked, row[system]["solution"])
                differ += judged.is_accepted is not row[system]["is_correct"]
                total += 1
    assert total > 1_300
    assert differ / total < 0.005
