"""Model, split, order of rows and scoring: what can be checked without a process."""

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.factoring.archive import digest, pack, unpack
from examples.factoring.model import (
    PARAMETER_COUNT,
    SHAPES,
    initial_weights,
    larger_scores_for_all,
    loss_and_gradient,
    smaller_scores,
    views,
)
from examples.factoring.optimizer import advance, decay_mask, fresh_state, rate
from examples.factoring.primes import PRIME_COUNT, PRIMES, all_products, features, split
from examples.factoring.sample import draw
from examples.factoring.scoring import (
    PAIR_COUNT,
    majority,
    pair_number,
    pass_at,
    random_pair,
    size_rule,
)
from examples.factoring.training import rows_of_step, share_of_rank


def test_the_split_deals_every_product_once() -> None:
    heaps = split(all_products())
    assert [len(heap.n) for heap in heaps] == [7_722, 1_030, 1_544]
    dealt = np.concatenate([heap.n for heap in heaps])
    assert len(dealt) == len(set(dealt.tolist())) == PAIR_COUNT == 10_296
    for heap in heaps:
        assert (PRIMES[heap.smaller] * PRIMES[heap.larger] == heap.n).all()
        assert (heap.smaller <= heap.larger).all()


def test_the_primes_are_those_of_three_digits() -> None:
    assert (PRIME_COUNT, PRIMES[0], PRIMES[-1]) == (143, 101, 997)


def test_the_generator_has_the_published_number_of_parameters() -> None:
    assert PARAMETER_COUNT == 50_963


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    products = split(all_products()).train.at(slice(9))
    inputs = features(products.n).astype(np.float64)
    weights = initial_weights(3).astype(np.float64)
    _, gradient = loss_and_gradient(views(weights), inputs, products, 9)
    chance = np.random.default_rng(3)
    start, width = 0, 1e-6
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        strongest = start + int(np.abs(gradient[start : start + size]).argmax())
        for place in (strongest, start + int(chance.integers(size))):
            losses = []
            for step in (width, -width):
                moved = weights.copy()
                moved[place] += step
                losses.append(loss_and_gradient(views(moved), inputs, products, 9)[0])
            slope = (losses[0] - losses[1]) / (2 * width)
            assert slope == pytest.approx(gradient[place], rel=1e-5, abs=1e-8), name
        start += size


PRODUCTS = split(all_products()).train
INPUTS = features(PRODUCTS.n).astype(np.float64)


@given(st.integers(1, 5), st.integers(5, 40))
def test_gradients_of_shares_add_up_to_the_gradient_of_the_batch(ranks: int, batch: int) -> None:
    products, inputs = PRODUCTS, INPUTS
    named = views(initial_weights(1).astype(np.float64))
    rows = rows_of_step(3, 1, batch)
    shares = [share_of_rank(rows, rank, ranks) for rank in range(ranks)]
    assert np.concatenate(shares).tolist() == rows.tolist()
    whole = loss_and_gradient(named, inputs[rows], products.at(rows), batch)[1]
    parts = [loss_and_gradient(named, inputs[s], products.at(s), batch)[1] for s in shares]
    np.testing.assert_allclose(sum(parts), whole, atol=1e-12)


def test_the_order_of_rows_is_a_function_of_seed_and_step() -> None:
    first = rows_of_step(40, 1, 256)
    rows_of_step(0, 2, 256)
    assert rows_of_step(40, 1, 256).tolist() == first.tolist()
    assert rows_of_step(40, 2, 256).tolist() != first.tolist()
    epoch = np.concatenate([rows_of_step(step, 1, 256) for step in range(30)])
    assert len(set(epoch.tolist())) == 30 * 256


def test_the_rate_rises_then_falls() -> None:
    rates = [rate(step, 4_500, 0.04) for step in range(4_500)]
    assert rates[199] == pytest.approx(0.04, rel=0.01)
    assert rates[:200] == sorted(rates[:200])
    assert rates[200:] == sorted(rates[200:], reverse=True)
    assert min(rates) > 0


def test_training_lowers_the_loss_and_only_guessing_layers_of_p_decay() -> None:
    products = split(all_products()).train.at(slice(256))
    inputs = features(products.n)
    state, losses = fresh_state(1), []
    for step in range(30):
        loss, gradient = loss_and_gradient(views(state.weights), inputs, products, 256)
        losses.append(loss)
        state = advance(state, gradient, rate=0.005, decay=decay_mask())
        assert state.step == step + 1
    assert losses[-1] < 0.8 * losses[0]
    assert state.weights.dtype == np.float32
    decayed = views(decay_mask())
    assert {name for name, mask in decayed.items() if mask.any()} == {"first", "second", "smaller"}


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(
    samples: int, data: st.DataObject
) -> None:
    right = data.draw(st.lists(st.integers(0, samples), min_size=1, max_size=4))
    guesses = data.draw(st.integers(1, samples))
    shares = []
    for count in right:
        subsets = list(itertools.combinations(range(samples), guesses))
        shares.append(Fraction(sum(min(s) < count for s in subsets), len(subsets)))
    found = pass_at(guesses, samples, np.array(right))
    assert found == pytest.approx(float(sum(shares) / len(shares)), abs=1e-12)


def test_the_rows_that_need_no_model_are_those_of_the_reference() -> None:
    assert 100 * random_pair(1) == pytest.approx(0.0097, abs=1e-4)
    assert 100 * random_pair(1000) == pytest.approx(9.3, abs=0.05)
    everything = all_products()
    assert 100 * size_rule(everything, 1) == pytest.approx(3.54, abs=0.1)
    assert 100 * size_rule(everything, 100) == pytest.approx(94.4, abs=0.2)
    assert size_rule(everything, 100_000) == pytest.approx(1.0)


def test_a_vote_takes_the_commonest_pair_in_either_order() -> None:
    one, other = np.array([[1, 2, 5, 2]]), np.array([[2, 1, 5, 9]])
    pairs = pair_number(one, other)
    assert majority(pairs, pair_number(np.array([1]), np.array([2])), 4) == 1
    assert majority(pairs, pair_number(np.array([5]), np.array([5])), 4) == 0


def test_samples_follow_the_model_and_the_seed() -> None:
    products = split(all_products()).test.at(slice(2))
    named = views(initial_weights(1))
    one, other = draw(named, products, 20_000, 1)
    assert (draw(named, products, 20_000, 1)[0] == one).all()
    inputs = features(products.n)
    expected_one = np.exp(smaller_scores(named, inputs))
    for_all = np.exp(larger_scores_for_all(named, inputs))
    expected_other = (expected_one[:, :, None] * for_all).sum(axis=1)
    for drawn, expected in ((one, expected_one), (other, expected_other)):
        for row, wanted in zip(drawn, expected, strict=True):
            found = np.bincount(row, minlength=PRIME_COUNT) / len(row)
            assert np.abs(found - wanted).max() < 0.006


def test_an_archive_has_one_form_and_numpy_reads_it(tmp_path: Path) -> None:
    named = views(initial_weights(1))
    assert pack(named) == pack(views(initial_weights(1)))
    assert digest(named) != digest(views(initial_weights(2)))
    path = tmp_path / "weights.npz"
    path.write_bytes(pack(named))
    with np.load(path) as loaded:
        for name, array in unpack(path.read_bytes()).items():
            assert (loaded[name] == named[name]).all()
            assert (array == named[name]).all()
            assert array.shape == SHAPES[name]
