"""The processes of one attempt as its keeper sees them: which live, how each ended, and their end.

As parent the keeper is their subreaper, so 'no child left' means that nothing is left, wherever a
process moved. Adopted processes are other people's children: they are known by pid and start time,
by their ancestors, and by what their environment says.
"""

import os
import signal

import msgspec

from parkade.engines.local import processes
from parkade.engines.local.processes import Process
from parkade.engines.local.records import RankState


class Gang:
    """Ranks in order, and all that descends from them."""

    def __init__(
        self, ranks: tuple[RankState, ...], *, marks: tuple[bytes, ...], is_parent: bool
    ) -> None:
        self.ranks = ranks
        self.marks = marks
        self.is_parent = is_parent
        self.has_children = is_parent

    def reap(self) -> bool:
        """Notes which ranks ended; whether any did."""
        before = self.ranks
        if self.is_parent:
            self._reap_children()
        else:
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
            return not self.has_children
        return self.all_ended() and not self._members()

    def program(self, number: int) -> None:
        """A signal to each rank's program."""
        for rank in self._living():
            processes.send_program(rank.pid, rank.start_ticks, number)

    def everyone(self, number: int) -> None:
        """A signal to the process groups of living ranks, and to each other process left."""
        living = self._living()
        groups = {rank.pid for rank in living}
        others = [one for one in self._members().values() if one.group not in groups]
        for rank in living:
            self._signal_group(rank, number)
        for process in others:
            processes.send(process.pid, process.start_ticks, number)

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

    def _members(self) -> dict[int, Process]:
        among = processes.everyone()
        me = os.getpid()
        roots = [me] if self.is_parent else [rank.pid for rank in self._living()]
        found = processes.descendants(roots, among)
        if not self.is_parent:
            found |= processes.marked(self.marks, among)
            found |= processes.descendants(found, among)
            found.pop(me, None)
        return {
            pid: process
            for pid, process in found.items()
            if process.state not in processes.DEAD_STATES
        }

    def _reap_children(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.has_children = False
                return
            if pid == 0:
                return
            self.ranks = tuple(
                _ended(rank, status) if rank.pid == pid and not rank.has_ended else rank
                for rank in self.ranks
            )


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
