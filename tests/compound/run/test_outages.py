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


@pytest.mark.parametrize("kind", [FailureKind.RATE_LIMITED, FailureKind.REFUSED])
def test_what_is_no_outage_is_not_told(kind: FailureKind) -> None:
    told: list[str] = []
    outages = Outages(0.0, told.append)
    assert outages.failed("m", Failure(kind=kind, message="x"), 0) is None
    assert not told
