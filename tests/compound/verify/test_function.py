import asyncio
import threading

import pytest

from parkade.compound.values import Candidate, Question, Verdict
from parkade.compound.verify.function import FunctionVerifier
from tests.compound.verify.asking import question, verdict


def is_long(asked: Question, given: Candidate) -> bool:
    return len(given.text) > 3


async def is_long_slowly(asked: Question, given: Candidate) -> Verdict:
    await asyncio.sleep(0)
    return Verdict(is_accepted=len(given.text) > 3, score=0.5, reason="by length")


def length(asked: Question, given: Candidate) -> float:
    return float(given.text or "nan") if given.text != "4" else 4


def test_a_function_says_yes_or_no() -> None:
    assert verdict(FunctionVerifier(is_long), question(), "abcd").is_accepted
    assert not verdict(FunctionVerifier(is_long), question(), "abc").is_accepted


def test_an_asynchronous_function_may_give_a_whole_verdict() -> None:
    found = verdict(FunctionVerifier(is_long_slowly), question(), "abcd")
    assert found == Verdict(is_accepted=True, score=0.5, reason="by length")


@pytest.mark.parametrize(
    ("text", "is_accepted", "score"),
    [("0.7", True, 0.7), ("0.5", True, 0.5), ("0.4", False, 0.4), ("4", True, 4.0)],
)
def test_a_score_is_accepted_from_the_threshold_on(
    text: str, is_accepted: bool, score: float
) -> None:
    found = verdict(FunctionVerifier(length, threshold=0.5), question(), text)
    assert found == Verdict(is_accepted=is_accepted, score=score)


def test_a_score_that_is_not_a_number_is_rejected() -> None:
    found = verdict(FunctionVerifier(length, threshold=0.5), question(), "")
    assert not found.is_accepted and found.score is None


def test_a_score_without_a_threshold_is_an_error() -> None:
    with pytest.raises(TypeError, match="threshold"):
        verdict(FunctionVerifier(length), question(), "0.7")


def test_a_slow_function_may_run_beside_the_event_loop() -> None:
    threads = set()

    def note(asked: Question, given: Candidate) -> bool:
        threads.add(threading.current_thread())
        return True

    assert verdict(FunctionVerifier(note, in_thread=True), question(), "").is_accepted
    assert threading.main_thread() not in threads and len(threads) == 1


def test_what_the_function_raises_is_raised() -> None:
    def broken(asked: Question, given: Candidate) -> bool:
        raise LookupError("no model")

    with pytest.raises(LookupError, match="no model"):
        verdict(FunctionVerifier(broken), question(), "")


def test_the_version_follows_source_threshold_and_what_is_given() -> None:
    versions = {
        FunctionVerifier(is_long).version(),
        FunctionVerifier(length, threshold=0.5).version(),
        FunctionVerifier(length, threshold=0.6).version(),
        FunctionVerifier(length, version="2", threshold=0.5).version(),
    }
    assert len(versions) == 4
    assert FunctionVerifier(is_long).version() in versions


def test_a_function_without_source_needs_a_version() -> None:
    judge = eval("lambda asked, given: True")
    with pytest.raises(ValueError, match="give a version"):
        FunctionVerifier(judge)
    assert verdict(FunctionVerifier(judge, version="1"), question(), "").is_accepted
