"""Reasons are told apart, counted and bounded."""

from parkade.compound.run.reasons import MOST_CHARACTERS, MOST_EXAMPLES, MOST_REASONS, Reasons


def test_equal_reasons_are_counted_with_the_first_questions() -> None:
    reasons = Reasons()
    for number in range(10):
        reasons.add("broken: KeyError", f"q{number}")
    (one,) = reasons.all()
    assert one.count == 10
    assert one.questions == ("q0", "q1", "q2")
    assert len(one.questions) == MOST_EXAMPLES


def test_reasons_are_bounded_in_number_and_length() -> None:
    reasons = Reasons()
    for number in range(100):
        reasons.add(f"{number} " + "x" * 1_000, f"q{number}")
    assert len(reasons.all()) == MOST_REASONS
    assert reasons.others == 100 - MOST_REASONS
    assert all(len(each.reason) == MOST_CHARACTERS for each in reasons.all())
