"""Replays a history of nodes down against ways to size the buffer, each seeing only the past.

From `start_us` on, at each `resize_us` the buffer is sized by what was known at that instant and
held until the next. What follows is measured: how much was held, and how long more nodes were down
than were held. Nothing of the future reaches a size.
"""

from collections.abc import Callable
from typing import NamedTuple

from parkade.core.healing.buffer_size import Steps, shortage_of

Size = Callable[[Steps, int], int]
"""The nodes to hold, from the history and the present; it may look at the history up to now
only."""


class Replay(NamedTuple):
    """`mean_held` nodes; `short_share` of the time more were down than held; `worst` deficit;
    `sizes` are (instant, held) from each resize on."""

    mean_held: float
    short_share: float
    worst: int
    sizes: tuple[tuple[int, int], ...]


def replay(down: Steps, size: Size, *, start_us: int, end_us: int, resize_us: int) -> Replay:
    """Walks forward; grows with the resizes times the cost of one size, plus the steps."""
    held_time, short_us, worst = 0, 0, 0
    sizes = []
    for at_us in range(start_us, end_us, resize_us):
        until_us = min(at_us + resize_us, end_us)
        held = size(history(down, at_us), at_us)
        piece = shortage_of(down, held, start_us=at_us, end_us=until_us)
        sizes.append((at_us, held))
        held_time += held * (until_us - at_us)
        short_us += piece.short_us
        worst = max(worst, piece.worst)
    span_us = end_us - start_us
    return Replay(held_time / span_us, short_us / span_us, worst, tuple(sizes))


def history(down: Steps, now_us: int) -> Steps:
    """What was known at an instant."""
    known = sum(1 for at_us in down.times_us if at_us <= now_us)
    return Steps(down.times_us[:known], down.counts[:known])
