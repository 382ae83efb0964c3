"""What one attempt looks like: the members' states and the job's facts, as an observed attempt."""

import os
from pathlib import Path

from parkade.core.workloads.observed import MOST_WORDS
from parkade.engines.local import records, report
from parkade.engines.local.records import Launch, State
from parkade.engines.slurm import gathering, homes, standing
from parkade.engines.slurm.answers import Job
from parkade.engines.slurm.cancelling import Canceller
from parkade.engines.slurm.homes import Submission
from parkade.engines.slurm.standing import WENT_WRONG
from parkade.ports import ObservedAttempt, Phase, RankExit

MOST_OUTPUT = 300


class Attempt:
    """One live attempt, as read last. Cost of a look: a few files for each of its nodes."""

    def __init__(self, home: Path, launch: Launch) -> None:
        self.home = home
        self.launch = launch
        self.nodes = homes.nodes_of(launch)
        self.states: dict[str, State | None] = dict.fromkeys(self.nodes)
        self.submissions: tuple[Submission, ...] = ()
        self.claimed: int | None = None
        self.over_us: int | None = None
        self.live_us: int | None = None
        self.cancelled_us = 0
        self.canceller = Canceller()
        self.was_ordered = False
        self.has_run = False
        self._stamps: dict[str, tuple[int, int]] = {}

    def look(self) -> None:
        """Reads what may have changed."""
        self.submissions = homes.read_submissions(self.home)
        if self.claimed is None:
            self.claimed = homes.claimed_by(self.home)
        if self.claimed is None:
            return
        for node in self.nodes:
            folder = homes.node_folder(self.home, node)
            stamp = _stamp(folder / records.STATE)
            if stamp is not None and stamp != self._stamps.get(node):
                self.states[node] = records.read_state(folder)
                self._stamps[node] = stamp
                state = self.states[node]
                self.has_run |= state is not None and state.started_us is not None

    @property
    def nonces(self) -> tuple[str, ...]:
        """The words of its submissions."""
        return tuple(one.nonce for one in self.submissions)

    @property
    def tries(self) -> int:
        """How often it was submitted."""
        return homes.number_of(self.submissions)

    @property
    def silent(self) -> tuple[str, ...]:
        """Nodes whose member has not states that all is gone."""
        return tuple(
            node
            for node, state in self.states.items()
            if state is None or state.phase is not Phase.RELEASED
        )

    def observed(
        self, parts: tuple[Job, ...], *, released_us: int | None, detail: str = ""
    ) -> ObservedAttempt:
        """What is devices of it; `released_us` where its seats are free."""
        states = [state for state in self.states.values() if state is not None]
        attempt = self.launch.attempt
        started = [one.started_us for one in states if one.started_us is not None]
        lapsed = [one.lapsed_us for one in states if one.lapsed_us is not None]
        reading = report.read(Path(self.launch.checkpoint_dir))
        return ObservedAttempt(
            attempt=attempt.attempt,
            generation=attempt.generation,
            phase=self._phase(bool(started), released_us),
            started_us=min(started, default=None),
            released_us=released_us,
            exits=self._exits(parts, is_over=released_us is not None),
            checkpoint=reading.checkpoint,
            devices=self._devices(parts),
            launch_error=self._launch_error(states),
            engine_state=self._words(parts, states, detail)[:MOST_WORDS],
            ordered_us=attempt.ordered_us,
            is_signalled=any(one.is_signalled for one in states),
            is_keeper_lost=released_us is not None and self._is_keeper_lost(parts),
            lapsed_us=min(lapsed, default=None),
            report_problem=reading.problem,
        )

    def _phase(self, has_started: bool, released_us: int | None) -> Phase:
        if released_us is not None:
            return Phase.RELEASED
        return Phase.RUNNING if has_started else Phase.STARTING

    def _exits(self, parts: tuple[Job, ...], *, is_over: bool) -> tuple[RankExit, ...]:
        """By rank number. Once over, a rank has no code where nothing was said of it, or where
        Slurm ended it."""
        seats = self.launch.attempt.ranks
        if all(state is None for state in self.states.values()):
            return ()
        found = []
        for rank, seat in enumerate(seats):
            state, place = self.states[seat.node], self.place(rank)
            own = state.ranks[place] if state is not None and place < len(state.ranks) else None
            if own is not None and own.has_ended:
                found.append(RankExit(rank=rank, code=own.code, signal=own.signal))
            elif is_over:
                found.append(RankExit(rank=rank, code=None, signal=None))
        if not is_over:
            return tuple(found)
        return standing.believed(
            found,
            parts,
            is_ordered=self.is_ordered,
            is_cancelled_by_others=self._is_cancelled_by_others,
        )

    @property
    def is_ordered(self) -> bool:
        """Whether it was to leave. What is written to kill survivors of a job that is over is no
        such order."""
        order = records.read_order(self.home)
        return order is not None and order.noticed_us < order.kill_us

    @property
    def _is_cancelled_by_others(self) -> bool:
        return self.canceller.uid not in (None, self.launch.account.uid)

    def place(self, rank: int) -> int:
        """Where a rank stands among those of its node."""
        seats = self.launch.attempt.ranks
        return sum(1 for seat in seats[:rank] if seat.node == seats[rank].node)

    def _launch_error(self, states: list[State]) -> str | None:
        found = [one.launch_error for one in states if one.launch_error is not None]
        trouble = gathering.read(self.home / "job").trouble if found else None
        return (trouble or found[0])[:MOST_WORDS] if found else None

    def _devices(self, parts: tuple[Job, ...]) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """As Slurm says while the job runs; later as the members were given them."""
        devices = {
            node: given
            for part in parts
            for node, given in zip(part.nodes, part.devices, strict=True)
        }
        for node in self.nodes:
            if not devices.get(node) and self.states[node] is not None:
                launch = records.read_launch(homes.node_folder(self.home, node))
                given = () if launch is None else launch.devices
                devices[node] = tuple(sorted(index for one in given for index in one))
        return tuple((node, devices[node]) for node in self.nodes if devices.get(node))

    def _words(self, parts: tuple[Job, ...], states: list[State], detail: str) -> str:
        """Slurm's own word, the members', and what the batch script says where it never began."""
        phrases = [f"{'+'.join(sorted(part.states))} ({part.reason})" for part in parts[:1]]
        phrases += [state.engine_state for state in states[:1]]
        if not self.has_run and parts and not parts[0].is_live:
            phrases.append(self._batch_output())
        return ": ".join(word for word in (*(phrases or ["not in Slurm"]), detail) if word)

    def _batch_output(self) -> str:
        content = records.read_bounded(self.home / "job" / "batch.out") or b""
        return content[-MOST_OUTPUT:].decode(errors="replace").strip()

    def _is_keeper_lost(self, parts: tuple[Job, ...]) -> bool:
        """Whether members ended without a word though Slurm did not end the job by itself. Before
        the workload ran it cannot have ended them: then a node refused the step, as for its
        credential."""
        if not parts or self.claimed is None or not self.silent or not self.has_run:
            return False
        if self._is_cancelled_by_others:
            return False
        return not any(part.states & WENT_WRONG for part in parts)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Opened, because a file system of several machines then looks for a newer one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return found.st_ino, found.st_mtime_ns
