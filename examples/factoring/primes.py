"""What is to be learned: products of two three-digit primes, their features, a fixed split.

It decides which products are trained on and which are held out; how a model reads them is
`model.py`. The split is the same for every seed of training, so that results can be compared.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

PRIMES: Array = np.array([n for n in range(100, 1000) if all(n % d for d in range(2, 32))])
PRIME_COUNT = len(PRIMES)

TRAIN_COUNT = 7_722
VALIDATION_COUNT = 1_030
SPLIT_SEED = 0

DIGITS = 10
WAVES = 15
FEATURE_COUNT = DIGITS + 2 * WAVES


class Products(NamedTuple):
    """Products n = p·q with p ≤ q; `smaller` and `larger` are places in `PRIMES`."""

    n: Array
    smaller: Array
    larger: Array

    def at(self, places: Array | slice) -> "Products":
        """The products at these places, in their order."""
        return Products(self.n[places], self.smaller[places], self.larger[places])


class Splits(NamedTuple):
    """75 % to learn from, 10 % to choose settings by, 15 % held out for the table."""

    train: Products
    validation: Products
    test: Products


def all_products() -> Products:
    """Every unordered pair of primes once, squares included."""
    smaller, larger = np.triu_indices(PRIME_COUNT)
    return Products(PRIMES[smaller] * PRIMES[larger], smaller, larger)


def split(products: Products) -> Splits:
    """Deal the pairs into three heaps that share none."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(products.n))
    held_out = TRAIN_COUNT + VALIDATION_COUNT
    return Splits(
        products.at(order[:TRAIN_COUNT]),
        products.at(order[TRAIN_COUNT:held_out]),
        products.at(order[held_out:]),
    )


def waves(position: Array, count: int) -> Array:
    """Sines, then cosines, of a position in 0..1 at `count` slow frequencies.

    Slow ones only: with waves fine enough to tell single products apart the model learns its
    training pairs by heart and finds no others.
    """
    angles = np.pi * position[:, None] * np.geomspace(0.25, 1.0, count)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def features(n: Array) -> Array:
    """Last digit one-hot, then waves of log n; one row a product, float32."""
    position = np.log(n / 100**2) / np.log(100)
    columns = [np.eye(DIGITS)[n % DIGITS], waves(position, WAVES)]
    return np.concatenate(columns, axis=1).astype(np.float32)
