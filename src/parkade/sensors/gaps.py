"""Spans of logs whose lines may have been missed: each told once, and counted.

Nodes that share a log each follow it, so each of them notices the same span: a log has as many as
the node that noticed most.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from parkade.core.units.time import SECOND_US
from parkade.ports import LogSensor, LogStates, Missed


class Gap(NamedTuple):
    """The last span of a log. `since_s` and `until_s`: seconds of the wall clock, the first 0 where
    it is not known; `spans`: how many there have been, `more` of them since the last call."""

    log: str
    why: str
    since_s: int
    until_s: int
    spans: int
    more: int

    @property
    def since(self) -> str:
        """In words for people."""
        return _words(self.since_s) if self.since_s else "unknown"

    @property
    def until(self) -> str:
        """In words for people."""
        return _words(self.until_s)


class Gaps:
    """See the module."""

    def __init__(self) -> None:
        self.by_log: dict[str, Gap] = {}

    def new(self, logs: Iterable[LogSensor], now_us: int) -> list[Gap]:
        """Those that were noticed since the last call. Costs the logs."""
        found = []
        for log in logs:
            missed = log.missed
            if missed is not None and missed.spans > self._spans(log.reads):
                found.append(self._noticed(log.reads, missed, now_us))
        return found

    def states(self, logs: Sequence[LogSensor]) -> LogStates | None:
        """How these logs are kept up with; None where there are none. Costs the logs."""
        if not logs:
            return None
        backlogs = [log.backlog for log in logs]
        return LogStates(
            unread_bytes=sum(it.unread_bytes for it in backlogs),
            behind_us=round(max(it.behind_s for it in backlogs) * SECOND_US),
            gaps=sum(gap.spans for gap in self.by_log.values()),
            gap_end_us=max((gap.until_s * SECOND_US for gap in self.by_log.values()), default=None),
        )

    def _noticed(self, log: str, missed: Missed, now_us: int) -> Gap:
        more = missed.spans - self._spans(log)
        gap = Gap(log, missed.why, missed.since_s, now_us // SECOND_US, missed.spans, more)
        self.by_log[log] = gap
        return gap

    def _spans(self, log: str) -> int:
        known = self.by_log.get(log)
        return 0 if known is None else known.spans


def _words(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
