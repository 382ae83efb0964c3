"""Resampling where a wrong answer costs something: how long to go on before rejecting a question.

A right answer is worth 1, an accepted wrong one `wrong_value` (0 or below), no answer 0. Questions
come in types t with share w_t, accuracy p_t and rates tpr, fpr; candidates are drawn until one is
accepted or K are rejected. The expected reward of a question is the exact sum

    R(K) = Σ_t w_t · (p_t·tpr_t + wrong_value·(1 − p_t)·fpr_t) · (1 − ρ_t^K) ÷ (1 − ρ_t)

(set-up of Stroebl, Kapoor, Narayanan 2024, arXiv 2411.17501; the weights are the prior ones, since
the chance to reach draw k is already in ρ_t^(k−1)). Later draws come from ever harder questions,
so R may rise and then fall: the best K is finite, often below 10, and 0 where answering loses.

Check: p = 0.87 (58 %) and 0.13 (42 %), tpr 1, fpr 0.25: R = 0.5246, 0.4724, 0.3388 at K = 3, 2, 1
for a wrong answer of −0.7, −1, −2.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from parkade.compound.theory.domain import DomainError, probability, weights, whole
from parkade.compound.theory.selection import acceptance, expected_draws

MOST_DRAWS = 100_000


class Kind(NamedTuple):
    """One type of question: its share of all questions and its three rates."""

    share: float
    p: float
    tpr: float
    fpr: float


class Best(NamedTuple):
    """The K with the highest expected reward, and that reward; K = 0 is to answer nothing."""

    k: int
    reward: float


def _per_draw(kind: Kind, wrong_value: float) -> tuple[float, float]:
    accepted = acceptance(kind.p, kind.tpr, kind.fpr)
    wrong = wrong_value * (1 - kind.p) * kind.fpr
    return kind.share * (kind.p * kind.tpr + wrong), accepted


def reward(kinds: Sequence[Kind], k: int, *, wrong_value: float, draw_cost: float = 0.0) -> float:
    """R(K) less the cost of the draws made; `draw_cost` is in units of a right answer."""
    whole("k", k, least=0)
    _check(kinds, wrong_value)
    total = []
    for kind in kinds:
        value, accepted = _per_draw(kind, wrong_value)
        draws = expected_draws(accepted, k)
        total.append((value - kind.share * draw_cost) * draws)
    return math.fsum(total)


def best_draws(
    kinds: Sequence[Kind], *, wrong_value: float, draw_cost: float = 0.0, most: int = MOST_DRAWS
) -> Best:
    """The K in 0..most of highest reward, the smallest among equals.

    The step from K to K + 1 adds Σ_t w_t·g_t·ρ_t^K. It is walked exactly, and the walk ends early
    once the types that still add can no longer make up for what is behind the best. Cost: types ×
    K walked.
    """
    whole("most", most, least=0)
    _check(kinds, wrong_value)
    steps = []
    for kind in kinds:
        value, accepted = _per_draw(kind, wrong_value)
        steps.append([value - kind.share * draw_cost, 1 - accepted])
    best, total = Best(0, 0.0), 0.0
    for k in range(1, most + 1):
        total += math.fsum(step for step, _ in steps)
        if total > best.reward + 1e-15:
            best = Best(k, total)
        for step in steps:
            step[0] *= step[1]
        if total + _still_to_come(steps, most - k) <= best.reward:
            break
    return best


def _still_to_come(steps: list[list[float]], draws: int) -> float:
    return math.fsum(step * expected_draws(1 - stay, draws) for step, stay in steps if step > 0)


def _check(kinds: Sequence[Kind], wrong_value: float) -> None:
    weights("shares", tuple(kind.share for kind in kinds))
    for kind in kinds:
        probability("p", kind.p)
    if not (wrong_value <= 0 and math.isfinite(wrong_value)):
        raise DomainError(f"wrong_value must be finite and at most 0, got {wrong_value!r}")
