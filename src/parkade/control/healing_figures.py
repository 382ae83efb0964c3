"""What is told of Mars in numbers: counted as events are committed, gauged now and then.

`follow` and `refresh` are for the writer's thread; `figures` is an immutable value that any thread
may read, at most `EVERY_US` old while anything changes. Counts begin anew with the process, as
counters of Prometheus may.
"""

import msgspec

from parkade.control.cycle import Committed
from parkade.core.fleet.node import Health
from parkade.core.healing.guards import Breaker
from parkade.core.healing.incident import Next, RepairKind
from parkade.core.healing.turnaround import TurnaroundTimes
from parkade.core.repairing.buffer_use import BufferUse, buffers
from parkade.core.repairing.guarding import breakers
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units.time import SECOND_US

EVERY_US = 2 * SECOND_US


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Gauges of the fleet; `incidents` are the open ones by what they wait for."""

    health: dict[Health, int] = {}
    incidents: dict[str, int] = {}
    is_on: bool = True
    budgets: dict[str, Breaker] = {}
    buffers: tuple[BufferUse, ...] = ()
    turnarounds: dict[str, TurnaroundTimes] = {}
    earned_micros: dict[str, int] = {}
    """By market, what the lent part of its buffers earned, as the journal says."""


class HealingFigures:
    """Counters: `verdicts` by level, `holds` by reason, `repairs` by (kind, result), `closed` by
    outcome."""

    def __init__(self, world: World) -> None:
        self.figures = Figures()
        self.verdicts: dict[str, int] = {}
        self.holds: dict[str, int] = {}
        self.repairs: dict[tuple[RepairKind, str], int] = {}
        self.closed: dict[str, int] = {}
        self._refreshed_us = 0
        self._is_changed = True
        self.refresh(world, now_us=world.records.now_us, steady_us=EVERY_US)

    def follow(self, committed: Committed) -> None:
        """Counts what was committed."""
        self._is_changed = True
        for _, event in committed:
            match event:
                case events.VerdictGiven(verdict=verdict):
                    _add(self.verdicts, verdict.level.value)
                case events.IncidentOpened(incident=incident):
                    if incident.held is not None:
                        _add(self.holds, incident.held.value)
                case events.IncidentHeld(held=held):
                    if held is not None:
                        _add(self.holds, held.value)
                case events.RepairEnded(report=report, kind=RepairKind() as kind):
                    key = (kind, "done" if report.is_done else "failed")
                    self.repairs[key] = self.repairs.get(key, 0) + 1
                case events.IncidentClosed(outcome=outcome):
                    _add(self.closed, outcome.value)
                case _:
                    pass

    def refresh(self, world: World, *, now_us: int, steady_us: int) -> None:
        """New gauges, where something changed and the last are old. Cost grows with the nodes."""
        if not self._is_changed or steady_us - self._refreshed_us < EVERY_US:
            return
        self._is_changed, self._refreshed_us = False, steady_us
        records = world.records
        health = dict.fromkeys(Health, 0)
        for node in records.nodes.values():
            health[node.health] += 1
        incidents = {"acting": 0, "held": 0, "person": 0}
        for care in records.cares.values():
            incident = records.incidents.get(care.incident or "")
            if incident is None:
                continue
            waits = "person" if incident.next is Next.PERSON else "acting"
            incidents["held" if incident.held is not None else waits] += 1
        self.figures = Figures(
            health=health,
            incidents=incidents,
            is_on=records.automation.is_on,
            budgets=breakers(world, now_us),
            buffers=buffers(world),
            turnarounds=dict(records.turnaround_times),
            earned_micros=dict(records.buffer_earned),
        )


def _add(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
