"""Serves owners and keeps strangers out of a pool's fence, by reservations of Slurm.

Theory of operation
-------------------
The fence (`fence`) is the Slurm reservation `parkade_POOL` on all nodes of the pool, for the users
of guests. Slurm starts no job of others there. It has an end that is put off while the control
plane is heard. So a fence whose agent or control plane died falls by itself, once guests whose
leases lapsed are gone; and a person ends it earlier by one command (`parkade pool fence` prints
it), after which Slurm ends the jobs in it at that date and starts what waits. Guests are told of
it (`recalling`).

An owner's job that Slurm started by itself, as while the fence was down, is told with its nodes,
and has a claim where it runs; what is beyond its right is told as taken (`started_itself`).

An owner's job that the market gave nodes is let onto them by a reservation of its own,
`parkade_POOL:GROUP`, which overlaps the fence: Slurm keeps others off its nodes, and starts the job
there. It is deleted once no job of the group is left, before that is told.

A job in the fence that no attempt here submitted is a stranger, whatever its comment says: its node
is taken, and it is cancelled. One exception: with our mark and from before this folder had the
fence, it may be the guest of an agent whose folder was lost; it is told, and a person decides.

Where a person ended the fence, its nodes are told as taken from then until a new one stands, and
nothing is started in it. So who left is not seated in the ending fence again.

    plane         Slurm                            what runs
    fence asked   parkade_box on n1-n4             guests
    c5 -> n1,n2   parkade_box:17 on n1,n2          job 17 on n1,n2; guests on n3,n4
    17 is over    parkade_box:17 deleted           guests on n1-n4
    plane dead    parkade_box ends after its lapse any job
"""

import getpass
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from parkade.core.fleet.pool import TakenNode
from parkade.engines.local.clocks import monotonic_us
from parkade.engines.slurm import owners, standing_in
from parkade.engines.slurm.answers import Job
from parkade.engines.slurm.commands import Runner
from parkade.engines.slurm.fence import Fence
from parkade.engines.slurm.kept_out import KeptOut
from parkade.engines.slurm.limits import Limits
from parkade.engines.slurm.owners import Group, Rule
from parkade.engines.slurm.standing_in import Standby
from parkade.engines.slurm.standing_reservation import Standing, parse
from parkade.engines.slurm.started_itself import StartedItself
from parkade.ports import DesiredState, EngineError, GivenNodes, OwnerReport, Transient

logger = logging.getLogger(__name__)

PREFIX = "parkade_"
MOST_LISTED = 1_000
CANCEL_AGAIN_US = 30_000_000


class Fencing:
    """The reservations of one pool; `folder` is the agent's. Blocks; one call at a time."""

    def __init__(
        self,
        pool: str,
        nodes: Mapping[str, int],
        commands: Runner,
        folder: Path,
        *,
        steady: Callable[[], int] = monotonic_us,
        standby: Standby = standing_in.NONE,
    ) -> None:
        self.standby = standby
        self.name = f"{PREFIX}{pool}"
        self.nodes = dict(nodes)
        self.commands = commands
        self.fence = Fence(self.name, nodes, commands, folder, steady=steady)
        self.steady = steady
        self._cancelled_us: dict[int, int] = {}
        self._kept_out = KeptOut()
        self._limits = Limits()
        self._started_itself = StartedItself()

    @property
    def recalled_us(self) -> int | None:
        """When guests are to be gone because a person released the fence; None: they may stay."""
        return self.fence.recalled_us

    def notes(self) -> tuple[str | None, ...]:
        """What the pool's operator should know of its fence."""
        return (
            self.fence.release() or self.fence.deletion(),
            self.fence.users.note,
            self._kept_out.note,
            self._started_itself.note,
            self._limits.note,
        )

    def _look_who_waits(
        self,
        desired: DesiredState,
        others: Sequence[Job],
        rules: Sequence[Rule],
        found: Sequence[Group],
    ) -> None:
        fences = bool(self.fence.fenced)
        is_new = self._kept_out.look(
            others if fences else (),
            rules,
            found if fences else (),
            fence=self.name,
            given={one.job for one in desired.given},
            now_us=self.steady(),
        )
        if is_new:
            logger.warning("fence %s: %s", self.name, self._kept_out.note)
        if self._started_itself.look(
            others if fences else (),
            rules,
            found,
            fence=self.name,
            nodes=self.nodes,
            given=desired.given,
            now_us=self.steady(),
        ):
            logger.warning("fence %s: %s", self.name, self._started_itself.note)

    def check(self, nodes: Iterable[str]) -> None:
        """Raises Transient where a guest on these nodes would have to leave at once."""
        if self.recalled_us is not None and not self.fence.fenced.isdisjoint(nodes):
            raise Transient("the fence was released; nothing starts in it until a new one stands")

    def serve(
        self,
        desired: DesiredState,
        others: Sequence[Job],
        rules: Sequence[Rule],
        *,
        is_heard: bool,
        unfit: Iterable[TakenNode] = (),
        cpus: int = 0,
        memory_mb: int = 0,
    ) -> OwnerReport:
        """Makes Slurm's reservations what is desired, and says what other jobs do. `others`: live
        jobs that no attempt here submitted; `unfit`: nodes on which Slurm starts nothing; `cpus`
        and `memory_mb`: what each node has at least, 0 where that is not known.
        EngineError where Slurm does not answer."""
        standing = self._read()
        unfit = tuple(unfit)
        failed = tuple(standing_in.groups(unfit, self.standby))
        if is_heard:
            opened = standing_in.opened(desired.given, failed) | frozenset(desired.unfenced)
            self._keep_fence(desired, standing.get(self.name), opened)
        else:
            self.fence.note(standing.get(self.name))
        self._keep_out(others)
        limited = self._limits.look(
            others,
            is_owners=lambda job: self._is_owners(job, rules),
            now_us=self.steady(),
        )
        found = owners.groups(
            others,
            rules,
            fence=self.name,
            node=owners.Room(max(self.nodes.values()), cpus, memory_mb),
            limited=limited,
            nodes=self.nodes,
        )
        if is_heard:
            self._let_out(others, limited)
            self._let_in(desired.given, found, standing)
        self._take_back(found, others, standing)
        self._look_who_waits(desired, others, rules, found)
        asks = tuple(group.asks for group in (*found, *failed))
        claimed = frozenset(group.key for group in found)
        held = owners.taken(
            others, tuple(self.nodes), fence=self.name, claimed=claimed, rules=rules
        )
        closed: dict[str, TakenNode] = {}
        for one in (*held, *unfit, *self._reserved(standing.values()), *self.fence.closed()):
            if one.node in self.nodes:
                closed.setdefault(one.node, one)
        return OwnerReport(jobs=asks, taken=tuple(closed.values()), fence_stands=self.fence.stands)

    def _keep_fence(
        self, desired: DesiredState, standing: Standing | None, opened: frozenset[str]
    ) -> None:
        if desired.fence_lapse_us is None:
            busy = {seat.node for one in desired.attempts for seat in one.ranks}
            self.fence.open(standing, busy)
        else:
            users = self._users(desired)
            self.fence.keep(standing, users, desired.fence_lapse_us, opened=opened)

    def _let_in(
        self,
        given: Iterable[GivenNodes],
        found: Iterable[Group],
        standing: Mapping[str, Standing],
    ) -> None:
        """Jobs of groups that were given nodes run there."""
        by_key = {group.key: group for group in found}
        for one in given:
            group = by_key.get(one.job)
            if group is None or not any(self._uses_room(job) for job in group.jobs):
                # Slurm started all of it by itself: it needs no reservation.
                continue
            name = f"{self.name}:{one.job}"
            if not self._reserve(name, one.nodes, group, standing.get(name)):
                continue
            for job in group.jobs:
                if job.is_waiting and job.asks.reservation != name:
                    self._run("update", f"JobId={job.number}", f"ReservationName={name}")

    def _uses_room(self, job: Job) -> bool:
        """Whether a job waits for nodes that its owner was given, or was let onto them."""
        return job.is_waiting or owners.let_into(job, self.name) is not None

    def _reserve(
        self, name: str, nodes: tuple[str, ...], group: Group, standing: Standing | None
    ) -> bool:
        users = {job.asks.user for job in group.jobs if job.asks.user}
        place = f"Nodes={','.join(nodes)}"
        if standing is None:
            return self._run(
                "create", f"ReservationName={name}", place, f"Users={','.join(sorted(users))}",
                "StartTime=now", "Duration=UNLIMITED", "Flags=IGNORE_JOBS,OVERLAP,PURGE_COMP=5",
            )  # fmt: skip
        changes = [] if set(standing.nodes) == set(nodes) else [place]
        if not users <= set(standing.users):
            changes.append(f"Users={','.join(sorted(users | set(standing.users)))}")
        return not changes or self._run("update", f"ReservationName={name}", *changes)

    def _is_owners(self, job: Job, rules: Sequence[Rule]) -> bool:
        is_let_in = owners.let_into(job, self.name) is not None
        return is_let_in or owners.owner_of(job, rules) is not None

    def _let_out(self, others: Iterable[Job], limited: Collection[int]) -> None:
        """Jobs that nodes do not help leave their reservation: Slurm would hold them with its
        end."""
        for job in others:
            is_let_in = owners.let_into(job, self.name) is not None
            if is_let_in and job.is_waiting and job.leader in limited:
                self._run("update", f"JobId={job.number}", "ReservationName=")

    def _take_back(
        self, found: Iterable[Group], others: Iterable[Job], standing: Mapping[str, Standing]
    ) -> None:
        """Reservations of groups without a job are deleted, once no job waits in them."""
        live = {f"{self.name}:{group.key}" for group in found}
        live |= {job.asks.reservation for job in others if job.is_waiting}
        for name in standing:
            if name.startswith(f"{self.name}:") and name not in live:
                self._run("delete", f"ReservationName={name}")

    def _keep_out(self, others: Iterable[Job]) -> None:
        """Guests may use the fence for what Parkade starts alone; a comment is any user's words."""
        inside = [job for job in others if job.asks.reservation == self.name]
        self._cancelled_us = {
            job.number: self._cancelled_us[job.number]
            for job in inside
            if job.number in self._cancelled_us
        }
        for job in inside:
            if job.is_marked and job.submitted_us < self.fence.kept.since_us:
                continue
            last_us = self._cancelled_us.get(job.number)
            if last_us is None or self.steady() - last_us >= CANCEL_AGAIN_US:
                self._cancelled_us[job.number] = self.steady()
                who = job.asks.user or job.uid
                logger.warning("job %s of %s is in the fence, not ours: cancelled", job.number, who)
                self._call("scancel", str(job.number))

    def _reserved(self, standing: Iterable[Standing]) -> Iterator[TakenNode]:
        """Nodes in reservations of others that are in force."""
        for one in standing:
            if one.name == self.name or one.name.startswith(f"{self.name}:") or not one.is_active:
                continue
            for node in one.nodes:
                yield TakenNode(node=node, job=f"reservation {one.name[:100]}")

    def _users(self, desired: DesiredState) -> tuple[str, ...]:
        named = {one.unix_user for one in desired.attempts if one.unix_user is not None}
        return tuple(sorted({getpass.getuser(), *named}))

    def _read(self) -> dict[str, Standing]:
        text = self.commands.run("scontrol", "show", "reservation", "--oneliner")
        lines = text.decode(errors="replace").splitlines()[:MOST_LISTED]
        found = (parse(line) for line in lines if line.startswith("ReservationName="))
        return {one.name: one for one in found}

    def _run(self, *words: str) -> bool:
        return self._call("scontrol", *words)

    def _call(self, *words: str) -> bool:
        """Whether Slurm did it; what it says is for the log, and the next look tries again."""
        try:
            self.commands.run(*words)
        except EngineError as error:
            logger.warning("%s: %s", " ".join(words)[:300], error)
            return False
        return True
