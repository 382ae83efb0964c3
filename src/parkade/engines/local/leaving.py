"""How an attempt leaves: what it is told at the notice, at the deadline and at the kill.

Orders are a file; the earliest instants of all of them hold. What is sent is on record before it is
sent, so that no later keeper sends it again: to many programs a second signal is the end.

Where a rank of a gang failed outside a notice, the keeper gives the others the heal notice by
itself, so that they save what they can without the lost one. It holds as long as one of them saves:
a program that was asked and lives, or a save command that runs. A gang in which none does ends at
once, so that a program without a handler that crashes keeps no seat (decision record 102).
"""

import os
import signal
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from parkade.core.workloads.life import Cause
from parkade.core.workloads.saving import EXIT_SAVED
from parkade.engines.local import processes, records, report, spawn
from parkade.engines.local.clocks import monotonic_us, wall_us
from parkade.engines.local.escalation import Escalation, merge
from parkade.engines.local.gang import Gang, is_living, number_of
from parkade.engines.local.records import Signalled
from parkade.engines.local.state_file import StateFile
from parkade.ports import Lease, Stop

LEASE_LOOK_US = 1_000_000
ASK_AGAIN_US = 200_000
TERM_AGAIN_US = 500_000
KILL_AGAIN_US = 50_000
LAUNCHER_GRACE_US = 6_000_000
"""torchrun looks at its workers every 5 s at the latest, unless it was told otherwise."""
GANG_GRACE_US = 5_000_000
SAVING_BEGINS_WITHIN_US = 1_000_000
"""So long a broken gang may take until one of its programs saves."""
REMAINS_GRACE_US = 5_000_000


class Silence(Protocol):
    """How long the control plane was not heard."""

    def lasted_us(self, now_us: int) -> int:
        """Until an instant of the monotonic clock."""
        ...


class Leaving:
    """The orders of one attempt, which lie in the folder `orders`, and what was done about them so
    far."""

    def __init__(self, state: StateFile, gang: Gang, *, orders: Path, silence: Silence) -> None:
        self.state = state
        self.gang = gang
        self.folder = state.folder
        self.orders = orders
        self.silence = silence
        self.launch = state.launch
        self.escalation = Escalation()
        self.order: Stop | None = None
        self._order_seen: tuple[int, int] | None = None
        self._look_at_lease_us = monotonic_us()
        self._kill_again_us = 0
        self._ask_again_us = 0
        self._term_again_us = 0
        self._termed: set[tuple[int, int]] = set()
        self._saving_by_us = monotonic_us() + SAVING_BEGINS_WITHIN_US

    def next_us(self) -> int | None:
        """When something is due next, on the monotonic clock; None where nothing is ordered."""
        due_us = self.escalation.next_us()
        if due_us is not None and self._kill_again_us:
            return max(due_us, self._kill_again_us)
        return due_us

    def read_order(self) -> None:
        """Reads the order file where it changed; what cannot be read is tried again."""
        try:
            # Opened, because a file system of several machines then looks for a newer one.
            with (self.orders / records.ORDER).open("rb") as file:
                found = os.fstat(file.fileno())
        except OSError:
            return
        seen = (found.st_ino, found.st_mtime_ns)
        if seen == self._order_seen:
            return
        order = records.read_order(self.orders)
        if order is None:
            return
        self._order_seen = seen
        self.take(order)

    def see_silence(self, now_us: int) -> None:
        """Gives the notice by itself where the control plane was silent for the lease."""
        lease = self.launch.attempt.lease
        if lease is None or self.order is not None or now_us < self._look_at_lease_us:
            return
        self._look_at_lease_us = now_us + LEASE_LOOK_US
        if self.silence.lasted_us(now_us) >= lease.silence_us:
            self._lapse(lease, wall_us())

    def recall(self, deadline_us: int) -> None:
        """A person ends all guests at a date while the control plane is silent: a lapse that
        comes earlier."""
        lease = self.launch.attempt.lease
        if lease is None or self.order is not None:
            return
        now_us = wall_us()
        self.state.change(lapsed_us=now_us)
        notice_us = max(0, deadline_us - now_us)
        self._leave(now_us, notice_us=notice_us, grace_us=lease.kill_us, cause=Cause.LAPSED)

    def resume(self) -> None:
        """Goes on with a notice that a lost keeper gave by itself."""
        lease, lapsed_us = self.launch.attempt.lease, self.state.now.lapsed_us
        if lease is not None and lapsed_us is not None:
            self._lapse(lease, lapsed_us)
        if self.state.now.broken_us is not None:
            self._heal(self.state.now.broken_us)

    def _lapse(self, lease: Lease, lapsed_us: int) -> None:
        self.state.change(lapsed_us=lapsed_us)
        self._leave(
            lapsed_us, notice_us=lease.notice_us, grace_us=lease.kill_us, cause=Cause.LAPSED
        )

    def _leave(self, noticed_us: int, *, notice_us: int, grace_us: int, cause: Cause) -> None:
        """Takes an order of the keeper's own: a notice of that length, and the kill so long after
        its deadline."""
        deadline_us = noticed_us + notice_us
        self.take(
            Stop(
                noticed_us=noticed_us,
                deadline_us=deadline_us,
                kill_us=deadline_us + grace_us,
                cause=cause,
            )
        )

    def take(self, order: Stop) -> None:
        """Takes an order in; the notice is given where it brings anything forward."""
        merged = merge(self.order, order)
        if merged == self.order:
            return
        self.order = merged
        self.escalation.take(merged, wall_us=wall_us(), monotonic_us=monotonic_us())
        self._give_notice(merged)

    def see_ends(self, now_us: int) -> None:
        """A gang stops whole, and what remains after its ranks is ended."""
        if self._is_broken():
            self.break_gang()
        if self._has_saved_by_command() and self.escalation.kill_us is not None:
            self.escalation.bring_forward(term_at_us=now_us, kill_us=self.escalation.kill_us)
        is_broken = self.state.now.broken_us is not None
        if is_broken and now_us >= self._saving_by_us and not self._is_saving():
            self.end()
        if self.gang.all_ended() and not self._is_saving_without_rank():
            self.escalation.bring_forward(term_at_us=now_us, kill_us=now_us + REMAINS_GRACE_US)

    def break_gang(self) -> None:
        """A rank failed outside a notice: the others have the heal notice, if there is one."""
        if self.launch.attempt.heal_notice_us is None or self.gang.all_ended():
            self.end()
        else:
            self._saving_by_us = monotonic_us() + SAVING_BEGINS_WITHIN_US
            self._heal(wall_us())

    def end(self) -> None:
        """Ends all of it without a notice."""
        now_us = monotonic_us()
        self.escalation.bring_forward(term_at_us=now_us, kill_us=now_us + GANG_GRACE_US)

    def _heal(self, broken_us: int) -> None:
        heal_notice_us = self.launch.attempt.heal_notice_us
        assert heal_notice_us is not None, "a gang without a heal notice is ended at once"
        self.state.change(broken_us=broken_us)
        self._leave(broken_us, notice_us=heal_notice_us, grace_us=GANG_GRACE_US, cause=Cause.HEALED)

    def carry_out(self, now_us: int) -> None:
        """Sends what is due. Whom to tell is read from what programs show of themselves: whatever
        goes wrong there keeps the kill from none."""
        try:
            self._tell(now_us)
        except Exception:  # noqa: BLE001 - see above
            sys.stderr.write(f"programs could not be told:\n{traceback.format_exc()}")
        if self.escalation.is_kill_due(now_us) and now_us >= self._kill_again_us:
            self._kill_again_us = now_us + KILL_AGAIN_US
            self.gang.everyone(signal.SIGKILL)

    def _tell(self, now_us: int) -> None:
        if self.escalation.is_term_due(now_us) or self.escalation.is_termed:
            self._terminate(now_us)
        elif self.order is not None and now_us >= self._ask_again_us:
            self._ask_again_us = now_us + ASK_AGAIN_US
            self._ask()

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
            path = self.folder / records.NOTICE
            records.write(path, notice, mode=records.KEEPERS, owner=owner)
        except OSError as error:
            sys.stderr.write(f"notice not written: {error.strerror}\n")
        is_first = not self.state.now.is_noticed
        self.state.change(is_noticed=True)
        self.state.write(f"noticed: {order.cause}")
        command = self.launch.attempt.save.command
        if is_first and command is not None:
            self._run_beside(command)

    def _run_beside(self, command: str) -> None:
        """The workload's own save command, once for each rank that lives; none where the workload
        left no room for a process."""
        members = dict(enumerate(self.state.now.members))
        for index, rank in enumerate(self.gang.ranks):
            member = members.get(index)
            has_had_it = member is not None and member.is_noticed
            if not rank.has_ended and not has_had_it:
                if self.run_beside(index, command) is None:
                    return
                self.state.change(is_signalled=True)

    def run_beside(self, index: int, command: str) -> int | None:
        """Runs the save command beside one rank: its pid, or None where there is no room."""
        try:
            pid = spawn.run_beside(self.state.current, self.folder, index, command)
        except OSError as error:
            sys.stderr.write(f"save command not run: {error.strerror}\n")
            return None
        self.gang.beside[pid] = None
        self.gang.has_children = True
        if not self.gang.is_parent:
            self.gang.own.add(pid)
        return pid

    def _ask(self) -> None:
        """Signals the trainers that listen by now."""
        numbers = tuple(number_of(name) for name in self.launch.attempt.save.signals)
        new = self.gang.unsignalled(numbers, self.state.now.signalled)
        if new:
            self._signal(new)

    def _signal(
        self,
        new: tuple[Signalled, ...],
        engine_state: str | None = None,
        *,
        is_alone: bool = False,
    ) -> None:
        before = self.state.now
        again = {(one.pid, one.start_ticks) for one in new}
        kept = tuple(one for one in before.signalled if (one.pid, one.start_ticks) not in again)
        self.state.change(signalled=(*kept, *new), is_signalled=before.is_signalled or not is_alone)
        self.state.write(engine_state)
        sent = [processes.send(one.pid, one.start_ticks, one.number) for one in new]
        if not any(sent):
            self.state.change(is_signalled=before.is_signalled)
            self.state.write()

    def _terminate(self, now_us: int) -> None:
        """TERM to those that had none, and until KILL to those that come after."""
        if now_us < self._term_again_us:
            return
        self._term_again_us = now_us + TERM_AGAIN_US
        is_first, self.escalation.is_termed = not self.escalation.is_termed, True
        if is_first and self.order is not None:
            self._ask()
        trainers, others = self.gang.unterminated(
            self.state.now.signalled, now_us=now_us, grace_us=self._launcher_grace_us()
        )
        if trainers:
            self._signal(tuple(_as_term(trainers)), "terminating")
        fresh = [one for one in others if (one.pid, one.start_ticks) not in self._termed]
        for process in fresh:
            self._termed.add((process.pid, process.start_ticks))
            processes.send(process.pid, process.start_ticks, signal.SIGTERM)
        if fresh and self.order is not None and not self.gang.all_ended():
            self.state.change(is_signalled=True)
        if is_first:
            self.state.write("terminating")

    def signal_alone(self, new: tuple[Signalled, ...]) -> None:
        """Signals trainers of a rank that leaves alone, on record before. It is no notice of the
        attempt, so a later exit 0 of the others is no saving."""
        if new:
            self._signal(new, is_alone=True)

    def _launcher_grace_us(self) -> int:
        """How long a launcher may take to see that its trainers ended: at most half the time to
        KILL."""
        term_at_us, kill_us = self.escalation.term_at_us, self.escalation.kill_us
        assert term_at_us is not None and kill_us is not None
        return min(LAUNCHER_GRACE_US, (kill_us - term_at_us) // 2)

    def _is_broken(self) -> bool:
        """Whether a rank failed without a stop order."""
        return self.order is None and any(
            rank.signal is not None or rank.code not in (None, 0, EXIT_SAVED)
            for number, rank in enumerate(self.gang.ranks)
            if number not in self.gang.alone
        )

    def _is_saving(self) -> bool:
        """Whether a program that was asked lives, or a save command runs."""
        return any(is_living(one) for one in self.state.now.signalled) or any(
            code is None for code in self.gang.beside.values()
        )

    def _has_saved_by_command(self) -> bool:
        """Whether a program that goes on after it saved has saved, beside each rank."""
        codes = self.gang.beside.values()
        return self.launch.attempt.save.ends and bool(codes) and all(it == 0 for it in codes)

    def _is_saving_without_rank(self) -> bool:
        """Whether a trainer outlives its rank while it saves; it has until the deadline."""
        return self.order is not None and any(is_living(one) for one in self.state.now.signalled)


def _as_term(trainers: Iterable[Signalled]) -> Iterable[Signalled]:
    return (msgspec.structs.replace(one, number=signal.SIGTERM) for one in trainers)
