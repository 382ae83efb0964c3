"""How far runs of compound are, by the lines that their workers print (`compound/shards/progress`).

A run's output is read once, from where the last look ended, at most `MOST_BYTES` a look; of an
attempt that ended and was read to its end nothing is read again. What cannot be had now (an agent
that is silent, output that was cleared) leaves what was known.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

from parkade.api.problems import ProblemError
from parkade.api.streams import PlacedStream
from parkade.compound.shards.progress import LONGEST, Progress, read
from parkade.control.answers import LogsUnavailable

MOST_RUNS = 1_000
MOST_BYTES = 1 << 20
PATIENCE_S = 2.0
AT_ONCE = 8
EVERY_S = 5.0
"""A run that goes on is looked at no sooner again."""

Output = Callable[[int], Awaitable[PlacedStream]]
"""What rank 0 of an attempt printed from an offset on."""


class _Known(msgspec.Struct, kw_only=True):
    """What was read of a workload; the part of a line that has no end yet is `rest`."""

    attempt: str
    offset: int = 0
    rest: bytes = b""
    progress: Progress | None = None
    is_whole: bool = False
    looked_s: float = 0.0


class Runs:
    """By workload, the newest `MOST_RUNS` that were looked at. Used in one event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def progress(
        self, workload: str, attempt: str, output: Output, *, has_ended: bool
    ) -> Progress | None:
        """The newest line of a workload; None where none was printed yet."""
        known = self._known.pop(workload, None)
        if known is None or known.attempt != attempt:
            known = _Known(attempt=attempt, progress=None if known is None else known.progress)
        self._known[workload] = known
        if len(self._known) > MOST_RUNS:
            self._known.popitem(last=False)
        now_s = time.monotonic()
        if not known.is_whole and (has_ended or now_s - known.looked_s >= EVERY_S):
            known.looked_s = now_s
            with contextlib.suppress(TimeoutError, ProblemError, LogsUnavailable):
                async with self._room, asyncio.timeout(PATIENCE_S):
                    known.is_whole = await _read_on(known, output) and has_ended
        return known.progress


async def _read_on(known: _Known, output: Output) -> bool:
    """Whether it came to the end of what there is."""
    begins_at = known.offset
    stream = await output(begins_at)
    try:
        async for chunk in stream.body_iterator:
            assert isinstance(chunk, bytes)
            _take(known, chunk)
            if known.offset - begins_at >= MOST_BYTES:
                return False
    finally:
        stream.close()
    return True


def _take(known: _Known, chunk: bytes) -> None:
    known.offset += len(chunk)
    *lines, rest = (known.rest + chunk).split(b"\n")
    known.rest = rest[-LONGEST:]
    for line in lines:
        found = read(line.decode("utf-8", "replace"))
        known.progress = found or known.progress
