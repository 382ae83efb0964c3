"""The loop closed: generate on products without answers, keep what is verified, learn from it.

A generator learns from few products whose primes are known. It draws candidates for the others,
whose primes are not; every pair that multiplies to its product is kept, and the generator is
trained anew on known and kept pairs. That needs no label, only the verifier. Held-out products
are never drawn for. Each round prints the held-out accuracy of one sample (exact, from the
generator's own probabilities) and its gain over round 0, with intervals over products.

It can be parked: with `--state` or `PARKADE_CHECKPOINT_DIR` it saves what it has (`memory`), on
notice it leaves with 85, "saved, run me again", and it goes on with the bits it would have had.
"""

import argparse
import json
import os
import sys
import tempfile
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
from examples.factoring.checkpoint import OtherRun
from examples.factoring.model import Parameters, loss_and_gradient, views
from examples.factoring.notice import Notice
from examples.factoring.optimizer import State, advance, decay_mask, fresh_state, rate
from examples.factoring.primes import Products, all_products, features, split
from examples.factoring.sample import draw
from examples.factoring_network.chances import exact_chances, verified
from examples.factoring_network.memory import EVERY, Done, Memory
from parkade.compound.theory.intervals import bootstrap_mean

Array = npt.NDArray[Any]

BATCH = 256
PEAK_RATE = 0.04
DECAY = 0.04
RESAMPLES = 400
RUN_ME_AGAIN = 85


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


class Plan(NamedTuple):
    """What decides the result."""

    known: int
    steps: int
    samples: int
    rounds: int
    seed: int
    held_out: int


class Leaving(Exception):
    """Notice was given, and everything is saved."""


class Parking:
    """Where a run keeps its training, and what tells it to leave."""

    def __init__(self, memory: Memory | None, notice: Notice | None) -> None:
        self.memory = memory
        self._notice = notice

    def begin(self, number: int, seed: int) -> State:
        """The training of a round."""
        return fresh_state(seed) if self.memory is None else self.memory.state(number, seed)

    def stepped(self, number: int, state: State) -> None:
        """After each step; raises `Leaving`."""
        if self.memory is None:
            return
        must_leave = self._notice is not None and self._notice.given()
        if must_leave or state.step % EVERY == 0:
            self.memory.save(number, state)
        if must_leave:
            raise Leaving(f"round {number}, step {state.step}")


def train(
    products: Products, *, steps: int, seed: int, number: int, parking: Parking
) -> Parameters:
    """A generator trained on these products from where it was, rows drawn anew each epoch."""
    chance = np.random.default_rng([seed, 3])
    state, inputs = parking.begin(number, seed), features(products.n)
    decay = decay_mask() * np.float32(DECAY)
    batch = min(BATCH, len(products.n))
    order = chance.permutation(len(products.n))
    at = 0
    for step in range(steps):
        if at + batch > len(order):
            order, at = chance.permutation(len(products.n)), 0
        rows = order[at : at + batch]
        at += batch
        if step < state.step:
            continue
        _, gradient = loss_and_gradient(
            views(state.weights), inputs[rows], products.at(rows), batch
        )
        state = advance(state, gradient, rate=rate(step, steps, PEAK_RATE), decay=decay)
        parking.stepped(number, state)
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


def rounds(plan: Plan, parking: Parking) -> list[Round]:
    """Round 0 learns from known pairs alone; `plan.rounds` rounds follow."""
    heaps = split(all_products())
    known, test = heaps.train.at(slice(plan.known)), heaps.test.at(slice(plan.held_out))
    without_answers = heaps.train.at(slice(plan.known, None))
    done = None if parking.memory is None else parking.memory.done()
    found = [] if done is None else [_round(each) for each in done.rounds]
    kept = known.at(slice(0)) if done is None else done.kept
    at_first = None if done is None else done.at_first
    for number in range(len(found), plan.rounds + 1):
        named = train(
            joined(known, kept), steps=plan.steps, seed=plan.seed, number=number, parking=parking
        )
        chances = exact_chances(named, test)
        at_first = chances if at_first is None else at_first
        found.append(_measured(number, plan.known, len(kept.n), chances, at_first))
        if number < plan.rounds:
            seed = plan.seed + number
            kept = keep_verified(named, without_answers, samples=plan.samples, seed=seed)
        if parking.memory is not None:
            parking.memory.finish(Done(tuple(r._asdict() for r in found), kept, at_first))
    return found


def _measured(number: int, known: int, kept: int, chances: Array, at_first: Array) -> Round:
    gains = chances - at_first
    return Round(
        number=number,
        known=known,
        kept=kept,
        accuracy=float(chances.mean()),
        accuracy_interval=bootstrap_mean(chances.tolist(), resamples=RESAMPLES),
        gain=float(gains.mean()),
        gain_interval=bootstrap_mean(gains.tolist(), resamples=RESAMPLES),
    )


def _round(told: dict[str, Any]) -> Round:
    intervals = {name: tuple(told[name]) for name in ("accuracy_interval", "gain_interval")}
    return Round(**told | intervals)


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
    add("--state", type=Path, help="folder to save in, and to go on from")
    add("--marketplace", action="store_true", help="run as a spot workload that is preempted")
    add("--json", action="store_true", help="print JSON instead of a table")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Turn the loop and print it; the exit status."""
    asked = parser().parse_args(arguments)
    plan = Plan(
        known=asked.known,
        steps=asked.steps,
        samples=asked.samples,
        rounds=asked.rounds,
        seed=asked.seed,
        held_out=asked.products,
    )
    if asked.marketplace:
        return on_the_marketplace(plan, is_json=asked.json)
    folder = asked.state or os.environ.get("PARKADE_CHECKPOINT_DIR")
    memory = notice = None
    if folder is not None:
        memory = Memory(Path(folder), json.dumps(plan._asdict()), plan.steps)
        notice = Notice.listen(os.environ)
    try:
        found = rounds(plan, Parking(memory, notice))
    except Leaving as leaving:
        print(f"leaves at {leaving}, saved; run it again", file=sys.stderr)
        return RUN_ME_AGAIN
    except OtherRun as error:
        print(f"{error}; choose another --state", file=sys.stderr)
        return 2
    if asked.json:
        print(json.dumps({"version": 1, "rounds": [each._asdict() for each in found]}))
    else:
        print(show(found))
    return 0


def on_the_marketplace(plan: Plan, *, is_json: bool) -> int:
    """The same as a workload that is preempted; needs the server's packages."""
    from examples.factoring_network.parked_loop import play

    options = plan._asdict()
    options["products"] = options.pop("held_out")
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory(prefix="parkade-loop-") as folder:
        printed, told = play(Path(folder), words)
    if is_json:
        print(printed, end="")
        return 0
    print("\n".join(told))
    print(show([_round(each) for each in json.loads(printed)["rounds"]]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
