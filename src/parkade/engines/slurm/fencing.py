"""Fences a pool by a reservation of Slurm, and gives nodes to owners' jobs by others.

Theory of operation
-------------------
The fence is the Slurm reservation `parkade_POOL` on all nodes of the pool, for the users of guests.
Slurm starts no job of others there. It has an end, `fence_lapse_us` from now, which is put off
while the control plane is heard. So a fence whose agent or control plane died falls by itself, once
guests whose leases lapsed are gone; and a person ends it earlier by one command (`parkade pool
fence` prints it), after which Slurm ends the jobs in it at that date and starts what waits. An end
that a person brought forward is not put off; guests are told of it (`recalling`).

An owner's job that the market gave nodes is let onto them by a reservation of its own,
`parkade_POOL:GROUP`, which overlaps the fence: Slurm keeps others off its nodes, and starts the job
there. It is deleted once no job of the group is left, before that is told.

A job in the fence that is not ours was put there by a guest by hand: it is cancelled.

    plane         Slurm                            what runs
    fence asked   parkade_box on n1-n4             guests
    c5 -> n1,n2   parkade_box:17 on n1,n2          job 17 on n1,n2; guests on n3,n4
    17 is over    parkade_box:17 deleted           guests on n1-n4
    plane dead    parkade_box ends after its lapse any job
"""

import getpass
import logging
from collections.abc import Iterable, Mapping, Sequence

from parkade.core.fleet.pool import TakenNode
from parkade.engines.slurm import owners
from parkade.engines.slurm.answers import Job
from parkade.engines.slurm.commands import Commands
from parkade.engines.slurm.owners import Group, Rule
from parkade.engines.slurm.standing_reservation import Standing, parse
from parkade.ports import DesiredState, EngineError, GivenNodes, OwnerReport

logger = logging.getLogger(__name__)

PREFIX = "parkade_"
MOST_LISTED = 1_000
PUT_OFF_US = 30_000_000
"""So long before its full lapse an end is put off; less than the slack of the lapse."""
EARLIER_US = 10_000_000
"""An end that is so much earlier than the one that we set was set by a person."""


class Fencing:
    """The reservations of one pool. Blocks; one call at a time. `fenced`: nodes on which our jobs
    must be in the fence to run."""

    def __init__(self, pool: str, nodes: Mapping[str, int], commands: Commands) -> None:
        self.name = f"{PREFIX}{pool}"
        self.nodes = dict(nodes)
        self.commands = commands
        self.stands = False
        self.recalled_us: int | None = None
        self._ends_us = 0
        self.fenced: frozenset[str] = frozenset()

    def serve(
        self,
        desired: DesiredState,
        others: Sequence[Job],
        rules: Sequence[Rule],
        *,
        is_heard: bool,
        now_us: int,
    ) -> OwnerReport:
        """Makes Slurm's reservations what is desired, and says what other jobs do. `others`: live
        jobs that are not ours."""
        standing = self._read()
        self._keep_out(others)
        if is_heard:
            self._fence(desired, standing.get(self.name), now_us)
        else:
            self._note(standing.get(self.name))
        found = owners.groups(others, rules, fence=self.name, node_gpus=max(self.nodes.values()))
        if is_heard:
            self._let_in(desired.given, found, standing)
        self._take_back(found, standing)
        asks = tuple(group.asks for group in found)
        closed = (*owners.taken(others, tuple(self.nodes), fence=self.name),)
        foreign = self._reserved(standing.values(), frozenset(it.node for it in closed))
        return OwnerReport(jobs=asks, taken=(*closed, *foreign), fence_stands=self.stands)

    def _note(self, standing: Standing | None) -> None:
        """As it is: without a control plane it is left to its end."""
        self.fenced = frozenset() if standing is None else frozenset(standing.nodes)
        self.stands = self.fenced == self.nodes.keys()

    def _fence(self, desired: DesiredState, standing: Standing | None, now_us: int) -> None:
        lapse_us = desired.fence_lapse_us
        if lapse_us is None:
            self.stands = False
            self.fenced = frozenset()
            if standing is not None:
                self._open(desired, standing)
            return
        self.fenced = frozenset(self.nodes)
        users = self._users(desired)
        nodes = tuple(sorted(self.nodes))
        ends = f"EndTime=now+{lapse_us // 1_000_000}seconds"
        if standing is None:
            words = (f"Nodes={','.join(nodes)}", f"Users={','.join(users)}", "StartTime=now", ends)
            self.stands = self._run(
                "create", f"ReservationName={self.name}", *words, "Flags=IGNORE_JOBS"
            )
            self.recalled_us, self._ends_us = None, now_us + lapse_us
            return
        if standing.ends_us < self._ends_us - EARLIER_US:
            self.recalled_us = standing.ends_us
            self.stands = False
            return
        changes = []
        if tuple(sorted(standing.nodes)) != nodes:
            changes.append(f"Nodes={','.join(nodes)}")
        if not set(users) <= set(standing.users):
            changes.append(f"Users={','.join(sorted({*users, *standing.users}))}")
        if standing.ends_us - now_us < lapse_us - min(lapse_us // 8, PUT_OFF_US):
            changes.append(ends)
            self.recalled_us, self._ends_us = None, now_us + lapse_us
        is_done = not changes or self._run("update", f"ReservationName={self.name}", *changes)
        self.stands = is_done or tuple(sorted(standing.nodes)) == nodes

    def _open(self, desired: DesiredState, standing: Standing) -> None:
        """The fence goes from each node once no guest runs there in it."""
        busy = {seat.node for one in desired.attempts for seat in one.ranks}
        left = busy.intersection(standing.nodes)
        self.fenced = frozenset(left)
        if not left:
            self._run("delete", f"ReservationName={self.name}")
        elif left != set(standing.nodes):
            place = f"Nodes={','.join(sorted(left))}"
            self._run("update", f"ReservationName={self.name}", place)

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
            if group is None:
                continue
            name = f"{self.name}:{one.job}"
            if not self._reserve(name, one.nodes, group, standing.get(name)):
                continue
            for job in group.jobs:
                if job.is_waiting and job.asks.reservation != name:
                    self._run("update", f"JobId={job.number}", f"ReservationName={name}")

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

    def _take_back(self, found: Iterable[Group], standing: Mapping[str, Standing]) -> None:
        """Reservations of groups without a job are deleted."""
        live = {f"{self.name}:{group.key}" for group in found}
        for name in standing:
            if name.startswith(f"{self.name}:") and name not in live:
                self._run("delete", f"ReservationName={name}")

    def _keep_out(self, others: Iterable[Job]) -> None:
        """Guests may use the fence for what Parkade starts alone. One with our mark may be of an
        agent whose folder was lost: its node is taken, and a person decides."""
        for job in others:
            if job.asks.reservation == self.name and not job.is_marked:
                logger.warning("job %s is in the fence and not ours: cancelled", job.number)
                self._call("scancel", str(job.number))

    def _reserved(
        self, standing: Iterable[Standing], known: frozenset[str]
    ) -> tuple[TakenNode, ...]:
        """Nodes of the pool in reservations of others that are in force."""
        found: dict[str, TakenNode] = {}
        for one in standing:
            if one.name == self.name or one.name.startswith(f"{self.name}:") or not one.is_active:
                continue
            for node in one.nodes:
                if node in self.nodes and node not in known:
                    found[node] = TakenNode(node=node, job=f"reservation {one.name[:100]}")
        return tuple(found.values())

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
