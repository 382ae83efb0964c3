"""The story of an incident in words."""

from datetime import UTC, datetime, timedelta

import pytest

from parkade.mars.story import sentences, since


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "+0.0 s"),
        (599.94, "+599.9 s"),
        (600.0, "+10m00s"),
        (2790.3, "+46m30s"),
        (3599.7, "+1h00m"),
        (90_061.0, "+25h01m"),
        (-3.0, "-3.0 s"),
    ],
)
def test_times_are_as_exact_as_matters_and_fit_their_column(seconds: float, words: str) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    assert since(began, began + timedelta(seconds=seconds)) == words
    assert len(words) <= 9


def test_reasons_are_sentences_whether_or_not_they_end_as_one() -> None:
    assert sentences(("A fault.", "2 jobs within 24 h", "")) == "A fault. 2 jobs within 24 h."
