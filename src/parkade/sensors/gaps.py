"""Spans of logs whose lines may have been missed: each told once, and counted.

Nodes that share a log each follow it, so each of them notices the same span: a log has as many as
the node that noticed most.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from parkade.core.units.time import SECOND_US
from parkade.ports import LogSensor, Missed


class Gap(NamedTuple):
    """The last span of a log. `since_s` and `until_s`: seconds of the wall clock, the first 0 where
    it is not known; `spans`: how many there have been."""

    log: str
    why: str
    since_s: int
    until_s: int
    spans: int

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

    def _noticed(self, log: str, missed: Missed, now_us: int) -> Gap:
        gap = Gap(log, missed.why, missed.since_s, now_us // SECOND_US, missed.spans)
        self.by_log[log] = gap
        return gap

    def _spans(self, log: str) -> int:
        known = self.by_log.get(log)
        return 0 if known is None else known.spans


def _words(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
