"""The cheapest model over its life: min 6·N·D + 2·N·T at a given loss (Sardana et al. 2024,
arXiv 2401.00448), where T are the tokens it will ever produce.

Theory of operation. A smaller model needs more training data for the same loss and less compute for
each token afterwards; the more tokens are demanded, the smaller the best model. K samples a query
multiply T by K (less with early stop), so they pull the same way: who draws many samples should
train smaller and longer.

Worked example: a 13 B model at its compute optimum has 5.76·10^11 tokens and a loss of 2.0453; with
2·10^12 tokens of inference its life costs 9.697·10^22 operations. The cheapest model of that loss
has 6.97 B parameters, 1.25·10^12 tokens, 8.005·10^22 operations: 17.4 % less.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from parkade.compound.lifecycle.scaling import (
    INFERENCE_FLOPS,
    Fit,
    Training,
    compute_optimal,
    optimal_tokens,
    smallest_size,
    tokens_for,
)
from parkade.compound.lifecycle.scaling import loss as expected_loss
from parkade.compound.theory.domain import DomainError, not_negative, positive

REPORT_VERSION = 1

_GOLDEN = (math.sqrt(5) - 1) / 2
_PRECISION = 1e-9


class Life(NamedTuple):
    """A training and what it costs with the inference that follows."""

    training: Training
    inference_tokens: float

    @property
    def inference_flops(self) -> float:
        """Floating-point operations of all tokens demanded."""
        return INFERENCE_FLOPS * self.training.parameters * self.inference_tokens

    @property
    def flops(self) -> float:
        """Training and inference."""
        return self.training.flops + self.inference_flops


def cheapest_life(fit: Fit, target_loss: float, inference_tokens: float) -> Life:
    """The size and data of the least total compute with this loss; exact to 1e-9 of ln N.

    The total, as a function of ln N, falls from infinity at the smallest size and rises beyond the
    compute-optimal one, with one minimum in between: a golden-section search finds it.
    """
    not_negative("inference_tokens", inference_tokens)

    def life(log_size: float) -> Life:
        size = math.exp(log_size)
        return Life(Training(size, tokens_for(fit, size, target_loss)), inference_tokens)

    low = math.log(smallest_size(fit, target_loss))
    high = math.log(compute_optimal(fit, target_loss).parameters) + 0.1
    while high - low > _PRECISION:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if life(left).flops < life(right).flops:
            high = right
        else:
            low = left
    return life((low + high) / 2)


class LifecycleRow(msgspec.Struct, frozen=True, kw_only=True):
    """The cheapest life at so many samples a query, beside the compute-optimal model's."""

    samples: float
    parameters: float
    training_tokens: float
    flops: float
    optimal_flops: float
    saving: float


class LifecycleReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `parkade compound lifecycle` prints; `version` is that of its JSON form."""

    version: int
    fit: str
    loss: float
    inference_tokens: float
    optimal_parameters: float
    optimal_training_tokens: float
    rows: tuple[LifecycleRow, ...]


def report(
    fit: Fit,
    *,
    parameters: float | None,
    loss: float | None,
    tokens: float,
    samples: Sequence[float],
) -> LifecycleReport:
    """One row for each number of samples a query, for the loss of a size or a loss given."""
    if parameters is not None:
        base = Training(parameters, optimal_tokens(fit, parameters))
    elif loss is not None:
        base = compute_optimal(fit, loss)
    else:
        raise DomainError("need parameters or a loss")
    target = expected_loss(fit, base)
    rows = []
    for each in samples:
        demanded = tokens * positive("samples", each)
        best, plain = cheapest_life(fit, target, demanded), Life(base, demanded)
        rows.append(
            LifecycleRow(
                samples=each,
                parameters=best.training.parameters,
                training_tokens=best.training.tokens,
                flops=best.flops,
                optimal_flops=plain.flops,
                saving=1 - best.flops / plain.flops,
            )
        )
    return LifecycleReport(
        version=REPORT_VERSION,
        fit=fit.name,
        loss=target,
        inference_tokens=tokens,
        optimal_parameters=base.parameters,
        optimal_training_tokens=base.tokens,
        rows=tuple(rows),
    )
