"""The cluster's own scheduling, replayed: who would have started when, by rules like Slurm's.

Theory of operation. Time goes from one second at which something happens to the next: a job ends,
becomes eligible or leaves the queue. Each job runs as long as it ran in the trace. Two passes start
jobs, as in Slurm, each once something has happened and it has rested since the last one:

- *In order*, at most every `pause_s`: in each partition the first job of the queue starts if its
  whole shape fits; the first that does not fit stops its partition. A job that only its account's
  limit keeps back stops none.
- *Backfill*, at most every `interval_s`: over all partitions in order, a job that fits starts if it
  delays no earlier one. Each job that does not fit is planned at the first instant at which it
  would, were every running job to use up its time limit, and keeps all of those nodes for as long
  as its own limit (`planning`). What its account's limit keeps back is neither started nor planned.
  At most `depth` jobs are planned in a pass.

Slurm's two passes look once a second whether they are due, at their own points of a second, and
what it records is cut to whole seconds. A pass meets a job that ended in the same second or just
misses it, which starts another job, and a short trace then goes another way. So these points, and
what was cut off, are drawn from `seed`, and a short trace is replayed with several (`accuracy`).

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
import math
import random
from array import array
from collections import defaultdict
from collections.abc import Iterator

import msgspec

from parkade.sim.observe import planning
from parkade.sim.observe.fleet import Fleet
from parkade.sim.observe.free_nodes import NO_LIMIT, FreeNodes, as_set
from parkade.sim.observe.jobs import NEVER, Jobs, Kind
from parkade.sim.observe.planning import Plan, Release

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
    """From one pass in order to the next, at least."""

    @property
    def words(self) -> str:
        """As a report says it."""
        order = f"in order of {self.order}"
        return f"backfill {order}" if self.has_backfill else f"{order}, without backfill"


Key = tuple[float, int, int]
Shape = tuple[int, int, int, int, int]


class PolicyRun:
    """One replay of the jobs `which`, from `begin_s` until all of them have started.

    `limits` are GPUs that an account may hold at once, by the number of the account; `seed` is
    what fractions of seconds are drawn from.
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
        seed: int,
    ) -> None:
        self._jobs, self._rules = jobs, rules
        self._which = which
        self._begin_s, self._end_s = window
        self._limits = limits
        self._used: defaultdict[int, int] = defaultdict(int)
        chance = random.Random(seed)
        self._pass_point_s, self._backfill_point_s = chance.random(), chance.random()
        self._cut_s = array("d", [chance.random() for _ in which])
        self._place = {job: place for place, job in enumerate(which)}
        self._now_s = float(self._begin_s)
        self._starts = array("q", [NEVER]) * len(jobs)
        self._free = FreeNodes(jobs, fleet)
        self._queues: dict[int, list[Key]] = {}
        self._seats: dict[int, list[int]] = {}
        self._coming: list[Release] = []
        self._running: list[tuple[float, int]] = []
        self._leaving: list[tuple[int, int]] = []
        self._gone: set[int] = set()
        self._pass_due_s: float | None = None
        self._backfill_due_s: float | None = None
        self._next_pass_s = self._next_backfill_s = self._now_s
        self._partition_limit_s = {part.name: part.limit_s for part in fleet.partitions}
        self._tier = {part.name: part.tier for part in fleet.partitions}

    def run(self) -> array[int]:
        """All of it: for each job of the trace its start in seconds, `NEVER` where it has none."""
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
                times += [it for it in (self._pass_due_s, self._backfill_due_s) if it is not None]
            if not times:
                break
            self._now_s = max(self._now_s, min(times))
            while coming is not None and coming[0] <= self._now_s:
                self._arrive(coming[1])
                coming = next(arrivals, None)
            while self._leaving and self._leaving[0][0] <= self._now_s:
                self._gone.add(heapq.heappop(self._leaving)[1])
                self._changed()
            while self._running and self._running[0][0] <= self._now_s:
                self._release(heapq.heappop(self._running)[1])
            self._pass()
        return self._starts

    def _changed(self) -> None:
        """Something happened that each of the passes looks at, once it has rested."""
        if self._pass_due_s is None:
            self._pass_due_s = _tick_s(max(self._now_s, self._next_pass_s), self._pass_point_s)
        if self._rules.has_backfill and self._backfill_due_s is None:
            due_s = max(self._now_s, self._next_backfill_s)
            self._backfill_due_s = _tick_s(due_s, self._backfill_point_s)

    def _pass(self) -> None:
        """What is due."""
        if self._pass_due_s is not None and self._pass_due_s <= self._now_s:
            self._pass_due_s = None
            self._next_pass_s = self._now_s + self._rules.pause_s
            self._start_in_order()
        if self._backfill_due_s is not None and self._backfill_due_s <= self._now_s:
            self._backfill()
            self._backfill_due_s = None
            self._next_backfill_s = self._now_s + self._rules.interval_s

    # Jobs come and go.

    def _arrivals(self) -> Iterator[tuple[float, int]]:
        """(when, job): those that run at the begin first."""
        jobs, begin_s = self._jobs, self._begin_s
        eligible_s, start_s = jobs.eligible_s, jobs.start_s
        early = [job for job in self._which if NEVER != start_s[job] < begin_s]
        for job in early:
            yield begin_s, job
        rest = [job for job in self._which if not NEVER != start_s[job] < begin_s]
        rest.sort(key=lambda job: (eligible_s[job] + self._cut_s[self._place[job]], job))
        for job in rest:
            yield eligible_s[job] + self._cut_s[self._place[job]], job

    def _arrive(self, job: int) -> None:
        jobs = self._jobs
        self._changed()
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
        place_of, free = self._free.place_of, self._free.gpus
        found = [place_of[name] for name in names if name in place_of]
        if len(found) != jobs.nodes[job] or any(free[node] < gpus for node in found):
            found = self._free.find(job) or []
        self._seats[job] = found
        for node in found:
            self._free.take(node, gpus, cpus)
        self._used[jobs.account[job]] += jobs.gpus[job]
        self._starts[job] = jobs.start_s[job]
        bisect.insort(self._coming, self._by_its_limit(job))
        ends_s = jobs.start_s[job] + self._length_s(job)
        heapq.heappush(self._running, (max(self._begin_s, ends_s), job))

    def _start(self, job: int, nodes: list[int]) -> None:
        jobs = self._jobs
        gpus, cpus = jobs.gpus_per_node(job), jobs.cpus_per_node(job)
        for node in nodes:
            self._free.take(node, gpus, cpus)
        self._seats[job] = nodes
        self._starts[job] = int(self._now_s)
        bisect.insort(self._coming, self._by_its_limit(job))
        self._used[jobs.account[job]] += jobs.gpus[job]
        ends_s = self._starts[job] + self._length_s(job) + self._cut_s[self._place[job]]
        heapq.heappush(self._running, (max(self._now_s, ends_s), job))

    def _release(self, job: int) -> None:
        jobs = self._jobs
        gpus, cpus = jobs.gpus_per_node(job), jobs.cpus_per_node(job)
        del self._coming[bisect.bisect_left(self._coming, self._by_its_limit(job))]
        for node in self._seats.pop(job):
            self._free.take(node, -gpus, -cpus)
        self._used[jobs.account[job]] -= jobs.gpus[job]
        self._changed()

    def _by_its_limit(self, job: int) -> Release:
        """Of a job that runs."""
        return Release(self._starts[job] + self._job_limit_s(job), job, as_set(self._seats[job]))

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
        return NO_LIMIT if own_s == NEVER else own_s

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
                nodes = self._free.find(job)
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
                fits[shape] = self._free.find(key[2]) is not None
            may_start.append(fits[shape])
        while may_start and not may_start[-1]:
            may_start.pop()
        now_s = int(self._now_s)
        plans: list[Plan] = []
        for key in keys[: len(may_start)]:
            job = key[2]
            if len(plans) >= self._rules.depth:
                break
            if self._is_kept_back(job):
                continue
            limit_s = self._job_limit_s(job)
            nodes = None
            if fits[self._shape(job)]:
                nodes = self._free.find(job, planning.kept(now_s, now_s + limit_s, plans))
            if nodes is not None:
                if self._jobs.kind[job] != Kind.LEFT:
                    self._start(job, nodes)
                    queue = self._queues[self._jobs.partition[job]]
                    del queue[bisect.bisect_left(queue, key)]
                continue
            found = planning.plan(
                job,
                limit_s,
                now_s,
                jobs=self._jobs,
                free=self._free,
                plans=plans,
                coming=self._coming,
            )
            if found is not None:
                plans.append(found)

    def _ahead(self) -> list[Key]:
        """The first jobs of all queues in order, without those that an account's limit keeps."""
        names = self._jobs.partitions.texts
        queues = [
            [(-self._tier.get(names[part], 0), key) for key in queue[:MOST_SKIPPED]]
            for part, queue in self._queues.items()
            if queue
        ]
        keys = (key for _, key in heapq.merge(*queues))
        open_keys = (key for key in keys if key[2] not in self._gone)
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


def _tick_s(from_s: float, point_s: float) -> float:
    """The first instant from then on at that point of a second."""
    return math.ceil(from_s - point_s) + point_s
