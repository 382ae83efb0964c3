"""The generator: reads n, guesses the smaller prime p, then with p the larger prime q.

Two layers of 128 give the scores of p; the features and an embedding of p, through 32 sines,
give the scores of q. All 50,963 parameters lie in one flat vector, so that a gradient, an
optimizer's memory and a checkpoint are vectors too. The surprising rule: the embedding starts from
size and last digit of its prime, since from chance it takes three times as long to learn them.
"""

import math
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.factoring.primes import DIGITS, FEATURE_COUNT, PRIME_COUNT, PRIMES, Products, waves

Array = npt.NDArray[Any]
Parameters = dict[str, Array]

HIDDEN = 128
SINES = 32
EMBEDDING_WAVES = 8
EMBEDDING = DIGITS + 2 * EMBEDDING_WAVES + 1

SHAPES: dict[str, tuple[int, ...]] = {
    "first": (FEATURE_COUNT, HIDDEN),
    "first_bias": (HIDDEN,),
    "second": (HIDDEN, HIDDEN),
    "second_bias": (HIDDEN,),
    "smaller": (HIDDEN, PRIME_COUNT),
    "smaller_bias": (PRIME_COUNT,),
    "embedding": (PRIME_COUNT, EMBEDDING),
    "mix": (FEATURE_COUNT + EMBEDDING, SINES),
    "mix_bias": (SINES,),
    "larger": (SINES, PRIME_COUNT),
    "larger_bias": (PRIME_COUNT,),
}
SIZES = {name: math.prod(shape) for name, shape in SHAPES.items()}
PARAMETER_COUNT = sum(SIZES.values())
PLACES = {
    name: slice(end - SIZES[name], end)
    for name, end in zip(SIZES, accumulate(SIZES.values()), strict=True)
}


def views(flat: Array) -> Parameters:
    """Names for the stretches of a flat vector; writing to one writes to the vector."""
    assert flat.size == PARAMETER_COUNT, f"{flat.size} numbers are not {PARAMETER_COUNT} parameters"
    return {name: flat[place].reshape(SHAPES[name]) for name, place in PLACES.items()}


def initial_weights(seed: int) -> Array:
    """A fresh flat vector of float32, a pure function of the seed."""
    chance = np.random.default_rng([seed, 0])
    flat = np.zeros(PARAMETER_COUNT, np.float32)
    named = views(flat)
    spreads = {
        "first": np.sqrt(2 / FEATURE_COUNT),
        "second": np.sqrt(2 / HIDDEN),
        "smaller": 0.05,
        "mix": 0.4 * np.sqrt(2 / (FEATURE_COUNT + EMBEDDING)),
        "larger": 0.05,
    }
    for name, spread in spreads.items():
        named[name][:] = spread * chance.standard_normal(SHAPES[name])
    position = np.log(PRIMES / 100) / np.log(10)
    digit = np.eye(DIGITS)[PRIMES % DIGITS]
    columns = [digit, waves(position, EMBEDDING_WAVES), 2 * position[:, None] - 1]
    named["embedding"][:] = np.concatenate(columns, axis=1)
    return flat


def log_softmax(scores: Array) -> Array:
    """Logarithms of probabilities along the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def smaller_scores(named: Parameters, inputs: Array) -> Array:
    """Log-probabilities of p, one row a product."""
    first = np.maximum(inputs @ named["first"] + named["first_bias"], 0)
    second = np.maximum(first @ named["second"] + named["second_bias"], 0)
    return log_softmax(second @ named["smaller"] + named["smaller_bias"])


def larger_scores_for_all(named: Parameters, inputs: Array) -> Array:
    """Log-probabilities of q for each product and each p: shape (products, primes, primes)."""
    from_product = inputs @ named["mix"][:FEATURE_COUNT]
    from_prime = named["embedding"] @ named["mix"][FEATURE_COUNT:]
    sines = np.sin(from_product[:, None] + from_prime + named["mix_bias"])
    return log_softmax(sines @ named["larger"] + named["larger_bias"])


def loss_and_gradient(
    named: Parameters, inputs: Array, products: Products, batch: int
) -> tuple[float, Array]:
    """Cross-entropy of p and q of these rows, summed and divided by the whole `batch`.

    Rows of one batch may be spread over ranks: their losses and gradients add up.
    """
    gradient = np.zeros(PARAMETER_COUNT, inputs.dtype)
    slopes = views(gradient)
    loss = _learn_smaller(named, slopes, inputs, products, batch)
    loss += _learn_larger(named, slopes, inputs, products, batch)
    return loss, gradient


def _learn_smaller(
    named: Parameters, slopes: Parameters, inputs: Array, products: Products, batch: int
) -> float:
    first = np.maximum(inputs @ named["first"] + named["first_bias"], 0)
    second = np.maximum(first @ named["second"] + named["second_bias"], 0)
    scores = log_softmax(second @ named["smaller"] + named["smaller_bias"])
    loss, back = _cross_entropy(scores, products.smaller, batch)
    _linear(slopes, "smaller", second, back)
    back = (back @ named["smaller"].T) * (second > 0)
    _linear(slopes, "second", first, back)
    back = (back @ named["second"].T) * (first > 0)
    _linear(slopes, "first", inputs, back)
    return loss


def _learn_larger(
    named: Parameters, slopes: Parameters, inputs: Array, products: Products, batch: int
) -> float:
    read = np.concatenate([inputs, named["embedding"][products.smaller]], axis=1)
    angles = read @ named["mix"] + named["mix_bias"]
    sines = np.sin(angles)
    scores = log_softmax(sines @ named["larger"] + named["larger_bias"])
    loss, back = _cross_entropy(scores, products.larger, batch)
    _linear(slopes, "larger", sines, back)
    back = (back @ named["larger"].T) * np.cos(angles)
    _linear(slopes, "mix", read, back)
    to_embedding = back @ named["mix"][FEATURE_COUNT:].T
    np.add.at(slopes["embedding"], products.smaller, to_embedding)
    return loss


def _cross_entropy(scores: Array, wanted: Array, batch: int) -> tuple[float, Array]:
    rows = np.arange(len(wanted))
    back = np.exp(scores)
    back[rows, wanted] -= 1
    return float(-scores[rows, wanted].sum() / batch), back / batch


def _linear(slopes: Parameters, name: str, inputs: Array, back: Array) -> None:
    slopes[name][:] = inputs.T @ back
    slopes[f"{name}_bias"][:] = back.sum(axis=0)
