"""Answers of a network, one at a time, for a server: an engine that stays open.

Its folder is a run's: journal, results, failures and `run.json`, so that `show` and `evaluate`
read what was served. A question's id is that of its answer (`chatcmpl-…`).
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from parkade.compound.models.protocol import Failure
from parkade.compound.network import Operator
from parkade.compound.network.binding import Names, bind
from parkade.compound.network.digest import network_digest
from parkade.compound.network.fields import check_served_names
from parkade.compound.run.affording import BudgetTooSmall, check_affords
from parkade.compound.run.budget import Account
from parkade.compound.run.engine import Engine
from parkade.compound.run.hanging import look
from parkade.compound.run.orders import Answer
from parkade.compound.run.outages import Outages
from parkade.compound.run.progressing import Progressing
from parkade.compound.run.recording import open_folder, result_of
from parkade.compound.run.reserving import check_bounds
from parkade.compound.run.results import Result
from parkade.compound.run.running import Settings, close
from parkade.compound.values import Question

#: What a question of a client has beside its text.
QUESTION_FIELDS = ("messages",)
#: No request of a client is smaller.
LEAST_QUESTION = Question(id="", prompt="", fields={"messages": []})


class CutShort(Exception):
    """The budget is spent."""


class Failed(Exception):
    """Every call failed; the message is the first failure's."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Answering:
    """A network that answers questions as they come; made and closed inside a running loop.

    `notice` hears what an operator should know at once, such as that a model's server is down.
    """

    def __init__(
        self,
        network: Operator,
        names: Names,
        out: Path,
        settings: Settings,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        bound = bind(network, names)
        check_served_names(bound, QUESTION_FIELDS)
        check_bounds(bound, settings.budget)
        self.bound = bound
        self._names = names
        self._digest = network_digest(bound)
        self._recording = open_folder(out, bound, notice)
        journal = self._recording.journal
        self.account = Account(settings.budget, journal.spent, journal.doubtful)
        try:
            check_affords(bound, self.account, (LEAST_QUESTION,))
        except BudgetTooSmall as error:
            if not journal.has_calls:
                self._recording.close()
                raise
            if notice is not None:
                notice(f"{error}; only what the journal knows is answered")
        self._engine = Engine(
            bound,
            journal,
            self.account,
            width=settings.width,
            most_checks=settings.most_checks,
            answered=self._answered,
            outages=Outages(settings.patience_s, notice),
        )
        self._waiting: dict[int, asyncio.Future[Result]] = {}
        self.stopped = self._engine.open()
        self._looking = asyncio.ensure_future(look(self._engine, notice))

    def open_questions(self) -> int:
        """How many are being answered."""
        return self._engine.open_questions()

    async def answer(self, question: Question) -> Result:
        """The result; cancelling it cancels the calls. Raises CutShort, Failed, RunStopped."""
        if self.stopped.done():
            self.stopped.result()
        run = self._engine.ask(question)
        if run.machine.answer is not None:
            return self._result(run, run.machine.answer)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting[id(run)] = future
        try:
            await asyncio.wait((future, self.stopped), return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                self.stopped.result()
            return await future
        finally:
            del self._waiting[id(run)]
            self._engine.abandon(run)

    async def close(self) -> None:
        """End what runs, sandboxes of verifiers too, and write the journal."""
        self._looking.cancel()
        await self._engine.close()
        await close(self._names)
        self._recording.close()

    def _answered(self, run: Progressing, answer: Answer) -> None:
        if not answer.is_cut_short:
            result = result_of(run, answer, self._digest)
            if result.has_failed:
                self._recording.failed(result)
            else:
                self._recording.answered(result)
        future = self._waiting.get(id(run))
        if future is None or future.done():
            return
        try:
            future.set_result(self._result(run, answer))
        except (CutShort, Failed) as error:
            future.set_exception(error)

    def _result(self, run: Progressing, answer: Answer) -> Result:
        if answer.is_cut_short:
            raise CutShort("the budget of this server is spent")
        if not answer.items and answer.failures:
            raise Failed(answer.failures[0])
        return result_of(run, answer, self._digest)
