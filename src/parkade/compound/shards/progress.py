"""How far a submitted run is, as a line that workers print: people read it in `parkade logs`, the
console shows it as a bar.

    progress 150 of 300 questions, 148 accepted, 2 failed, 1,200 calls, 4,800 tokens, spent 0.0024

Counts are of shards that are done. What is printed is read again by `read`, also by a server that
is newer or older than the worker: words are only ever added at the end.
"""

import re
import time
from collections.abc import Callable

import msgspec

from parkade.compound.run.budget import NOTHING
from parkade.compound.shards.folder import Batch
from parkade.compound.shards.state import State
from parkade.core.units.money import format_amount

EVERY_S = 5.0
"""A worker prints no line sooner after the one before, but the last."""

LONGEST = 400
_LINE = re.compile(
    r"progress (?P<done>[\d,]+) of (?P<questions>[\d,]+) questions"
    r"(?:, (?P<accepted>[\d,]+) accepted)?, (?P<failed>[\d,]+) failed, (?P<calls>[\d,]+) calls,"
    r" (?P<tokens>[\d,]+) tokens, spent (?P<spent>\d{1,15}(?:\.\d{1,6})?)(?:,.*)?"
)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Of all shards together. `accepted`: by a verifier, None where none looked. `spent`: money of
    calls, as text, without what servers may bill in addition."""

    questions: int
    done: int
    accepted: int | None
    failed: int
    calls: int
    tokens: int
    spent: str

    def __str__(self) -> str:
        accepted = "" if self.accepted is None else f", {self.accepted:,} accepted"
        return (
            f"progress {self.done:,} of {self.questions:,} questions{accepted},"
            f" {self.failed:,} failed, {self.calls:,} calls, {self.tokens:,} tokens,"
            f" spent {self.spent}"
        )


def progress(batch: Batch, state: State) -> Progress:
    """What the log says. Grows with the shards."""
    done = [number for number, shard in enumerate(state.shards) if shard.is_done]
    found = [state.shards[number] for number in done]
    accepted = [shard.accepted for shard in found if shard.accepted is not None]
    used = NOTHING
    for shard in state.shards:
        used = used + (shard.allowed - shard.doubtful if shard.is_done else NOTHING)
    return Progress(
        questions=batch.count,
        done=sum(batch.asked(number) for number in done),
        accepted=sum(accepted) if accepted else None,
        failed=sum(shard.failed for shard in found),
        calls=used.calls,
        tokens=used.tokens,
        spent=format_amount(used.micros),
    )


def read(line: str) -> Progress | None:
    """What such a line says; None for another one."""
    match = _LINE.fullmatch(line) if len(line) <= LONGEST else None
    if match is None:
        return None
    found = match.groupdict()

    def whole(name: str) -> int:
        return int(found[name].replace(",", "")[:18] or 0)

    return Progress(
        questions=whole("questions"),
        done=whole("done"),
        accepted=None if found["accepted"] is None else whole("accepted"),
        failed=whole("failed"),
        calls=whole("calls"),
        tokens=whole("tokens"),
        spent=found["spent"],
    )


class Printer:
    """Lines of one worker, at most one in `EVERY_S`, and each once; `say` prints them."""

    def __init__(self, batch: Batch, say: Callable[[str], None]) -> None:
        self._batch = batch
        self._say = say
        self._last: Progress | None = None
        self._at_s = -EVERY_S

    def show(self, state: State, *, is_last: bool = False) -> None:
        """What stands in the log now."""
        now_s = time.monotonic()
        if now_s - self._at_s < EVERY_S and not is_last:
            return
        found = progress(self._batch, state)
        if found != self._last:
            self._last, self._at_s = found, now_s
            self._say(str(found))
