"""The ranks of a live attempt come and go while the others run.

Which ranks it shall have is a file (`ranks.json`), written whole by the engine. A rank that is in
it and not there is started, and is on record before it runs its command. A rank that is told to
leave is asked to save like an attempt that leaves, gets TERM at its deadline and KILL after it, and
has left once nothing of it lives; the others are not touched.

The program is told by the members file: it is replaced whole, and then SIGWINCH goes to each rank's
trainers, whose default is to ignore it. Each step is on record in the state, so that a keeper that
takes over goes on with the next one.
"""

import signal
import sys
from collections.abc import Callable

import msgspec

from parkade.engines.local import processes, programs, records, report
from parkade.engines.local.clocks import wall_us
from parkade.engines.local.gang import Gang, is_living, number_of
from parkade.engines.local.leaving import (
    ASK_AGAIN_US,
    KILL_AGAIN_US,
    LAUNCHER_GRACE_US,
    TERM_AGAIN_US,
    Leaving,
)
from parkade.engines.local.processes import Process
from parkade.engines.local.records import Launch, MemberState, OrderedRank, Ranks, RankState
from parkade.engines.local.state_file import StateFile, never_started
from parkade.ports import Stop

NOT_STARTED = 127
"""The exit code of a rank that joined and could not be started, as a shell has it."""


class Resizing:
    """The ranks of one live attempt. `starts` starts one of them: None, or why it cannot be."""

    def __init__(
        self,
        state: StateFile,
        gang: Gang,
        leaving: Leaving,
        *,
        starts: Callable[[Launch, int], str | None],
    ) -> None:
        self.state = state
        self.gang = gang
        self.leaving = leaving
        self.folder = state.folder
        self.launch = state.launch
        self._starts = starts
        self._ordered = records.read_ranks(self.folder) or records.first_ranks(self.launch)
        self.state.current = records.with_ranks(self.launch, self._ordered)
        self._seen: tuple[int, int] | None = None
        self._due_us: dict[tuple[int, int], int] = {}
        self._saving: dict[tuple[int, int], int] = {}
        self._termed: set[tuple[int, int]] = set()
        self._look_us: dict[tuple[int, int], int] = {}
        self._shown: object = None
        self._is_starting = False
        self._note_alone()

    def begin(self) -> None:
        """The ranks that it begins with are on record with their processes, and their file lies
        there."""
        first = tuple(MemberState(since=0, has_begun=False) for _ in self.launch.attempt.ranks)
        self.state.change(members=first)
        self._tell()

    def all_begun(self) -> None:
        """They run their command."""
        members = (_begun(it) for it in self.state.now.members)
        self.state.change(members=tuple(members))
        self._tell()

    def record(self, number: int, pid: int, start_ticks: int) -> None:
        """The process of a rank is on record; it has not begun."""
        rank = RankState(pid=pid, start_ticks=start_ticks, has_ended=False, code=None, signal=None)
        self._put(number, rank, self._member(number))
        self.state.write()

    def look(self, now_us: int) -> None:
        """Takes in what was ordered, and does what is due. Not once all of it is to leave."""
        if not self.state.now.members:
            return
        self._read()
        if self.leaving.order is None and not self.gang.all_ended():
            self._start_missing()
        self.carry_out(now_us)

    def carry_out(self, now_us: int) -> None:
        """Asks, ends and lets go the ranks that leave alone."""
        for one in self._ordered.ranks:
            if one.stop is not None and self._is_there(one):
                self._leave(one, one.stop, now_us)

    def _read(self) -> None:
        try:
            found = (self.folder / records.RANKS).stat()
        except OSError:
            return
        seen = (found.st_ino, found.st_mtime_ns)
        if seen == self._seen:
            return
        ranks = records.read_ranks(self.folder)
        if ranks is None:
            return
        self._seen = seen
        self._take(ranks)

    def _take(self, ranks: Ranks) -> None:
        """The numbers of ranks that left are free once they are ordered no more."""
        self._ordered = ranks
        self.state.current = records.with_ranks(self.launch, ranks)
        wanted = {(it.rank, it.since) for it in ranks.ranks}
        for number, member in enumerate(self.state.now.members):
            is_gone = member is not None and member.left_us is not None
            if is_gone and member is not None and (number, member.since) not in wanted:
                self._put(number, never_started(), None)
        self.state.change(resizes=ranks.resizes)
        self._note_alone()
        self._tell()
        self.state.write()

    def _start_missing(self) -> None:
        if self._is_starting:
            return
        launch = self.state.current
        for one in self._ordered.ranks:
            member = self._member(one.rank)
            if member is not None and member.since != one.since:
                continue
            if member is None:
                self._put(one.rank, never_started(), MemberState(since=one.since, has_begun=False))
                self._tell()
            elif member.has_begun or member.left_us is not None:
                continue
            elif self._lives(one.rank):
                self._has_begun(one.rank)
                continue
            self._start(launch, one)

    def _start(self, launch: Launch, one: OrderedRank) -> None:
        if one.stop is not None:
            # Told to leave before it began: there is nothing to save.
            self._has_begun(one.rank)
            return
        self._is_starting = True
        try:
            trouble = self._starts(launch, one.rank)
        finally:
            self._is_starting = False
        if self.leaving.order is not None and not self._lives(one.rank):
            self._put(one.rank, never_started(), self._member(one.rank))
            return
        if trouble is not None:
            sys.stderr.write(f"rank {one.rank} not started: {trouble}\n")
            ended = RankState(pid=0, start_ticks=0, has_ended=True, code=NOT_STARTED, signal=None)
            self._put(one.rank, ended, self._member(one.rank))
        self._has_begun(one.rank)

    def _has_begun(self, number: int) -> None:
        self._put(number, self.gang.ranks[number], _begun(self._member(number)))
        self._tell()
        self.state.write()

    def _leave(self, one: OrderedRank, stop: Stop, now_us: int) -> None:
        member, at_us = self._member(one.rank), wall_us()
        assert member is not None
        self._tell()
        key, rank = (one.rank, one.since), self.gang.ranks[one.rank]
        is_killed = at_us >= stop.kill_us
        if rank.has_ended or is_killed:
            # Each look is at all processes of the machine.
            if now_us < self._look_us.get(key, 0):
                return
            self._look_us[key] = now_us + (KILL_AGAIN_US if is_killed else ASK_AGAIN_US)
        if rank.has_ended and not self._remains(one.rank):
            self.gang.beside.pop(self._saving.pop(key, 0), None)
            self._put(one.rank, rank, msgspec.structs.replace(member, left_us=at_us))
            self._tell()
            self.state.write("a rank left")
            return
        if is_killed:
            for process in self._remains(one.rank):
                processes.send(process.pid, process.start_ticks, signal.SIGKILL)
            return
        if now_us < self._due_us.get(key, 0):
            return
        is_late = at_us >= stop.deadline_us or rank.has_ended or self._has_saved(key)
        self._due_us[key] = now_us + (TERM_AGAIN_US if is_late else ASK_AGAIN_US)
        if is_late:
            self._terminate(one.rank, now_us)
        else:
            self._ask(one.rank)
            self._run_save_command(key, member)

    def _run_save_command(self, key: tuple[int, int], member: MemberState) -> None:
        """Once beside the rank, unless the whole attempt had its notice before."""
        command = self.launch.attempt.save.command
        has_had_it = member.is_noticed or self.state.now.is_noticed
        if command is None or has_had_it or not member.has_begun:
            return
        noticed = msgspec.structs.replace(member, is_noticed=True)
        self._put(key[0], self.gang.ranks[key[0]], noticed)
        self.state.write()
        pid = self.leaving.run_beside(key[0], command)
        if pid is not None:
            self._saving[key] = pid

    def _has_saved(self, key: tuple[int, int]) -> bool:
        """Whether a program that goes on after it saved has saved, by its command."""
        is_done = self.gang.beside.get(self._saving.get(key, 0)) == 0
        return self.launch.attempt.save.ends and is_done

    def _ask(self, number: int) -> None:
        numbers = tuple(number_of(name) for name in self.launch.attempt.save.signals)
        new = self.gang.unsignalled(numbers, self.state.now.signalled)
        self.leaving.signal_alone(tuple(it for it in new if it.rank == number))

    def _terminate(self, number: int, now_us: int) -> None:
        trainers, others = self.gang.unterminated(
            self.state.now.signalled, now_us=now_us, grace_us=LAUNCHER_GRACE_US
        )
        asked = (it for it in trainers if it.rank == number)
        self.leaving.signal_alone(
            tuple(msgspec.structs.replace(it, number=signal.SIGTERM) for it in asked)
        )
        own = {it.pid for it in self._remains(number)}
        saving = any(it.rank == number and is_living(it) for it in self.state.now.signalled)
        for process in others:
            name = (process.pid, process.start_ticks)
            if process.pid in own and not saving and name not in self._termed:
                self._termed.add(name)
                processes.send(*name, signal.SIGTERM)

    def _remains(self, number: int) -> list[Process]:
        """What lives of a rank: it is marked by its number."""
        pid = self.gang.ranks[number].pid
        return self.gang.of_exec(pid, f"PARKADE_NODE_RANK={number}".encode()) if pid else []

    def _is_there(self, one: OrderedRank) -> bool:
        member = self._member(one.rank)
        return member is not None and member.since == one.since and member.left_us is None

    def _member(self, number: int) -> MemberState | None:
        members = self.state.now.members
        return members[number] if number < len(members) else None

    def _lives(self, number: int) -> bool:
        rank = self.gang.ranks[number]
        return bool(rank.pid) and processes.is_alive(rank.pid, rank.start_ticks)

    def _put(self, number: int, rank: RankState, member: MemberState | None) -> None:
        ranks, members = list(self.gang.ranks), list(self.state.now.members)
        while len(ranks) <= number:
            ranks.append(never_started())
        while len(members) <= number:
            members.append(None)
        ranks[number], members[number] = rank, member
        self.gang.ranks = tuple(ranks)
        self.state.change(members=tuple(members))
        self._note_alone()

    def _note_alone(self) -> None:
        """Ranks that leave alone, or left, break nothing."""
        alone = {it.rank for it in self._ordered.ranks if it.stop is not None}
        for number, member in enumerate(self.state.now.members):
            if member is None or member.left_us is not None:
                alone.add(number)
        self.gang.alone = frozenset(alone)

    def _tell(self) -> None:
        """Replaces the members file where it would say something else, and then signals."""
        shown = [self._shown_member(it) for it in self._ordered.ranks if self._is_shown(it)]
        if shown == self._shown:
            return
        self._shown = shown
        files = self.state.now.members_files + 1
        # On record first: a keeper that takes over never writes another file of this generation.
        self.state.change(members_files=files)
        self.state.write()
        content = {
            "version": records.VERSION,
            "attempt": self.launch.attempt.attempt,
            "generation": files,
            "members": shown,
        }
        owner = self.launch.account if self.launch.is_other_user else None
        try:
            path = self.folder / records.MEMBERS
            records.write(path, content, mode=records.KEEPERS, owner=owner)
        except OSError as error:
            self._shown = None
            sys.stderr.write(f"members not written: {error.strerror}\n")
            return
        for rank in self.gang.ranks:
            if not rank.has_ended and rank.pid:
                for trainer in programs.trainers(rank.pid, (signal.SIGWINCH,)):
                    processes.send(trainer.pid, trainer.start_ticks, signal.SIGWINCH)

    def _is_shown(self, one: OrderedRank) -> bool:
        member = self._member(one.rank)
        return member is None or (member.since == one.since and member.left_us is None)

    def _shown_member(self, one: OrderedRank) -> dict[str, object]:
        member = self._member(one.rank)
        leaving = None
        if one.stop is not None:
            leaving = {
                "deadline": report.moment(one.stop.deadline_us),
                "deadline_us": one.stop.deadline_us,
                "cause": one.stop.cause,
            }
        return {
            "rank": one.rank,
            "node": one.seat.node,
            "address": records.LOOPBACK,
            "gpus": one.seat.gpus,
            "joining": member is None or not member.has_begun,
            "leaving": leaving,
        }


def _begun(member: MemberState | None) -> MemberState:
    assert member is not None, "what begins is on record"
    return msgspec.structs.replace(member, has_begun=True, begun_us=wall_us())
