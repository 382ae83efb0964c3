"""The best mix of models under a budget: how many samples to draw from each.

With one p_m per model and independent draws the share solved is 1 − Π_m (1 − p_m)^k_m, so the
budget goes to the model of highest −ln(1 − p_m) ÷ c_m; whole samples leave a remainder that a
knapsack fills (`best_counts`, exact). Where questions differ, each model may be good at others:
`best_counts_over_questions` adds the sample of highest gain per cost, one at a time; the objective
is monotone submodular, so that with the best single model as the other choice it reaches at least
(1 − 1/e)/2 of the optimum, and in practice nearly all (Leskovec et al. 2007).

Worked example: p = 0.6 at cost 10, p = 0.1 at cost 1: −ln(1 − p)/c is 0.0916 and 0.1054, so ten
cheap samples (0.651) beat one dear sample (0.6) for the same money.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from parkade.compound.theory.domain import DomainError, probability, whole

MOST_STATES = 2_000_000


class Mix(NamedTuple):
    """Samples of each model in the order given, the expected share solved, and the money."""

    counts: tuple[int, ...]
    solved: float
    cost_micros: int


def density(p: float, cost_micros: int) -> float:
    """−ln(1 − p) per micro-unit: models rank by it; infinite for p = 1."""
    probability("p", p)
    whole("cost_micros", cost_micros, least=1)
    return math.inf if p == 1 else -math.log1p(-p) / cost_micros


def best_counts(ps: Sequence[float], costs_micros: Sequence[int], budget_micros: int) -> Mix:
    """The exact optimum for one question: a knapsack over whole samples.

    Costs are divided by their greatest common divisor; the table has budget ÷ divisor entries, and
    more than 2,000,000 are refused. Cost: entries × models.
    """
    _check(ps, costs_micros, budget_micros)
    divisor = math.gcd(*costs_micros)
    size = budget_micros // divisor
    if size > MOST_STATES:
        raise DomainError(
            f"the budget has {size} steps of {divisor} micro-units, more than {MOST_STATES}:"
            " round the costs to a coarser unit"
        )
    steps = [
        (cost // divisor, cost * density(p, cost)) for p, cost in zip(ps, costs_micros, strict=True)
    ]
    best, last = [0.0] * (size + 1), [-1] * (size + 1)
    for room in range(1, size + 1):
        best[room], last[room] = best[room - 1], -1
        for model, (weight, worth) in enumerate(steps):
            if weight <= room and best[room - weight] + worth > best[room]:
                best[room], last[room] = best[room - weight] + worth, model
    counts, room = [0] * len(ps), size
    while room > 0:
        if last[room] < 0:
            room -= 1
            continue
        counts[last[room]] += 1
        room -= steps[last[room]][0]
    return _mix(counts, [tuple(ps)], costs_micros)


def best_counts_over_questions(
    ps: Sequence[Sequence[float]], costs_micros: Sequence[int], budget_micros: int
) -> Mix:
    """Counts, the same for every question, for the highest mean share solved; greedy.

    `ps[i][m]` is the chance that model m solves question i. The budget is per question. Cost:
    samples chosen × models × questions.
    """
    for row in ps:
        _check(row, costs_micros, budget_micros)
    if not ps:
        raise DomainError("ps must not be empty")
    counts, left = [0] * len(costs_micros), budget_micros
    missing = [1.0] * len(ps)
    while True:
        gains = [
            math.fsum(miss * row[model] for miss, row in zip(missing, ps, strict=True)) / cost
            if cost <= left
            else 0.0
            for model, cost in enumerate(costs_micros)
        ]
        model = max(range(len(gains)), key=gains.__getitem__)
        if gains[model] <= 1e-15:
            break
        counts[model] += 1
        left -= costs_micros[model]
        missing = [miss * (1 - row[model]) for miss, row in zip(missing, ps, strict=True)]
    found = _mix(counts, ps, costs_micros)
    alone = (_alone(model, ps, costs_micros, budget_micros) for model in range(len(costs_micros)))
    return max([found, *alone], key=lambda mix: mix.solved)


def _alone(
    model: int, ps: Sequence[Sequence[float]], costs_micros: Sequence[int], budget_micros: int
) -> Mix:
    counts = [0] * len(costs_micros)
    counts[model] = budget_micros // costs_micros[model]
    return _mix(counts, ps, costs_micros)


def _mix(counts: Sequence[int], ps: Sequence[Sequence[float]], costs_micros: Sequence[int]) -> Mix:
    solved = [
        1 - math.prod((1 - p) ** count for p, count in zip(row, counts, strict=True)) for row in ps
    ]
    cost = sum(count * each for count, each in zip(counts, costs_micros, strict=True))
    return Mix(tuple(counts), math.fsum(solved) / len(solved), cost)


def _check(ps: Sequence[float], costs_micros: Sequence[int], budget_micros: int) -> None:
    whole("budget_micros", budget_micros, least=0)
    if not ps or len(ps) != len(costs_micros):
        raise DomainError(f"need one cost a model, got {len(ps)} and {len(costs_micros)}")
    for p, cost in zip(ps, costs_micros, strict=True):
        density(p, cost)
