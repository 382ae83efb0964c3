"""Several systems, each with a price: whom to ask first, when to believe it, when to ask on.

A `Policy` asks systems in an order and stops by a rule: after the first, when two or more agree, or
when a verifier accepts. `measure` plays it on recorded answers. `frontier` keeps the policies that
no other beats at its cost, and `best_mix` splits questions between two of them so that exactly the
budget is spent: any point on the line between two policies is reached by sending a share of the
questions, drawn by chance, to each. Choose on one half of the questions and measure on the other;
the best of many policies always looks better than it is on the questions that chose it.

Worked example: a small system costs 1 and is right on 20 %, a large one costs 10 and is right on
40 %. With a budget of 5.5 a question, half of the questions go to each: 30 %.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from parkade.compound.theory.domain import DomainError, not_negative, probability

MOST_SYSTEMS = 6


class RecordedAnswer(NamedTuple):
    """A system's recorded answer to a question, in normal form; "" never agrees with anything."""

    text: str
    is_right: bool


class Rule(StrEnum):
    """When a cascade stops asking; the answer is then what stopped it."""

    # Two equal answers; with none, the last system's answer.
    AGREEMENT = "two agree"
    # A right answer, as an exact verifier knows; with none, the last system's answer.
    VERIFIED = "verified"
    # All are asked; the most frequent answer, the last asked first among equals.
    VOTE = "vote"


class Policy(NamedTuple):
    """Systems in the order asked. With one system the rule does not matter."""

    order: tuple[str, ...]
    rule: Rule

    def name(self) -> str:
        """As people read it."""
        arrow = " + " if self.rule is Rule.VOTE else " → "
        words = f" ({self.rule})" if len(self.order) > 1 else ""
        return arrow.join(self.order) + words


class CurvePoint(NamedTuple):
    """What a policy costs a question and how often it is right."""

    policy: Policy
    cost: float
    accuracy: float


class PolicyMix(NamedTuple):
    """A share of the questions, drawn by chance, goes to `dear`, the rest to `cheap`."""

    cheap: Policy
    dear: Policy
    dear_share: float
    cost: float
    accuracy: float


Recorded = Sequence[Mapping[str, RecordedAnswer]]


def policies(systems: Sequence[str], rules: Iterable[Rule]) -> tuple[Policy, ...]:
    """Every order of every subset under every rule; at most 6 systems (1,956 orders)."""
    if not 1 <= len(systems) <= MOST_SYSTEMS:
        raise DomainError(f"need 1 to {MOST_SYSTEMS} systems, got {len(systems)}")
    found = [Policy((system,), Rule.VERIFIED) for system in systems]
    for rule in rules:
        for size in range(2, len(systems) + 1):
            if rule is Rule.AGREEMENT and size == 2:
                # Two that disagree leave the second's answer: then ask only the second.
                continue
            found += [Policy(order, rule) for order in itertools.permutations(systems, size)]
    return tuple(found)


def answer(policy: Policy, answers: Mapping[str, RecordedAnswer]) -> tuple[RecordedAnswer, int]:
    """The policy's answer to one question, and how many systems it asked."""
    asked: list[RecordedAnswer] = []
    for system in policy.order:
        latest = answers[system]
        if policy.rule is Rule.VERIFIED and latest.is_right:
            return latest, len(asked) + 1
        agrees = latest.text and any(each.text == latest.text for each in asked)
        asked.append(latest)
        if policy.rule is Rule.AGREEMENT and agrees:
            return latest, len(asked)
    return (_vote(asked) if policy.rule is Rule.VOTE else asked[-1]), len(asked)


def _vote(asked: Sequence[RecordedAnswer]) -> RecordedAnswer:
    texts = [each.text for each in asked]
    places = range(len(asked))
    return asked[max(places, key=lambda i: (texts.count(texts[i]) if texts[i] else 0, i))]


def measure(policy: Policy, recorded: Recorded, costs: Mapping[str, float]) -> CurvePoint:
    """Mean cost and accuracy over recorded questions."""
    if not recorded:
        raise DomainError("recorded must not be empty")
    steps = list(itertools.accumulate(not_negative("cost", costs[s]) for s in policy.order))
    cost, right = 0.0, 0
    for answers in recorded:
        found, asked = answer(policy, answers)
        cost += steps[asked - 1]
        right += found.is_right
    return CurvePoint(policy, cost / len(recorded), right / len(recorded))


def frontier(points: Iterable[CurvePoint]) -> tuple[CurvePoint, ...]:
    """The upper hull: points that no other point, nor any mix of two others, beats; by cost."""
    ordered = sorted(points, key=lambda point: (point.cost, -point.accuracy))
    hull: list[CurvePoint] = []
    for point in ordered:
        if hull and point.accuracy <= hull[-1].accuracy:
            continue
        while len(hull) >= 2 and _slope(hull[-2], point) >= _slope(hull[-2], hull[-1]):
            hull.pop()
        hull.append(point)
    return tuple(hull)


def _slope(one: CurvePoint, other: CurvePoint) -> float:
    rise, run = other.accuracy - one.accuracy, other.cost - one.cost
    return rise / run if run > 0 else math.inf


def best_mix(points: Iterable[CurvePoint], budget: float) -> PolicyMix | None:
    """The mix of highest accuracy whose cost a question is at most `budget`; None if none is."""
    hull = frontier(points)
    affordable = [point for point in hull if point.cost <= budget]
    if not affordable:
        return None
    cheap = affordable[-1]
    dearer = hull[len(affordable) : len(affordable) + 1]
    if not dearer:
        return PolicyMix(cheap.policy, cheap.policy, 0.0, cheap.cost, cheap.accuracy)
    share = (budget - cheap.cost) / (dearer[0].cost - cheap.cost)
    probability("dear_share", share)
    return PolicyMix(
        cheap.policy,
        dearer[0].policy,
        share,
        cheap.cost + share * (dearer[0].cost - cheap.cost),
        cheap.accuracy + share * (dearer[0].accuracy - cheap.accuracy),
    )
