"""What is counted of a policy, in one way for all of them.

GPU-hours are integrals over time of levels that change at events; nothing is sampled. A *reclaim*
is one owner needing more nodes at one minute; it waits until it has the last of them.
"""

import enum
from collections.abc import Iterable

import msgspec

from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US

BIN_US = 15 * MINUTE_US
HEADROOM_EDGES = (0, 2, 5, 10)
"""Reclaims are told apart by the free share of the fleet, in percent, at least so much."""


class Level(enum.StrEnum):
    """What stands at an instant, in GPUs."""

    OWNERS = "owners"
    """Busy, as the trace has it; what an owner waits for is counted apart."""
    OWNERS_NODES = "owners_nodes"
    """All GPUs of the nodes that owners have."""
    GUESTS = "guests"
    """A process of the trace's guests runs on them."""
    BACKGROUND = "background"
    """A process of other guests does."""
    QUEUED = "queued"
    """Queued in the trace."""
    OWNERS_WAITING = "owners_waiting"
    """GPUs of the nodes that owners wait for."""


class Outcome(enum.StrEnum):
    """What a reclaim did to guests."""

    UNTOUCHED = "untouched"
    MOVED = "moved"
    """Guests had to leave, and each was promised other seats at once."""
    RESTARTED = "restarted"
    """A guest had to leave and waited for other seats."""


class Reclaim(msgspec.Struct, kw_only=True):
    """An owner needs more nodes."""

    tenant: str
    at_us: int
    nodes: int
    headroom: float
    """Share of the fleet's nodes that were free just before."""

    missing: int
    wait_us: int = 0
    outcome: Outcome = Outcome.UNTOUCHED

    def touch(self, *, is_moved: bool) -> None:
        """A guest had to leave for it."""
        if self.outcome is not Outcome.RESTARTED:
            self.outcome = Outcome.MOVED if is_moved else Outcome.RESTARTED


class Tally:
    """The sums of one policy over one trace."""

    def __init__(self, start_us: int, end_us: int) -> None:
        self.start_us, self.end_us = start_us, end_us
        bins = -(-(end_us - start_us) // BIN_US)
        self.bins = {level: [0] * bins for level in Level}
        """GPUs x microseconds of each quarter of an hour."""

        self.reclaims: list[Reclaim] = []
        self.rechosen = 0
        """Claims whose seats were theirs and were taken back or exchanged."""

        self.stops = 0
        """Guests that had to leave."""

        self.lost_us = 0
        """GPUs x microseconds of guests' work that must be done again."""

        self.unused_us = 0
        """GPUs x microseconds between an order and the first process."""

        self.waited_us: dict[str, int] = {}
        """GPUs x microseconds in which a queued guest did not run, by the reason."""

        self._now = dict.fromkeys(Level, 0)
        self._since = dict.fromkeys(Level, start_us)

    def add(self, level: Level, gpus: int, at_us: int) -> None:
        """The level changes by so many GPUs."""
        self.set(level, self._now[level] + gpus, at_us)

    def set(self, level: Level, gpus: int, at_us: int) -> None:
        """The level is so many GPUs from now on."""
        self._integrate(level, min(at_us, self.end_us))
        assert gpus >= 0, f"{level} below 0"
        self._now[level] = gpus

    def close(self) -> None:
        """Everything until the end."""
        for level in Level:
            self._integrate(level, self.end_us)

    def gpu_hours(self, level: Level) -> float:
        """Of the whole trace."""
        return sum(self.bins[level]) / HOUR_US

    def begin_reclaim(self, tenant: str, nodes: int, headroom: float, at_us: int) -> Reclaim:
        """An owner needs so many nodes more."""
        reclaim = Reclaim(tenant=tenant, at_us=at_us, nodes=nodes, missing=nodes, headroom=headroom)
        self.reclaims.append(reclaim)
        return reclaim

    def settle(self, reclaim: Reclaim, nodes: int, at_us: int) -> None:
        """It has so many of its nodes, or gives them up, after this wait."""
        assert reclaim.missing >= nodes
        reclaim.missing -= nodes
        reclaim.wait_us = max(reclaim.wait_us, at_us - reclaim.at_us)

    def count_wait(self, reason: str, gpus: int, span_us: int) -> None:
        """A queued guest did not run for so long."""
        self.waited_us[reason] = self.waited_us.get(reason, 0) + gpus * span_us

    def _integrate(self, level: Level, until_us: int) -> None:
        since_us, gpus = self._since[level], self._now[level]
        bins = self.bins[level]
        while since_us < until_us:
            place = (since_us - self.start_us) // BIN_US
            next_us = min(until_us, self.start_us + (place + 1) * BIN_US)
            bins[place] += gpus * (next_us - since_us)
            since_us = next_us
        self._since[level] = max(self._since[level], until_us)


def quantile(values: list[int], share: float) -> float:
    """The least value that at least this share of them do not exceed, in seconds; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    place = max(0, -(-int(share * 10_000) * len(ordered) // 10_000) - 1)
    return ordered[place] / SECOND_US


def by_headroom(reclaims: Iterable[Reclaim]) -> list[tuple[int, dict[Outcome, int]]]:
    """(least free share in percent, reclaims by their outcome)."""
    found = [(edge, dict.fromkeys(Outcome, 0)) for edge in HEADROOM_EDGES]
    for reclaim in reclaims:
        place = sum(reclaim.headroom * 100 >= edge for edge in HEADROOM_EDGES) - 1
        found[place][1][reclaim.outcome] += 1
    return found
