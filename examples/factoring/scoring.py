"""How often K guesses hold a right one: the estimator, and what is known without sampling.

A guess is right when its primes multiply to n; that check is the whole verifier. The two rows
that need no model are exact, and the table never goes without them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from examples.factoring.primes import PRIME_COUNT, PRIMES, Products

Array = npt.NDArray[Any]

PAIR_COUNT = PRIME_COUNT * (PRIME_COUNT + 1) // 2


def pass_at(guesses: int, samples: int, right: Array) -> float:
    """Unbiased share of products solved by `guesses` of `samples` drawn, `right` of them correct.

    1 − C(samples − right, guesses) / C(samples, guesses), as a product that cannot overflow
    (Chen et al. 2021, arXiv 2107.03374). Averaged over products.
    """
    assert 0 < guesses <= samples, f"{guesses} guesses of {samples} samples"
    drawn = np.arange(guesses)
    wrong_so_far = (samples - right[:, None] - drawn).clip(min=0) / (samples - drawn)
    return float(1 - wrong_so_far.prod(axis=1).mean())


def random_pair(guesses: int) -> float:
    """Exact: guess any of the 10,296 unordered pairs."""
    return float(1 - (1 - 1 / PAIR_COUNT) ** guesses)


def size_rule(products: Products, guesses: int) -> float:
    """Exact: guess p among the primes of the right size, then divide.

    The right size: at most the root of n, and at least n over the largest three-digit prime.
    """
    n = products.n[:, None]
    choices = ((n >= PRIMES**2) & (PRIMES * PRIMES[-1] >= n)).sum(axis=1)
    return float(1 - ((1 - 1 / choices) ** guesses).mean())


def majority(pairs: Array, answers: Array, guesses: int) -> float:
    """Share of products where the commonest of the first `guesses` pairs is right, unverified.

    Ties go to the smallest pair.
    """
    correct = 0
    for row, answer in zip(pairs[:, :guesses], answers, strict=True):
        values, counts = np.unique(row, return_counts=True)
        correct += int(values[counts.argmax()] == answer)
    return correct / len(answers)


def pair_number(one: Array, other: Array) -> Array:
    """One number for an unordered pair of places in `PRIMES`."""
    return np.minimum(one, other) * PRIME_COUNT + np.maximum(one, other)
