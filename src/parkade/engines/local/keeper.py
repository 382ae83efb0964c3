"""The keeper of one attempt: starts its ranks, writes what became of them, carries out its orders.

`python -m parkade.engines.local.keeper FOLDER`. It leaves its parent's session before it does
anything, holds a record lock in the folder for its life so that there is never a second one, and
ends when no process of the attempt is left. It opens no connection: orders are a file, so is
its state. If it is killed, the next one adopts the ranks; only their exit codes are lost.

It runs under a *guard*, a process that only waits. What loses its keeper becomes the guard's child,
wherever it moved and whatever its environment says, and so the next keeper finds it.
"""

import fcntl
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import msgspec

from parkade.engines.local import environment, output, processes, records, report, spawn
from parkade.engines.local.escalation import Escalation, merge
from parkade.engines.local.gang import Gang, is_living, number_of
from parkade.engines.local.records import Guard, Launch, RankState, Signalled, State
from parkade.ports import Phase, Stop

ORDER_POLL_US = 100_000
ASK_AGAIN_US = 200_000
TERM_AGAIN_US = 500_000
KILL_AGAIN_US = 50_000
GANG_GRACE_US = 5_000_000
REMAINS_GRACE_US = 5_000_000
SAVED = 85
"""Exit code 'saved, run me again': no failure, so the other ranks go on."""
EXIT_UNKNOWN = "exit status unknown: the keeper was lost"


def monotonic_us() -> int:
    """The monotonic clock, which is never set."""
    return time.monotonic_ns() // 1000


def wall_us() -> int:
    """The present instant."""
    return time.time_ns() // 1000


class Keeper:
    """One attempt's life, a turn at a time."""

    def __init__(self, folder: Path, launch: Launch, wake: int, guard: Guard) -> None:
        self.folder = folder
        self.launch = launch
        self.wake = wake
        self.poller = select.poll()
        self.poller.register(wake, select.POLLIN)
        self.outputs: dict[int, output.Output] = {}
        self.escalation = Escalation()
        self.order: Stop | None = None
        self.order_seen: tuple[int, int] | None = None
        self.look_at_us = 0
        self.kill_again_us = 0
        self.ask_again_us = 0
        self.term_again_us = 0
        self.termed: set[tuple[int, int]] = set()
        self.is_unwritten = False
        me = processes.look(os.getpid())
        assert me is not None
        old = _last_state(folder, launch)
        first = old if old is not None else records.nothing_yet(launch)
        guards = (*first.guards, guard)
        self.gang = Gang(
            first.ranks,
            marks=environment.marks(launch, folder),
            guards=guards,
            is_parent=old is None,
        )
        self.state = msgspec.structs.replace(
            first,
            keeper_pid=me.pid,
            keeper_start_ticks=me.start_ticks,
            is_keeper_lost=old is not None,
            guards=guards,
        )

    def run(self) -> None:
        """From start, or from where another keeper left, to release."""
        for index in range(len(self.launch.attempt.ranks)):
            self._open_output(index)
        if self.gang.is_parent:
            self._write_state("starting")
            processes.become_subreaper()
            self._start()
        else:
            self._watch()
            self._write_state("adopted")
        while self.state.phase is not Phase.RELEASED:
            self.turn()
        while self.is_unwritten and self.folder.exists():
            time.sleep(1)
            self._write_state(self.state.engine_state)

    def turn(self) -> None:
        """Waits for the next wake-up and does what is due."""
        now_us = monotonic_us()
        until_us = self.look_at_us
        due_us = self.escalation.next_us()
        if due_us is not None and due_us > now_us:
            until_us = min(until_us, due_us)
        # Rounded up: an early turn would only have to wait again.
        wait_ms = max(0, -((now_us - until_us) // 1000))
        woken = False
        for descriptor, _ in self.poller.poll(min(wait_ms, ORDER_POLL_US // 1000)):
            woken |= self._take(descriptor)
        now_us = monotonic_us()
        if woken or now_us >= self.look_at_us:
            self.look_at_us = now_us + ORDER_POLL_US
            self._take_order()
            if self.gang.reap() or self.is_unwritten:
                self._write_state(self.state.engine_state)
            self._see_ends(monotonic_us())
        self._carry_out(monotonic_us())

    def _take(self, descriptor: int) -> bool:
        if descriptor in self.outputs:
            self.outputs[descriptor].pump()
            return False
        if descriptor == self.wake:
            os.read(self.wake, 4096)
        else:
            # A process descriptor that became readable: an adopted rank ended.
            self.poller.unregister(descriptor)
            os.close(descriptor)
        return True

    def _start(self) -> None:
        """A gang starts whole: the pids are on record before any rank runs its command."""
        starting = spawn.StartingGang(self.launch, self.folder)
        trouble = starting.wait_ready()
        if trouble is not None:
            starting.dismiss()
            self.gang.ranks = tuple(_never_started() for _ in starting.ranks)
            self.state = msgspec.structs.replace(self.state, launch_error=trouble)
            return
        found = [processes.look(rank.pid) for rank in starting.ranks]
        self.gang.ranks = tuple(
            RankState(
                pid=one.pid, start_ticks=one.start_ticks, has_ended=False, code=None, signal=None
            )
            for one in found
            if one is not None
        )
        assert len(self.gang.ranks) == len(starting.ranks), "an unreaped child has a record"
        self._write_state("starting")
        while self.is_unwritten:
            time.sleep(1)
            self._write_state("starting")
        trouble = starting.let_go()
        self.state = msgspec.structs.replace(
            self.state, phase=Phase.RUNNING, started_us=wall_us(), launch_error=trouble
        )
        if trouble is not None:
            self._break_gang()
        self._write_state("running")

    def _watch(self) -> None:
        for rank in self.gang.ranks:
            descriptor = processes.open_process(rank.pid, rank.start_ticks)
            if descriptor is not None:
                self.poller.register(descriptor, select.POLLIN)

    def _open_output(self, index: int) -> None:
        path = output.pipe_path(self.folder, index)
        if not path.exists():
            os.mkfifo(path, 0o600)
        if self.launch.is_other_user:
            os.chown(path, self.launch.account.uid, self.launch.account.gid)
        opened = output.Output(self.folder, index)
        self.outputs[opened.pipe] = opened
        self.poller.register(opened.pipe, select.POLLIN)

    def _take_order(self) -> None:
        """Reads the order file where it changed; what cannot be read is tried again."""
        try:
            found = (self.folder / records.ORDER).stat()
        except OSError:
            return
        seen = (found.st_ino, found.st_mtime_ns)
        if seen == self.order_seen:
            return
        content = records.read_bounded(self.folder / records.ORDER)
        try:
            order = msgspec.json.decode(content or b"", type=Stop)
        except msgspec.DecodeError:
            return
        self.order_seen = seen
        merged = merge(self.order, order)
        if merged == self.order:
            return
        self.order = merged
        self.escalation.take(merged, wall_us=wall_us(), monotonic_us=monotonic_us())
        self._give_notice(merged)

    def _give_notice(self, order: Stop) -> None:
        owner = self.launch.account if self.launch.is_other_user else None
        notice = {
            "version": records.VERSION,
            "cause": order.cause,
            "deadline": report.moment(order.deadline_us),
            "deadline_us": order.deadline_us,
            "kill_at_us": order.kill_us,
        }
        try:
            records.write(self.folder / records.NOTICE, notice, owner=owner)
        except OSError as error:
            sys.stderr.write(f"notice not written: {error.strerror}\n")
        is_first = not self.state.is_noticed
        self.state = msgspec.structs.replace(self.state, is_noticed=True)
        self._write_state(f"noticed: {order.cause}")
        command = self.launch.attempt.save.command
        if is_first and command is not None:
            self._run_beside(command)

    def _run_beside(self, command: str) -> None:
        """The workload's own save command, once for each rank that lives."""
        for index, rank in enumerate(self.gang.ranks):
            if not rank.has_ended:
                spawn.run_beside(self.launch, self.folder, index, command)
                self.gang.has_children = True
                self.state = msgspec.structs.replace(self.state, is_signalled=True)

    def _ask(self) -> None:
        """Signals the trainers that listen by now. What is sent is on record before it is sent, so
        that no later keeper sends it again."""
        numbers = tuple(number_of(name) for name in self.launch.attempt.save.signals)
        new = self.gang.unsignalled(numbers, self.state.signalled)
        if new:
            self._signal(new, self.state.engine_state)

    def _signal(self, new: tuple[Signalled, ...], engine_state: str) -> None:
        before = self.state
        again = {(one.pid, one.start_ticks) for one in new}
        kept = tuple(one for one in before.signalled if (one.pid, one.start_ticks) not in again)
        self.state = msgspec.structs.replace(before, signalled=(*kept, *new), is_signalled=True)
        self._write_state(engine_state)
        sent = [processes.send(one.pid, one.start_ticks, one.number) for one in new]
        if not any(sent):
            self.state = msgspec.structs.replace(self.state, is_signalled=before.is_signalled)
            self._write_state(engine_state)

    def _see_ends(self, now_us: int) -> None:
        """A gang stops whole; what remains after its ranks is ended; nothing left is release."""
        if self._is_broken():
            self._break_gang()
        if self.gang.all_ended():
            if self.gang.is_gone():
                self._release()
            elif self.order is None or not any(is_living(one) for one in self.state.signalled):
                # A trainer that outlives its rank while it saves has until the deadline.
                self.escalation.bring_forward(term_at_us=now_us, kill_us=now_us + REMAINS_GRACE_US)

    def _carry_out(self, now_us: int) -> None:
        if self.state.phase is Phase.RELEASED:
            return
        if self.escalation.is_term_due(now_us) or self.escalation.is_termed:
            self._terminate(now_us)
        elif self.order is not None and now_us >= self.ask_again_us:
            self.ask_again_us = now_us + ASK_AGAIN_US
            self._ask()
        if self.escalation.is_kill_due(now_us) and now_us >= self.kill_again_us:
            self.kill_again_us = now_us + KILL_AGAIN_US
            self.look_at_us = min(self.look_at_us, self.kill_again_us)
            self.gang.everyone(signal.SIGKILL)

    def _terminate(self, now_us: int) -> None:
        """TERM to those that had none, and until KILL to those that come after."""
        if now_us < self.term_again_us:
            return
        self.term_again_us = now_us + TERM_AGAIN_US
        is_first, self.escalation.is_termed = not self.escalation.is_termed, True
        if is_first and self.order is not None:
            self._ask()
        trainers, others = self.gang.unterminated(self.state.signalled)
        if trainers:
            termed = (msgspec.structs.replace(one, number=signal.SIGTERM) for one in trainers)
            self._signal(tuple(termed), "terminating")
        fresh = [one for one in others if (one.pid, one.start_ticks) not in self.termed]
        for process in fresh:
            self.termed.add((process.pid, process.start_ticks))
            processes.send(process.pid, process.start_ticks, signal.SIGTERM)
        if fresh and self.order is not None and not self.gang.all_ended():
            self.state = msgspec.structs.replace(self.state, is_signalled=True)
        if is_first:
            self._write_state("terminating")

    def _is_broken(self) -> bool:
        """Whether a rank failed without a stop order."""
        return self.order is None and any(
            rank.signal is not None or rank.code not in (None, 0, SAVED) for rank in self.gang.ranks
        )

    def _break_gang(self) -> None:
        now_us = monotonic_us()
        self.escalation.bring_forward(term_at_us=now_us, kill_us=now_us + GANG_GRACE_US)

    def _release(self) -> None:
        for opened in self.outputs.values():
            opened.close()
        word = "ended" if self.gang.is_parent else EXIT_UNKNOWN
        self.state = msgspec.structs.replace(
            self.state,
            phase=Phase.RELEASED,
            released_us=wall_us(),
            checkpoint=report.read(Path(self.launch.checkpoint_dir)),
        )
        never = self.state.started_us is None and self.gang.is_parent
        self._write_state("never started" if never else word)

    def _write_state(self, engine_state: str) -> None:
        """Writes the state; a full disk is tried again with the next turn."""
        self.state = msgspec.structs.replace(
            self.state,
            ranks=self.gang.ranks,
            engine_state=engine_state,
            written_us=wall_us(),
        )
        try:
            records.write(self.folder / records.STATE, self.state)
            self.is_unwritten = False
        except OSError as error:
            self.is_unwritten = True
            sys.stderr.write(f"state not written: {error.strerror}\n")
        records.poke(self.launch.changes)


def _last_state(folder: Path, launch: Launch) -> State | None:
    """What an earlier keeper knew of ranks that may run; None where none can.

    A state that is there and cannot be read might hide a running gang: it is never started twice,
    but counted as ended, so that whatever of it runs is found by its environment and stopped.
    """
    if not (folder / records.STATE).exists():
        return None
    old = records.read_state(folder)
    if old is None:
        ranks = tuple(_never_started() for _ in launch.attempt.ranks)
        return msgspec.structs.replace(
            records.nothing_yet(launch), phase=Phase.RUNNING, ranks=ranks
        )
    if not old.ranks:
        return None
    started_us = old.started_us
    if started_us is None and any(rank.pid for rank in old.ranks):
        started_us = old.written_us
    return msgspec.structs.replace(old, phase=Phase.RUNNING, started_us=started_us)


def _never_started() -> RankState:
    return RankState(pid=0, start_ticks=0, has_ended=True, code=None, signal=None)


def _detach() -> tuple[int, Guard]:
    """Goes on in a process of its own session under a guard; the first one waits for the answer and
    leaves."""
    answer, give_answer = os.pipe()
    if os.fork() != 0:
        os.close(give_answer)
        os._exit(0 if os.read(answer, 1) else 1)
    os.close(answer)
    os.setsid()
    guard = processes.look(os.getpid())
    assert guard is not None
    processes.become_subreaper()
    if os.fork() != 0:
        os.close(give_answer)
        _guard()
    os.setsid()
    return give_answer, Guard(pid=guard.pid, start_ticks=guard.start_ticks)


def _guard() -> NoReturn:
    """Waits until nothing is left, whatever it is sent but KILL."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            os._exit(0)


def _lock(folder: Path) -> bool:
    """Holds the folder for this process' life. A record lock is not inherited by the ranks."""
    descriptor = os.open(folder / records.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _wake_by_signals() -> int:
    """A descriptor that becomes readable when a child ended or the engine poked."""
    wake, write_wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(write_wake, False)
    signal.set_wakeup_fd(write_wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, lambda _number, _frame: None)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return wake


def main() -> None:
    """Keeps the attempt in the folder named by the one argument."""
    folder = Path(sys.argv[1])
    give_answer, guard = _detach()
    os.umask(0o077)
    is_held = _lock(folder)
    wake = _wake_by_signals()
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
    Keeper(folder, launch, wake, guard).run()


if __name__ == "__main__":
    main()
