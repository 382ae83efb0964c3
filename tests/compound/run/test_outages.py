"""What is said of a model that does not answer, and when it ends the run."""

import pytest

from parkade.compound.models.protocol import Failure, FailureKind
from parkade.compound.run.outages import MAX_FAILED_IN_A_ROW, Outages

DOWN = Failure(kind=FailureKind.UNAVAILABLE, message="cannot connect to a:1: refused")
SECOND = 1_000_000


def test_a_model_that_never_answered_is_given_up_in_time_and_told_of_now_and_then() -> None:
    told: list[str] = []
    outages = Outages(60.0, told.append)
    ends = [outages.failed("m", DOWN, second * SECOND) for second in range(61)]
    assert ends[:60] == [None] * 60
    assert ends[60] is not None
    assert "cannot connect to a:1" in ends[60]
    assert len(told) == 6


def test_a_model_that_answered_once_is_given_up_by_failures_in_a_row_only() -> None:
    outages = Outages(60.0, lambda text: None)
    outages.answered("m")
    assert outages.failed("m", DOWN, 0) is None
    assert outages.failed("m", DOWN, 999 * SECOND) is None
    ends = [outages.ended("m", DOWN) for _ in range(MAX_FAILED_IN_A_ROW)]
    assert ends[:-1] == [None] * (MAX_FAILED_IN_A_ROW - 1)
    assert ends[-1] is not None


def test_a_model_that_never_answers_in_time_is_told_of_and_given_up() -> None:
    """A hung server: each call takes the whole time-out, which is 10 minutes by default."""
    told: list[str] = []
    outages = Outages(60.0, told.append)
    late = Failure(kind=FailureKind.TIMEOUT, message="no answer in 600 s")
    assert outages.failed("m", late, 600 * SECOND) is None
    assert told == [
        "model 'm': no answer in 600 s; retrying, gives up 60 s after the first failure"
    ]
    assert "no answer in 600 s" in (outages.failed("m", late, 1_200 * SECOND) or "")


def test_a_model_that_only_says_wait_is_told_of_and_not_given_up() -> None:
    told: list[str] = []
    outages = Outages(60.0, told.append)
    slow = Failure(kind=FailureKind.RATE_LIMITED, message="429: too many")
    assert [outages.failed("m", slow, n * SECOND) for n in range(100)] == [None] * 100
    assert len(told) == 10
    assert told[0] == "model 'm': 429: too many; waiting"
    outages.answered("m")
    assert outages.failed("m", slow, 200 * SECOND) is None
    assert len(told) == 10


@pytest.mark.parametrize("kind", [FailureKind.REFUSED, FailureKind.BUDGET])
def test_what_is_no_outage_is_not_told(kind: FailureKind) -> None:
    told: list[str] = []
    outages = Outages(0.0, told.append)
    assert outages.failed("m", Failure(kind=kind, message="x"), 0) is None
    assert not told
