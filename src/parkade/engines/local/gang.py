"""The processes of one attempt as its keeper sees them: which live, how each ended, and their end.

As parent the keeper is their subreaper, so 'no child left' means that nothing is left, wherever a
process moved. Adopted processes are other people's children: they are known by pid and start time,
by their ancestors, among which the lost keeper's guard is, by the session that a rank began, and by
what their environment says.
"""

import os
import signal

import msgspec

from parkade.engines.local import cgroups, processes, programs
from parkade.engines.local.processes import Process
from parkade.engines.local.programs import Program
from parkade.engines.local.records import Guard, RankState, Signalled

MOST_FREEZES = 10


class Gang:
    """Ranks in order, and all that descends from them; `beside` maps the save commands that run
    beside them to their exit codes, None before, and `execs` the commands of people (`execs`)."""

    def __init__(
        self,
        ranks: tuple[RankState, ...],
        *,
        marks: tuple[bytes, ...],
        guards: tuple[Guard, ...],
        is_parent: bool,
        cgroup: str = "",
        pipes: frozenset[str] = frozenset(),
    ) -> None:
        self.ranks = ranks
        self.marks = marks
        self.cgroup = cgroup
        self.pipes = pipes
        self.guards = guards
        self.is_parent = is_parent
        self.has_children = is_parent
        self.beside: dict[int, int | None] = {}
        self.execs: dict[int, int | None] = {}
        self.alone: frozenset[int] = frozenset()
        """Numbers of ranks that leave, or left, while the others go on."""

        self.own: set[int] = set()
        """Pids of ranks and save commands that this keeper started among ranks that it adopted."""

        self._spared_until_us: dict[int, int] = {}
        self._blocking: set[tuple[int, int, int]] = set()

    def reap(self) -> bool:
        """Notes which ranks ended; whether any did."""
        before = self.ranks
        if self.is_parent:
            self._reap_children()
        else:
            self._reap_execs()
            self._reap_own()
            self.ranks = tuple(
                rank
                if rank.has_ended or processes.is_alive(rank.pid, rank.start_ticks)
                else msgspec.structs.replace(rank, has_ended=True)
                for rank in self.ranks
            )
        return self.ranks != before

    def all_ended(self) -> bool:
        """Whether every rank's main process ended."""
        return all(rank.has_ended for rank in self.ranks)

    def is_gone(self) -> bool:
        """Whether no process is left at all. Cost: a look at all processes where adopted."""
        if self.is_parent:
            return not self.has_children and not cgroups.members(self.cgroup)
        return self.all_ended() and not self._members()

    def unsignalled(
        self, numbers: tuple[int, ...], signalled: tuple[Signalled, ...]
    ) -> tuple[Signalled, ...]:
        """The trainers that listen to one of the signals and were not signalled yet, each with the
        first that it listens to, or that it blocks and did at the last look."""
        known = {(one.pid, one.start_ticks) for one in signalled}
        before, self._blocking = self._blocking, set()
        found = []
        for index, rank in enumerate(self.ranks):
            if rank.has_ended or not numbers:
                continue
            for trainer in programs.trainers(rank.pid, numbers):
                if (trainer.pid, trainer.start_ticks) in known:
                    continue
                heard = [it for it in numbers if self._hears(trainer, it, before)]
                if heard:
                    found.append(_signalled(index, trainer, heard[0]))
        return tuple(found)

    def _hears(self, trainer: Program, number: int, before: set[tuple[int, int, int]]) -> bool:
        if trainer.listens_to(number):
            return True
        key = (trainer.pid, trainer.start_ticks, number)
        if trainer.blocks(number):
            self._blocking.add(key)
        return key in before & self._blocking

    def unterminated(
        self, signalled: tuple[Signalled, ...], *, now_us: int, grace_us: int
    ) -> tuple[tuple[Signalled, ...], list[Process]]:
        """What gets TERM at the deadline: trainers that save or could, and, where a rank has none,
        every process. Cost: a look at all processes of the machine.

        A trainer that had TERM gets no other one, and while one lives, nothing else of its rank
        gets any: neither its data loaders nor its launcher, which would pass it on. Its launcher
        then has `grace_us` to see how the trainers ended, or it would say that they failed.
        """
        among = processes.everyone()
        left = self._members(among)
        trainers: list[Signalled] = []
        others: list[Process] = []
        unsignalled = self.unsignalled((signal.SIGTERM,), signalled)
        for index, rank in enumerate(self.ranks):
            saving = [it for it in signalled if it.rank == index and is_living(it)]
            able = [it for it in unsignalled if it.rank == index]
            trainers += [it for it in saving if it.number != signal.SIGTERM]
            trainers += able
            own = _tree(rank, among)
            left = {pid: process for pid, process in left.items() if pid not in own}
            if saving or able or not any(it.rank == index for it in signalled):
                self._spared_until_us.pop(index, None)
            else:
                self._spared_until_us.setdefault(index, now_us + grace_us)
            is_spared = now_us < self._spared_until_us.get(index, 0)
            if not saving and not able and not is_spared:
                others += own.values()
        if not any(it.pid in left and is_living(it) for it in signalled):
            others += left.values()
        return tuple(trainers), others

    def everyone(self, number: int) -> None:
        """A signal to the process groups of living ranks, and to each other process left."""
        if number == signal.SIGKILL:
            cgroups.kill(self.cgroup)
            self._freeze()
        living = self._living()
        groups = {rank.pid for rank in living}
        others = [one for one in self._members().values() if one.group not in groups]
        for rank in living:
            self._signal_group(rank, number)
        for process in others:
            processes.send(process.pid, process.start_ticks, number)

    def of_exec(self, pid: int, mark: bytes) -> list[Process]:
        """What is left of a command beside the ranks: `mark` is in its environment. Cost: a look at
        all processes of the machine."""
        among = processes.everyone()
        members = self._members(among)
        own = {it.pid: it for it in members.values() if pid in (it.pid, it.session)}
        own |= processes.descendants([pid], among) | processes.marked((mark,), members)
        return [it for it in own.values() if it.state not in processes.DEAD_STATES]

    def _freeze(self) -> None:
        """Stops all that runs, until a look finds nothing new: what forks as fast as it is killed
        would not come to an end."""
        frozen: set[tuple[int, int]] = set()
        for _ in range(MOST_FREEZES):
            found = {(one.pid, one.start_ticks) for one in self._members().values()} - frozen
            if not found:
                return
            for pid, start_ticks in found:
                processes.send(pid, start_ticks, signal.SIGSTOP)
            frozen |= found

    def _living(self) -> list[RankState]:
        return [rank for rank in self.ranks if not rank.has_ended]

    def _signal_group(self, rank: RankState, number: int) -> None:
        # A group's number stays taken while its leader lives or waits to be reaped, which as
        # parent only we do; of an adopted one we look first.
        if self.is_parent or processes.is_alive(rank.pid, rank.start_ticks):
            try:
                os.killpg(rank.pid, number)
            except OSError:
                pass

    def _members(self, among: dict[int, Process] | None = None) -> dict[int, Process]:
        among = processes.everyone() if among is None else among
        me = os.getpid()
        if self.is_parent:
            found = processes.descendants([me], among)
        else:
            guards = [it.pid for it in self.guards if processes.is_alive(it.pid, it.start_ticks)]
            roots = [*(rank.pid for rank in self._living()), *guards]
            found = processes.descendants(roots, among)
            found |= processes.marked(self.marks, among)
            found |= self._in_sessions(among)
            found |= self._with_its_output(among)
            found |= processes.descendants(found, among)
            for pid in (me, *guards):
                found.pop(pid, None)
        found |= {pid: among[pid] for pid in cgroups.members(self.cgroup) if pid in among}
        found.pop(me, None)
        return {
            pid: process
            for pid, process in found.items()
            if process.state not in processes.DEAD_STATES
        }

    def _with_its_output(self, among: dict[int, Process]) -> dict[int, Process]:
        """What holds the pipe of a rank's output, among what began no earlier than the ranks. Of
        all others only keepers and engines might, and these began it or are this process."""
        first = min((rank.start_ticks for rank in self.ranks if rank.pid), default=0)
        guards = {(it.pid, it.start_ticks) for it in self.guards}
        later = {
            pid: it
            for pid, it in among.items()
            if it.start_ticks >= first and (pid, it.start_ticks) not in guards
        }
        return processes.with_open(self.pipes, later)

    def _in_sessions(self, among: dict[int, Process]) -> dict[int, Process]:
        """What is in the session that a rank began. Its number is not given out again while the
        session has a member, so a process of another start time by that pid means another one."""
        sessions = {
            rank.pid
            for rank in self.ranks
            if rank.pid not in among or among[rank.pid].start_ticks == rank.start_ticks
        }
        return {pid: it for pid, it in among.items() if pid and it.session in sessions - {0}}

    def _reap_execs(self) -> None:
        """Of adopted ranks; the commands were begun by this keeper and are its children."""
        for pid in [it for it, code in self.execs.items() if code is None]:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self.execs[pid] = os.waitstatus_to_exitcode(status)

    def _reap_own(self) -> None:
        for pid in tuple(self.own):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self.own.discard(pid)
                if pid in self.beside:
                    self.beside[pid] = os.waitstatus_to_exitcode(status)
                self.ranks = tuple(
                    _ended(rank, status) if rank.pid == pid and not rank.has_ended else rank
                    for rank in self.ranks
                )

    def _reap_children(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.has_children = False
                return
            if pid == 0:
                return
            if pid in self.execs:
                self.execs[pid] = os.waitstatus_to_exitcode(status)
            if pid in self.beside:
                self.beside[pid] = os.waitstatus_to_exitcode(status)
            self.ranks = tuple(
                _ended(rank, status) if rank.pid == pid and not rank.has_ended else rank
                for rank in self.ranks
            )


def is_living(one: Signalled) -> bool:
    """Whether a trainer that was signalled still lives."""
    return processes.is_alive(one.pid, one.start_ticks)


def _signalled(rank: int, trainer: Program, number: int) -> Signalled:
    return Signalled(rank=rank, pid=trainer.pid, start_ticks=trainer.start_ticks, number=number)


def _tree(rank: RankState, among: dict[int, Process]) -> dict[int, Process]:
    """A living rank's main process and all below it."""
    if rank.has_ended or rank.pid not in among:
        return {}
    return {rank.pid: among[rank.pid]} | processes.descendants([rank.pid], among)


def _ended(rank: RankState, status: int) -> RankState:
    code = os.waitstatus_to_exitcode(status)
    return msgspec.structs.replace(
        rank,
        has_ended=True,
        code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
    )


def number_of(name: str) -> int:
    """The number of a signal named as in `SIGUSR1`."""
    return int(signal.Signals[name])
