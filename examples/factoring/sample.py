"""Draw guesses from trained weights, verify them, and print how many products are solved.

`python examples/factoring/sample.py --help`. The table shows the rows that need no learning beside
the generator's: this is a workload and no factoring method.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["VECLIB_MAXIMUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt

from examples.factoring.archive import Unreadable, unpack
from examples.factoring.arguments import whole
from examples.factoring.model import SHAPES, Parameters, larger_scores_for_all, smaller_scores
from examples.factoring.primes import PRIME_COUNT, PRIMES, Products, all_products, features, split
from examples.factoring.scoring import majority, pair_number, pass_at, random_pair, size_rule

Array = npt.NDArray[Any]

PRODUCTS_AT_ONCE = 64
RANDOM = "random prime pair"
GENERATOR = "generator, verified"
RULE = "rule: a prime in the right size range, then divide"
VOTE = "generator, majority vote, no verifier"


def draw(named: Parameters, products: Products, samples: int, seed: int) -> tuple[Array, Array]:
    """Independent guesses: places of p and of q, each of shape (products, samples)."""
    chance = np.random.default_rng([seed, 2])
    drawn: list[tuple[Array, Array]] = []
    for start in range(0, len(products.n), PRODUCTS_AT_ONCE):
        part = products.at(slice(start, start + PRODUCTS_AT_ONCE))
        drawn.append(_draw_part(named, part, samples, chance))
    return np.concatenate([p for p, _ in drawn]), np.concatenate([q for _, q in drawn])


def draw_part(
    named: Parameters, products: Products, part: int, samples: int, seed: int
) -> tuple[Array, Array]:
    """What `draw` draws for its `part`-th `PRODUCTS_AT_ONCE` products, without the ones before."""
    bits = np.random.PCG64(np.random.SeedSequence([seed, 2]))
    # Each guess takes one number for p and one for q.
    bits.advance(2 * PRODUCTS_AT_ONCE * samples * part)
    start = part * PRODUCTS_AT_ONCE
    some = products.at(slice(start, start + PRODUCTS_AT_ONCE))
    return _draw_part(named, some, samples, np.random.Generator(bits))


def _draw_part(
    named: Parameters, products: Products, samples: int, chance: np.random.Generator
) -> tuple[Array, Array]:
    inputs = features(products.n)
    rows = np.repeat(np.arange(len(inputs)), samples)
    one = _pick(smaller_scores(named, inputs), rows, chance)
    for_all = larger_scores_for_all(named, inputs).reshape(-1, PRIME_COUNT)
    other = _pick(for_all, rows * PRIME_COUNT + one, chance)
    return one.reshape(-1, samples), other.reshape(-1, samples)


def _pick(scores: Array, rows: Array, chance: np.random.Generator) -> Array:
    """A place drawn from each of these rows of log-probabilities.

    All rows' cumulative shares, each row raised by its number, are one sorted list to search.
    """
    shares = np.exp(scores.astype(np.float64)).cumsum(axis=1)
    shares /= shares[:, -1:]
    raised = (shares + np.arange(len(shares))[:, None]).ravel()
    places = np.searchsorted(raised, rows + chance.random(len(rows)), side="right")
    found: Array = np.clip(places - rows * PRIME_COUNT, 0, PRIME_COUNT - 1)
    return found


def table(
    named: Parameters, products: Products, guesses: Sequence[int], samples: int, seed: int
) -> dict[str, dict[int, float]]:
    """Share of products solved, by row and by number of guesses."""
    one, other = draw(named, products, samples, seed)
    right = (PRIMES[one] * PRIMES[other] == products.n[:, None]).sum(axis=1)
    pairs = pair_number(one, other)
    answers = pair_number(products.smaller, products.larger)
    return {
        RANDOM: {k: random_pair(k) for k in guesses},
        GENERATOR: {k: pass_at(k, samples, right) for k in guesses},
        RULE: {k: size_rule(products, k) for k in guesses},
        VOTE: {k: majority(pairs, answers, k) for k in guesses},
    }


def load(path: Path) -> Parameters:
    """Trained weights by name; `Unreadable` if the file holds none."""
    named = unpack(path.read_bytes())
    if {name: array.shape for name, array in named.items()} != SHAPES:
        raise Unreadable(f"{path} holds no weights of this model")
    return named


def show(rows: dict[str, dict[int, float]], guesses: Sequence[int]) -> str:
    """The table in percent, for people."""
    width = max(len(name) for name in rows)
    lines = [f"{'% solved with K guesses, K =':{width}} " + "".join(f"{k:>9}" for k in guesses)]
    for name, row in rows.items():
        lines.append(f"{name:{width}} " + "".join(f"{100 * row[k]:9.4g}" for k in guesses))
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        description="Solve held-out products with a trained generator, beside what needs none.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = result.add_argument
    many = whole(1, 10**6)
    add("weights", type=Path, nargs="?", default=Path("weights.npz"), help="what train.py wrote")
    add("--guesses", type=many, nargs="+", default=[1, 3, 10, 30, 100, 300, 1000], metavar="K")
    add("--samples", type=many, default=1000, help="drawn for each product; at least the largest K")
    add("--products", type=many, default=None, help="only so many of the 1,544 held out")
    add("--seed", type=whole(0, 2**31), default=1, help="of the draws")
    add("--json", action="store_true", help="print JSON instead of a table")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Load, draw, verify, print; the exit status."""
    asked = parser().parse_args(arguments)
    if max(asked.guesses) > asked.samples:
        print(f"no K may exceed --samples {asked.samples}", file=sys.stderr)
        return 2
    try:
        named = load(asked.weights)
    except (OSError, Unreadable) as error:
        print(f"cannot read weights: {error}; train.py writes them", file=sys.stderr)
        return 2
    products = split(all_products()).test.at(slice(asked.products))
    began = time.process_time()
    rows = table(named, products, asked.guesses, asked.samples, asked.seed)
    cpu_seconds = time.process_time() - began
    if asked.json:
        found = {"products": len(products.n), "samples": asked.samples, "solved": rows}
        print(json.dumps(found | {"cpu_seconds": cpu_seconds}))
    else:
        print(show(rows, asked.guesses))
        print(
            f"{len(products.n)} held-out products, {asked.samples} samples each,"
            f" {cpu_seconds:.1f} CPU-s. A workload, not a factoring method."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
