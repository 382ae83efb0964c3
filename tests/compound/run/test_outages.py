"""What is said of a model that does not answer, and when it ends the run."""

import pytest

from parkade.compound.models.protocol import Failure, FailureKind
from parkade.compound.run.outages import FEW_FAILED, Outages

DOWN = Failure(
    kind=FailureKind.UNAVAILABLE, message="cannot connect to a:1: refused", is_unreached=True
)
BUSY = Failure(kind=FailureKind.UNAVAILABLE, message="503: busy")
SECOND = 1_000_000


@pytest.mark.parametrize("has_answered", [False, True])
def test_a_model_that_answers_no_call_is_given_up_in_time_and_told_of_now_and_then(
    has_answered: bool,
) -> None:
    told: list[str] = []
    outages = Outages(60.0, told.append)
    if has_answered:
        outages.answered("m")
    ends = [outages.failed("m", DOWN, second * SECOND) for second in range(61)]
    assert ends[:60] == [None] * 60
    assert ends[60] is not None
    assert "cannot connect to a:1" in ends[60]
    assert len(told) == 6


def test_any_number_of_failures_in_a_short_time_ends_no_run() -> None:
    outages = Outages(60.0, lambda text: None)
    outages.answered("m")
    for _ in range(1_000):
        assert outages.failed("m", DOWN, SECOND) is None
        outages.ended("m", DOWN)
    outages.answered("m")
    assert outages.failed("m", DOWN, 999 * SECOND) is None


def test_without_patience_the_first_failure_ends_the_run() -> None:
    assert "a:1" in (Outages(0.0).failed("m", DOWN, SECOND) or "")


def test_a_few_requests_that_a_living_server_fails_end_no_run_and_many_do() -> None:
    outages = Outages(60.0)
    outages.answered("m")
    outages.failed("m", BUSY, 0)
    for _ in range(FEW_FAILED):
        assert outages.failed("m", BUSY, 99 * SECOND) is None
        outages.ended("m", BUSY)
    assert "503" in (outages.failed("m", BUSY, 99 * SECOND) or "")


def test_calls_wait_longer_the_longer_a_server_is_silent() -> None:
    outages = Outages(60.0)
    assert outages.pause_us("m", 0) == 0
    outages.failed("m", DOWN, 0)
    waits = [outages.pause_us("m", second * SECOND) for second in (0, 2, 10, 60)]
    assert waits == [250_000, 500_000, 2_500_000, 5_000_000]
    outages.answered("m")
    assert outages.pause_us("m", 60 * SECOND) == 0


def test_a_model_that_never_answers_in_time_is_told_of_and_given_up() -> None:
    """A hung server: each call takes the whole time-out, which is 10 minutes by default."""
    told: list[str] = []
    outages = Outages(60.0, told.append)
    late = Failure(kind=FailureKind.TIMEOUT, message="no answer in 600 s")
    assert outages.failed("m", late, 600 * SECOND) is None
    assert told == [
        "model 'm': no answer in 600 s; retrying, gives up after 60 s without an answer"
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


def test_a_wait_that_a_server_asks_for_is_told_and_kept_up_to_ten_patiences() -> None:
    told: list[str] = []
    outages = Outages(60.0, told.append)
    outages.answered("m")
    for seconds in (1, 45, 600):
        slow = Failure(
            kind=FailureKind.RATE_LIMITED, message="429: slow", retry_after_us=seconds * SECOND
        )
        assert outages.failed("m", slow, seconds * 100 * SECOND) is None
    assert told == [
        "model 'm': 429: slow; it asks to be left alone for 45 s; waiting",
        "model 'm': 429: slow; it asks to be left alone for 600 s; waiting",
    ]
    slow = Failure(kind=FailureKind.RATE_LIMITED, message="429: x", retry_after_us=3_601 * SECOND)
    why = outages.failed("m", slow, 10**6 * SECOND)
    assert why is not None
    assert "3,601 s (429: x)" in why and "600 s at most" in why and "--patience 361" in why
    assert Outages(361.0).failed("m", slow, 0) is None


def test_without_patience_a_wait_of_a_minute_is_kept() -> None:
    for seconds, ends in ((60, False), (61, True)):
        slow = Failure(
            kind=FailureKind.RATE_LIMITED, message="429", retry_after_us=seconds * SECOND
        )
        assert (Outages(0.0).failed("m", slow, 0) is not None) is ends
