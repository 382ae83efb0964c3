"""The training loop: which rows a step reads, what a rank does in it, and how a run ends.

The surprising rule: a step is a function of the state before it, the seed and its number alone,
so a run that was killed and resumed ends with the same bits as one that was not, provided the
number of ranks is the same.
"""

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.factoring import checkpoint
from examples.factoring.archive import digest, pack
from examples.factoring.frames import GangBroken
from examples.factoring.gang import Gang
from examples.factoring.meeting import meet
from examples.factoring.model import loss_and_gradient, views
from examples.factoring.notice import Notice, NoticeGiven
from examples.factoring.optimizer import State, advance, decay_mask, fresh_state, rate
from examples.factoring.primes import TRAIN_COUNT, Products, all_products, features, split
from examples.factoring.seat import Seat

Array = npt.NDArray[Any]

DONE, BROKEN, WRONG, RUN_ME_AGAIN = 0, 1, 2, 85


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the command line asks for; the first five decide the result, the rest the manners."""

    steps: int
    batch: int
    rate: float
    decay: float
    seed: int
    out: Path
    checkpoint_every: int
    print_every: int
    pace_seconds: float
    join_seconds: float
    silence_seconds: float

    def settings(self) -> str:
        """What a checkpoint and a peer must agree with."""
        deciding = ("steps", "batch", "rate", "decay", "seed")
        return json.dumps({name: getattr(self, name) for name in deciding})


def rows_of_step(step: int, seed: int, batch: int) -> Array:
    """Places of one batch in the training split: each epoch is dealt anew, its rest left out."""
    epoch, place = divmod(step, TRAIN_COUNT // batch)
    return _order_of_epoch(epoch, seed)[place * batch : (place + 1) * batch]


@lru_cache(maxsize=1)
def _order_of_epoch(epoch: int, seed: int) -> Array:
    return np.random.default_rng([seed, 1, epoch]).permutation(TRAIN_COUNT)


def share_of_rank(rows: Array, rank: int, ranks: int) -> Array:
    """The stretch of a batch that one rank reads; stretches differ by a row at most."""
    return rows[len(rows) * rank // ranks : len(rows) * (rank + 1) // ranks]


def run(plan: Plan, seat: Seat, notice: Notice) -> int:
    """Meet, train, leave; the exit status of the process."""
    gang: Gang | None = None
    try:
        gang = meet(
            seat,
            plan.settings(),
            notice,
            join_seconds=plan.join_seconds,
            silence_seconds=plan.silence_seconds,
        )
        return Training(plan, seat, notice, gang).run()
    except NoticeGiven:
        print(f"rank {seat.rank} leaves before it began: {notice.describe()}", flush=True)
        return RUN_ME_AGAIN
    except GangBroken as error:
        print(f"rank {seat.rank} gives up: {error}", flush=True)
        return BROKEN
    except checkpoint.OtherRun as error:
        print(f"{error}: give this run its own PARKADE_CHECKPOINT_DIR", flush=True)
        return WRONG
    finally:
        if gang is not None:
            gang.close()


class Training:
    """One rank's part of one attempt."""

    def __init__(self, plan: Plan, seat: Seat, notice: Notice, gang: Gang) -> None:
        """Load what there is to learn; the state comes when it runs."""
        self._plan, self._seat, self._notice, self._gang = plan, seat, notice, gang
        self._products: Products = split(all_products()).train
        self._inputs = features(self._products.n)
        self._decay = decay_mask() * np.float32(plan.decay)

    def run(self) -> int:
        """From the newest checkpoint to the end, or to a notice."""
        state = self._start()
        resumed = f" resumed from step {state.step}" if state.step else ""
        saved_step = state.step
        while state.step < self._plan.steps:
            began = time.monotonic()
            state, loss, must_stop = self._step(state)
            due = state.step % self._plan.checkpoint_every == 0 or state.step == self._plan.steps
            if due or must_stop:
                self._save(state)
                saved_step = state.step
            if state.step % self._plan.print_every == 0 or must_stop:
                self._say(f"step {state.step}/{self._plan.steps} loss {loss:.3f}{resumed}")
            if state.step == self._plan.steps:
                break
            if must_stop:
                return self._leave(saved_step)
            if self._plan.pace_seconds > 0:
                # Also when this rank is late: the others wait for rank 0 to end the pause.
                self._gang.pace(began + self._plan.pace_seconds - time.monotonic())
        return self._finish(state)

    def _start(self) -> State:
        if not self._seat.is_first:
            return checkpoint.decode(self._gang.share(None))[0]
        folder, settings = self._seat.checkpoint_folder, self._plan.settings()
        checkpoint.sweep(folder)
        found, troubles = checkpoint.newest(folder, settings)
        for trouble in troubles:
            self._say(trouble)
        state = found or fresh_state(self._plan.seed)
        self._gang.share(checkpoint.encode(state, settings))
        return state

    def _step(self, state: State) -> tuple[State, float, bool]:
        rows = rows_of_step(state.step, self._plan.seed, self._plan.batch)
        mine = share_of_rank(rows, self._seat.rank, self._seat.ranks)
        loss, gradient = loss_and_gradient(
            views(state.weights), self._inputs[mine], self._products.at(mine), self._plan.batch
        )
        found = np.append(gradient, np.float32(loss))
        total, must_stop = self._gang.add(state.step + 1, found, self._notice.given())
        step_rate = rate(state.step, self._plan.steps, self._plan.rate)
        state = advance(state, total[:-1], rate=step_rate, decay=self._decay)
        return state, float(total[-1]), must_stop

    def _save(self, state: State) -> None:
        if self._seat.is_first:
            checkpoint.save(self._seat.checkpoint_folder, state, self._plan.settings())

    def _leave(self, step: int) -> int:
        self._gang.part(step)
        print(
            f"rank {self._seat.rank} leaves at step {step}: {self._notice.describe()}", flush=True
        )
        return RUN_ME_AGAIN

    def _finish(self, state: State) -> int:
        weights = views(state.weights)
        if self._seat.is_first:
            self._plan.out.mkdir(parents=True, exist_ok=True)
            checkpoint.replace_file(self._plan.out / "weights.npz", pack(weights))
            self._say(f"wrote {self._plan.out / 'weights.npz'}")
        self._gang.part(state.step)
        print(f"rank {self._seat.rank} done, sha256 {digest(weights)}", flush=True)
        return DONE

    def _say(self, line: str) -> None:
        if self._seat.is_first:
            print(line, flush=True)
