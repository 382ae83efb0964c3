"""One shard in a worker's hand: its run, its account, and how it is let go."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from parkade.compound.loading import Loaded
from parkade.compound.questions import read_questions
from parkade.compound.run.added_text import AddedText
from parkade.compound.run.budget import Account, Amounts, Budget
from parkade.compound.run.needs import Needs
from parkade.compound.run.running import Settings, Summary, run_part
from parkade.compound.shards.account import SharedAccount
from parkade.compound.shards.board import Board
from parkade.compound.shards.entries import Counted, Finished, GivenBack
from parkade.compound.shards.folder import Batch, SharedFolder
from parkade.compound.shards.liveness import Pulse
from parkade.compound.shards.merging import accepted_of
from parkade.compound.shards.notice import Notice
from parkade.compound.shards.share import Share
from parkade.compound.shards.state import State
from parkade.compound.values import Question


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
    #: The machine that it is on.
    node: str = ""

    def outlived(self, workload: str, attempt: int) -> bool:
        """Whether a worker of that attempt has ended for sure: ours is a later one of the same."""
        return bool(workload) and workload == self.workload and attempt < self.attempt


class Tools(Protocol):
    """What a worker lends to the shard it has in hand."""

    folder: SharedFolder
    batch: Batch
    board: Board
    loaded: Loaded
    me: Identity
    notice: Notice
    pulse: Pulse
    terms: Terms
    added: AddedText
    needs: Needs

    def report(self) -> None:
        """Tell the marketplace that what is done so far is saved."""
        ...


class Holding:
    """One shard in hand."""

    def __init__(self, worker: Tools, shard: int) -> None:
        self._worker = worker
        self._board = worker.board
        self._name = worker.me.worker
        self._notice = worker.notice
        self._shard = shard
        self._account: SharedAccount | None = None
        self._share = Share(
            worker.board,
            shard,
            self._name,
            worker.needs,
            may_call=worker.pulse.is_certain,
            has_notice=worker.notice.given.is_set,
        )
        self._out: Path | None = None

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
        out = self._out = worker.folder.begin(self._shard, generation, self._name)
        loaded = worker.loaded
        task = asyncio.ensure_future(
            run_part(
                loaded.network,
                self._questions(),
                names=loaded.names,
                out=out,
                settings=Settings(
                    width=worker.terms.width,
                    account=self._open_account,
                    added=worker.added,
                    needs=worker.needs,
                ),
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
        for question in read_questions(self._worker.folder.questions(self._shard)):
            if self._notice.given.is_set():
                return
            yield question

    async def _until_lost(self) -> None:
        """Look at the log now and then: the shard may have been taken from a silent worker."""
        while True:
            await asyncio.sleep(self._worker.terms.lease_s / 4)
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
            self._share,
        )
        return self._account

    def _check_held(self, state: State) -> None:
        if not state.is_held(self._shard, self._name):
            raise LeaseLost

    def _is_whole(self, summary: Summary | None) -> bool:
        """Whether each question has its answer or failed for good."""
        if summary is None or self._account is None or summary.cut_short:
            return False
        asked = self._worker.batch.asked(self._shard)
        return summary.questions + summary.skipped == asked and not summary.is_budget_spent

    def _finished(self, summary: Summary | None) -> Finished:
        account = self._account
        assert summary is not None
        assert account is not None
        assert self._out is not None
        return Finished(
            shard=self._shard,
            worker=self._name,
            spent=account.spent,
            doubtful=account.doubtful,
            overrun=account.overrun,
            failed=summary.failed,
            accepted=accepted_of(self._out, self._board.state.network),
            seen=self._share.unsaid(),
        )

    def _given_back(self, summary: Summary | None) -> GivenBack:
        account, share = self._account, self._share
        is_refused = (
            summary is not None
            and summary.is_budget_spent
            and account is not None
            and account.is_starved
        )
        return GivenBack(
            shard=self._shard,
            worker=self._name,
            used=None if account is None else account.spent + account.doubtful,
            is_budget_spent=is_refused or share.is_dry,
            is_short=share.is_short,
            seen=share.unsaid(),
        )
