"""The rounds of lists of capacity that wait: which entry each asks for in each round of a clearing.

Each begins at its first entry, and goes on to its next where it wins nothing. On-demand, its last,
is bought from the calendar, the oldest list first; who finds no room there stays at the entry
before. One whose window wins no seats, because nodes have failed, buys none in this clearing, and
no other does that wants as many nodes: it asks for the entry before again, and smaller ones may
have its room.

Room only gets less until one is barred, so what was too much for one list is not asked for again by
those that want as much or more: where on-demand is sold out, the calendar is read once or a few
times a round, however many lists wait.

Invariant. Each round moves one list at least one entry on, or bars all of a size from on-demand, so
there are at most as many as a list has entries, and as there are sizes.
"""

import copy

from msgspec.structs import replace

from parkade.core.running.buying import Lack, bought, wanted
from parkade.core.state.world import World
from parkade.core.workloads.entries import asking, is_on_demand
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload

Records = dict[str, Workload]


class Rounds:
    """The entries that are asked for, in making."""

    def __init__(
        self, world: World, waiting: list[Workload], extra: tuple[Workload, ...], now_us: int
    ) -> None:
        self._world = world
        self._extra = extra
        self._unknown = {it.workload for it in extra}
        self._now_us = now_us
        self._waiting = sorted(waiting, key=lambda it: (it.submitted_us, it.workload))
        self._asks: Records = {it.workload: asking(it, it.spec.entries[0]) for it in waiting}
        self._barred: set[str] = set()
        self._lacks: list[Lack] = []
        self._unseated: list[Lack] = []

    def asked(self) -> tuple[World, tuple[Workload, ...]]:
        """The world to be read with the entries of this round, and what does not exist yet."""
        known = {name: it for name, it in self._asks.items() if name not in self._unknown}
        also = tuple(self._asks.get(it.workload, it) for it in self._extra)
        return with_records(self._world, known), also

    def go_on(self, won: set[str]) -> bool:
        """The next round, after one in which these won; False where there is none."""
        before = dict(self._asks)
        lost = [it for it in self._waiting if it.workload not in won]
        for it in lost:
            if is_on_demand(self._asks[it.workload]):
                self._barred.add(it.workload)
                self._unseated.append(self._wanted(it)._replace(end_us=0))
                # Its room is free again.
                self._lacks.clear()
                self._asks[it.workload] = asking(it, it.spec.entries[-2])
        for it in lost:
            if it.workload not in self._barred:
                self._step_down(it)
        return self._asks != before

    def _step_down(self, workload: Workload) -> None:
        entries, position = workload.spec.entries, self._position(workload)
        if position + 1 == len(entries):
            return
        if entries[position + 1].kind is not CapacityKind.ON_DEMAND:
            self._asks[workload.workload] = asking(workload, entries[position + 1])
            return
        asked = self._asks[workload.workload]
        want = self._wanted(workload)
        if any(it.covers(want) for it in (*self._lacks, *self._unseated)):
            return
        world, _ = self.asked()
        then = bought(world, asked, self._now_us)
        if isinstance(then, Lack):
            self._lacks.append(then)
        elif then is not None:
            self._asks[workload.workload] = then

    def _wanted(self, workload: Workload) -> Lack:
        return wanted(self._world, self._asks[workload.workload], self._now_us)

    def _position(self, workload: Workload) -> int:
        asked = self._asks[workload.workload]
        return workload.spec.entries.index(asked.spec.capacity)


def with_records(world: World, changed: Records) -> World:
    """The world to be read with other records; it shares the rest, and must not be changed."""
    if not changed:
        return world
    then = copy.copy(world)
    then.records = replace(world.records, workloads={**world.records.workloads, **changed})
    return then
