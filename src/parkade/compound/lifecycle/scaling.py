"""Loss as a function of parameters N and training tokens D: L = E + A ÷ N^α + B ÷ D^β.

Hoffmann et al. 2022 ("Chinchilla", arXiv 2203.15556) fitted it; Besiroglu et al. 2024 (Epoch,
"Chinchilla Scaling: A replication attempt") fitted the same data anew and found other numbers with
far wider errors. Both are here, since answers differ by more than a rounding.

Training costs about 6·N·D floating-point operations and a token of inference 2·N. At a given loss
the cheapest training has α·A ÷ N^α = β·B ÷ D^β.
"""

import math
from typing import NamedTuple

from parkade.compound.theory.domain import DomainError, positive

TRAINING_FLOPS = 6
INFERENCE_FLOPS = 2


class Fit(NamedTuple):
    """The five numbers of the loss, in nats a token; N in parameters, D in tokens."""

    name: str
    floor: float
    a: float
    b: float
    alpha: float
    beta: float


HOFFMANN = Fit("hoffmann", 1.69, 406.4, 410.7, 0.336, 0.283)
EPOCH = Fit("epoch", 1.8169, 482.01, 2085.43, 0.3478, 0.3659)
FITS = {fit.name: fit for fit in (HOFFMANN, EPOCH)}


def fit_named(name: str) -> Fit:
    """The fit of this name; raises DomainError with the names there are."""
    if name not in FITS:
        raise DomainError(f"fit must be one of {', '.join(FITS)}, got {name!r}")
    return FITS[name]


class Training(NamedTuple):
    """A model of so many parameters, trained on so many tokens."""

    parameters: float
    tokens: float

    @property
    def flops(self) -> float:
        """Floating-point operations of its training."""
        return TRAINING_FLOPS * self.parameters * self.tokens


def loss(fit: Fit, training: Training) -> float:
    """Expected loss in nats a token."""
    positive("parameters", training.parameters)
    positive("tokens", training.tokens)
    from_size = fit.a * training.parameters**-fit.alpha
    return float(fit.floor + from_size + fit.b * training.tokens**-fit.beta)


def smallest_size(fit: Fit, target: float) -> float:
    """The size from which a loss can be had at all, with endless data."""
    return float((fit.a / _above_floor(fit, target)) ** (1 / fit.alpha))


def tokens_for(fit: Fit, parameters: float, target: float) -> float:
    """Training tokens with which a model of this size has the target loss; inf where none do."""
    left = _above_floor(fit, target) - fit.a * positive("parameters", parameters) ** -fit.alpha
    if left <= 0:
        return math.inf
    return math.exp((math.log(fit.b) - math.log(left)) / fit.beta)


def compute_optimal(fit: Fit, target: float) -> Training:
    """The cheapest training with the target loss, without regard to inference."""
    left = _above_floor(fit, target)
    parts = fit.alpha + fit.beta
    parameters = (fit.a * parts / (left * fit.beta)) ** (1 / fit.alpha)
    return Training(parameters, (fit.b * parts / (left * fit.alpha)) ** (1 / fit.beta))


def optimal_tokens(fit: Fit, parameters: float) -> float:
    """The training tokens for which a model of this size is the compute-optimal one."""
    part = fit.alpha * fit.a * positive("parameters", parameters) ** -fit.alpha
    return float((fit.beta * fit.b / part) ** (1 / fit.beta))


def _above_floor(fit: Fit, target: float) -> float:
    if not target > fit.floor:
        raise DomainError(f"no model has a loss of {target!r}: the fit's floor is {fit.floor}")
    return target - fit.floor
