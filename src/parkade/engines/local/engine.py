"""The engine of processes on this machine, and the reference for all others.

Its nodes are parts of this machine with devices of their own (`devices`), or all of it. It decides
which devices an attempt gets, makes the attempt's folder, and starts a keeper in it; everything
later is read from that folder, so any number of engine objects, one after another, see the same. It
never signals what it did not start.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from parkade.engines.local import (
    accounts,
    cgroups,
    containers,
    environment,
    keepers,
    leases,
    opening_execs,
    output,
    processes,
    programs,
    records,
    seats,
    spawn,
)
from parkade.engines.local import validation as rules
from parkade.engines.local.clocks import monotonic_us
from parkade.engines.local.devices import Machine
from parkade.engines.local.escalation import merge
from parkade.engines.local.folders import Folders
from parkade.engines.local.gang import number_of
from parkade.engines.local.keeping import Keeping
from parkade.engines.local.launching import STANDARD_PATH, check_same, is_meant
from parkade.engines.local.overdue import Overdue
from parkade.engines.local.records import Account, Launch
from parkade.engines.local.view import View
from parkade.ports import (
    Capabilities,
    Clock,
    Conflict,
    DesiredAttempt,
    ExecRequest,
    ExecSession,
    FolderAnswer,
    FolderLook,
    InvalidSpec,
    LogRequest,
    NodeShape,
    Observation,
    Phase,
    Stop,
    Transient,
    WorkloadFolder,
)

FOLLOW_S = 0.2
NOTES = (
    "Processes of one Unix user are not isolated from each other: they can read, signal and "
    "trace one another. GPUs are assigned by CUDA_VISIBLE_DEVICES, which a program "
    "can overrule; memory is limited only where the agent may make control groups."
)


class LocalEngine:
    """Implements `ports.Engine`; `pool` names the observations, `data` is created where missing.
    `runs_as_root`: where it is root, workloads of users without a Unix name are run, as root.
    `container`: the command by which a rank runs in an image (`containers`); empty: none.

    Blocking work that may take longer than a disk access (starting keepers) runs in threads.
    """

    def __init__(
        self,
        *,
        pool: str,
        data: Path,
        nodes: tuple[NodeShape, ...],
        clock: Clock,
        machine: Machine,
        runs_as_root: bool,
        container: str = "",
    ) -> None:
        self.pool = pool
        self.container = containers.parse(container)
        if containers.is_srun(self.container):
            raise ValueError("container: srun is Slurm's; write what runs here, as `apptainer`")
        self.runs_as_root = runs_as_root
        self.nodes = nodes
        self.clock = clock
        self.machine = machine
        self._carved: dict[str, tuple[int, ...]] | None = None
        self.cgroup_parent = cgroups.find_parent()
        self.folders = Folders(data, has_other_users=os.geteuid() == 0)
        self.view = View(self.folders)
        self.overdue = Overdue()
        self.keeping = Keeping(self.folders)
        self.changes = self.folders.data / records.CHANGES
        if not self.changes.exists():
            os.mkfifo(self.changes, 0o600)
        self.heard = self.folders.data / leases.FILE
        self._changed = os.open(self.changes, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def capabilities(self) -> Capabilities:
        """What it can do; see NOTES for what that means."""
        return Capabilities(
            engine="local",
            version=str(records.VERSION),
            isolates_users=False,
            has_containers=bool(self.container),
            unsupported_keys=() if self.container else ("image",),
            keeps_memory_limits=self._has_controller("memory"),
            tracks_by_cgroup=self.cgroup_parent is not None,
            needs_unix_names=os.geteuid() == 0 and not self.runs_as_root,
            opens_execs=True,
            resizes_live=True,
        )

    def validate(self, attempt: DesiredAttempt) -> None:
        """Raises InvalidSpec or Unsupported where the attempt could never run here."""
        rules.validate(attempt, self.nodes)
        account, _ = accounts.resolve(attempt.unix_user, runs_as_root=self.runs_as_root)
        self._container_words(attempt, account)

    def render(self, attempt: DesiredAttempt) -> str:
        """Command, folders, and each rank's environment; devices and port as if all were free."""
        self.validate(attempt)
        launch = self._plan(attempt, live=[], carved=self.machine.nominal(self.nodes))
        home = self.folders.home(attempt)
        lines = [
            f"# engine local: {NOTES}",
            f"user: {launch.account.name}",
            f"workdir: {environment.at_home(attempt.workdir, launch.account.home)}",
            f"folder: {home}",
            f"checkpoints: {launch.checkpoint_dir}",
            f"env_file: {attempt.env_file or 'none'} (read on the node as the user, never shown)",
            f"argv: {spawn.rank_words(launch, attempt.command)!r}",
        ]
        base = environment.base(launch)
        for index, rank in enumerate(attempt.ranks):
            lines.append(f"rank {index} on {rank.node}:")
            variables = base | environment.rank_variables(launch, home, index)
            lines += [f"  {key}={value}" for key, value in sorted(variables.items())]
        return "\n".join(lines) + "\n"

    async def launch(self, attempt: DesiredAttempt) -> None:
        """Returns once a keeper holds the attempt, or at once where it is known already.

        Raises Conflict for a known id with another generation or other seats, or one that was
        forgotten; Transient while its devices are still held, and where its lease would have lapsed
        before it began.
        """
        self.validate(attempt)
        self._check_lease(attempt)
        folder = await asyncio.to_thread(self._make_known, attempt)
        if attempt.stop is not None:
            await self.stop(attempt.attempt, attempt.stop)
        if not self.view.is_released(folder) and not keepers.has_keeper(folder):
            await asyncio.to_thread(keepers.start_keeper, folder)

    async def observe(self) -> Observation:
        """One look at all folders; a keeper that was lost is replaced, one that a program
        stopped is ended first, and what outlives its kill is killed."""
        self.view.refresh()
        observed, is_complete = self.view.observed()
        unreleased = self.view.needing_keeper()
        for folder in unreleased:
            keepers.end_stopped(folder)
        # Not in a thread: a guest may have left no room for one.
        self.overdue.end(unreleased)
        for folder in self.view.without_keeper():
            try:
                await asyncio.to_thread(keepers.start_keeper, folder)
            except (Transient, RuntimeError):
                # Tried again after a while; what was seen is no less true. RuntimeError: no room
                # for a thread.
                continue
        return Observation(
            pool=self.pool,
            at_us=self.clock.now_us(),
            is_complete=is_complete,
            attempts=observed,
        )

    async def stop(self, attempt: str, order: Stop) -> None:
        """Writes the order where it brings anything forward, and pokes the keeper."""
        folder = self.folders.find(attempt)
        if folder is None or self.view.is_released(folder):
            return
        path = folder / records.ORDER
        old = records.read_order(folder)
        merged = merge(old, order)
        if merged != old:
            records.write(path, merged)
        if merged != old and (state := records.read_state(folder)) is not None:
            processes.send(state.keeper_pid, state.keeper_start_ticks, number_of("SIGUSR1"))

    async def resize(self, attempt: DesiredAttempt) -> None:
        """See `ResizesLive`. Raises Transient while devices of a rank that joins are still held,
        and Misconfigured where its node is none here: all other ranks are then ordered."""
        await asyncio.to_thread(self._resize, attempt)

    async def signal(self, attempt: str, name: str) -> None:
        """To each rank's trainers; what has ended hears nothing."""
        folder = self._known(attempt)
        if name not in signal.Signals.__members__:
            raise InvalidSpec(f"signal: {name!r} is no signal")
        state = records.read_state(folder)
        for rank in state.ranks if state is not None else ():
            if not rank.has_ended and processes.is_alive(rank.pid, rank.start_ticks):
                for trainer in programs.trainers(rank.pid, (number_of(name),)):
                    processes.send(trainer.pid, trainer.start_ticks, number_of(name))

    async def adopt(self) -> Sequence[str]:
        """Takes up what the folder knows; keepers that were lost are replaced first."""
        observation = await self.observe()
        return tuple(one.attempt for one in observation.attempts)

    async def forget(self, attempt: str) -> None:
        """Drops a released attempt from observations; raises Conflict while it runs."""
        await asyncio.to_thread(self._forget, attempt)

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        """Raises InvalidSpec for an unknown attempt or rank. Bytes already dropped are skipped."""
        folder, rank, offset = self._printed(request), request.rank, request.offset
        while True:
            is_over = not request.follow or self.view.is_released(folder)
            while True:
                begin, content = await asyncio.to_thread(output.read, folder, rank, offset)
                if not content:
                    break
                offset = begin + len(content)
                yield content
            if is_over:
                return
            await asyncio.sleep(FOLLOW_S)

    async def open_exec(self, request: ExecRequest) -> ExecSession:
        """See `OpensExecs`. Raises InvalidSpec for an unknown attempt or rank."""
        folder = self._known(request.attempt)
        launch, state = records.read_launch(folder), records.read_state(folder)
        if launch is None or state is None or not is_meant(launch, request):
            raise InvalidSpec(f"attempt: {request.attempt} does not run here")
        if state.phase is not Phase.RUNNING:
            raise InvalidSpec(f"attempt: {request.attempt} is {state.phase.value}")

        def poke() -> None:
            processes.send(state.keeper_pid, state.keeper_start_ticks, number_of("SIGUSR1"))

        return await opening_execs.open_exec(folder, request, poke)

    async def log_offset(self, request: LogRequest) -> int | None:
        """See `KnowsLogTimes`."""
        assert request.at_us is not None
        folder = self._printed(request)
        return await asyncio.to_thread(output.offset_since, folder, request.rank, request.at_us)

    def _printed(self, request: LogRequest) -> Path:
        """The folder of the attempt whose output is asked for."""
        attempt = request.attempt
        folder = self.folders.find_ended(attempt) or self._known(attempt)
        launch = records.read_launch(folder)
        if launch is not None:
            if not is_meant(launch, request):
                raise InvalidSpec(f"attempt: {attempt} is known here, but as another launch")
            state = records.read_state(folder)
            most = max(len(launch.attempt.ranks), 0 if state is None else len(state.ranks))
            if not 0 <= request.rank < most:
                raise InvalidSpec(f"rank: attempt {attempt} has no rank {request.rank}")
        return folder

    async def wait_changed(self, timeout_s: float) -> None:
        """Returns when a keeper wrote a new state, or after the time given."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        loop.add_reader(self._changed, changed.set)
        try:
            await asyncio.wait_for(changed.wait(), timeout_s)
            os.read(self._changed, 65_536)
        except (TimeoutError, BlockingIOError):
            pass
        finally:
            loop.remove_reader(self._changed)

    async def renew_leases(self) -> None:
        """The control plane was heard: no lease lapses before its span from now."""
        leases.renew(self.heard)

    async def idle_folders(self, now_us: int) -> FolderLook:
        """See `KeepsFolders`; a bounded part of what is on disk at each call."""
        return await asyncio.to_thread(self.keeping.look, now_us)

    async def settle_folders(
        self, asked: Sequence[WorkloadFolder], answers: Sequence[FolderAnswer]
    ) -> Sequence[str]:
        """See `KeepsFolders`."""
        return await asyncio.to_thread(self.keeping.settle, asked, answers)

    async def delete_folders(self) -> Sequence[str]:
        """See `KeepsFolders`."""
        return await asyncio.to_thread(self.keeping.delete)

    async def close(self) -> None:
        """Lets go without stopping anything that runs."""
        if self._changed >= 0:
            os.close(self._changed)
            self._changed = -1

    def _known(self, attempt: str) -> Path:
        folder = self.folders.find(attempt)
        if folder is None:
            raise InvalidSpec(f"attempt: {attempt} is not known here")
        return folder

    def _check_lease(self, attempt: DesiredAttempt) -> None:
        """An order heard long ago starts no guest, for the control plane may have started another
        attempt of it elsewhere. A machine that has heard nothing yet begins to count."""
        if attempt.lease is None:
            return
        heard_us = leases.heard_us(self.heard)
        if heard_us is None:
            leases.renew(self.heard)
        elif monotonic_us() - heard_us >= attempt.lease.silence_us:
            raise Transient(
                f"attempt {attempt.attempt}: the control plane was not heard for its lease"
            )

    def _make_known(self, attempt: DesiredAttempt) -> Path:
        with self.folders.lock():
            if self.folders.find_ended(attempt.attempt) is not None:
                raise Conflict(
                    f"attempt {attempt.attempt} ended here before; where the server's data was put "
                    f"back from a backup, its names are given again: submit it anew"
                )
            folder = self.folders.find(attempt.attempt)
            if folder is None:
                live = self.view.live()
                carved = self._carve(live)
                launch = self._plan(attempt, live=live, carved=carved)
                cgroups.make(launch.cgroup, self.cgroup_parent, self._share(attempt))
                folder = self.folders.add(launch)
                self.folders.sync(folder)
                return folder
            known = records.read_launch(folder)
            if known is None:
                raise Conflict(f"attempt {attempt.attempt} is known, but {folder} is unreadable")
            check_same(known.attempt, attempt)
            return folder

    def _resize(self, attempt: DesiredAttempt) -> None:
        with self.folders.lock():
            folder = self.folders.find(attempt.attempt)
            launch = None if folder is None else records.read_launch(folder)
            if folder is None or launch is None or self.view.is_released(folder):
                return
            check_same(launch.attempt, attempt)
            known = records.read_ranks(folder) or records.first_ranks(launch)
            missing: tuple[str, ...] = ()
            if attempt.resizes > known.resizes and attempt.resizes >= known.ordered:
                live = self.view.live()
                ranks = seats.choose_ranks(attempt, known, self._carve(live), live)
                if ranks != known:
                    # First: an agent that is lost in between makes it again.
                    cgroups.make(launch.cgroup, self.cgroup_parent, self._share(attempt))
                    records.write(folder / records.RANKS, ranks)
                missing = seats.left_out(attempt, ranks)
        self._poke(folder)
        if missing:
            rules.validate(attempt, self.nodes)
            raise Transient(
                f"attempt {attempt.attempt}: ranks that join wait for GPUs that are still held: "
                f"{', '.join(missing)}; resize again once others were released"
            )

    def _poke(self, folder: Path) -> None:
        if (state := records.read_state(folder)) is not None:
            processes.send(state.keeper_pid, state.keeper_start_ticks, number_of("SIGUSR1"))

    def _carve(self, live: list[Launch]) -> dict[str, tuple[int, ...]]:
        """The devices of each node, once for an engine: another one is made where nodes change."""
        if self._carved is None:
            held = seats.held_devices(live)
            self._carved = self.machine.assign(self.folders.data, self.pool, self.nodes, held)
        return self._carved

    def _plan(
        self, attempt: DesiredAttempt, *, live: list[Launch], carved: dict[str, tuple[int, ...]]
    ) -> Launch:
        account, is_other_user = accounts.resolve(attempt.unix_user, runs_as_root=self.runs_as_root)
        own_path = os.environ.get("PATH", STANDARD_PATH)
        return Launch(
            version=records.VERSION,
            attempt=msgspec.structs.replace(attempt, stop=None),
            devices=seats.choose_devices(attempt, carved, live),
            master_port=seats.choose_port(attempt.attempt, live),
            account=account,
            is_other_user=is_other_user,
            path=STANDARD_PATH if is_other_user else own_path,
            checkpoint_dir=str(self.folders.checkpoints(attempt)),
            changes=str(self.changes),
            heard=str(self.heard),
            cgroup=cgroups.path_of(self.cgroup_parent, self.folders.data, attempt.attempt),
            boot_id=processes.boot_id(),
            prepared_us=self.clock.now_us(),
            container=self._container_words(attempt, account),
        )

    def _container_words(self, attempt: DesiredAttempt, account: Account) -> tuple[str, ...]:
        return containers.fill(self.container, attempt, data=self.folders.data, home=account.home)

    def _has_controller(self, name: str) -> bool:
        return self.cgroup_parent is not None and name in self.cgroup_parent.controllers

    def _share(self, attempt: DesiredAttempt) -> cgroups.Share:
        part = sum(rank.gpus for rank in attempt.ranks)
        return cgroups.Share(part=part, whole=max(1, sum(node.gpus for node in self.nodes)))

    def _forget(self, attempt: str) -> None:
        with self.folders.lock():
            folder = self.folders.find(attempt)
            if folder is None:
                return
            state = records.read_state(folder)
            if state is None or state.phase is not Phase.RELEASED:
                raise Conflict(f"attempt {attempt} still runs; forget it once it is released")
            self.folders.forget(attempt)
