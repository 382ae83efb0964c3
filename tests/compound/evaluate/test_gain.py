import random

import pytest

from parkade.compound.evaluate.gain import gains
from parkade.compound.evaluate.outcomes import CandidateOutcome
from parkade.compound.theory.domain import DomainError


def answered(rights: dict[str, bool]) -> list[CandidateOutcome]:
    return [CandidateOutcome(question=q, is_correct=right) for q, right in rights.items()]


def test_a_gain_is_found_in_the_group_that_has_it() -> None:
    chance = random.Random(1)
    groups = {f"q{i}": "logic" if i % 2 else "geography" for i in range(400)}
    before = {question: chance.random() < 0.5 for question in groups}
    after = {
        question: right or (groups[question] == "logic" and chance.random() < 0.3)
        for question, right in before.items()
    }
    found = gains(answered(before), answered(after), groups)
    everything, geography, logic = found.rows
    assert (everything.group, everything.questions) == ("all", 400)
    assert geography.gain.value == geography.gain.low == geography.gain.high == 0
    assert logic.gain.low > 0.05
    assert everything.gain.value == pytest.approx(logic.gain.value / 2)
    assert logic.after - logic.before == pytest.approx(logic.gain.value)
    assert found.distinct == 1
    assert found.distinct_by_chance == pytest.approx(0.1)


@pytest.mark.slow
def test_intervals_of_gains_cover_the_truth_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(30):
        chance = random.Random(seed)
        before = {f"q{i}": chance.random() < 0.5 for i in range(120)}
        after = {q: right if chance.random() < 0.8 else True for q, right in before.items()}
        (row, _) = gains(answered(before), answered(after), dict.fromkeys(before, "one")).rows
        covered += row.gain.low <= 0.1 <= row.gain.high
    assert covered >= 26


def test_systems_that_were_asked_other_questions_are_not_compared() -> None:
    one, other = answered({"a": True, "b": True}), answered({"a": True})
    with pytest.raises(DomainError, match=r"1 questions were labelled for one system only.*'b'"):
        gains(one, other, {"a": "x", "b": "x"})
    with pytest.raises(DomainError, match="'a' has no group"):
        gains(other, other, {})
    with pytest.raises(DomainError, match="no candidate has a label"):
        gains([], [], {})
