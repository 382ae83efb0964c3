"""A figure, its class, and how long something takes.

The class says what a figure contains, so that no decision is compared with an API server.
"""

import enum
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """What is between the stopwatch's start and its stop."""

    DECISION = "decision only"
    """Values in, events out, in one process: nothing is stored, sent or launched."""
    DURABLE = "durable"
    """And the events are on disk: a committed SQLite transaction with synchronous=FULL."""
    END_TO_END = "end to end"
    """A server process, asked over HTTP on loopback; durable; with an engine where one is named."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table; `values` are repetitions, `what` says what was measured."""

    name: str
    kind: Kind
    unit: str
    values: tuple[float, ...]
    what: str

    @property
    def median(self) -> float:
        """The figure itself."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The least of the repetitions."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The greatest of the repetitions."""
        return max(self.values)


def seconds(work: Callable[[], object]) -> float:
    """How long one call took."""
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def repeated_ms(work: Callable[[], object], repeat: int) -> tuple[float, ...]:
    """Milliseconds of each of several calls."""
    return tuple(seconds(work) * 1000 for _ in range(repeat))


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank: the least value that so many percent of the values do not exceed."""
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]
