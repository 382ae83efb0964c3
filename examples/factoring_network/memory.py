"""What the loop keeps on disk, so that it goes on after a notice or a kill with the same bits.

A finished round is one file, replaced in one instant: the lines of all rounds, the pairs that are
kept, and the chances that gains are measured against. The training under way has checkpoints of
its own in `round-N`. `.parkade.json` reports the newest of both, as a marketplace reads it.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from examples.factoring import checkpoint
from examples.factoring.archive import pack, unpack
from examples.factoring.optimizer import State, fresh_state
from examples.factoring.primes import Products

Array = npt.NDArray[Any]

FILE = "loop.npz"
#: Steps of training between checkpoints.
EVERY = 500


class Done(NamedTuple):
    """Rounds that are finished."""

    #: One dictionary a round, as it is printed.
    rounds: tuple[dict[str, Any], ...]
    #: Verified pairs to train on next.
    kept: Products
    #: Of held-out products after round 0.
    at_first: Array


class Memory:
    """The folder of one run of the loop."""

    def __init__(self, folder: Path, settings: str, steps: int) -> None:
        """`settings` is all that decides the result; a folder of other settings is refused."""
        self._folder = folder
        self._settings = settings
        self._steps = steps
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint.sweep(folder)

    def done(self) -> Done | None:
        """What was finished; None before round 0 is. Raises `checkpoint.OtherRun`."""
        path = self._folder / FILE
        if not path.exists():
            return None
        arrays = unpack(path.read_bytes())
        told = json.loads(arrays["told"].tobytes())
        if told["settings"] != self._settings:
            raise checkpoint.OtherRun(f"{path} was made with {told['settings']}")
        kept = Products(arrays["n"], arrays["smaller"], arrays["larger"])
        return Done(tuple(told["rounds"]), kept, arrays["at_first"])

    def finish(self, done: Done) -> None:
        """A round is finished; its training is not needed any more."""
        told = json.dumps({"settings": self._settings, "rounds": done.rounds}).encode()
        arrays = {"told": np.frombuffer(told, np.uint8), "at_first": done.at_first}
        content = pack(arrays | done.kept._asdict())
        checkpoint.replace_file(self._folder / FILE, content)
        self._report(len(done.rounds), 0)
        for old in checkpoint.saved(self._training(len(done.rounds) - 1)):
            old.unlink()

    def state(self, number: int, seed: int) -> State:
        """The training of a round, from where it was."""
        found, _ = checkpoint.newest(self._training(number), self._settings)
        return found or fresh_state(seed)

    def save(self, number: int, state: State) -> None:
        """Write the training of a round down."""
        checkpoint.save(self._training(number), state, self._settings)
        self._report(number, state.step)

    def _training(self, number: int) -> Path:
        return self._folder / f"round-{number}"

    def _report(self, number: int, step: int) -> None:
        """Steps count over all rounds, so that a later checkpoint has the larger number."""
        told = {"step": number * self._steps + step, "at": datetime.now(UTC).isoformat()}
        checkpoint.replace_file(self._folder / checkpoint.REPORT, json.dumps(told).encode())
