"""Which GPU indexes each node of this machine has: no index belongs to two nodes.

The nodes of the local engine are parts of one machine, so its GPUs are carved up among them. The
carving is kept in a record where all engines of the machine look, under a lock, and stays as it is
while a node stays: what runs keeps its devices, whatever nodes come and go. A pool may name the
indexes that are its own; they are recorded all the same.

The GPUs are found by NVML in a process of its own with a time-out, because a sick driver may never
answer; where there is no such library, by the device files. A machine without GPUs has slots
instead, numbered as far as the nodes of a pool ask, and each pool numbers its own.

Example. A machine of four GPUs, a pool with nodes a and b of two GPUs each: a has 0 and 1, b has 2
and 3. b is removed and c is added while an attempt on b still runs: c waits until 2 and 3 are free.
"""

import fcntl
import itertools
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from parkade.engines.local import records
from parkade.ports import NodeShape, Transient

VERSION = 1
PROBE_S = 20.0
NO_LIBRARY = 3
PROBE = f"""
import json, sys
try:
    import pynvml
    pynvml.nvmlInit()
except Exception:
    sys.exit({NO_LIBRARY})
print(json.dumps(list(range(pynvml.nvmlDeviceGetCount()))))
"""
RECORD = "devices.json"
RANGE = re.compile(r"[0-9]{1,4}(-[0-9]{1,4})?")
DEVICE_FILES = "nvidia[0-9]*"
Carving = Mapping[str, tuple[int, ...]]


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """The devices of a pool's nodes."""

    pool: str
    nodes: dict[str, tuple[int, ...]]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the pools of a machine hold, by the engine's data folder."""

    version: int
    holdings: dict[str, Holding]


def carve(
    nodes: Sequence[NodeShape],
    *,
    before: Carving,
    candidates: Iterable[int],
    held: Collection[int],
) -> dict[str, tuple[int, ...]]:
    """The devices of each node: those that it had, then the next candidates. A node that is no more
    keeps what attempts still hold. Raises Transient where the candidates do not suffice."""
    shapes = {shape.node: shape.gpus for shape in nodes}
    carved = {node: tuple(before.get(node, ()))[:gpus] for node, gpus in shapes.items()}
    for node, devices in before.items():
        kept = tuple(index for index in devices if index in held)
        if node not in shapes and kept:
            carved[node] = kept
    taken = {index for devices in carved.values() for index in devices}
    free = (index for index in candidates if index not in taken)
    for node, gpus in shapes.items():
        more = tuple(itertools.islice(free, gpus - len(carved[node])))
        carved[node] += more
        if len(carved[node]) < gpus:
            raise Transient(
                f"node {node} needs {gpus} GPUs, and this machine has {len(carved[node])} left "
                "for it; remove a node, or give its pool other devices"
            )
    return carved


class Machine:
    """The devices of this machine as the engine of one pool sees them.

    `named`: the only devices that the pool may have, None for whatever is free. `record`: where all
    engines look, None for the machine's own place.
    """

    def __init__(self, *, named: tuple[int, ...] | None = None, record: Path | None = None) -> None:
        self.named = named
        self.record = record

    def assign(
        self, folder: Path, pool: str, nodes: Sequence[NodeShape], held: Collection[int]
    ) -> dict[str, tuple[int, ...]]:
        """The devices of the pool's nodes, on record before they are answered. `held`: those of
        its live attempts. Raises Transient; blocks for PROBE_S at most."""
        found = find()
        path = self.record or (_own_place() if found else folder / RECORD)
        with _locked(path):
            record = _read(path)
            others = {
                key: holding
                for key, holding in record.holdings.items()
                if key != str(folder) and Path(key).is_dir()
            }
            taken = {index for one in others.values() for it in one.nodes.values() for index in it}
            own = record.holdings.get(str(folder))
            carved = carve(
                nodes,
                before={} if own is None else self._still_ours(own.nodes, taken),
                candidates=(index for index in self._all(found) if index not in taken),
                held=held,
            )
            holdings = others | {str(folder): Holding(pool=pool, nodes=carved)}
            records.write(path, msgspec.structs.replace(record, holdings=holdings))
            return carved

    def nominal(self, nodes: Sequence[NodeShape]) -> dict[str, tuple[int, ...]]:
        """The devices if the pool had the machine for itself; nothing is looked at."""
        return carve(nodes, before={}, candidates=self.named or itertools.count(), held=())

    def _all(self, found: tuple[int, ...]) -> Iterable[int]:
        if self.named is None:
            return found or itertools.count()
        missing = sorted(set(self.named) - set(found)) if found else []
        if missing:
            raise Transient(f"the pool's devices name GPU {missing[0]}, which is not there")
        return self.named

    def _still_ours(self, nodes: Carving, taken: Collection[int]) -> Carving:
        allowed = None if self.named is None else set(self.named)
        return {
            node: tuple(
                index
                for index in devices
                if index not in taken and (allowed is None or index in allowed)
            )
            for node, devices in nodes.items()
        }


def _own_place() -> Path:
    """Where the engines of one Unix user on this machine look; gone after a reboot, as all that
    ran."""
    if os.geteuid() == 0:
        return Path("/run/parkade") / RECORD
    folder = Path(tempfile.gettempdir()) / f"parkade-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Transient(f"{folder} is not this user's folder; remove it")
    return folder / RECORD


def _read(path: Path) -> Record:
    if not path.exists():
        return Record(version=VERSION, holdings={})
    try:
        return msgspec.json.decode(records.read_bounded(path) or b"", type=Record)
    except msgspec.DecodeError:
        raise Transient(
            f"{path} cannot be read; remove it while nothing runs on this machine"
        ) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def find(
    probe: Sequence[str] = (sys.executable, "-I", "-c", PROBE),
    files: Path = Path("/dev"),
    timeout_s: float = PROBE_S,
) -> tuple[int, ...]:
    """The indexes of this machine's GPUs in the order of the bus; none where it has none.

    Raises Transient where the driver does not answer: a guess could hand out a device twice.
    """
    try:
        answer = subprocess.run(probe, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise Transient(f"the GPU driver did not answer within {timeout_s:g} s") from None
    if answer.returncode == 0:
        return tuple(json.loads(answer.stdout))
    return tuple(range(len(list(files.glob(DEVICE_FILES)))))


def parse(text: str) -> tuple[int, ...]:
    """Indexes as in `0-3,6`. ValueError where it is something else."""
    found: list[int] = []
    for part in text.split(","):
        if not RANGE.fullmatch(part):
            raise ValueError(f"{text!r} is not a list of numbers and ranges")
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    if not found or len(set(found)) != len(found):
        raise ValueError(f"{text!r} names no devices, or one twice")
    return tuple(found)
