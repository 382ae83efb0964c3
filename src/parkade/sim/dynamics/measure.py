"""What is measured of a simulated day, from its events and from the seats that stand between them.

Counts come from events. Shares of GPU-hours are integrals over time of what stands in the world's
indexes, brought up to date at each instant at which something happened. Nothing is sampled.

The event of a clearing does not tell whether its seating fell back to the fabrics of the
allocation. A benchmark may look at the outcome on its way and tell it (`FallBacks`).
"""

import math
from collections.abc import Iterable
from typing import Protocol

import msgspec

from parkade.core.state import commands, events, lines
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US, MINUTE_US
from parkade.core.workloads.life import Cause
from parkade.core.workloads.spec import CapacityKind
from parkade.sim.auditor.owners import OwnersAudit, OwnersAuditor
from parkade.sim.dynamics.demand import GPUS, Demand, Job

QUARTER_US = 15 * MINUTE_US
DISPLACING = (Cause.OUTBID.value, Cause.BELOW_FLOOR.value, Cause.RECLAIMED.value)


class FallBacks(Protocol):
    """What is known of the last clearing beyond its event; None of it is needed."""

    is_known: bool
    count: int
    was_last: bool
    moved_by: dict[str, str]
    """Why it moved each demand, where its outcome says so."""


class Stops(msgspec.Struct, kw_only=True):
    """Notices of one cause."""

    count: int = 0
    gpus: int = 0
    still_gpu_hours: float = 0.0
    """GPU-hours from the end of the attempts until they ran again, or ended, or the day did."""


class Waited(msgspec.Struct, kw_only=True):
    """How jobs of one size waited for their first start."""

    jobs: int
    started: int
    hours: list[float]
    """Ascending; of a job that had not started, as long as it waited."""


class Measures(msgspec.Struct, kw_only=True):
    """Raw sums of one day, from which every figure is made."""

    seed: int
    hours: float
    sub_node_share: float
    stops: dict[str, Stops] = msgspec.field(default_factory=dict)
    moves: dict[str, Stops] = msgspec.field(default_factory=dict)
    """Of the stops with the cause `moved`: by why they were moved."""

    promises_rechosen: int = 0
    """Promises that were given other seats before they were launched."""

    most_moved_at_once: int = 0
    used_gpu_hours: float = 0.0
    """A process ran, or a claim had them."""

    held_gpu_hours: float = 0.0
    promised_idle_gpu_hours: float = 0.0
    spot_micros: int = 0
    spot_gpu_hours: float = 0.0
    """Those that were billed."""

    clearings: int = 0
    fall_backs: int | None = None
    """None: this version does not tell."""

    clearing_cpu: dict[str, int] = msgspec.field(default_factory=dict)
    """Clearings by processor time: `n` for about 2**(n / 20) ms."""

    clearing_cpu_s: float = 0.0
    cpu_s: float = 0.0
    """Of the whole day, driver and measuring included."""

    events: int = 0
    accepted: int = 0
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    windows_refused: int = 0
    """Clearings that left an accepted on-demand window without seats, for a new reason each."""

    needless_restarts: int = 0
    """Stopped for another, and launched again on the same nodes with no other there meanwhile."""

    prices: list[float] = msgspec.field(default_factory=list)
    """Mean price of a GPU-hour of running spot, each quarter of an hour in which some runs."""

    owners: OwnersAudit = msgspec.field(default_factory=OwnersAudit)
    waits: dict[str, Waited] = msgspec.field(default_factory=dict)


class DayMeasurer:
    """Listens to a day and keeps its sums."""

    def __init__(self, demand: Demand, fall_backs: FallBacks | None, sums: Measures) -> None:
        self.sums = sums
        self._demand = demand
        self._owners = OwnersAuditor()
        self._first_start_us: dict[int, int] = {}
        self._number_of: dict[str, int] = {}
        self._fall_backs = fall_backs
        self._still: dict[str, tuple[Stops, int, int | None]] = {}
        self._promised: dict[str, tuple[str, ...]] = {}
        self._left_nodes: dict[str, set[str]] = {}
        self._sampled_us = 0
        self._at_us: int | None = None
        self._standing = (0, 0, 0)
        self._has_changed = True

    def happened(self, event: events.AnyEvent, world: World) -> None:
        """An event was evolved."""
        self.sums.events += 1
        self._has_changed = True
        self._owners.read(event)
        match event:
            case events.Submitted(workload=workload):
                self.sums.accepted += 1
                self._number_of[workload.workload] = int(workload.spec.name.rpartition("-")[2])
            case events.Cleared():
                self._clear(event, world)
            case events.StopOrdered(workload=name, stop=stop):
                self._stopped(name, stop.cause.value, world)
            case events.Launched(workload=name, attempt=attempt):
                self._promised.pop(name, None)
                self._launched(name, {seat.node for seat in attempt.seats})
            case events.ClaimSeated(claim=name):
                self._taken({seat.node for seat in world.records.claims[name].seats})
            case events.Started(workload=name):
                self._first_start_us.setdefault(self._number_of[name], event.at_us)
                self._ran_again(name, event.at_us)
            case events.Ended(workload=name, phase=phase):
                if name in self._still:
                    stops, gpus, _ = self._still[name]
                    self._still[name] = (stops, gpus, event.at_us)
                if phase.is_ended:
                    self._ran_again(name, event.at_us)
            case events.PhaseChanged(workload=name, phase=phase):
                if phase.is_ended:
                    self._ran_again(name, event.at_us)
            case events.UsePosted(workload=name):
                self._posted(event, world)
            case _:
                pass

    def passed(self, world: World, now_us: int) -> None:
        """All at this instant happened: what stood until now is added up."""
        if self._at_us is not None:
            hours = (now_us - self._at_us) / HOUR_US
            used, held, promised_idle = self._standing
            self.sums.used_gpu_hours += used * hours
            self.sums.held_gpu_hours += held * hours
            self.sums.promised_idle_gpu_hours += promised_idle * hours
        self._at_us = now_us
        if now_us >= self._sampled_us + QUARTER_US:
            self._sampled_us = now_us
            self._sample(world)
        if self._has_changed:
            self._standing = _standing(world)
            self._has_changed = False

    def cleared(self, cpu_s: float) -> None:
        """A clearing was decided."""
        self.sums.clearings += 1
        self.sums.clearing_cpu_s += cpu_s
        bucket = str(round(20 * math.log2(max(cpu_s, 1e-6) * 1000)))
        self.sums.clearing_cpu[bucket] = self.sums.clearing_cpu.get(bucket, 0) + 1

    def refused(self, command: commands.AnyCommand, refusal: Refusal) -> None:
        """A command was refused."""
        name = f"{type(command).__name__}: {refusal.reason}"
        self.sums.refused[name] = self.sums.refused.get(name, 0) + 1

    def close(self, start_us: int, now_us: int) -> None:
        """The day is over."""
        for name in tuple(self._still):
            self._ran_again(name, now_us)
        sums = self.sums
        sums.owners = self._owners.close(now_us)
        looked = self._fall_backs
        sums.fall_backs = looked.count if looked is not None and looked.is_known else None
        sums.waits = waits_by_size(self._demand, self._first_start_us, start_us, now_us)

    def _clear(self, event: events.Cleared, world: World) -> None:
        moved_at_once = 0
        for leaving in event.left:
            name = lines.name_of(leaving.demand)
            if leaving.stop is None:
                self._promised.pop(name, None)
                continue
            cause = leaving.stop.cause.value
            self._stopped(name, cause, world)
            if cause == Cause.MOVED.value:
                moved_at_once += 1
                why = self._why_moved(name, leaving)
                stops = self.sums.moves.setdefault(why, Stops())
                stops.count += 1
                stops.gpus += _gpus(name, world)
        self.sums.most_moved_at_once = max(self.sums.most_moved_at_once, moved_at_once)
        for won in event.won:
            name = lines.name_of(won.demand)
            nodes = tuple(sorted(seat.node for seat in won.promise.seats))
            self.sums.promises_rechosen += self._promised.get(name, nodes) != nodes
            self._promised[name] = nodes
        for waiting in event.waiting:
            name = lines.name_of(waiting.demand)
            workload = world.records.workloads.get(name)
            if workload and workload.spec.capacity.kind is CapacityKind.ON_DEMAND:
                self.sums.windows_refused += 1

    def _why_moved(self, name: str, leaving: lines.Leaving) -> str:
        """The recorded cause of a move; where none is recorded, whether the seating fell back."""
        looked, recorded = self._fall_backs, word_of(getattr(leaving, "moved", None))
        if recorded is None and looked is not None:
            recorded = looked.moved_by.get(name)
        if recorded is not None:
            return recorded
        is_fall_back = looked is not None and looked.was_last
        return f"not recorded: {'fall-back' if is_fall_back else 'seating'}"

    def _launched(self, name: str, nodes: set[str]) -> None:
        self.sums.needless_restarts += self._left_nodes.pop(name, None) == nodes
        self._taken(nodes)

    def _taken(self, nodes: set[str]) -> None:
        """What left these nodes left them for something."""
        for name, left in tuple(self._left_nodes.items()):
            if left & nodes:
                del self._left_nodes[name]

    def _sample(self, world: World) -> None:
        runs = [
            attempt
            for name in world.live
            if (workload := world.records.workloads[name]).spec.capacity.kind is CapacityKind.SPOT
            and (attempt := workload.attempt) is not None
            and attempt.started_us is not None
        ]
        gpus = sum(it.gpus for it in runs)
        if gpus:
            paid = sum(it.rates[-1].price_micros * it.gpus for it in runs)
            self.sums.prices.append(round(paid / gpus / MICROS, 4))

    def _stopped(self, name: str, cause: str, world: World) -> None:
        attempt = world.records.workloads[name].attempt
        if attempt is not None and cause in (*DISPLACING, Cause.MOVED.value):
            self._left_nodes[name] = {seat.node for seat in attempt.seats}
        stops = self.sums.stops.setdefault(cause, Stops())
        stops.count += 1
        gpus = _gpus(name, world)
        stops.gpus += gpus
        self._still.setdefault(name, (stops, gpus, None))

    def _ran_again(self, name: str, at_us: int) -> None:
        stops, gpus, since_us = self._still.pop(name, (None, 0, None))
        if stops is not None and since_us is not None:
            stops.still_gpu_hours += gpus * (at_us - since_us) / HOUR_US

    def _posted(self, event: events.UsePosted, world: World) -> None:
        workload = world.records.workloads[event.workload]
        if workload.spec.capacity.kind is not CapacityKind.SPOT:
            return
        self.sums.spot_micros += sum(it.micros for it in event.transfers if it.kind.is_paid_by_user)
        self.sums.spot_gpu_hours += event.billed_us * workload.spec.total_gpus / HOUR_US


def word_of(reason: object) -> str | None:
    """The word of a reason: a word itself, or the tag of a tagged value; None of None."""
    if reason is None or isinstance(reason, str):
        return reason
    return str(getattr(type(reason), "__struct_config__").tag)  # noqa: B009


def _gpus(name: str, world: World) -> int:
    workload = world.records.workloads[name]
    return workload.attempt.gpus if workload.attempt is not None else 0


def _standing(world: World) -> tuple[int, int, int]:
    """GPUs in use (a process runs, or a claim has them), held, and promised while none holds them.
    Cost: live workloads with seats, and nodes."""
    used = held = promised_idle = 0
    records = world.records
    running: set[str] = set()
    for node, holders in world.held_on.items():
        here = sum(holders.values())
        held += here
        for holder, gpus in holders.items():
            if holder in running or _is_running(holder, world):
                running.add(holder)
                used += gpus
        promised = sum(world.promised_on[node].values())
        if promised and records.nodes[node].is_open:
            promised_idle += max(0, min(promised, GPUS - here))
    return used, held, promised_idle


def _is_running(holder: str, world: World) -> bool:
    workload = world.records.workloads.get(holder)
    if workload is None:
        return True
    return workload.attempt is not None and workload.attempt.started_us is not None


def waits_by_size(
    demand: Demand, started_us: dict[int, int], start_us: int, until_us: int
) -> dict[str, Waited]:
    """Spot jobs by their size. `started_us` is by the job's number."""
    found: dict[str, list[tuple[bool, float]]] = {}
    for job in demand.jobs:
        if job.capacity != "spot":
            continue
        asked_us = start_us + job.at_us
        first_us = started_us.get(job.number)
        end_us = first_us or min(until_us, asked_us + job.patience_us)
        found.setdefault(size_name(job), []).append(
            (first_us is not None, (end_us - asked_us) / HOUR_US)
        )
    return {
        name: Waited(
            jobs=len(waits),
            started=sum(has_started for has_started, _ in waits),
            hours=sorted(round(hours, 2) for _, hours in waits),
        )
        for name, waits in sorted(found.items())
    }


def size_name(job: Job) -> str:
    """`1-4 GPUs` below a node, else the nodes."""
    return "below a node" if job.gpus < GPUS else f"{job.nodes:2} nodes"


def quantile(ascending: Iterable[float], share: float) -> float:
    """The value at this share of the way; 0 of none."""
    values = tuple(ascending)
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0
