"""The batch script of an attempt: `python -m parkade.engines.slurm.head FOLDER`, on its first node.

It claims the attempt, so that a job that was submitted twice runs once; starts a member on each
node; lets them start together and end together (`gathering`); and watches over the last instant:
where members still run well after the kill that was ordered, or after the lease lapsed, it ends the
step. It speaks to neither agent nor control plane; while both are silent it looks whether a person
ends the fence (`recalling`).

Here it is decided what comes first, the start of the gang or an order to leave: a gang that is
ordered to leave before it opens never does, and the job ends at once.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from parkade.core.workloads.saving import EXIT_SAVED
from parkade.engines.local import records
from parkade.engines.local.clocks import monotonic_us, wall_us
from parkade.engines.local.records import STOPPED_FIRST, Launch, State
from parkade.engines.local.validation import folder_name
from parkade.engines.slurm import gathering, recalling, script
from parkade.engines.slurm.gathering import Gathering
from parkade.engines.slurm.hearing import SharedSilence
from parkade.engines.slurm.member import NODES
from parkade.engines.slurm.recalling import Recall
from parkade.ports import Phase

POLL_S = 0.1
BACKSTOP_US = 10_000_000
GIVE_UP_US = 5_000_000
"""So long members may take to leave that will never begin: some may still wait for an image."""


class Head:
    """One job's coordinator, a turn at a time."""

    def __init__(self, home: Path, launch: Launch) -> None:
        self.home = home
        self.job = home / "job"
        self.launch = launch
        gang = launch.member
        assert gang is not None
        self.nodes = tuple(dict.fromkeys(seat.node for seat in gang.seats))
        self.gathered = Gathering()
        self.given_up_us: int | None = None
        self.silence = SharedSilence(Path(launch.heard))
        self.recall = Recall(
            launch.attempt.lease,
            os.environ.get("SLURM_JOB_RESERVATION", ""),
            Path(launch.heard).parent / recalling.FILE,
        )

    def turn(self) -> None:
        """Reads all members and says what is new. Cost: a file for each node."""
        states = [records.read_state(self._of(node)) for node in self.nodes]
        is_ordered = records.read_order(self.home) is not None
        gathered = advance(self.gathered, states, is_ordered=is_ordered)
        recalled_us = self.recall.look(self.silence.lasted_us(monotonic_us()))
        gathered = msgspec.structs.replace(gathered, recalled_us=recalled_us)
        if gathered != self.gathered:
            gathering.write(self.job, gathered)
            self.gathered = gathered
        if self.has_given_up() and self.given_up_us is None:
            self.given_up_us = monotonic_us()

    def has_given_up(self) -> bool:
        """Whether no rank will ever run its command."""
        return self.gathered.trouble is not None

    def is_overdue(self) -> bool:
        """Whether everything should have ended a while ago."""
        if self.given_up_us is not None and monotonic_us() >= self.given_up_us + GIVE_UP_US:
            return True
        order, lease = records.read_order(self.home), self.launch.attempt.lease
        if order is not None and wall_us() >= order.kill_us + BACKSTOP_US:
            return True
        if lease is None:
            return False
        most_us = lease.silence_us + lease.notice_us + lease.kill_us + BACKSTOP_US
        return self.silence.lasted_us(monotonic_us()) >= most_us

    def _of(self, node: str) -> Path:
        return self.job / NODES / folder_name(node, key="node")


def advance(gathered: Gathering, states: Sequence[State | None], *, is_ordered: bool) -> Gathering:
    """What the head says next. A gang opens once, when all stand ready and it is not to leave; it
    breaks for ever."""
    is_open, trouble, is_broken = gathered.is_open, gathered.trouble, gathered.is_broken
    troubles = [one.launch_error for one in states if one is not None and one.launch_error]
    if not is_open and trouble is None:
        trouble = troubles[0] if troubles else STOPPED_FIRST if is_ordered else None
        is_open = trouble is None and all(one is not None and one.ranks for one in states)
    if is_open and not is_ordered:
        is_broken = is_broken or any(one is not None and _has_failed(one) for one in states)
    return msgspec.structs.replace(gathered, is_open=is_open, trouble=trouble, is_broken=is_broken)


def _has_failed(state: State) -> bool:
    if state.launch_error is not None and state.phase is not Phase.STARTING:
        return True
    if state.broken_us is not None:
        return True
    return not state.is_noticed and any(
        rank.signal is not None or rank.code not in (None, 0, EXIT_SAVED) for rank in state.ranks
    )


def claim(job: Path, number: str) -> bool:
    """Whether the attempt is this job's; the first one has it for ever."""
    path = job / gathering.CLAIM
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, records.KEEPERS)
    except FileExistsError:
        return path.read_text().strip() == number
    with os.fdopen(descriptor, "w") as file:
        file.write(number)
        file.flush()
        os.fsync(file.fileno())
    return True


def main() -> None:
    """Runs the job of the attempt in the folder named by the one argument."""
    home = Path(sys.argv[1])
    os.umask(0o077)
    for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    launch = records.read_launch(home / "job")
    if launch is None:
        sys.exit(f"{home} cannot be read here: is it on a file system that the nodes share?")
    os.umask(records.keepers_umask(launch))
    if not claim(home / "job", os.environ["SLURM_JOB_ID"]):
        return
    head = Head(home, launch)
    head.turn()
    if head.has_given_up():
        return
    python = [f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", sys.executable, "-s", "-P"]
    parts = int(os.environ.get("SLURM_HET_SIZE", "1"))
    words = script.step(parts, home, python, launch.step or ("srun",))
    step = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    while step.poll() is None:
        head.turn()
        if head.is_overdue():
            step.kill()
        time.sleep(POLL_S)
    head.turn()


if __name__ == "__main__":
    main()
