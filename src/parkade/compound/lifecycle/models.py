"""Trained models at equal coverage: a small one with many samples, or a large one with few.

Each model has its size, its training tokens and a measured spread of p over questions (a Beta, from
`calibrate`). For a target coverage each needs its own K; the one that costs least over the demand
wins. No law from loss to accuracy is assumed: the spreads are measurements, and hold for questions
like the measured ones.
"""

from collections.abc import Iterable

import msgspec

from parkade.compound.lifecycle.scaling import INFERENCE_FLOPS, Training
from parkade.compound.theory.coverage import draws_for, expected_draws
from parkade.compound.theory.domain import DomainError, open_probability, positive


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be asked."""

    name: str
    parameters: float
    training_tokens: float
    # The Beta of p over questions.
    alpha: float
    beta: float


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What will be asked of it, in all its life."""

    queries: float
    tokens_per_sample: float
    # The share of queries to solve, checked by an exact verifier.
    coverage: float
    # Whether sampling of a query stops at its first verified answer.
    stops_early: bool


class ModelChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A model under a demand; None where no K of at most 10^12 reaches the coverage."""

    name: str
    samples: int | None
    # Samples a query in the mean; equal to `samples` without early stop.
    draws_per_query: float | None
    training_flops: float
    inference_flops: float | None

    def total(self, *, counts_training: bool) -> float | None:
        """Operations in all; an existing model's training is paid already."""
        if self.inference_flops is None:
            return None
        return self.inference_flops + (self.training_flops if counts_training else 0)


def compare(
    models: Iterable[Trained], demand: Demand, *, counts_training: bool
) -> tuple[ModelChoice, ...]:
    """Every model's choice, the cheapest first, those out of reach last."""
    open_probability("coverage", demand.coverage)
    positive("queries", demand.queries)
    positive("tokens_per_sample", demand.tokens_per_sample)
    found = [_choose(model, demand) for model in models]
    if not found:
        raise DomainError("models must not be empty")
    totals = {id(each): each.total(counts_training=counts_training) for each in found}
    return tuple(sorted(found, key=lambda each: (totals[id(each)] is None, totals[id(each)] or 0)))


def _choose(model: Trained, demand: Demand) -> ModelChoice:
    training = Training(
        positive("parameters", model.parameters),
        positive("training_tokens", model.training_tokens),
    )
    samples = draws_for(model.alpha, model.beta, demand.coverage)
    if samples is None:
        return ModelChoice(
            name=model.name,
            samples=None,
            draws_per_query=None,
            training_flops=training.flops,
            inference_flops=None,
        )
    draws = (
        expected_draws(model.alpha, model.beta, samples) if demand.stops_early else float(samples)
    )
    tokens = draws * demand.queries * demand.tokens_per_sample
    return ModelChoice(
        name=model.name,
        samples=samples,
        draws_per_query=draws,
        training_flops=training.flops,
        inference_flops=INFERENCE_FLOPS * model.parameters * tokens,
    )
