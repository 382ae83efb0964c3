"""Train the generator on ranks that come and go: `python examples/factoring/live.py --help`.

Each batch is cut into a fixed number of virtual shards. Rank 0 deals them to whatever ranks are
there, adds up their gradients in order of shard, and hands out the sum. So the result has the same
bits on one node, on six, and on any that came and went between: who computed a shard is nowhere in
it. A rank that leaves finishes its shards first; those of one that dies are computed by rank 0.

Submit it with `nodes: {min: 1, max: 6}` and `resize: live`. Rank 0 reads the members file at each
SIGWINCH and deals nothing to a rank that leaves. Exit status: 0 done, 85 left or saved on notice.
"""

import argparse
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from examples.factoring import checkpoint
from examples.factoring.archive import Array, digest, pack
from examples.factoring.arguments import amount, whole
from examples.factoring.frames import Frame, GangBroken, Kind, Peer
from examples.factoring.model import loss_and_gradient, views
from examples.factoring.notice import Notice
from examples.factoring.optimizer import State, advance, decay_mask, fresh_state, rate
from examples.factoring.primes import all_products, features, split
from examples.factoring.training import RUN_ME_AGAIN, rows_of_step, share_of_rank

SHARDS = 12
SEED, PEAK, DECAY = 1, 0.04, 0.04
SILENCE_SECONDS = 60.0
RETRY_SECONDS = 0.05

Shards = list[int]


class Members:
    """The ranks that stay, as the members file has them; all where there is no file."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Hear of changes first, then read: so none is missed."""
        name = environment.get("PARKADE_MEMBERS_FILE")
        self._file = Path(name) if name else None
        self._has_changed = True
        self._leaving: frozenset[int] = frozenset()
        signal.signal(signal.SIGWINCH, self._note)

    def _note(self, *_: object) -> None:
        self._has_changed = True

    def leaving(self) -> frozenset[int]:
        """The ranks that were told to leave."""
        if self._has_changed and self._file is not None:
            self._has_changed = False
            ranks = json.loads(self._file.read_text())["members"]
            self._leaving = frozenset(it["rank"] for it in ranks if it["leaving"] is not None)
        return self._leaving


class Work:
    """What every rank computes alike: the gradient of a shard, and the step that follows."""

    def __init__(self, steps: int, batch: int) -> None:
        """Load what there is to learn."""
        self.steps, self.batch = steps, batch
        self._products = split(all_products()).train
        self._inputs = features(self._products.n)
        self._decay = decay_mask() * np.float32(DECAY)

    def shard(self, state: State, number: int) -> Array:
        """Gradient and loss of one shard of the next step, one after the other."""
        rows = share_of_rank(rows_of_step(state.step, SEED, self.batch), number, SHARDS)
        loss, gradient = loss_and_gradient(
            views(state.weights), self._inputs[rows], self._products.at(rows), self.batch
        )
        return np.append(gradient, np.float32(loss))

    def after(self, state: State, total: Array) -> State:
        """The state once the shards of a step are added up."""
        step_rate = rate(state.step, self.steps, PEAK)
        return advance(state, total[:-1], rate=step_rate, decay=self._decay)

    @property
    def settings(self) -> str:
        """What a checkpoint must agree with."""
        return json.dumps({"steps": self.steps, "batch": self.batch, "shards": SHARDS})


class First:
    """Rank 0: it deals, adds up, keeps the checkpoints and writes the result."""

    def __init__(self, work: Work, members: Members, notice: Notice, folder: Path) -> None:
        self._work, self._members, self._notice = work, members, notice
        self._folder = folder
        self._peers: dict[int, Peer] = {}
        address = os.environ.get("MASTER_ADDR", "127.0.0.1")
        self._door = socket.create_server((address, int(os.environ.get("MASTER_PORT", "29500"))))
        self._door.setblocking(False)

    def run(self, out: Path, pace_seconds: float, save_every: int) -> int:
        """From the newest checkpoint to the end, or to a notice for all of it."""
        checkpoint.sweep(self._folder)
        found, _ = checkpoint.newest(self._folder, self._work.settings)
        state = found or fresh_state(SEED)
        while state.step < self._work.steps:
            ends_at = time.monotonic() + pace_seconds
            self._take_callers(state)
            state = self._step(state)
            if state.step % save_every == 0 or self._notice.given():
                checkpoint.save(self._folder, state, self._work.settings)
            if self._notice.given():
                return RUN_ME_AGAIN
            self._notice.pause(ends_at - time.monotonic())
        for peer in self._peers.values():
            _tell(peer, Frame(Kind.SAVED, state.step))
        out.mkdir(parents=True, exist_ok=True)
        weights = views(state.weights)
        checkpoint.replace_file(out / "weights.npz", pack(weights))
        print(f"done, sha256 {digest(weights)}", flush=True)
        return 0

    def _take_callers(self, state: State) -> None:
        while True:
            try:
                door, _ = self._door.accept()
            except BlockingIOError:
                return
            caller = Peer(door, "a caller", SILENCE_SECONDS)
            try:
                rank = caller.receive().step
                caller.send(Frame(Kind.STATE, 0, False, checkpoint.encode(state, "")))
            except GangBroken:
                caller.close()
                continue
            self._peers[rank] = caller
            self._say(f"step {state.step}: rank {rank} is here")

    def _step(self, state: State) -> State:
        dealt = self._deal(state.step)
        given = {number for shards in dealt.values() for number in shards}
        own = [number for number in range(SHARDS) if number not in given]
        found = {number: self._work.shard(state, number) for number in own}
        for rank, shards in dealt.items():
            parts = self._collect(rank, state.step, shards)
            for place, number in enumerate(shards):
                # A rank that died left its shards undone: they are the same wherever they are.
                found[number] = self._work.shard(state, number) if parts is None else parts[place]
        total = found[0].copy()
        for number in range(1, SHARDS):
            total += found[number]
        for rank in tuple(self._peers):
            self._try(rank, Frame(Kind.SUM, state.step, False, total.tobytes()))
        return self._work.after(state, total)

    def _deal(self, step: int) -> dict[int, Shards]:
        """Shards for each rank that stays; rank 0 has the rest, at least as many."""
        for rank in self._members.leaving() & self._peers.keys():
            self._dismiss(rank, step, "leaves")
        ranks = sorted(self._peers)
        dealt: dict[int, Shards] = {}
        for place, rank in enumerate(ranks, start=1):
            shards = list(range(place, SHARDS, len(ranks) + 1))
            order = json.dumps(shards).encode()
            if shards and self._try(rank, Frame(Kind.GO, step, False, order)):
                dealt[rank] = shards
        return dealt

    def _collect(self, rank: int, step: int, shards: Shards) -> Array | None:
        peer = self._peers.get(rank)
        if peer is None:
            return None
        try:
            frame = peer.receive()
        except GangBroken as error:
            self._drop(rank, step, str(error))
            return None
        if frame.kind is Kind.LEAVE:
            self._drop(rank, step, "left")
            return None
        return np.frombuffer(frame.payload, np.float32).reshape(len(shards), -1)

    def _dismiss(self, rank: int, step: int, why: str) -> None:
        self._try(rank, Frame(Kind.LEAVE, step))
        if rank in self._peers:
            self._drop(rank, step, why)

    def _try(self, rank: int, frame: Frame) -> bool:
        if _tell(self._peers[rank], frame):
            return True
        self._drop(rank, frame.step, "is gone")
        return False

    def _drop(self, rank: int, step: int, why: str) -> None:
        self._peers.pop(rank).close()
        self._say(f"step {step}: rank {rank} {why}")

    def _say(self, line: str) -> None:
        print(f"{line}; {1 + len(self._peers)} ranks", flush=True)


def follow(work: Work, rank: int, notice: Notice) -> int:
    """Any other rank: it computes what it is dealt, until it is sent away or has its notice."""
    leader = _call(notice)
    if leader is None:
        return RUN_ME_AGAIN
    try:
        leader.send(Frame(Kind.HELLO, rank))
        state = checkpoint.decode(leader.expect(Kind.STATE, 0).payload)[0]
        while True:
            frame = leader.receive()
            match frame.kind:
                case Kind.GO if notice.given():
                    leader.send(Frame(Kind.LEAVE, frame.step))
                    return RUN_ME_AGAIN
                case Kind.GO:
                    parts = [work.shard(state, it) for it in json.loads(frame.payload)]
                    payload = np.concatenate(parts).tobytes()
                    leader.send(Frame(Kind.GRADIENT, frame.step, False, payload))
                case Kind.SUM:
                    state = work.after(state, np.frombuffer(frame.payload, np.float32))
                case Kind.SAVED:
                    return 0
                case _:
                    return RUN_ME_AGAIN
    except GangBroken:
        # Rank 0 has gone with its notice, or its node: all of it runs again.
        return RUN_ME_AGAIN
    finally:
        leader.close()


def _call(notice: Notice) -> Peer | None:
    address = os.environ.get("MASTER_ADDR", "127.0.0.1")
    port = int(os.environ.get("MASTER_PORT", "29500"))
    ends_at = time.monotonic() + SILENCE_SECONDS
    while not notice.given() and time.monotonic() < ends_at:
        try:
            return Peer(socket.create_connection((address, port)), "rank 0", SILENCE_SECONDS)
        except OSError:
            notice.pause(RETRY_SECONDS)
    return None


def _tell(peer: Peer, frame: Frame) -> bool:
    try:
        peer.send(frame)
    except GangBroken:
        return False
    return True


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        description="Learn to guess two primes of a product, on ranks that come and go.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    many: Callable[[str], int] = whole(1, 10**9)
    add = result.add_argument
    add("--steps", type=many, default=30_000, help="length of the whole run")
    add("--batch", type=whole(SHARDS, 7_722), default=256, help="rows a step, over all shards")
    add("--out", type=Path, default=Path(), help="folder for weights.npz")
    add("--checkpoint-every", type=many, default=500, metavar="STEPS", help="steps between saves")
    add("--pace", type=amount, default=0.0, metavar="SECONDS", help="least wall time of a step")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Listen, read what is asked, and train; the exit status."""
    notice, members = Notice.listen(os.environ), Members(os.environ)
    asked = parser().parse_args(arguments)
    rank = int(os.environ.get("PARKADE_NODE_RANK", "0"))
    work = Work(asked.steps, asked.batch)
    if rank != 0:
        return follow(work, rank, notice)
    folder = Path(os.environ.get("PARKADE_CHECKPOINT_DIR", "checkpoints"))
    first = First(work, members, notice, folder)
    return first.run(asked.out, asked.pace, asked.checkpoint_every)


if __name__ == "__main__":
    sys.exit(main())
