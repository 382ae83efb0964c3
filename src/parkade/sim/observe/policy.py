"""The cluster's own scheduling, replayed: who would have started when, by rules like Slurm's.

Theory of operation. Time goes from one second at which something happens to the next: a job ends,
becomes eligible or leaves the queue. Each job runs as long as it ran in the trace. Two passes start
jobs, as in Slurm:

- *In order*, at the next of the instants that are `pause_s` apart: in each partition the first job
  of the queue starts if its whole shape fits; the first that does not fit stops its partition. A
  job that only its account's limit keeps back stops none.
- *Backfill*, at most every `interval_s`: over all partitions in order, a job that fits starts if it
  delays no earlier one. Each job that does not fit is planned at the first instant at which it
  would, were every running job to use up its time limit, and keeps all of those nodes for as long
  as its own limit. At most `depth` jobs are planned in a pass.

A shape is nodes × GPUs × CPUs; GPUs and CPUs are counted on each node. Jobs that run when the
window begins keep the nodes that they have in the trace.

Example. One node of 8 GPUs. A (8 GPUs, limit 60 s, runs 20 s) at 0 s; B (8, 60 s) at 1 s; C (1,
30 s) at 2 s. A runs from 0 to 20. B is planned at 60, C fits nowhere. At 20 B starts, and C waits
until B ends. With a second node, of 1 GPU, C starts on it at 2 s.

Cost: of a pass in order, the jobs that start; of a backfill, `depth` × (running jobs + plans). Sets
of nodes are numbers with a bit for each node, and nodes are kept by how many of their GPUs are
free, so that a job that cannot fit costs next to nothing.
"""

from __future__ import annotations

import bisect
import enum
import heapq
import itertools
from array import array
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from parkade.sim.observe.fleet import Fleet
from parkade.sim.observe.jobs import NEVER, Jobs, Kind

FOREVER_S = 2**40
FIRST_WINDOW_S = 30
DAY_S = 86_400
TRIED_FOR_EACH_PLAN = 5
MOST_SKIPPED = 500
"""Jobs that wait for something other than room and are passed over in one pass."""


class Order(enum.StrEnum):
    """What puts one job before another."""

    SUBMISSION = "submission"
    PRIORITY = "priority"
    """Slurm's own number, as the trace has it; then submission."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How a cluster schedules."""

    order: Order
    has_backfill: bool
    interval_s: int
    """From one backfill to the next, at least."""

    depth: int
    """Jobs that a backfill plans."""

    pause_s: int
    """Passes are at instants so far apart, …"""

    phase_s: int
    """… which leave this remainder."""

    @property
    def words(self) -> str:
        """As a report says it."""
        order = f"in order of {self.order}"
        return f"backfill {order}" if self.has_backfill else f"{order}, without backfill"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """What came out: for each job of the trace its start, `NEVER` where it has none."""

    start_s: array[int]
    begin_s: int
    end_s: int


Key = tuple[float, int, int]
Shape = tuple[int, int, int, int, int]


class _Group:
    """Nodes that the same partitions have: by how many GPUs are free, each a set of nodes as the
    bits of a number."""

    def __init__(self, most: int) -> None:
        self.free = [0] * (most + 1)


class _Plan(NamedTuple):
    """Nodes that a job keeps for itself from one instant to another."""

    start_s: int
    end_s: int
    nodes: int


class PolicyRun:
    """One replay of the jobs `which`, from `begin_s` until all of them have started.

    `limits` are GPUs that an account may hold at once, by the number of the account.
    """

    def __init__(
        self,
        jobs: Jobs,
        fleet: Fleet,
        rules: Rules,
        *,
        which: array[int],
        window: tuple[int, int],
        limits: dict[int, int],
    ) -> None:
        self._jobs, self._fleet, self._rules = jobs, fleet, rules
        self._which = which
        self._begin_s, self._end_s = window
        self._limits = limits
        self._used: defaultdict[int, int] = defaultdict(int)
        self._now_s = self._begin_s
        self._starts = array("q", [NEVER]) * len(jobs)
        self._gpus = [node.gpus for node in fleet.nodes]
        self._cpus = [node.cpus or FOREVER_S for node in fleet.nodes]
        self._all_cpus = tuple(self._cpus)
        self._used_nodes = 0
        self._most = max(self._gpus, default=0)
        self._groups_of: dict[tuple[int, int], list[_Group]] = {}
        self._group_of: list[_Group] = []
        self._open_groups()
        self._queues: dict[int, list[Key]] = {}
        self._seats: dict[int, list[int]] = {}
        self._running: list[tuple[int, int]] = []
        self._leaving: list[tuple[int, int]] = []
        self._gone: set[int] = set()
        self._is_changed = False
        self._next_backfill_s = self._begin_s
        self._is_pass_due = False
        self._partition_limit_s = {part.name: part.limit_s for part in fleet.partitions}
        self._tier = {part.name: part.tier for part in fleet.partitions}

    def run(self) -> Schedule:
        """All of it."""
        arrivals = iter(self._arrivals())
        coming = next(arrivals, None)
        while coming is not None or self._running or any(self._queues.values()):
            times = []
            if coming is not None:
                times.append(max(self._begin_s, coming[0]))
            if self._running:
                times.append(self._running[0][0])
            if self._leaving:
                times.append(self._leaving[0][0])
            if any(self._queues.values()):
                if self._is_pass_due:
                    times.append(self._pass_s(self._now_s))
                if self._rules.has_backfill and self._is_changed:
                    times.append(self._pass_s(max(self._next_backfill_s, self._now_s)))
            if not times:
                break
            self._now_s = max(self._now_s, min(times))
            while self._running and self._running[0][0] <= self._now_s:
                self._release(heapq.heappop(self._running)[1])
            while self._leaving and self._leaving[0][0] <= self._now_s:
                self._gone.add(heapq.heappop(self._leaving)[1])
                self._is_changed = self._is_pass_due = True
            while coming is not None and coming[0] <= self._now_s:
                self._arrive(coming[1])
                coming = next(arrivals, None)
            if self._now_s == self._pass_s(self._now_s):
                self._pass()
        return Schedule(start_s=self._starts, begin_s=self._begin_s, end_s=self._end_s)

    def _pass(self) -> None:
        if self._is_pass_due:
            self._start_in_order()
            self._is_pass_due = False
        is_due = self._rules.has_backfill and self._now_s >= self._next_backfill_s
        if is_due and self._is_changed:
            self._backfill()
            self._is_changed = False
            self._next_backfill_s = self._now_s + self._rules.interval_s

    def _pass_s(self, at_s: int) -> int:
        """The first instant of a pass from then on."""
        return at_s + (self._rules.phase_s - at_s) % self._rules.pause_s

    # Jobs come and go.

    def _arrivals(self) -> Iterator[tuple[int, int]]:
        """(when, job): those that run at the begin first."""
        jobs, begin_s = self._jobs, self._begin_s
        eligible_s, start_s = jobs.eligible_s, jobs.start_s
        early = [job for job in self._which if NEVER != start_s[job] < begin_s]
        for job in early:
            yield begin_s, job
        rest = [job for job in self._which if not NEVER != start_s[job] < begin_s]
        rest.sort(key=lambda job: (eligible_s[job], job))
        for job in rest:
            yield eligible_s[job], job

    def _arrive(self, job: int) -> None:
        jobs = self._jobs
        self._is_changed = self._is_pass_due = True
        if NEVER != jobs.start_s[job] < self._begin_s:
            self._go_on(job)
            return
        if jobs.kind[job] == Kind.LEFT:
            if jobs.end_s[job] <= self._now_s:
                return
            heapq.heappush(self._leaving, (jobs.end_s[job], job))
        bisect.insort(self._queues.setdefault(jobs.partition[job], []), self._key(job))

    def _key(self, job: int) -> Key:
        rank = -self._jobs.priority[job] if self._rules.order is Order.PRIORITY else 0.0
        return (rank, self._jobs.eligible_s[job], job)

    def _go_on(self, job: int) -> None:
        """It runs when the window begins, on the nodes that the trace names."""
        jobs = self._jobs
        names = jobs.host_lists[jobs.hosts[job]]
        gpus, cpus = jobs.gpus_per_node(job), jobs.cpus_per_node(job)
        found = [self._place_of[name] for name in names if name in self._place_of]
        if len(found) != jobs.nodes[job] or any(self._gpus[node] < gpus for node in found):
            found = self._find(job) or []
        self._seats[job] = found
        for node in found:
            self._take(node, gpus, cpus)
        self._used[jobs.account[job]] += jobs.gpus[job]
        self._starts[job] = jobs.start_s[job]
        ends_s = jobs.start_s[job] + self._length_s(job)
        heapq.heappush(self._running, (max(self._begin_s, ends_s), job))

    def _start(self, job: int, nodes: list[int]) -> None:
        jobs = self._jobs
        gpus, cpus = jobs.gpus_per_node(job), jobs.cpus_per_node(job)
        for node in nodes:
            self._take(node, gpus, cpus)
        self._seats[job] = nodes
        self._starts[job] = self._now_s
        self._used[jobs.account[job]] += jobs.gpus[job]
        self._is_changed = True
        heapq.heappush(self._running, (self._now_s + self._length_s(job), job))

    def _release(self, job: int) -> None:
        jobs = self._jobs
        gpus, cpus = jobs.gpus_per_node(job), jobs.cpus_per_node(job)
        for node in self._seats.pop(job):
            self._take(node, -gpus, -cpus)
        self._used[jobs.account[job]] -= jobs.gpus[job]
        self._is_changed = self._is_pass_due = True

    def _length_s(self, job: int) -> int:
        """As long as it ran in the trace; one without an end runs as long as it may."""
        jobs = self._jobs
        if jobs.kind[job] == Kind.RAN:
            return jobs.end_s[job] - jobs.start_s[job]
        seen_s = self._end_s - jobs.start_s[job] if jobs.kind[job] == Kind.RUNNING else 0
        return max(1, seen_s, min(self._job_limit_s(job), DAY_S))

    def _job_limit_s(self, job: int) -> int:
        own_s = self._jobs.limit_s[job]
        if own_s == NEVER:
            own_s = self._partition_limit_s.get(self._partition_name(job), NEVER)
        return FOREVER_S if own_s == NEVER else own_s

    def _partition_name(self, job: int) -> str:
        return self._jobs.partitions.texts[self._jobs.partition[job]]

    # Passes.

    def _is_kept_back(self, job: int) -> bool:
        """By its account's limit."""
        limit = self._limits.get(self._jobs.account[job])
        return limit is not None and (
            self._used[self._jobs.account[job]] + self._jobs.gpus[job] > limit
        )

    def _start_in_order(self) -> None:
        waiting = [part for part, queue in self._queues.items() if queue]
        names = self._jobs.partitions.texts
        place = dict.fromkeys(waiting, 0)
        heads = [(-self._tier.get(names[part], 0), self._queues[part][0], part) for part in waiting]
        heapq.heapify(heads)
        while heads:
            tier, key, part = heapq.heappop(heads)
            queue, job = self._queues[part], key[2]
            if job in self._gone:
                del queue[place[part]]
                self._gone.discard(job)
            elif self._is_kept_back(job):
                place[part] += 1
                if place[part] >= MOST_SKIPPED:
                    continue
            else:
                nodes = self._find(job)
                if nodes is None:
                    continue
                if self._jobs.kind[job] == Kind.LEFT:
                    # The trace says that it never started.
                    place[part] += 1
                else:
                    self._start(job, nodes)
                    del queue[place[part]]
            if place[part] < len(queue):
                heapq.heappush(heads, (tier, queue[place[part]], part))

    def _backfill(self) -> None:
        """Starts what delays none that comes before it. What comes after the last job that fits
        now is not planned, for it keeps no other back."""
        keys = self._ahead()
        fits: dict[Shape, bool] = {}
        may_start = []
        for key in keys:
            shape = self._shape(key[2])
            if shape not in fits:
                fits[shape] = self._find(key[2]) is not None
            may_start.append(fits[shape])
        while may_start and not may_start[-1]:
            may_start.pop()
        plans: list[_Plan] = []
        releases: list[tuple[int, int, int, int]] | None = None
        for key in keys[: len(may_start)]:
            job = key[2]
            if len(plans) >= self._rules.depth:
                break
            if self._is_kept_back(job):
                continue
            limit_s = self._job_limit_s(job)
            nodes = None
            if fits[self._shape(job)]:
                nodes = self._find(job, _kept(self._now_s, self._now_s + limit_s, plans))
            if nodes is not None:
                if self._jobs.kind[job] != Kind.LEFT:
                    self._start(job, nodes)
                    queue = self._queues[self._jobs.partition[job]]
                    del queue[bisect.bisect_left(queue, key)]
                    releases = None
                continue
            if releases is None:
                releases = self._releases()
            plan = self._plan(job, limit_s, plans, releases)
            if plan is not None:
                plans.append(plan)

    def _ahead(self) -> list[Key]:
        """The first jobs of all queues in order, without those that an account's limit keeps."""
        names = self._jobs.partitions.texts
        queues = [
            [(-self._tier.get(names[part], 0), key) for key in queue[:MOST_SKIPPED]]
            for part, queue in self._queues.items()
            if queue
        ]
        keys = (key for _, key in heapq.merge(*queues))
        open_keys = (
            key for key in keys if key[2] not in self._gone and not self._is_kept_back(key[2])
        )
        return list(itertools.islice(open_keys, self._rules.depth * TRIED_FOR_EACH_PLAN))

    def _shape(self, job: int) -> Shape:
        jobs = self._jobs
        return (
            jobs.partition[job],
            jobs.model[job],
            jobs.nodes[job],
            jobs.gpus[job],
            jobs.cpus[job],
        )

    def _releases(self) -> list[tuple[int, int, int, int]]:
        """(when at the latest, node, GPUs, CPUs) of what runs, in order of time.

        As Slurm does, ends within a window are looked at together and count as the last of them;
        the window is 30 s wide for the next ends, and twice as wide each time.
        """
        jobs, found = self._jobs, []
        ends = sorted(
            (max(self._now_s + 1, self._starts[job] + self._job_limit_s(job)), job)
            for job in self._seats
        )
        place, width_s = 0, FIRST_WINDOW_S
        while place < len(ends):
            last = place
            while last + 1 < len(ends) and ends[last + 1][0] <= ends[place][0] + width_s:
                last += 1
            for _, job in ends[place : last + 1]:
                gpus, cpus = jobs.gpus_per_node(job), jobs.cpus_per_node(job)
                found += [(ends[last][0], node, gpus, cpus) for node in self._seats[job]]
            place, width_s = last + 1, 2 * width_s
        return found

    def _plan(
        self,
        job: int,
        limit_s: int,
        plans: list[_Plan],
        releases: list[tuple[int, int, int, int]],
    ) -> _Plan | None:
        """The first instant at which it fits for as long as its limit, and the nodes it keeps."""
        jobs = self._jobs
        gpus, cpus, count = jobs.gpus_per_node(job), jobs.cpus_per_node(job), jobs.nodes[job]
        may = self._may.get((jobs.partition[job], jobs.model[job]), 0)
        more: dict[int, tuple[int, int]] = {}
        fit = self._fit_now(job)
        times = sorted({it[0] for it in releases} | {plan.end_s for plan in plans})
        place = 0
        for at_s in times:
            if at_s >= FOREVER_S:
                break
            while place < len(releases) and releases[place][0] <= at_s:
                _, node, freed, threads = releases[place]
                place += 1
                if not may >> node & 1:
                    continue
                known = more.get(node, (0, 0))
                known = more[node] = (known[0] + freed, known[1] + threads)
                if self._gpus[node] + known[0] >= gpus and self._cpus[node] + known[1] >= cpus:
                    fit |= 1 << node
            if fit.bit_count() < count:
                continue
            free = fit & ~_kept(at_s, at_s + limit_s, plans)
            if free.bit_count() >= count:
                return _Plan(at_s, at_s + limit_s, _lowest(free, count))
        return None

    # Nodes.

    def _open_groups(self) -> None:
        jobs, fleet = self._jobs, self._fleet
        self._place_of = {node.name: place for place, node in enumerate(fleet.nodes)}
        members: dict[int, list[int]] = defaultdict(list)
        for number, part in enumerate(fleet.partitions):
            for it in part.nodes:
                members[it].append(number)
        groups: dict[tuple[tuple[int, ...], str], _Group] = {}
        for place, node in enumerate(fleet.nodes):
            kind = (tuple(members[place]), node.model)
            group = groups.setdefault(kind, _Group(self._most))
            group.free[node.gpus] |= 1 << place
            self._group_of.append(group)
        models = {node.model for node in fleet.nodes}
        self._may: dict[tuple[int, int], int] = {}
        for number, part in enumerate(fleet.partitions):
            queue = jobs.partitions.find(part.name)
            if queue is None:
                continue
            for model, name in enumerate(jobs.models.texts):
                wanted = name if name in models else ""
                self._groups_of[queue, model] = [
                    group
                    for (parts, has), group in groups.items()
                    if number in parts and wanted in ("", has)
                ]
                self._may[queue, model] = sum(
                    1 << it for it in part.nodes if wanted in ("", fleet.nodes[it].model)
                )

    def _find(self, job: int, kept: int = 0) -> list[int] | None:
        """Nodes for it now, the first in their order, none of those that are `kept`; None: it does
        not fit."""
        count = self._jobs.nodes[job]
        fit = self._fit_now(job) & ~kept
        if fit.bit_count() < count:
            return None
        return list(itertools.islice(_bits(fit), count))

    def _fit_now(self, job: int) -> int:
        """Every node that has room for one node of its shape."""
        jobs = self._jobs
        gpus, cpus = jobs.gpus_per_node(job), jobs.cpus_per_node(job)
        fit = 0
        for group in self._groups_of.get((jobs.partition[job], jobs.model[job]), []):
            for free in group.free[gpus:]:
                fit |= free
        if cpus:
            for node in _bits(fit & self._used_nodes):
                if self._cpus[node] < cpus:
                    fit ^= 1 << node
        return fit

    def _take(self, node: int, gpus: int, cpus: int) -> None:
        group, free, bit = self._group_of[node], self._gpus[node], 1 << node
        # A job that the trace has on a node may hold more than others leave there.
        group.free[min(max(free, 0), self._most)] &= ~bit
        free -= gpus
        self._gpus[node] = free
        self._cpus[node] -= cpus
        is_used = self._cpus[node] < self._all_cpus[node]
        self._used_nodes = self._used_nodes | bit if is_used else self._used_nodes & ~bit
        group.free[min(max(free, 0), self._most)] |= bit


def _kept(from_s: int, until_s: int, plans: list[_Plan]) -> int:
    """Nodes that plans keep at some time of a span."""
    kept = 0
    for start_s, end_s, nodes in plans:
        if start_s < until_s and from_s < end_s:
            kept |= nodes
    return kept


def _lowest(nodes: int, count: int) -> int:
    """The first so many of a set of nodes."""
    rest = nodes
    for _ in range(count):
        rest &= rest - 1
    return nodes ^ rest


def _bits(nodes: int) -> Iterator[int]:
    while nodes:
        yield (nodes & -nodes).bit_length() - 1
        nodes &= nodes - 1
