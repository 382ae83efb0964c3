"""One system against another on the same questions: the gain in accuracy, group by group.

Both are asked the same questions, so their answers are compared question by question: the interval
is of the mean difference, which is far narrower than the two accuracies' intervals suggest. Groups
are subjects, difficulties, whatever the caller names; with many groups some intervals exclude 0 by
chance, and the report says of how many that is expected.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from parkade.compound.evaluate.measures import Measure
from parkade.compound.evaluate.outcomes import Outcome, tally
from parkade.compound.theory.domain import DomainError
from parkade.compound.theory.intervals import LEVEL, bootstrap_mean

ALL = "all"


class Gain(NamedTuple):
    """A group of questions: accuracy of both systems, and the mean difference."""

    group: str
    questions: int
    before: float
    after: float
    # In shares, from −1 to 1; a group of one question has an interval without width.
    gain: Measure


class Gains(NamedTuple):
    """All groups in order of their names, after the whole."""

    rows: tuple[Gain, ...]
    # Groups whose interval excludes 0, and how many would if nothing had changed.
    distinct: int
    distinct_by_chance: float


def gains(before: Iterable[Outcome], after: Iterable[Outcome], groups: Mapping[str, str]) -> Gains:
    """Compare labelled outcomes of two systems; `groups` names each question's group.

    A question's accuracy is the share of its candidates that are right. Raises DomainError where
    the two do not hold the same labelled questions, or a question has no group.
    """
    one, other = _accuracies(before), _accuracies(after)
    if one.keys() != other.keys():
        odd = sorted(one.keys() ^ other.keys())
        raise DomainError(
            f"{len(odd)} questions were labelled for one system only, such as {odd[0]!r}"
        )
    if not one:
        raise DomainError("no candidate has a label: is_correct must be true or false")
    members: dict[str, list[str]] = defaultdict(list)
    for question in one:
        if question not in groups:
            raise DomainError(f"question {question!r} has no group")
        members[groups[question]].append(question)
    rows = [_gain(name, members[name], one, other) for name in sorted(members)]
    distinct = sum(1 for row in rows if row.gain.low > 0 or row.gain.high < 0)
    everything = _gain(ALL, list(one), one, other)
    return Gains((everything, *rows), distinct, (1 - LEVEL) * len(rows))


def _accuracies(outcomes: Iterable[Outcome]) -> dict[str, float]:
    return {each.question: each.right / each.samples for each in tally(outcomes) if each.samples}


def _gain(
    name: str, questions: list[str], one: Mapping[str, float], other: Mapping[str, float]
) -> Gain:
    differences = [other[question] - one[question] for question in questions]
    low, high = bootstrap_mean(differences)
    value = sum(differences) / len(differences)
    return Gain(
        group=name,
        questions=len(questions),
        before=sum(one[question] for question in questions) / len(questions),
        after=sum(other[question] for question in questions) / len(questions),
        gain=Measure(value=value, low=min(low, value), high=max(high, value)),
    )
