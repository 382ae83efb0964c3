"""Keeps the ranks of one node of an attempt: `python -m parkade.engines.slurm.member FOLDER`.

`srun` starts one on each node, as the workload's user. It is the local engine's keeper, but for
three things: it starts its ranks with those of all other nodes, ends them when a rank elsewhere
failed, and reads its orders from the attempt's folder while it writes into its own. If it is
killed, Slurm ends what it started.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from parkade.engines.local import detaching, processes, records
from parkade.engines.local.clocks import monotonic_us, wall_us
from parkade.engines.local.keeper import Keeper
from parkade.engines.local.records import STOPPED_FIRST, Guard, Launch, Member
from parkade.engines.local.state_file import never_started
from parkade.engines.local.validation import folder_name
from parkade.engines.slurm import gathering, signals
from parkade.engines.slurm.hearing import SharedSilence
from parkade.ports import Phase

GATHER_S = 300.0
POLL_S = 0.05
NODES = "nodes"


class MemberKeeper(Keeper):
    """The keeper of one node; `home` is the attempt's folder."""

    def __init__(self, home: Path, own: Path, launch: Launch, wake: int, guard: Guard) -> None:
        self.home = home
        # What was sent before it began is not for it.
        self.heard_until = max((one.number for one in signals.read(home)), default=0)
        silence = SharedSilence(Path(launch.heard))
        super().__init__(own, launch, wake, guard, orders=home, silence=silence)

    def agree(self) -> str | None:
        """Waits for the head's word, also where it is to leave: others may have begun."""
        lease = self.launch.attempt.lease
        if lease and self.leaving.silence.lasted_us(monotonic_us()) >= lease.silence_us:
            return "the control plane was not heard for its lease before it began"
        ends_at = time.monotonic() + GATHER_S
        while time.monotonic() < ends_at:
            found = gathering.read(self.home / "job")
            if found.trouble is not None:
                return found.trouble
            order = records.read_order(self.home)
            if order is not None and wall_us() >= order.kill_us:
                return STOPPED_FIRST
            if found.is_open:
                return None
            time.sleep(POLL_S)
        return f"the other nodes were not ready within {GATHER_S:.0f} s"

    def _look(self, now_us: int) -> None:
        self._pass_signals()
        if self.leaving.order is None:
            gathered = gathering.read(self.home / "job")
            if gathered.is_broken:
                self.leaving.break_gang()
            if gathered.recalled_us is not None:
                self.leaving.recall(gathered.recalled_us)
        super()._look(now_us)

    def _pass_signals(self) -> None:
        for one in signals.read(self.home):
            if one.number > self.heard_until:
                self.heard_until = one.number
                for rank in self.gang.ranks:
                    if not rank.has_ended:
                        signals.deliver(rank.pid, one.name)


def member_launch(launch: Launch, node: str, given: Sequence[int]) -> Launch:
    """The part of a launch that is of one node; `given` are the GPU indexes that Slurm gave, dealt
    to the ranks in order."""
    whole = launch.member
    assert whole is not None, "an attempt on Slurm knows its gang"
    ranks = tuple(rank for rank, seat in enumerate(whole.seats) if seat.node == node)
    seats = tuple(whole.seats[rank] for rank in ranks)
    devices, left = [], list(given)
    for seat in seats:
        devices.append(tuple(left[: seat.gpus]))
        left = left[seat.gpus :]
    return msgspec.structs.replace(
        launch,
        attempt=msgspec.structs.replace(launch.attempt, ranks=seats),
        devices=tuple(devices),
        is_other_user=False,
        boot_id=processes.boot_id(),
        member=Member(ranks=ranks, seats=whole.seats, addresses=whole.addresses),
    )


def given_devices() -> list[int]:
    """What Slurm gave on this node, as the programs here count them."""
    words = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [int(word) for word in words if word.isdigit()]


def main() -> None:
    """Keeps the ranks of this node in the folder named by the one argument."""
    home, node = Path(sys.argv[1]), os.environ["SLURMD_NODENAME"]
    own = home / "job" / NODES / folder_name(node, key="node")
    os.umask(0o077)
    wake = detaching.wake_by_signals()
    launch = records.read_launch(home / "job")
    if launch is None:
        sys.exit(f"{home} cannot be read on {node}: is it on a file system that the nodes share?")
    os.umask(records.keepers_umask(launch))
    launch = member_launch(launch, node, given_devices())
    records.write(own / records.LAUNCH, launch, mode=records.KEEPERS)
    wanted = sum(seat.gpus for seat in launch.attempt.ranks)
    found = sum(len(devices) for devices in launch.devices)
    if found < wanted:
        _give_up(own, launch, f"Slurm gave {found} GPUs on {node}, not {wanted}")
        return
    me = processes.look(os.getpid())
    assert me is not None
    guard = Guard(pid=me.pid, start_ticks=me.start_ticks)
    MemberKeeper(home, own, launch, wake, guard).run()


def _give_up(own: Path, launch: Launch, why: str) -> None:
    state = msgspec.structs.replace(
        records.nothing_yet(launch),
        phase=Phase.RELEASED,
        ranks=tuple(never_started() for _ in launch.attempt.ranks),
        launch_error=why,
        engine_state="never started",
        released_us=wall_us(),
        written_us=wall_us(),
    )
    records.write(own / records.STATE, state, mode=records.KEEPERS)


if __name__ == "__main__":
    main()
