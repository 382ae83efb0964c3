"""An array: one record for many workloads that differ by their index, its *members*.

Theory of operation
-------------------
An array is a workload that never runs itself. Its record says which members wait to be *opened*,
and which have ended and how. A member that is opened is a workload of its own, `w7_3`, with the
array's spec: it bids, has seats, is stopped, retried and charged like all others. So an array costs
as much as the members that take part in the market, and not as much as it has.

    waiting ──opened──> a workload of its own ──ends──> succeeded, failed, cancelled or expired
       ^                                                     |
       └────────────────────── retried ──────────────────────┘

Members are opened in order of their index, as many as

- `most_running` leaves (`0-199%20`: 20), each open one counted, and
- the market can use: of those that are open at most as many wait for seats as have some, or
  `LEAST_WAITING` if that is more. An array that wins doubles with each clearing.

The array has ended when no member waits and none is open.

Invariants: each index is in one of `waiting`, the open members and the four ends. A member's
attempts are numbered on where those before its retry ended, so no attempt has the name of another.

Example: `0-199%20` on a market that holds 8 members. 20 are open, 8 of them run, 180 wait. When one
succeeds, the next clearing gives its seats to another of the 20, and index 20 is opened.

Decision record 135.
"""

import msgspec

from parkade.core.units import indexes
from parkade.core.units.indexes import Spans

LEAST_WAITING = 64
"""So many members may wait for seats in the market, however few have some."""


class ArrayTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The members of an array as submitted."""

    members: Spans

    most_running: int | None
    """How many may be open at once; None: no bound of its own."""

    def __str__(self) -> str:
        bound = "" if self.most_running is None else f"%{self.most_running}"
        return indexes.written(self.members) + bound


class ArrayState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where the members of an array are that are not open."""

    waiting: Spans
    """Not opened yet, or retried."""

    since_us: int
    """When the last thing happened that may let more be opened."""

    succeeded: Spans = ()
    failed: Spans = ()
    cancelled: Spans = ()
    expired: Spans = ()

    again: Spans = ()
    """Of those that wait, the ones that ran before."""

    generations: int = 0
    """The most attempts that a member had which has ended."""

    limits: tuple[tuple[Spans, int], ...] = ()
    """(members, limit per GPU-hour) of those that wait with another limit than the array's."""

    choice_limits: tuple[tuple[Spans, tuple[str, int]], ...] = ()
    """(members, (market, limit per GPU-hour)) of those that wait with another limit in one of
    several markets than the array's. Empty in snapshots of before there were such arrays."""

    durations: tuple[tuple[Spans, int | None], ...] = ()
    """(members, `max_duration`) of those that wait with another one than the array's; None: none.
    Empty in snapshots of before it could be changed."""

    @property
    def ended(self) -> Spans:
        """All that have ended."""
        return indexes.joined((*self.succeeded, *self.failed, *self.cancelled, *self.expired))

    def limit_micros(self, index: int) -> int | None:
        """The limit of one that waits, where it has another than the array."""
        return next(
            (limit for members, limit in self.limits if indexes.both(members, ((index, index),))),
            None,
        )

    def limits_of(self, index: int) -> tuple[tuple[str, int], ...]:
        """By market, the limits of one that waits where they are not the array's."""
        one = ((index, index),)
        return tuple(it for members, it in self.choice_limits if indexes.both(members, one))

    def duration_us(self, index: int, default_us: int | None) -> int | None:
        """The `max_duration` of one that waits; the array's is `default_us`."""
        return next(
            (
                duration_us
                for members, duration_us in self.durations
                if indexes.both(members, ((index, index),))
            ),
            default_us,
        )


def member_name(array: str, index: int) -> str:
    """`w7_3`: the id of a member."""
    return f"{array}_{index}"
