"""How an engine is tried: places, attempts, orders, and waiting with a bound.

Programs leave their evidence in the workload's checkpoint folder, which outlives the attempt.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from parkade.engines.local.records import Account, Launch
from parkade.ports import (
    DesiredAttempt,
    Engine,
    LogRequest,
    Observation,
    ObservedAttempt,
    Phase,
    SaveRequest,
    Seat,
    Stop,
)
from tests import builders
from tests.waits import PATIENCE_S, POLL_S

UNTIL_TERM = "trap 'date +%s%N > $PARKADE_CHECKPOINT_DIR/termed; exit 0' TERM; "
NEVER_LEAVES = "trap '' TERM; "
FOR_EVER = "touch $PARKADE_CHECKPOINT_DIR/up.$PARKADE_NODE_RANK; while :; do sleep 0.05; done"

_numbers = itertools.count(1)


class Place(Protocol):
    """Where one engine is tried: two nodes, `n0` and `n1`, of four GPUs each."""

    def engine(self) -> Engine:
        """Another engine object on the same place, as after a restart of the agent."""
        ...

    def checkpoints(self, attempt: DesiredAttempt) -> Path:
        """The workload's checkpoint folder, as the test can read it."""
        ...


def now_us() -> int:
    return time.time_ns() // 1000


def attempt_of(command: str, *, nodes: int = 1, gpus: int = 1, **changes: Any) -> DesiredAttempt:
    """A new attempt; `changes` are fields of DesiredAttempt."""
    ranks = tuple(Seat(node=f"n{index}", gpus=gpus) for index in range(nodes))
    made = builders.desired(f"w{next(_numbers)}.1", command=command, workdir="/tmp", ranks=ranks)
    return msgspec.structs.replace(made, **changes)


def launched(
    attempt: DesiredAttempt, devices: tuple[tuple[int, ...], ...], port: int, **changes: Any
) -> Launch:
    """What a keeper is given of an attempt."""
    made = Launch(
        version=1,
        attempt=attempt,
        devices=devices,
        master_port=port,
        account=Account(name="me", uid=1000, gid=1000, home="/home/me"),
        is_other_user=False,
        path="/bin",
        checkpoint_dir="/c",
        changes="/x",
        boot_id="b",
        prepared_us=1,
    )
    return msgspec.structs.replace(made, **changes)


def ask(*signals: str) -> SaveRequest:
    """A notice that begins with one of these signals."""
    return SaveRequest(signals=signals, command=None)


def order_in(term_s: float, kill_s: float, cause: str = "outbid") -> Stop:
    """TERM and KILL that many seconds from now."""
    return builders.stop_order(now_us(), term_s=term_s, kill_s=kill_s, cause=cause)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 3 * PATIENCE_S))


async def until(holds: Callable[[], Any]) -> Any:
    """What `holds` returns as soon as it is true."""
    ends_at = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < ends_at, "it never came to be"
        await asyncio.sleep(POLL_S)
    return found


def of(observation: Observation, attempt: DesiredAttempt) -> ObservedAttempt | None:
    found = [one for one in observation.attempts if one.attempt == attempt.attempt]
    assert len(found) <= 1, "an attempt is observed once"
    return found[0] if found else None


async def until_seen(
    engine: Engine, attempt: DesiredAttempt, holds: Callable[[ObservedAttempt], bool]
) -> ObservedAttempt:
    """The first observation of the attempt for which it holds."""
    ends_at = time.monotonic() + PATIENCE_S
    while True:
        seen = of(await engine.observe(), attempt)
        if seen is not None and holds(seen):
            return seen
        assert time.monotonic() < ends_at, f"it never came to be; last: {seen}"
        await asyncio.sleep(POLL_S)


async def released(engine: Engine, attempt: DesiredAttempt) -> ObservedAttempt:
    seen = await until_seen(engine, attempt, lambda one: one.phase is Phase.RELEASED)
    assert seen.released_us is not None
    return seen


def never_ran(seen: ObservedAttempt) -> bool:
    """Whether no rank ran its command, and none is said to have ended by itself."""
    is_unknown = all(it.code is None and it.signal is None for it in seen.exits)
    return seen.started_us is None and is_unknown and not seen.is_keeper_lost


def request_of(attempt: str, **changes: Any) -> LogRequest:
    made = LogRequest(request="r", attempt=attempt, rank=0, offset=0, follow=True)
    return replace(made, **changes)


async def output_of(engine: Engine, attempt: DesiredAttempt, **how: Any) -> bytes:
    chunks = engine.logs(request_of(attempt.attempt, **how))
    return b"".join([chunk async for chunk in chunks])


def read(path: Path) -> int:
    """A number that a program wrote; 0 while it is not there whole."""
    text = path.read_text()
    return int(text) if text.endswith("\n") else 0
