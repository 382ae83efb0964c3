"""The generator as a model of `parkade compound`: each call is 100 candidates of one product.

The prompt is the product. The environment says which weights, how many of the held-out products,
how many candidates of each, and which seed: `FACTORING_WEIGHTS`, `FACTORING_PRODUCTS`,
`FACTORING_SAMPLES`, `FACTORING_SEED`. The candidates are exactly those that `draw` draws for all
these products at once, whatever is asked first and wherever.
"""

import functools
import os
import sys
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt

from examples.factoring.model import Parameters
from examples.factoring.primes import PRIME_COUNT, Products, all_products, split
from examples.factoring.sample import PRODUCTS_AT_ONCE, draw_part, load
from parkade.compound.values import Call

Array = npt.NDArray[Any]

CANDIDATES_A_CALL = 100


def candidates(call: Call) -> str:
    """`BLOCK: PAIR PAIR …`, each pair one number; the block is the call's sample."""
    place = _places()[int(call.prompt)]
    one, other = _drawn(place // PRODUCTS_AT_ONCE)
    block = slice(call.sample * CANDIDATES_A_CALL, (call.sample + 1) * CANDIDATES_A_CALL)
    row = place % PRODUCTS_AT_ONCE
    pairs = one[row, block] * PRIME_COUNT + other[row, block]
    return f"{call.sample}: {' '.join(map(str, pairs.tolist()))}"


def pairs_of(answers: list[str]) -> tuple[Array, Array]:
    """Places of p and of q that a product's answers hold, in the order in which they were drawn."""
    blocks = dict(answer.split(":") for answer in answers)
    words = " ".join(blocks[str(block)] for block in range(len(blocks))).split()
    pairs = np.array(words, dtype=np.int64)
    return pairs // PRIME_COUNT, pairs % PRIME_COUNT


@functools.cache
def _products() -> Products:
    return split(all_products()).test.at(slice(int(os.environ["FACTORING_PRODUCTS"])))


@functools.cache
def _places() -> dict[int, int]:
    return {n: place for place, n in enumerate(_products().n.tolist())}


@functools.cache
def _weights() -> Parameters:
    return load(Path(os.environ["FACTORING_WEIGHTS"]))


@functools.lru_cache(maxsize=2)
def _drawn(part: int) -> tuple[Array, Array]:
    samples, seed = (int(os.environ[f"FACTORING_{name}"]) for name in ("SAMPLES", "SEED"))
    return draw_part(_weights(), _products(), part, samples, seed)
