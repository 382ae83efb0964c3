"""A worker: takes shard after shard, answers its questions, and leaves on notice.

It may be killed at any moment. What its journal holds is taken over by the next worker of the
shard; what was in flight is asked again and stays on the bill at its worst case.
"""

import asyncio
import contextlib
import datetime
import enum
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from parkade.compound.loading import Loaded
from parkade.compound.models.local_server import serving
from parkade.compound.network.binding import bind
from parkade.compound.network.digest import network_digest
from parkade.compound.run.added_text import AddedText
from parkade.compound.run.needs import Needs
from parkade.compound.run.ownership import FolderError
from parkade.compound.run.progressing import ModelDenied, RunStopped, ServerFailed, VerifierBroken
from parkade.compound.run.running import close
from parkade.compound.shards.board import Board
from parkade.compound.shards.entries import Stopped, Taken
from parkade.compound.shards.folder import SharedFolder, replace
from parkade.compound.shards.holding import Holding, Identity, LeaseLost, Terms
from parkade.compound.shards.liveness import Lapses, Pulse
from parkade.compound.shards.merging import merge
from parkade.compound.shards.notice import Notice
from parkade.compound.shards.progress import Printer
from parkade.compound.shards.state import State

#: Between two looks at the log while there is nothing to take.
POLL_S = 0.25


class GivenUp(Exception):
    """The same stopped workers before, so that another try is of no use; the message says what."""


class OtherNetwork(Exception):
    """The network file is not the one that was submitted: no try with it is of any use."""


class Ending(enum.Enum):
    """How a worker ended."""

    DONE = "done"
    LEFT = "left"
    STARVED = "starved"


def identify(environment: Mapping[str, str]) -> Identity:
    """This process, by what the marketplace tells it (docs/programs.md)."""
    unique = f"{os.getpid()}-{secrets.token_hex(4)}"
    node = _node(environment)
    named, folder = (
        environment.get("PARKADE_ATTEMPT", ""),
        environment.get("PARKADE_CHECKPOINT_DIR", ""),
    )
    workload, _, number = named.rpartition(".")
    if not (workload and number.isdigit() and folder):
        return Identity(worker=f"alone-{unique}", node=node)
    # The folder tells workloads of two marketplaces apart that have the same id.
    digest = blake2b(f"{folder}\n{workload}".encode(), digest_size=8).hexdigest()
    rank = environment.get("PARKADE_NODE_RANK", "0")
    return Identity(
        worker=f"{named}-{rank}-{unique}",
        workload=digest,
        attempt=int(number),
        checkpoints=Path(folder),
        node=node,
    )


def _node(environment: Mapping[str, str]) -> str:
    """As the marketplace names it, or as the machine names itself."""
    seats = environment.get("PARKADE_SEATS", "").split(",")
    rank = environment.get("PARKADE_NODE_RANK", "0")
    seat = seats[int(rank)] if rank.isdigit() and int(rank) < len(seats) else ""
    return seat.rpartition(":")[0] or socket.gethostname()


async def work(
    folder: SharedFolder,
    loaded: Loaded,
    identity: Identity,
    notice: Notice,
    terms: Terms,
    *,
    say: Callable[[str], None],
) -> Ending:
    """Work until all is done, the budget is spent, or there is notice. `say`: prints how far it is.

    Raises NetworkError, FolderError, LogError, JournalError, ResultError, RunStopped, GivenUp where
    the same stopped workers before, and OtherNetwork.
    """
    worker = _Worker(folder, loaded, identity, notice, terms)
    worker.printer = Printer(worker.batch, say)
    try:
        return await worker.run()
    except RunStopped as error:
        if worker.is_given_up(error):
            raise GivenUp(str(error)) from None
        raise
    finally:
        await close(loaded.names)


class _Worker:
    def __init__(
        self, folder: SharedFolder, loaded: Loaded, identity: Identity, notice: Notice, terms: Terms
    ) -> None:
        self.folder = folder
        self.loaded = loaded
        self.me = identity
        self.notice = notice
        self.terms = terms
        self.batch = folder.read()
        self.board = Board(folder.log, self.batch.shards, identity.worker)
        self.printer = Printer(self.batch, lambda _: None)
        #: Learnt in one shard, known in the next.
        self.added = AddedText()
        self.needs = Needs()
        self.pulse = Pulse(folder.workers, identity.worker, terms.lease_s)
        self._lapses = Lapses(folder.workers, terms.lease_s)
        self._digest = network_digest(bind(loaded.network, loaded.names))
        self._has_begun = False

    async def run(self) -> Ending:
        """Ends with a line of how far the run is."""
        try:
            return await self._run()
        finally:
            self.printer.show(self.board.state, is_last=True)

    async def _run(self) -> Ending:
        self._check_network()
        if self.board.state.left() == 0:
            return self._end(Ending.DONE)
        self.pulse.start()
        try:
            return await self._serve_and_work()
        finally:
            self.pulse.stop()

    async def _serve_and_work(self) -> Ending:
        """A notice while the model server starts is a notice as well."""
        async with contextlib.AsyncExitStack() as stack:
            started = stack.enter_async_context(serving(self.loaded.server))
            if not await self._unless_noticed(started):
                return Ending.LEFT
            while not self.notice.given.is_set():
                ending = await self._turn()
                if ending is not None:
                    return ending
            return Ending.LEFT if self.board.refresh().left() else self._end(Ending.DONE)

    async def _unless_noticed(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether it was done before there was notice; else it is cancelled."""
        task = asyncio.ensure_future(work)
        given = asyncio.ensure_future(self.notice.given.wait())
        await asyncio.wait((task, given), return_when=asyncio.FIRST_COMPLETED)
        for waiter in (task, given):
            waiter.cancel()
        await asyncio.gather(task, given, return_exceptions=True)
        if task.cancelled():
            return False
        task.result()
        return True

    async def _turn(self) -> Ending | None:
        state = self.board.refresh()
        self._check_network()
        if state.left() == 0:
            return self._end(Ending.DONE)
        taken = self.board.change(self._choose)
        if taken is not None:
            self._has_begun = True
            with contextlib.suppress(LeaseLost):
                await Holding(self, taken.shard).answer()
        elif self.board.refresh().is_starved():
            return self._end(Ending.STARVED)
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.notice.given.wait(), self._wait_s())
        return None

    def _wait_s(self) -> float:
        return min(POLL_S, self.terms.lease_s / 4)

    def _choose(self, state: State) -> Taken | None:
        """A shard that is free; else one whose worker has ended or is silent."""
        for number in range(len(state.shards)):
            if state.may_take(number):
                return self._taking(number, is_sure=True)
        for number, shard in enumerate(state.shards):
            if shard.holder and not shard.is_done:
                if self.me.outlived(shard.workload, shard.attempt):
                    return self._taking(number, is_sure=True)
                if self._lapses.has_lapsed(shard.holder):
                    return self._taking(number, is_sure=False)
        return None

    def _taking(self, shard: int, *, is_sure: bool) -> Taken:
        me = self.me
        return Taken(
            shard=shard,
            worker=me.worker,
            workload=me.workload,
            attempt=me.attempt,
            is_sure=is_sure,
        )

    def _end(self, ending: Ending) -> Ending:
        if not self.board.refresh().is_merged:
            # Files of another run are in the way: `collect` says which, and what to do.
            with contextlib.suppress(FolderError):
                merge(self.folder, self.board, self.me.worker)
        return ending

    def _check_network(self) -> None:
        if self.board.state.network != self._digest:
            raise OtherNetwork(
                f"the run in {self.folder.root} was submitted with another network than "
                f"{self.batch.network} holds now; submit it again with this one"
            )

    def is_given_up(self, error: RunStopped) -> bool:
        """Tell the others what stopped this worker; whether that ends the run."""
        why, last_lines = str(error), tuple[str, ...]()
        if isinstance(error, ServerFailed):
            why, last_lines = error.why, error.last_lines
        stopped = Stopped(
            worker=self.me.worker,
            node=self.me.node,
            why=why,
            last_lines=last_lines,
            had_begun=self._has_begun,
            may_pass=not isinstance(error, (ServerFailed, ModelDenied, VerifierBroken)),
        )
        self.board.change(lambda _: stopped)
        return self.board.state.is_given_up

    def report(self) -> None:
        """Tell the marketplace that what is done so far is saved, and people how far it is."""
        self.printer.show(self.board.state)
        if self.me.checkpoints is not None:
            done = len(self.board.state.shards) - self.board.state.left()
            at = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
            report = msgspec.json.encode({"step": done, "at": at})
            replace(self.me.checkpoints / ".parkade.json", report)
