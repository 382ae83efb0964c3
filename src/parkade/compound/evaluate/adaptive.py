"""Adaptive K: each question goes on until the next candidate is no longer worth its price.

One `AdaptiveStop` is shared by all questions of a run (`worth` of best_of). It starts from the weak
prior of `spread.py` and learns: every finished question's counts go in, and the spread is fitted
again when what it has seen has grown by a quarter (so fitting costs little however long the run
is). Counts of questions that stopped at their first success are as good as any. Memory grows with
distinct counts, at most K of them twice over.

The chance that candidate n + 1 succeeds after n failures is a mean over the posterior, weighted by
how well each Beta explains n failures. It only falls with n, so the rule "stop when chance × value
is below the cost" is the optimal one (`theory/stopping.py`), now with an unknown prior.

The prior is of hard questions: a single failure in it says that p is small, and a question that is
worth 20 candidates would be given up at once, from which nothing is ever learnt. So the f-th
question to be finished may have at least (V ÷ c − 2) ÷ f failures, what a uniform p would be worth
divided by f. What this can lose over q hopeless questions is the worth of 1 + ln q solved ones.
"""

import math
from collections import Counter

from parkade.compound.evaluate.spread import Counts, Spread, fit_counted, fit_spread
from parkade.compound.theory.coverage import log_missing
from parkade.compound.theory.domain import positive, whole

MOST_FAILURES = 1_000_000
_GROWTH = 1.25


def chance_after(spread: Spread, failures: int) -> float:
    """The chance that the next candidate succeeds after so many failures and no success."""
    logs = [
        (log_missing(p.alpha, p.beta, failures), p.alpha / (p.alpha + p.beta + failures), p.weight)
        for p in spread.points
        if p.weight > 1e-12
    ]
    top = max(log for log, _, _ in logs)
    weights = [(math.exp(log - top) * weight, chance) for log, chance, weight in logs]
    total = math.fsum(weight for weight, _ in weights)
    return math.fsum(weight * chance for weight, chance in weights) / total


class AdaptiveStop:
    """Says after how many failures a question is given up; learns from finished questions."""

    def __init__(self, *, value_per_cost: float, most: int = MOST_FAILURES) -> None:
        """`value_per_cost`: worth of a success ÷ cost of one candidate and its check."""
        self._value = positive("value_per_cost", value_per_cost)
        self._most = whole("most", most, least=1)
        self._seen: Counter[Counts] = Counter()
        self._finished = 0
        self._fitted_at = 0
        self._spread = fit_spread(())
        self._allowed = self._failures()

    @property
    def failures_allowed(self) -> int:
        """The failures after which to stop; 0 where not even one candidate pays."""
        floor = math.ceil((self._value - 2) / (self._finished + 1))
        return max(self._allowed, min(floor, self._most))

    @property
    def spread(self) -> Spread:
        """What is believed of p now."""
        return self._spread

    def finished(self, samples: int, right: int) -> None:
        """Learn from a question that will not be drawn from again."""
        self._seen[Counts(samples, right)] += 1
        self._finished += 1
        if self._finished >= max(1, math.ceil(self._fitted_at * _GROWTH)):
            self._spread = fit_counted(self._seen)
            self._fitted_at = self._finished
            self._allowed = self._failures()

    def _failures(self) -> int:
        if not self._pays(0):
            return 0
        if self._pays(self._most - 1):
            return self._most
        low, high = 0, self._most - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._pays(middle) else (low, middle)
        return high

    def _pays(self, failures: int) -> bool:
        return chance_after(self._spread, failures) * self._value > 1
