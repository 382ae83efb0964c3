"""The keeper of one attempt: starts its ranks, writes what became of them, carries out its orders.

`python -m parkade.engines.local.keeper FOLDER`. It leaves its parent's session before it does
anything (`detaching`), holds a record lock in the folder for its life so that there is never a
second one, and ends when no process of the attempt is left. Orders are a file, so is its state; it
opens no connection but to the engine's sockets in its own folder (`execs`). If it is killed, the
next one adopts the ranks; only their exit codes are lost.
"""

import os
import select
import sys
import time
from pathlib import Path

import msgspec

from parkade.engines.local import (
    cgroups,
    detaching,
    environment,
    execs,
    leases,
    output,
    processes,
    records,
    report,
    resizing,
    spawn,
)
from parkade.engines.local.clocks import monotonic_us, wall_us
from parkade.engines.local.gang import Gang
from parkade.engines.local.leaving import Leaving, Silence
from parkade.engines.local.records import STOPPED_FIRST, Guard, Launch, RankState
from parkade.engines.local.state_file import StateFile, last_state, never_started
from parkade.ports import Phase

LOOK_US = spawn.LOOK_MS * 1_000
EXIT_UNKNOWN = "exit status unknown: the keeper was lost"


class Keeper:
    """One attempt's life, a turn at a time. `silence` says how long the control plane was not
    heard; `orders` is the folder of the engine's order."""

    def __init__(
        self,
        folder: Path,
        launch: Launch,
        wake: int,
        guard: Guard,
        *,
        orders: Path,
        silence: Silence,
    ) -> None:
        self.folder = folder
        self.launch = launch
        self.wake = wake
        self.poller = select.poll()
        self.poller.register(wake, select.POLLIN)
        self.outputs: dict[int, output.Output] = {}
        self.opened: set[int] = set()
        self.look_at_us = 0
        me = processes.look(os.getpid())
        assert me is not None
        old = last_state(folder, launch)
        first = old if old is not None else records.nothing_yet(launch)
        guards = (*first.guards, guard)
        self.gang = Gang(
            first.ranks,
            marks=environment.marks(launch, folder),
            guards=guards,
            is_parent=old is None,
            cgroup=launch.cgroup,
            pipes=frozenset(str(output.pipe_path(folder, index)) for index in self._numbers(first)),
        )
        state = msgspec.structs.replace(
            first,
            keeper_pid=me.pid,
            keeper_start_ticks=me.start_ticks,
            is_keeper_lost=old is not None,
            guards=guards,
        )
        self.state = StateFile(folder, launch, state, self.gang)
        self.leaving = Leaving(self.state, self.gang, orders=orders, silence=silence)
        self.resizing: resizing.Resizing | None = None
        if launch.attempt.is_live:
            self.resizing = resizing.Resizing(
                self.state, self.gang, self.leaving, starts=self._start_rank
            )
        self.execs = execs.Execs(self.state, self.gang, self.poller)

    def run(self) -> None:
        """From start, or from where another keeper left, to release."""
        for index in self._numbers(self.state.now):
            self._open_output(index)
        if self.gang.is_parent:
            self.state.write("starting")
            processes.become_subreaper()
            self._start()
        else:
            self._watch()
            self.state.write("adopted")
            self.leaving.resume()
        while self.state.now.phase is not Phase.RELEASED:
            self.turn()
        while self.state.is_unwritten and self.folder.exists():
            time.sleep(1)
            self.state.write()

    def _numbers(self, state: records.State) -> range:
        """The numbers of ranks that there are, or were."""
        return range(max(len(self.launch.attempt.ranks), len(state.ranks)))

    def turn(self) -> None:
        """Waits for the next wake-up and does what is due."""
        now_us = monotonic_us()
        until_us = self.look_at_us
        due_us = self.leaving.next_us()
        if due_us is not None and due_us > now_us:
            until_us = min(until_us, due_us)
        # Rounded up: an early turn would only have to wait again.
        wait_ms = max(0, -((now_us - until_us) // 1000))
        woken = False
        for descriptor, _ in self.poller.poll(min(wait_ms, LOOK_US // 1000)):
            woken |= self._take(descriptor)
        now_us = monotonic_us()
        if woken or now_us >= self.look_at_us:
            self.look_at_us = now_us + LOOK_US
            self._look(now_us)
        if self.state.now.phase is not Phase.RELEASED:
            self.leaving.carry_out(monotonic_us())

    def agree(self) -> str | None:
        """None once the ranks may run their command, else why they never will. Here it is decided
        what comes first, the start or an order to leave: a later order finds programs, and gives
        them all of their notice."""
        return self._why_not()

    def _look(self, now_us: int) -> None:
        self.leaving.read_order()
        self.leaving.see_silence(now_us)
        if self.gang.reap() or self.state.is_unwritten:
            self.state.write()
        if self.resizing is not None:
            self.resizing.look(now_us)
        self.execs.look(now_us, is_over=self._is_over())
        if self.gang.all_ended() and self.gang.is_gone():
            self._release()
        else:
            self.leaving.see_ends(now_us)

    def _is_over(self) -> bool:
        return self.leaving.order is not None or self.gang.all_ended()

    def _take(self, descriptor: int) -> bool:
        if descriptor in self.outputs:
            self.outputs[descriptor].pump()
            return False
        if self.execs.has(descriptor):
            over = "the workload has ended" if self.gang.all_ended() else None
            self.execs.take(descriptor, monotonic_us(), why_not=over)
            return False
        if descriptor == self.wake:
            os.read(self.wake, 4096)
        else:
            # A process descriptor that became readable: an adopted rank ended.
            self.poller.unregister(descriptor)
            os.close(descriptor)
        return True

    def _start(self) -> None:
        """A gang starts whole: the pids are on record before any rank runs its command. What is to
        leave before that has nothing to save, and leaves at once."""
        if (trouble := self._why_not()) is not None:
            self._give_up(trouble)
            return
        starting = spawn.StartingGang.fork(self.launch, self.folder)
        trouble = starting.wait_ready(self._why_not)
        if trouble is None:
            if self.resizing is not None:
                self.resizing.begin()
            self._record(starting)
            trouble = self.agree()
        if trouble is not None:
            starting.dismiss()
            self._give_up(trouble)
            return
        started_us = wall_us()
        trouble = starting.let_go(self._follow_orders)
        self.state.change(phase=Phase.RUNNING, started_us=started_us, launch_error=trouble)
        if self.resizing is not None:
            self.resizing.all_begun()
        if trouble is not None:
            self.leaving.end()
        self.state.write("running")

    def _start_rank(self, launch: Launch, number: int) -> str | None:
        """One more rank of a live attempt, on record before it runs its command; None, or why it
        never will."""
        self._open_output(number)
        starting = spawn.StartingGang.fork(launch, self.folder, (number,))
        (one,) = starting.ranks
        process = processes.look(one.pid)
        assert process is not None and self.resizing is not None, "an unreaped child has a record"
        trouble = starting.wait_ready(self._why_no_rank)
        if trouble is None:
            self.resizing.record(number, one.pid, process.start_ticks)
            trouble = self._why_not()
        if not self.gang.is_parent:
            self.gang.own.update(rank.pid for rank in starting.ranks)
        if trouble is not None:
            starting.dismiss()
            return trouble
        descriptor = processes.open_process(one.pid, process.start_ticks)
        if descriptor is not None and not self.gang.is_parent:
            self.poller.register(descriptor, select.POLLIN)
        return starting.let_go(self._meanwhile)

    def _why_no_rank(self) -> str | None:
        self._meanwhile()
        return None if self.leaving.order is None else STOPPED_FIRST

    def _meanwhile(self) -> None:
        """What is ordered while one rank begins is done in time."""
        self._follow_orders()
        if self.resizing is not None:
            self.resizing.carry_out(monotonic_us())

    def _why_not(self) -> str | None:
        """Why no rank is to begin: the attempt is to leave."""
        self.leaving.read_order()
        return None if self.leaving.order is None else STOPPED_FIRST

    def _give_up(self, trouble: str) -> None:
        is_to_leave = self.leaving.order is not None
        self.gang.ranks = tuple(never_started() for _ in self.launch.attempt.ranks)
        self.state.change(launch_error=STOPPED_FIRST if is_to_leave else trouble)

    def _follow_orders(self) -> None:
        """What is ordered while the ranks begin is done in time."""
        self.leaving.read_order()
        self.leaving.carry_out(monotonic_us())

    def _record(self, starting: spawn.StartingGang) -> None:
        """Returns once the pids of those that stand ready are on record."""
        found = [processes.look(rank.pid) for rank in starting.ranks]
        self.gang.ranks = tuple(
            RankState(
                pid=one.pid, start_ticks=one.start_ticks, has_ended=False, code=None, signal=None
            )
            for one in found
            if one is not None
        )
        assert len(self.gang.ranks) == len(starting.ranks), "an unreaped child has a record"
        self.state.write("starting")
        while self.state.is_unwritten:
            time.sleep(1)
            self.state.write()

    def _watch(self) -> None:
        for rank in self.gang.ranks:
            descriptor = processes.open_process(rank.pid, rank.start_ticks)
            if descriptor is not None:
                self.poller.register(descriptor, select.POLLIN)

    def _open_output(self, index: int) -> None:
        if index in self.opened:
            return
        self.opened.add(index)
        path = output.pipe_path(self.folder, index)
        if not path.exists():
            os.mkfifo(path, 0o600)
        if self.launch.is_other_user:
            os.chown(path, self.launch.account.uid, self.launch.account.gid)
        opened = output.Output(self.folder, index)
        self.outputs[opened.pipe] = opened
        self.poller.register(opened.pipe, select.POLLIN)

    def _release(self) -> None:
        for opened in self.outputs.values():
            opened.close()
        cgroups.remove(self.launch.cgroup)
        is_known = self.gang.is_parent
        never = self.state.now.started_us is None and is_known
        reading = report.read(Path(self.launch.checkpoint_dir))
        self.state.change(
            phase=Phase.RELEASED,
            released_us=wall_us(),
            checkpoint=reading.checkpoint,
            report_problem=reading.problem,
        )
        word = "ended" if is_known else EXIT_UNKNOWN
        self.state.write("never started" if never else word)


def main() -> None:
    """Keeps the attempt in the folder named by the one argument."""
    folder = Path(sys.argv[1])
    give_answer, guard = detaching.detach()
    os.umask(0o077)
    is_held = detaching.lock(folder)
    wake = detaching.wake_by_signals()
    os.write(give_answer, b"k")
    os.close(give_answer)
    if not is_held:
        return
    launch = records.read_launch(folder)
    old = records.read_state(folder)
    if launch is None or launch.boot_id != processes.boot_id():
        return
    if old is not None and old.phase is Phase.RELEASED:
        return
    silence = leases.Silence(launch.heard, monotonic_us())
    Keeper(folder, launch, wake, guard, orders=folder, silence=silence).run()


if __name__ == "__main__":
    main()
