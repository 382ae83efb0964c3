"""Expected accuracy and cost at any K, from a calibration.

Theory of operation. Each question has three unknown rates: p, the miss rate 1 − TPR, and FPR. What
was counted of a question, with the spread over all questions as prior, gives a posterior for each:
a Beta, laid out on fixed nodes of its logit. Their product is the question's weight on a node
(p, miss, FPR); the weights of all questions are added up once, and the accuracy of "first accepted
of K, else a random one" is then one sum over nodes for any K (`theory/selection.py`). Averaging
the rates first would be wrong twice: coverage would be too high, and a verifier that is fooled on
every candidate of a few questions would look like one that is fooled by a few candidates of all.

The outermost nodes hold the whole tail beyond them, so questions with p near 0 stay unsolved.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from parkade.compound.evaluate.calibration import Betas, Calibration, Group, Index
from parkade.compound.theory.domain import whole
from parkade.compound.theory.selection import accuracy, expected_draws, precision

_LIGHT = 1e-7


class _Grid(NamedTuple):
    low: float
    high: float
    size: int

    def logits(self) -> list[float]:
        """The nodes."""
        step = (self.high - self.low) / (self.size - 1)
        return [self.low + i * step for i in range(self.size)]


_P_GRID = _Grid(-18, 9, 46)
_FALSE_ALARM_GRID = _Grid(-12, 6, 16)
_MISS_GRID = _Grid(-9, 6, 9)

_NOTHING_COUNTED = Group(
    right=0,
    wrong=0,
    rejected_right=0,
    verified_right=0,
    accepted_wrong=0,
    verified_wrong=0,
    questions=1,
)

Node = tuple[float, float, float]


class Curve(NamedTuple):
    """Weights of nodes (p, tpr, fpr) that sum to 1: of all questions, and of each group."""

    nodes: dict[Node, float]
    groups: tuple[tuple[dict[Node, float], int], ...]

    def accuracy(self, k: int) -> float:
        """The expected share of questions answered right with K candidates each."""
        whole("k", k, least=1)
        return math.fsum(weight * accuracy(*node, k) for node, weight in self.nodes.items())

    def ceiling(self) -> float:
        """What accuracy tends to as K grows: the mean of π."""
        return math.fsum(weight * precision(*node) for node, weight in self.nodes.items())

    def draws(self, k: int) -> float:
        """Candidates a question, stopping at the first accepted one, K at most."""
        return math.fsum(
            weight * expected_draws(p * tpr + (1 - p) * fpr, k)
            for (p, tpr, fpr), weight in self.nodes.items()
        )

    def shares(self, k: int | None) -> list[float]:
        """Each question's expected accuracy at K, or at the ceiling for None."""
        found: list[float] = []
        for nodes, questions in self.groups:
            share = math.fsum(
                weight * (precision(*node) if k is None else accuracy(*node, k))
                for node, weight in nodes.items()
            )
            found += [share] * questions
        return found


def curve_of(calibration: Calibration, *, is_exact: bool) -> Curve:
    """The curve of a calibration; `is_exact` takes the verifier for one that never errs.

    Cost: groups of questions with equal counts × nodes with weight, at most 6,624 a group.
    """
    groups = tuple(
        (_nodes(group, calibration, is_exact=is_exact), group.questions)
        for group in calibration.groups
    )
    nodes: dict[Node, float] = {}
    for weights, questions in groups:
        for node, weight in weights.items():
            nodes[node] = nodes.get(node, 0.0) + weight * questions / calibration.questions
    return Curve(nodes, groups)


def curves_in_doubt(calibration: Calibration, *, is_exact: bool) -> tuple[Curve, ...]:
    """The curve of all questions like these, once for each draw of what their rates may follow.

    Cost: `DOUBTS` times a curve of one group.
    """
    drawn = (_nodes(_NOTHING_COUNTED, betas, is_exact=is_exact) for betas in calibration.doubts)
    return tuple(Curve(nodes, ((nodes, 1),)) for nodes in drawn)


def _nodes(group: Group, prior: Calibration | Betas, *, is_exact: bool) -> dict[Node, float]:
    ps = _posterior(prior.generator, group.right, group.wrong, _P_GRID)
    misses, alarms = [(0.0, 1.0)], [(0.0, 1.0)]
    if not is_exact:
        assert prior.misses is not None, "planning checks that there is a verifier"
        assert prior.false_alarms is not None
        misses = _posterior(
            prior.misses,
            group.rejected_right,
            group.verified_right - group.rejected_right,
            _MISS_GRID,
        )
        alarms = _posterior(
            prior.false_alarms,
            group.accepted_wrong,
            group.verified_wrong - group.accepted_wrong,
            _FALSE_ALARM_GRID,
        )
    return {
        (p, 1 - miss, alarm): one * two * three
        for p, one in ps
        for miss, two in misses
        for alarm, three in alarms
    }


def _posterior(index: Index, hits: int, others: int, grid: _Grid) -> list[tuple[float, float]]:
    """Nodes and weights of Beta(α + hits, β + others), those that are light left out."""
    a, b = index.alpha + hits, index.beta + others
    logits = grid.logits()
    step = logits[1] - logits[0]
    if math.sqrt(1 / a + 1 / b) < step:
        weights = _between(logits, math.log(a / b))
    else:
        weights = _laid_out(logits, step, a, b)
    total = math.fsum(weights)
    shares = [(logit, w / total) for logit, w in zip(logits, weights, strict=True)]
    return [(1 / (1 + math.exp(-logit)), share) for logit, share in shares if share > _LIGHT]


def _between(logits: Sequence[float], place: float) -> list[float]:
    """A narrow posterior: all weight on the two nodes beside its middle, which keeps the mean."""
    weights = [0.0] * len(logits)
    place = min(max(place, logits[0]), logits[-1])
    left = max(i for i, logit in enumerate(logits[:-1]) if logit <= place)
    p, low, high = (1 / (1 + math.exp(-x)) for x in (place, logits[left], logits[left + 1]))
    share = (p - low) / (high - low)
    weights[left], weights[left + 1] = 1 - share, share
    return weights


def _laid_out(logits: Sequence[float], step: float, a: float, b: float) -> list[float]:
    """The density in the logit, a·ln p + b·ln(1 − p), with both tails on the outermost nodes."""
    logs = [-a * math.log1p(math.exp(-x)) - b * math.log1p(math.exp(x)) for x in logits]
    top = max(logs)
    weights = [math.exp(log - top) for log in logs]
    weights[0] = max(weights[0], weights[0] / (a * step))
    weights[-1] = max(weights[-1], weights[-1] / (b * step))
    return weights
