"""The generator as a network's model: exact chances per product, and drawn candidates checked.

A candidate is right when its two primes multiply to n, and that check is the whole verifier, so the
verifier is exact. Since the generator's probabilities are known, so is each product's p: what is
drawn can be held against the closed form.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.factoring.model import Parameters, larger_scores_for_all, smaller_scores
from examples.factoring.primes import PRIMES, Products, features
from examples.factoring.scoring import pair_number

Array = npt.NDArray[Any]

PRODUCTS_AT_ONCE = 64


def exact_chances(named: Parameters, products: Products) -> Array:
    """p of each product: the chance that one candidate is its pair of primes, in either order."""
    found = []
    for part, first, second in _scored(named, products):
        rows = np.arange(len(part.n))
        one, other = part.smaller, part.larger
        straight = np.exp(first[rows, one] + second[rows, one, other])
        crossed = np.exp(first[rows, other] + second[rows, other, one])
        found.append(straight + np.where(one == other, 0, crossed))
    return np.concatenate(found)


def likeliest_is_right(named: Parameters, products: Products) -> Array:
    """Whether a product's likeliest pair, in either order, is the right one.

    A majority vote is right for these and for no others once K is large: the share of a pair among
    K candidates tends to its chance. Cost: all 143 × 143 pairs of each product.
    """
    found = []
    for part, first, second in _scored(named, products):
        ordered = np.exp(first[:, :, None] + second)
        squares = np.eye(ordered.shape[1])
        either = np.triu(ordered + ordered.transpose(0, 2, 1) - ordered * squares)
        likeliest = either.reshape(len(part.n), -1).argmax(axis=1)
        found.append(likeliest == pair_number(part.smaller, part.larger))
    return np.concatenate(found)


def verified(products: Products, one: Array, other: Array) -> Array:
    """Which drawn pairs multiply to their product; shape (products, samples)."""
    right: Array = PRIMES[one] * PRIMES[other] == products.n[:, None]
    return right


def _scored(named: Parameters, products: Products) -> Iterator[tuple[Products, Array, Array]]:
    """Parts of the products, each with ln P(p), (part, 143), and ln P(q | p), (part, 143, 143)."""
    for start in range(0, len(products.n), PRODUCTS_AT_ONCE):
        part = products.at(slice(start, start + PRODUCTS_AT_ONCE))
        inputs = features(part.n)
        first = smaller_scores(named, inputs).astype(np.float64)
        yield part, first, larger_scores_for_all(named, inputs).astype(np.float64)


def at_least_one(chances: Array, candidates: int) -> float:
    """The closed form: the mean over products of 1 − (1 − p)^K."""
    return float(-np.expm1(candidates * np.log1p(-chances)).mean())
