import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.lifecycle.demand import Life, cheapest_life
from parkade.compound.lifecycle.models import Demand, Trained, compare
from parkade.compound.lifecycle.scaling import (
    EPOCH,
    FITS,
    HOFFMANN,
    Fit,
    Training,
    compute_optimal,
    loss,
    optimal_tokens,
    tokens_for,
)
from parkade.compound.theory.domain import DomainError


def test_thirteen_billion_parameters_have_the_published_life() -> None:
    base = Training(13e9, optimal_tokens(HOFFMANN, 13e9))
    assert f"{base.tokens:.2e}" == "5.76e+11"
    assert round(loss(HOFFMANN, base), 4) == 2.0453
    life = Life(base, 2e12)
    assert f"{life.flops:.3e}" == "9.697e+22"
    best = cheapest_life(HOFFMANN, loss(HOFFMANN, base), 2e12)
    assert f"{best.training.parameters:.2e}" == "6.97e+09"
    assert f"{best.training.tokens:.2e}" == "1.25e+12"
    assert f"{best.flops:.3e}" == "8.005e+22"
    assert round(100 * (1 - best.flops / life.flops), 1) == 17.4


def test_the_corrected_fit_saves_more_with_a_smaller_model() -> None:
    base = Training(13e9, optimal_tokens(EPOCH, 13e9))
    best = cheapest_life(EPOCH, loss(EPOCH, base), 2e12)
    # 29.07 with the five printed digits; the reference cuts it to 29.0.
    assert math.floor(1000 * (1 - best.flops / Life(base, 2e12).flops)) == 290
    assert f"{best.training.parameters:.2e}" == "6.09e+09"


fits = st.sampled_from(sorted(FITS)).map(FITS.__getitem__)


@given(fits, st.floats(1e8, 1e12))
def test_the_compute_optimum_of_a_loss_is_the_optimum_of_its_size(fit: Fit, size: float) -> None:
    training = Training(size, optimal_tokens(fit, size))
    found = compute_optimal(fit, loss(fit, training))
    assert found.parameters == pytest.approx(size, rel=1e-6)
    assert found.tokens == pytest.approx(training.tokens, rel=1e-6)
    assert loss(fit, found) == pytest.approx(loss(fit, training))


@given(fits, st.floats(1e8, 1e11), st.floats(0, 1e14), st.floats(0.5, 2))
def test_no_other_size_of_that_loss_costs_less(
    fit: Fit, size: float, demanded: float, factor: float
) -> None:
    target = loss(fit, Training(size, optimal_tokens(fit, size)))
    best = cheapest_life(fit, target, demanded)
    assert loss(fit, best.training) == pytest.approx(target)
    other = best.training.parameters * factor
    tokens = tokens_for(fit, other, target)
    if tokens < math.inf:
        assert best.flops <= Life(Training(other, tokens), demanded).flops * (1 + 1e-9)


def test_without_demand_the_compute_optimum_is_the_cheapest() -> None:
    best = cheapest_life(HOFFMANN, 2.1, 0)
    assert best.training.parameters == pytest.approx(
        compute_optimal(HOFFMANN, 2.1).parameters, rel=1e-3
    )


def test_more_samples_a_query_make_the_best_model_smaller() -> None:
    sizes = [cheapest_life(HOFFMANN, 2.0453, 2e12 * k).training.parameters for k in (1, 4, 16, 64)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.6 * sizes[0]


SMALL = Trained(name="small", parameters=1e9, training_tokens=3e11, alpha=0.3, beta=20)
LARGE = Trained(name="large", parameters=3e10, training_tokens=3e11, alpha=0.5, beta=1)


def demand(*, coverage: float = 0.3, stops_early: bool = False) -> Demand:
    return Demand(queries=1e9, tokens_per_sample=200, coverage=coverage, stops_early=stops_early)


def test_the_cheapest_model_depends_on_the_coverage_asked_for() -> None:
    easy = compare([SMALL, LARGE], demand(coverage=0.2), counts_training=False)
    hard = compare([SMALL, LARGE], demand(coverage=0.8), counts_training=False)
    assert [choice.name for choice in easy] == ["small", "large"]
    assert [choice.name for choice in hard] == ["large", "small"]
    assert easy[0].samples is not None
    assert easy[0].inference_flops == pytest.approx(2e9 * 200 * 1e9 * easy[0].samples)


def test_early_stop_draws_less_and_training_counts_once() -> None:
    (all_drawn,) = compare([SMALL], demand(), counts_training=True)
    (stopped,) = compare([SMALL], demand(stops_early=True), counts_training=True)
    assert stopped.samples == all_drawn.samples
    assert (stopped.draws_per_query or 0) < (all_drawn.draws_per_query or 0)
    with_training = all_drawn.total(counts_training=True) or 0
    without = all_drawn.total(counts_training=False) or 0
    assert with_training - without == pytest.approx(6e9 * 3e11)


def test_a_coverage_out_of_reach_is_said_and_comes_last() -> None:
    never = Trained(name="never", parameters=1e6, training_tokens=1e9, alpha=0.001, beta=100)
    found = compare([never, SMALL], demand(coverage=0.9), counts_training=True)
    assert [choice.name for choice in found] == ["small", "never"]
    assert found[1].samples is None
    assert found[1].total(counts_training=True) is None


def test_a_loss_below_the_floor_is_refused() -> None:
    with pytest.raises(DomainError, match=r"floor is 1\.69"):
        cheapest_life(HOFFMANN, 1.6, 1e12)
    with pytest.raises(DomainError, match="not be empty"):
        compare([], demand(), counts_training=True)
