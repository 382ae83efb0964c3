"""The queue of a simulated pool's engine, which takes jobs that Parkade knows nothing of.

It does as Slurm does. A job waits, or the engine starts it by itself: on nodes that no fence closes
and on which nothing runs, in the order of the queue. An owner's job that waits is let in where its
claim was given nodes. The fence closes all nodes but those that it leaves out, as the desired state
says, and may fall for a while. Some orgs have no user whom the engine lets in.

A look at any instant finds what happened until then; what the engine starts by itself it starts at
a look. Instants are those of the loop.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from parkade.core.fleet.pool import TakenNode
from parkade.core.reservations.owner_job import OwnerJob
from parkade.ports import DesiredState, OwnerReport
from parkade.sim.clocks import SimulatedClock
from parkade.sim.machines import Machines


@dataclass(kw_only=True)
class Job:
    """A job of an owner, or of no owner where `reservation` is None."""

    job: str
    reservation: str | None
    nodes: int
    work_us: int
    runs_on: tuple[str, ...] = ()
    ends_us: int = 0
    is_let_in: bool = False
    """Whether it runs where its claim was given nodes."""


def _nothing(_nodes: Sequence[str]) -> None:
    return


class Queue:
    """Of one pool. Cost of a look grows with its jobs and nodes."""

    def __init__(self, machines: Machines, clock: SimulatedClock) -> None:
        self.jobs: dict[str, Job] = {}
        self.fence_down_until_us = 0
        self.shut_out_until_us: dict[str, int] = {}
        """By org, until when the engine takes no job of its users."""

        self.on_left_out: Callable[[Sequence[str]], None] = _nothing
        """Told at each look which nodes the fence leaves out."""

        self.began_by_itself = 0
        self._machines = machines
        self._clock = clock
        self._number = 0

    def submit(self, reservation: str | None, nodes: int, work_us: int) -> None:
        """A job waits from now on."""
        self._number += 1
        job = Job(job=str(self._number), reservation=reservation, nodes=nodes, work_us=work_us)
        self.jobs[job.job] = job

    def withdraw(self, job: str) -> None:
        """It is gone, whether it ran or not; nothing where it is gone already."""
        if self.jobs.pop(job, None) is not None:
            self._machines.listener()

    def calm_down(self) -> None:
        """All jobs are gone, the fence may stand, and every user is let in."""
        self.jobs.clear()
        self.fence_down_until_us = 0
        self.shut_out_until_us.clear()

    def is_shut_out(self, org: str) -> bool:
        """Whether it takes no job of this org now."""
        return self._clock.steady_us() < self.shut_out_until_us.get(org, 0)

    def holds(self, node: str) -> bool:
        """Whether a job runs there, as of the last look."""
        return any(node in job.runs_on for job in self.jobs.values())

    def look(self, desired: DesiredState) -> OwnerReport:
        """What happened until now, and what is told of it."""
        now_us, dead = self._clock.steady_us(), self._machines.dead
        for job in list(self.jobs.values()):
            is_over = bool(job.runs_on) and (
                job.ends_us <= now_us or any(node in dead for node in job.runs_on)
            )
            if is_over:
                del self.jobs[job.job]
        self._machines.advance()
        self.on_left_out(desired.unfenced)
        stands = desired.fence_lapse_us is not None and now_us >= self.fence_down_until_us
        given = {one.job: one.nodes for one in desired.given}
        for job in self.jobs.values():
            if not job.runs_on and len(given.get(job.job, ())) >= job.nodes:
                self._begin(job, given[job.job], is_let_in=True)
        own = {node for nodes in given.values() for node in nodes}
        open_nodes = desired.unfenced if stands else tuple(self._machines.gpus)
        for job in self.jobs.values():
            if not job.runs_on:
                self._begin(job, [node for node in open_nodes if node not in own], is_let_in=False)
        asks = tuple(it for job in self.jobs.values() for it in _asked_by(job))
        taken = tuple(it for job in self.jobs.values() for it in _taken_by(job))
        return OwnerReport(jobs=asks, taken=taken, fence_stands=stands)

    def _begin(self, job: Job, nodes: Sequence[str], *, is_let_in: bool) -> None:
        """It runs on the first of these nodes that are free, where they are enough."""
        free = [node for node in nodes if self._is_free(node)]
        if len(free) < job.nodes:
            return
        job.runs_on, job.is_let_in = tuple(free[: job.nodes]), is_let_in
        job.ends_us = self._clock.steady_us() + job.work_us
        self.began_by_itself += not is_let_in

    def _is_free(self, node: str) -> bool:
        machines = self._machines
        is_empty = machines.free_gpus(node) == machines.gpus.get(node)
        return is_empty and node not in machines.dead and not self.holds(node)


def _asked_by(job: Job) -> Iterator[OwnerJob]:
    if job.reservation is not None:
        yield OwnerJob(
            job=job.job,
            reservation=job.reservation,
            nodes=job.nodes,
            least=job.nodes,
            runs_on=() if job.is_let_in else job.runs_on,
        )


def _taken_by(job: Job) -> Iterator[TakenNode]:
    if not job.is_let_in:
        for node in job.runs_on:
            yield TakenNode(node=node, job=f"job {job.job}", reservation=job.reservation)
