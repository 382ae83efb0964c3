"""Suspects what nodes share, when more of them fall sick at once than chance allows.

A power supply takes a rack, a cable a switch's nodes, a roll-out the nodes of one driver version.
Repairing each node would then take many nodes out of service for nothing. A parent is suspected
when, within a window, as many of its nodes got a degraded or fatal verdict as independent failures
would give only once in a million windows, and at least three. For a driver version only the same
signal counts.

Example. A fleet of 10,000 nodes at 10 failures per 1,000 node-days has 0.35 failures in 5 minutes;
five or fewer are chance (P(6 or more) = 2e-6), seven suspect the driver. A rack of 8 nodes: three
suffice.
"""

from bisect import bisect_right
from operator import itemgetter

import msgspec

from parkade.core.healing.buffer_size import poisson_size
from parkade.core.healing.topology import ParentKind
from parkade.core.units.time import DAY_US, MINUTE_US

MOST_SICK = 512
"""Newest sick nodes remembered of one parent."""


class ParentLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`failures_per_node_day` is what a fleet has in bad times; `chance` is of one window."""

    window_us: int = 5 * MINUTE_US
    least_nodes: int = 3
    failures_per_node_day: float = 0.010
    chance: float = 1e-6


class ParentMemory(msgspec.Struct, frozen=True, kw_only=True):
    """The sick nodes of one parent (and one signal, for a driver), each with its last instant, the
    oldest first."""

    kind: ParentKind
    name: str
    members: int
    threshold: int
    sick: tuple[tuple[str, int], ...]


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """These nodes fell sick together; the parent is to be looked at, not each node."""

    kind: ParentKind
    name: str
    members: int
    nodes: tuple[str, ...]
    since_us: int


def parent_memory(kind: ParentKind, name: str, members: int, limits: ParentLimits) -> ParentMemory:
    """A parent of so many nodes, none of them sick."""
    mean = members * limits.failures_per_node_day * limits.window_us / DAY_US
    chance = poisson_size(mean, quantile=1 - limits.chance)
    threshold = max(limits.least_nodes, chance + 1)
    return ParentMemory(kind=kind, name=name, members=members, threshold=threshold, sick=())


def note_sick(parent: ParentMemory, node: str, now_us: int, limits: ParentLimits) -> ParentMemory:
    """The parent with one more sick node, by its last instant; grows with the sick nodes in the
    window. Where a program goes on, what it hears first need not be the oldest."""
    kept, at_us = _within(parent, now_us, limits), now_us
    if node in map(_NAME, kept):
        at_us = max(at_us, *(each[1] for each in kept if each[0] == node))
        kept = tuple(each for each in kept if each[0] != node)
    place = bisect_right(kept, at_us, key=_AT_US)
    sick = (*kept[:place], (node, at_us), *kept[place:])[-MOST_SICK:]
    return msgspec.structs.replace(parent, sick=sick)


def suspicion_of(parent: ParentMemory, now_us: int, limits: ParentLimits) -> Suspicion | None:
    """The suspicion while it holds."""
    sick = _within(parent, now_us, limits)
    if len(sick) < parent.threshold:
        return None
    return Suspicion(
        kind=parent.kind,
        name=parent.name,
        members=parent.members,
        nodes=tuple(map(_NAME, sick)),
        since_us=sick[0][1],
    )


_NAME, _AT_US = itemgetter(0), itemgetter(1)


def _within(parent: ParentMemory, now_us: int, limits: ParentLimits) -> tuple[tuple[str, int], ...]:
    """Those of the window."""
    return parent.sick[bisect_right(parent.sick, now_us - limits.window_us, key=_AT_US) :]
