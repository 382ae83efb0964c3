"""The states of one level on disk, each as the production codec writes it."""

import pickle
import tempfile
from collections.abc import Iterator
from typing import IO, NamedTuple

from parkade.core.kernel.deadlines import next_deadline_us
from parkade.core.state.codec import decode_snapshot, encode_snapshot
from parkade.sim.check.state import State


class Kept(NamedTuple):
    """A state as it is kept, and what it was before."""

    number: int
    now_us: int
    due_us: int
    """Its next deadline, 0 where it has none."""
    digest: int
    clearings: int
    """How many of the last acts that led to it were clearings, 2 at most."""
    world: bytes
    agent: bytes

    def state(self) -> State:
        """The state, as a writer that restarts has it."""
        # The bytes were written by this program into a file that no other one can open.
        agent = pickle.loads(self.agent) if self.agent else None
        return State(decode_snapshot(self.world), self.now_us, agent)


def kept(state: State, digest: int, clearings: int) -> Kept:
    """A state without its number, which it gets when it is known to be new."""
    return Kept(
        number=0,
        now_us=state.now_us,
        due_us=next_deadline_us(state.world) or 0,
        digest=digest,
        clearings=clearings,
        world=encode_snapshot(state.world),
        agent=b"" if state.agent is None else pickle.dumps(state.agent),
    )


class Frontier:
    """Records in the order in which they were put; the file goes when it is closed."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="parkade-check-")  # noqa: SIM115
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """The file is gone."""
        self._file.close()

    def put(self, one: Kept) -> None:
        """Keeps one more."""
        head = (*one[:5], len(one.world), len(one.agent))
        self._file.write(b"".join(it.to_bytes(8, "little") for it in head))
        self._file.write(one.world + one.agent)
        self._count += 1

    def records(self) -> Iterator[Kept]:
        """Each, in order."""
        self._file.seek(0)
        for _ in range(self._count):
            head = self._file.read(56)
            number, now_us, due_us, digest, clearings, of_world, of_agent = (
                int.from_bytes(head[at : at + 8], "little") for at in range(0, 56, 8)
            )
            world, agent = self._file.read(of_world), self._file.read(of_agent)
            yield Kept(number, now_us, due_us, digest, clearings, world, agent)
