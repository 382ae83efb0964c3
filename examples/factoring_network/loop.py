"""The loop closed: generate on products without answers, keep what is verified, learn from it.

A generator learns from few products whose primes are known. It draws candidates for the others,
whose primes are not; every pair that multiplies to its product is kept, and the generator is
trained anew on known and kept pairs. That needs no label, only the verifier. Held-out products
are never drawn for. Each round prints the held-out accuracy of one sample (exact, from the
generator's own probabilities) and its gain over round 0, with intervals over products.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt

from examples.factoring.arguments import whole
from examples.factoring.model import Parameters, loss_and_gradient, views
from examples.factoring.optimizer import advance, decay_mask, fresh_state, rate
from examples.factoring.primes import Products, all_products, features, split
from examples.factoring.sample import draw
from examples.factoring_network.chances import exact_chances, verified
from parkade.compound.theory.intervals import bootstrap_mean

Array = npt.NDArray[Any]

BATCH = 256
PEAK_RATE = 0.04
DECAY = 0.04
RESAMPLES = 400


class Round(NamedTuple):
    """One turn of the loop; shares are of held-out products, for one sample."""

    number: int
    # Pairs it was trained on: known ones, and those kept because they were verified.
    known: int
    kept: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    gain: float
    gain_interval: tuple[float, float]


def train(products: Products, *, steps: int, seed: int) -> Parameters:
    """A generator trained from scratch on these products, rows drawn anew each epoch."""
    chance = np.random.default_rng([seed, 3])
    state, inputs = fresh_state(seed), features(products.n)
    decay = decay_mask() * np.float32(DECAY)
    batch = min(BATCH, len(products.n))
    order = chance.permutation(len(products.n))
    at = 0
    for step in range(steps):
        if at + batch > len(order):
            order, at = chance.permutation(len(products.n)), 0
        rows = order[at : at + batch]
        at += batch
        _, gradient = loss_and_gradient(
            views(state.weights), inputs[rows], products.at(rows), batch
        )
        state = advance(state, gradient, rate=rate(step, steps, PEAK_RATE), decay=decay)
    return views(state.weights)


def keep_verified(named: Parameters, numbers: Products, *, samples: int, seed: int) -> Products:
    """Pairs found for these products by drawing and checking; only `numbers.n` is looked at."""
    one, other = draw(named, numbers, samples, seed)
    right = verified(numbers, one, other)
    solved = np.flatnonzero(right.any(axis=1))
    first = right[solved].argmax(axis=1)
    p, q = one[solved, first], other[solved, first]
    return Products(numbers.n[solved], np.minimum(p, q), np.maximum(p, q))


def joined(one: Products, other: Products) -> Products:
    """Both after each other."""
    pairs = zip(one, other, strict=True)
    return Products(*(np.concatenate(pair) for pair in pairs))


def rounds(
    *, known: int, steps: int, samples: int, count: int, seed: int, held_out: int
) -> list[Round]:
    """Round 0 learns from known pairs alone; `count` rounds follow."""
    heaps = split(all_products())
    test = heaps.test.at(slice(held_out))
    labelled = heaps.train.at(slice(known))
    without_answers = heaps.train.at(slice(known, None))
    kept = labelled.at(slice(0))
    found: list[Round] = []
    at_first: Array | None = None
    for number in range(count + 1):
        named = train(joined(labelled, kept), steps=steps, seed=seed)
        chances = exact_chances(named, test)
        at_first = chances if at_first is None else at_first
        gains = chances - at_first
        found.append(
            Round(
                number=number,
                known=known,
                kept=len(kept.n),
                accuracy=float(chances.mean()),
                accuracy_interval=bootstrap_mean(chances.tolist(), resamples=RESAMPLES),
                gain=float(gains.mean()),
                gain_interval=bootstrap_mean(gains.tolist(), resamples=RESAMPLES),
            )
        )
        if number < count:
            kept = keep_verified(named, without_answers, samples=samples, seed=seed + number)
    return found


def show(found: Sequence[Round]) -> str:
    """A line a round, in percent."""
    lines = [f"{'round':>5} {'known':>6} {'kept':>6}  {'one sample':22} gain over round 0"]
    for each in found:
        accuracy, gain = _percent(each.accuracy, each.accuracy_interval), ""
        if each.number:
            gain = _percent(each.gain, each.gain_interval)
        lines.append(f"{each.number:5} {each.known:6} {each.kept:6}  {accuracy:22} {gain}")
    return "\n".join(line.rstrip() for line in lines)


def _percent(value: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * value:.2f} % ({100 * low:.2f}-{100 * high:.2f})"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        description="Generate, keep what is verified, retrain.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = result.add_argument
    add("--known", type=whole(1, 7_721), default=3_000, help="products whose primes are known")
    add("--steps", type=whole(1, 10**6), default=2_000, help="of training, each round")
    add("--samples", type=whole(1, 10**4), default=100, help="candidates a product without answer")
    add("--rounds", type=whole(0, 20), default=3, help="after the first training")
    add("--products", type=whole(1, 1_544), default=1_544, help="of those held out")
    add("--seed", type=whole(0, 2**31), default=1, help="of training and draws")
    add("--json", action="store_true", help="print JSON instead of a table")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Turn the loop and print it; the exit status."""
    asked = parser().parse_args(arguments)
    found = rounds(
        known=asked.known,
        steps=asked.steps,
        samples=asked.samples,
        count=asked.rounds,
        seed=asked.seed,
        held_out=asked.products,
    )
    if asked.json:
        print(json.dumps({"version": 1, "rounds": [each._asdict() for each in found]}))
    else:
        print(show(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
