"""The engine of a Slurm cluster: `ports.Engine` by Slurm's commands and a shared folder.

It remembers nothing that is not in the folder or in Slurm, so any number of engine objects, one
after another, see the same. One `squeue` a look tells of the whole pool. Where Slurm cannot be
reached, nothing is told and nothing is decided.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from parkade.engines.local import (
    accounts,
    containers,
    leases,
    output,
    processes,
    records,
    seats,
)
from parkade.engines.local import validation as rules
from parkade.engines.local.clocks import monotonic_us
from parkade.engines.local.containers import Words
from parkade.engines.local.escalation import merge
from parkade.engines.local.keeping import Keeping
from parkade.engines.local.launching import STANDARD_PATH, check_same, is_meant
from parkade.engines.local.records import Account, Launch, Member
from parkade.engines.slurm import (
    hearing,
    homes,
    naming,
    owners,
    planning,
    probing,
    recalling,
    rendering,
    signals,
    standing_in,
    troubles,
)
from parkade.engines.slurm.acting import Acting
from parkade.engines.slurm.commands import Commands, NotAdmitted
from parkade.engines.slurm.fencing import Fencing
from parkade.engines.slurm.settings import SlurmSettings
from parkade.engines.slurm.submitting import Submitting
from parkade.engines.slurm.watching import NODES_KEPT_US, Watching
from parkade.ports import (
    Capabilities,
    Clock,
    Conflict,
    DesiredAttempt,
    DesiredState,
    EngineError,
    FolderAnswer,
    FolderLook,
    InvalidSpec,
    LogRequest,
    NodeShape,
    Observation,
    OwnerReport,
    Stop,
    Transient,
    Unsupported,
    WorkloadFolder,
)

logger = logging.getLogger(__name__)

FOLLOW_S = 0.2
MOST_THREADS = 8
NODES_SEEN_US = 2_000_000
"""So often it is looked which nodes are down or drained."""
HEARD_US = 10_000_000
"""A control plane that was not heard for so long gives no more nodes away."""

T = TypeVar("T")


class SlurmEngine:
    """Implements `ports.Engine`; `data` is a folder that agent and nodes share."""

    def __init__(
        self,
        *,
        pool: str,
        data: Path,
        nodes: tuple[NodeShape, ...],
        clock: Clock,
        settings: SlurmSettings,
    ) -> None:
        self.pool = pool
        self.nodes = nodes
        self.clock = clock
        self.settings = settings
        self.commands = Commands(settings)
        self.container = containers.parse(settings.container)
        self.launcher = settings.launcher if os.geteuid() != 0 else None
        acting = Acting(self.commands, self.launcher)
        self.homes = homes.Homes(data, acting)
        self.keeping = Keeping(self.homes)
        self.submitting = Submitting(settings, acting, clock)
        self.watching = Watching(self.homes, self.commands, self.submitting, clock)
        gpus = {it.node: it.gpus for it in nodes}
        standby = standing_in.parse(settings.stands_in)
        self.fencing = Fencing(pool, gpus, self.commands, self.homes.data, standby=standby)
        self.rules = owners.parse_rules(settings.owners)
        self.heard = self.homes.data / leases.FILE
        self.recalled = self.homes.data / recalling.FILE
        self.heard_shared = self.homes.data / hearing.FILE
        self._capabilities: Capabilities | None = None
        self._blind_us: int | None = None
        self._made = 0
        self._threads = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix=f"slurm-{pool}")

    def capabilities(self) -> Capabilities:
        """Probed once Slurm answers; the version is Slurm's."""
        if self._capabilities is not None:
            return self._capabilities
        has_launcher = self.launcher is not None
        found, is_all = probing.capabilities(
            self.settings, self.commands, has_launcher=has_launcher
        )
        self._capabilities = found if is_all else None
        return found

    def validate(self, attempt: DesiredAttempt) -> None:
        """Raises InvalidSpec or Unsupported where the attempt could never run here."""
        rules.validate(attempt, self.nodes)
        if attempt.is_live:
            raise Unsupported("resize: Slurm changes no job that runs; write resize: restart")
        self._container(attempt, self._account(attempt)[0])

    def _container(self, attempt: DesiredAttempt, account: Account) -> tuple[Words, Words]:
        """The words before a rank's, and those of the step in place of `srun`."""
        filled = containers.fill(self.container, attempt, self.homes.data, account.home)
        return ((), filled) if containers.is_srun(filled) else (filled, ())

    def _account(self, attempt: DesiredAttempt) -> tuple[Account, bool]:
        return accounts.resolve(
            attempt.unix_user,
            runs_as_root=self.settings.root_workloads,
            has_launcher=self.launcher is not None,
        )

    def render(self, attempt: DesiredAttempt) -> str:
        """The batch script as Slurm is given it, and what each rank runs and finds."""
        self.validate(attempt)
        home, launch = self.homes.home(attempt), self._plan(attempt, [])
        text = self.submitting.script(attempt, home, self.watching.nodes(NODES_KEPT_US), 1)
        return text + rendering.each_rank(launch)

    async def launch(self, attempt: DesiredAttempt) -> None:
        """Returns once Slurm has acknowledged the job, or at once where it is known or is to leave.

        Raises Conflict for a known id with another generation or other seats, or one that was
        forgotten; Transient while its devices are held by our own attempts, and where its lease
        would have lapsed before it began; Unreachable where Slurm's answer did not come: the
        attempt is known then, and its job is looked for before another one is sent.
        """
        self.validate(attempt)
        self._check_lease(attempt)
        self.fencing.check(seat.node for seat in attempt.ranks)
        home, launch = await self._in_thread(partial(self._make_known, attempt))
        if attempt.stop is not None:
            return await self.stop(attempt.attempt, attempt.stop)
        try:
            await self._in_thread(partial(self._submit, home, launch))
        except (InvalidSpec, NotAdmitted) as error:
            await self._in_thread(partial(self.watching.refuse, home, launch, error))

    async def observe(self) -> Observation:
        """One look at everything, by one `squeue`. Jobs that Slurm lost are submitted again, and
        what stayed past its orders is cancelled."""
        at_us = self.clock.now_us()
        try:
            found = await self._in_thread(self.watching.look)
        except EngineError as error:
            logger.warning("pool %s is not seen: %s", self.pool, error)
            self._blind_us = at_us if self._blind_us is None else self._blind_us
            return troubles.unseen(self.pool, at_us, error, since_us=self._blind_us)
        self._blind_us = None
        return Observation(
            pool=self.pool,
            at_us=at_us,
            is_complete=found.is_complete,
            attempts=found.attempts,
            troubles=troubles.of_pool(
                self.fencing.fence.refused,
                self.submitting.refused.copy(),
                self.watching.waiting,
                notes=(self.submitting.note(), *self.fencing.notes()),
            ),
        )

    async def stop(self, attempt: str, order: Stop) -> None:
        """Writes the order where it brings anything forward; the members read it."""
        home = self.homes.find(attempt)
        if home is None or homes.read_end(home) is not None:
            return
        old = records.read_order(home)
        merged = merge(old, order)
        if merged != old:
            records.write(home / records.ORDER, merged, mode=homes.READABLE)

    async def signal(self, attempt: str, name: str) -> None:
        """To each rank's trainers; what has ended hears nothing."""
        home = self._known(attempt)
        if name not in signal.Signals.__members__:
            raise InvalidSpec(f"signal: {name!r} is no signal")
        if homes.read_end(home) is None:
            signals.add(home, name)

    async def adopt(self) -> Sequence[str]:
        """Takes up what the folder knows; warns of options that name what Slurm does not have."""
        await self._in_thread(partial(naming.warn, self.settings, self.commands))
        return tuple(one.attempt for one in (await self.observe()).attempts)

    async def forget(self, attempt: str) -> None:
        """Drops a released attempt from observations; raises Conflict while it runs."""
        await self._in_thread(partial(self._forget, attempt))

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        """Raises InvalidSpec for an unknown attempt or rank. Bytes already dropped are skipped."""
        home = self.homes.find_ended(request.attempt) or self._known(request.attempt)
        printed = self._printed(home, request)
        if printed is None:
            return
        folder, place, uid = printed
        read, offset = partial(output.read, folder, place, uid=uid), request.offset
        while True:
            is_over = not request.follow or await self._is_released(home)
            while True:
                begin, content = await asyncio.to_thread(read, offset)
                if not content:
                    break
                offset = begin + len(content)
                yield content
            if is_over:
                return
            await asyncio.sleep(FOLLOW_S)

    async def log_offset(self, request: LogRequest) -> int | None:
        """See `KnowsLogTimes`: by the clock of the node that the rank is on."""
        assert request.at_us is not None
        home = self.homes.find_ended(request.attempt) or self._known(request.attempt)
        printed = self._printed(home, request)
        if printed is None:
            return 0
        folder, place, uid = printed
        look = partial(output.offset_since, folder, place, request.at_us, uid=uid)
        return await asyncio.to_thread(look)

    def _printed(self, home: Path, request: LogRequest) -> tuple[Path, int, int] | None:
        """(folder, rank within it, whose files) of the output that is asked for."""
        launch, rank = records.read_launch(home), request.rank
        if launch is None:
            return None
        if not is_meant(launch, request):
            raise InvalidSpec(f"attempt: {request.attempt} is known here, but as another launch")
        ranks = launch.attempt.ranks
        if not 0 <= rank < len(ranks):
            raise InvalidSpec(f"rank: attempt {request.attempt} has no rank {rank}")
        folder = homes.node_folder(home, ranks[rank].node)
        place = sum(1 for seat in ranks[:rank] if seat.node == ranks[rank].node)
        return folder, place, launch.account.uid

    async def serve_owners(self, desired: DesiredState) -> OwnerReport | None:
        """See `ServesOwners`: by the jobs of the last look."""
        return await self._in_thread(partial(self._serve_owners, desired))

    def _serve_owners(self, desired: DesiredState) -> OwnerReport | None:
        others = self.watching.others
        heard_us = leases.heard_us(self.heard)
        is_heard = heard_us is not None and monotonic_us() - heard_us < HEARD_US
        nodes = self.watching.nodes(NODES_SEEN_US)
        of_pool = [node for name, node in nodes.items() if name in self.fencing.nodes]
        report = self.fencing.serve(
            desired,
            others,
            self.rules,
            is_heard=is_heard,
            unfit=owners.unfit(nodes),
            cpus=min((it.cpus for it in of_pool), default=0),
            memory_mb=min((it.memory_mb for it in of_pool), default=0),
        )
        recalled_us = self.fencing.recalled_us
        if recalled_us != recalling.read(self.recalled):
            recalling.tell(self.recalled, recalled_us)
        self.submitting.fence = self.fencing.name
        self.submitting.fenced = self.fencing.fence.fenced
        if self.fencing.fence.made != self._made:
            self._made = self.fencing.fence.made
            self.submitting.retry_soon()
        return report

    async def renew_leases(self) -> None:
        """The control plane was heard: no lease lapses before its span from now."""
        leases.renew(self.heard)
        hearing.renew(self.heard_shared)

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
        self._threads.shutdown(wait=False)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _is_released(self, home: Path) -> bool:
        """As an observation found it, which is made here where none was for a while."""
        if homes.read_end(home) is None and self.watching.is_stale():
            await self.observe()
        return homes.read_end(home) is not None

    def _known(self, attempt: str) -> Path:
        home = self.homes.find(attempt)
        if home is None:
            raise InvalidSpec(f"attempt: {attempt} is not known here")
        return home

    def _check_lease(self, attempt: DesiredAttempt) -> None:
        """An order heard long ago starts no guest, for the control plane may have started another
        attempt of it elsewhere."""
        if attempt.lease is None:
            return
        heard_us = leases.heard_us(self.heard)
        if heard_us is None:
            leases.renew(self.heard)
            hearing.renew(self.heard_shared)
        elif monotonic_us() - heard_us >= attempt.lease.silence_us:
            raise Transient(
                f"attempt {attempt.attempt}: the control plane was not heard for its lease"
            )

    def _make_known(self, attempt: DesiredAttempt) -> tuple[Path, Launch]:
        with self.homes.lock():
            if self.homes.find_ended(attempt.attempt) is not None:
                raise Conflict(
                    f"attempt {attempt.attempt} ended here before; where the server's data was put "
                    f"back from a backup, its names are given again: submit it anew"
                )
            home = self.homes.find(attempt.attempt)
            if home is None:
                live = self.watching.live({seat.node for seat in attempt.ranks})
                planning.check_seats(attempt, live, self.nodes)
                launch = self._plan(attempt, live)
                return self.homes.add(launch), launch
            known = records.read_launch(home)
            if known is None:
                raise Conflict(f"attempt {attempt.attempt} is known, but {home} is unreadable")
            check_same(known.attempt, attempt)
            return home, known

    def _plan(self, attempt: DesiredAttempt, live: Sequence[Launch]) -> Launch:
        account, is_other_user = self._account(attempt)
        nodes = self.watching.nodes(NODES_KEPT_US)
        ranks = attempt.ranks
        addresses = tuple(
            nodes[seat.node].address if seat.node in nodes else seat.node for seat in ranks
        )
        container, step = self._container(attempt, account)
        return Launch(
            version=records.VERSION,
            attempt=msgspec.structs.replace(attempt, stop=None),
            devices=tuple(() for _ in ranks),
            master_port=seats.choose_port(attempt.attempt, live),
            account=account,
            is_other_user=is_other_user,
            agent_reads=self.launcher is not None,
            container=container,
            step=step,
            path=STANDARD_PATH if is_other_user else os.environ.get("PATH", STANDARD_PATH),
            checkpoint_dir=str(self.homes.checkpoints(attempt)),
            changes="",
            boot_id=processes.boot_id(),
            prepared_us=self.clock.now_us(),
            heard=str(self.heard_shared),
            member=Member(ranks=tuple(range(len(ranks))), seats=ranks, addresses=addresses),
        )

    def _submit(self, home: Path, launch: Launch) -> None:
        # Not under the lock: syncs of several launches are one write of the disk.
        self.homes.sync(home)
        self.submitting.first(home, launch, self.watching.nodes(NODES_KEPT_US))

    def _forget(self, attempt: str) -> None:
        with self.homes.lock():
            home = self.homes.find(attempt)
            if home is None:
                return
            if homes.read_end(home) is None:
                raise Conflict(f"attempt {attempt} still runs; forget it once it is released")
            self.homes.forget(attempt)
