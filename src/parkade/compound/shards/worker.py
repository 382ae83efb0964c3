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
from collections.abc import Coroutine, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from parkade.compound.loading import Loaded
from parkade.compound.models.local_server import serving
from parkade.compound.network.binding import bind
from parkade.compound.network.digest import network_digest
from parkade.compound.questions import read_questions
from parkade.compound.run.budget import Account, Amounts, Budget
from parkade.compound.run.running import Settings, Summary, close, run_part
from parkade.compound.shards.account import SharedAccount
from parkade.compound.shards.board import Board
from parkade.compound.shards.entries import Counted, Extended, Finished, GivenBack, Taken
from parkade.compound.shards.folder import FolderError, SharedFolder, replace
from parkade.compound.shards.liveness import Lapses, Pulse
from parkade.compound.shards.merging import merge
from parkade.compound.shards.notice import Notice
from parkade.compound.shards.state import State
from parkade.compound.values import Question

#: Between two looks at the log while there is nothing to take.
POLL_S = 0.25


class Ending(enum.Enum):
    """How a worker ended."""

    DONE = "done"
    LEFT = "left"
    STARVED = "starved"


class LeaseLost(Exception):
    """Another worker has the shard: this one was silent for the term of its lease."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works."""

    #: A worker that shows no life for so long loses its shard.
    lease_s: float = 60.0
    #: On notice, so long for questions that have begun.
    drain_s: float = 5.0
    width: int = 16


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which worker this is, and of which attempt of which workload."""

    worker: str
    workload: str = ""
    attempt: int = 0
    checkpoints: Path | None = None

    def outlived(self, workload: str, attempt: int) -> bool:
        """Whether a worker of that attempt has ended for sure: ours is a later one of the same."""
        return bool(workload) and workload == self.workload and attempt < self.attempt


def identify(environment: Mapping[str, str]) -> Identity:
    """This process, by what the marketplace tells it (docs/programs.md)."""
    unique = f"{os.getpid()}-{secrets.token_hex(4)}"
    named, folder = (
        environment.get("PARKADE_ATTEMPT", ""),
        environment.get("PARKADE_CHECKPOINT_DIR", ""),
    )
    workload, _, number = named.rpartition(".")
    if not (workload and number.isdigit() and folder):
        return Identity(worker=f"alone-{unique}")
    # The folder tells workloads of two marketplaces apart that have the same id.
    digest = blake2b(f"{folder}\n{workload}".encode(), digest_size=8).hexdigest()
    rank = environment.get("PARKADE_NODE_RANK", "0")
    return Identity(
        worker=f"{named}-{rank}-{unique}",
        workload=digest,
        attempt=int(number),
        checkpoints=Path(folder),
    )


async def work(
    folder: SharedFolder, loaded: Loaded, identity: Identity, notice: Notice, terms: Terms
) -> Ending:
    """Work until all is done, the budget is spent, or there is notice.

    Raises NetworkError, FolderError, LogError, JournalError, ResultError, RunStopped.
    """
    worker = _Worker(folder, loaded, identity, notice, terms)
    try:
        return await worker.run()
    finally:
        await close(loaded.names)


class _Worker:
    def __init__(
        self, folder: SharedFolder, loaded: Loaded, identity: Identity, notice: Notice, terms: Terms
    ) -> None:
        self._folder = folder
        self._loaded = loaded
        self._me = identity
        self._notice = notice
        self._terms = terms
        self._batch = folder.read()
        self._board = Board(folder.log, self._batch.shards, identity.worker)
        self._pulse = Pulse(folder.workers, identity.worker, terms.lease_s)
        self._lapses = Lapses(folder.workers, terms.lease_s)
        self._digest = network_digest(bind(loaded.network, loaded.names))

    async def run(self) -> Ending:
        self._check_network()
        if self._board.state.left() == 0:
            return self._end(Ending.DONE)
        self._pulse.start()
        try:
            return await self._serve_and_work()
        finally:
            self._pulse.stop()

    async def _serve_and_work(self) -> Ending:
        """A notice while the model server starts is a notice as well."""
        async with contextlib.AsyncExitStack() as stack:
            started = stack.enter_async_context(serving(self._loaded.server))
            if not await self._unless_noticed(started):
                return Ending.LEFT
            while not self._notice.given.is_set():
                ending = await self._turn()
                if ending is not None:
                    return ending
            return Ending.LEFT if self._board.refresh().left() else self._end(Ending.DONE)

    async def _unless_noticed(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether it was done before there was notice; else it is cancelled."""
        task = asyncio.ensure_future(work)
        given = asyncio.ensure_future(self._notice.given.wait())
        await asyncio.wait((task, given), return_when=asyncio.FIRST_COMPLETED)
        for waiter in (task, given):
            waiter.cancel()
        await asyncio.gather(task, given, return_exceptions=True)
        if task.cancelled():
            return False
        task.result()
        return True

    async def _turn(self) -> Ending | None:
        state = self._board.refresh()
        self._check_network()
        if state.left() == 0:
            return self._end(Ending.DONE)
        taken = self._board.change(self._choose)
        if taken is not None:
            with contextlib.suppress(LeaseLost):
                await _Holding(self, taken.shard).answer()
        elif self._board.refresh().is_starved():
            return self._end(Ending.STARVED)
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._notice.given.wait(), self._wait_s())
        return None

    def _wait_s(self) -> float:
        return min(POLL_S, self._terms.lease_s / 4)

    def _choose(self, state: State) -> Taken | None:
        """A shard that is free; else one whose worker has ended or is silent."""
        for number in range(len(state.shards)):
            if state.may_take(number):
                return self._taking(number, is_sure=True)
        for number, shard in enumerate(state.shards):
            if shard.holder and not shard.is_done:
                if self._me.outlived(shard.workload, shard.attempt):
                    return self._taking(number, is_sure=True)
                if self._lapses.has_lapsed(shard.holder):
                    return self._taking(number, is_sure=False)
        return None

    def _taking(self, shard: int, *, is_sure: bool) -> Taken:
        me = self._me
        return Taken(
            shard=shard,
            worker=me.worker,
            workload=me.workload,
            attempt=me.attempt,
            is_sure=is_sure,
        )

    def _end(self, ending: Ending) -> Ending:
        if not self._board.refresh().is_merged:
            merge(self._folder, self._board, self._me.worker)
        return ending

    def _check_network(self) -> None:
        if self._board.state.network != self._digest:
            raise FolderError(
                f"the run in {self._folder.root} was submitted with another network; "
                "submit it again with this one"
            )

    def report(self) -> None:
        """Tell the marketplace that what is done so far is saved."""
        if self._me.checkpoints is not None:
            done = len(self._board.state.shards) - self._board.state.left()
            at = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
            report = msgspec.json.encode({"step": done, "at": at})
            replace(self._me.checkpoints / ".parkade.json", report)


class _Holding:
    """One shard in hand."""

    def __init__(self, worker: _Worker, shard: int) -> None:
        self._worker = worker
        self._board: Board = worker._board
        self._name = worker._me.worker
        self._notice = worker._notice
        self._shard = shard
        self._account: SharedAccount | None = None

    async def answer(self) -> None:
        """Answer its questions; then it is finished or given back. LeaseLost if it was taken."""
        summary: Summary | None = None
        try:
            summary = await self._run()
        finally:
            entry = (
                self._finished(summary) if self._is_whole(summary) else self._given_back(summary)
            )
            self._board.change(
                lambda state: entry if state.is_held(self._shard, self._name) else None
            )
            self._worker.report()

    async def _run(self) -> Summary | None:
        """The run of the shard; None if it was stopped."""
        worker = self._worker
        generation = self._board.state.shards[self._shard].generation
        out = worker._folder.begin(self._shard, generation, self._name)
        loaded = worker._loaded
        task = asyncio.ensure_future(
            run_part(
                loaded.network,
                self._questions(),
                names=loaded.names,
                out=out,
                settings=Settings(width=worker._terms.width, account=self._open_account),
            )
        )
        over = asyncio.ensure_future(self._notice.is_over.wait())
        lost = asyncio.ensure_future(self._until_lost())
        await asyncio.wait((task, over, lost), return_when=asyncio.FIRST_COMPLETED)
        for waiter in (task, over, lost):
            waiter.cancel()
        _, _, was_lost = await asyncio.gather(task, over, lost, return_exceptions=True)
        if isinstance(was_lost, Exception):
            raise was_lost
        return None if task.cancelled() else task.result()

    def _questions(self) -> Iterator[Question]:
        """None is begun after the notice."""
        for question in read_questions(self._worker._folder.questions(self._shard)):
            if self._notice.given.is_set():
                return
            yield question

    async def _until_lost(self) -> None:
        """Look at the log now and then: the shard may have been taken from a silent worker."""
        while True:
            await asyncio.sleep(self._worker._terms.lease_s / 4)
            self._check_held(self._board.refresh())

    def _open_account(self, _: Budget, spent: Amounts, doubtful: Amounts) -> Account:
        """The account of the shard's journal; what an uncertain earlier worker may use is lost."""

        def count(state: State) -> Counted | None:
            self._check_held(state)
            if not state.shards[self._shard].is_uncounted:
                return None
            return Counted(shard=self._shard, worker=self._name, used=spent + doubtful)

        self._board.change(count)
        state = self._board.state
        self._account = SharedAccount(
            state.budget,
            state.shards[self._shard].allowed,
            (spent, doubtful),
            self._extend,
            self._worker._pulse.is_certain,
        )
        return self._account

    def _extend(self, need: Amounts) -> Amounts | None:
        def decide(state: State) -> Extended | None:
            if not state.is_held(self._shard, self._name):
                return None
            by = state.extension(self._shard, need)
            return None if by is None else Extended(shard=self._shard, worker=self._name, by=by)

        if self._board.change(decide) is None:
            return None
        return self._board.state.shards[self._shard].allowed

    def _check_held(self, state: State) -> None:
        if not state.is_held(self._shard, self._name):
            raise LeaseLost

    def _is_whole(self, summary: Summary | None) -> bool:
        """Whether each question has its answer or failed for good."""
        if summary is None or self._account is None or summary.cut_short:
            return False
        asked = self._worker._batch.asked(self._shard)
        return summary.questions + summary.skipped == asked and not summary.is_budget_spent

    def _finished(self, summary: Summary | None) -> Finished:
        account = self._account
        assert summary is not None
        assert account is not None
        return Finished(
            shard=self._shard,
            worker=self._name,
            spent=account.spent,
            doubtful=account.doubtful,
            overrun=account.overrun,
            failed=summary.failed,
        )

    def _given_back(self, summary: Summary | None) -> GivenBack:
        account = self._account
        return GivenBack(
            shard=self._shard,
            worker=self._name,
            used=None if account is None else account.spent + account.doubtful,
            is_budget_spent=summary is not None
            and summary.is_budget_spent
            and account is not None
            and account.is_starved,
        )
