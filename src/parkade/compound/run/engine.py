"""The engine: carries out the orders of many questions' machines on one event loop.

It owns what the machines must not know: time, and through `calls` models, journal and budget. One
pass (`_turn`) tells machines what came in, takes their orders, starts what may start, and begins
new questions while there is room; it runs again when something comes in, and yields to the loop
after `SLICE_S`. A call in flight costs one small object, not a task.

What is bounded: calls in flight by each model's limit; calls that wait by the questions that have
begun, which begin only while fewer calls wait than could be in flight; verifications by
`most_checks`. Memory therefore does not grow with the number of questions or calls.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, assert_never

from parkade.compound.network.binding import Bound
from parkade.compound.run.added_text import AddedText
from parkade.compound.run.admitting import Admitting
from parkade.compound.run.at_fault import AtFault
from parkade.compound.run.budget import Account, Admission
from parkade.compound.run.calls import Calls
from parkade.compound.run.checking import Checking
from parkade.compound.run.journal import Journal
from parkade.compound.run.lane import Lane
from parkade.compound.run.machine import Machine
from parkade.compound.run.needs import Needs
from parkade.compound.run.orders import Answer, Apply, Ask, Check, Drop, Judged
from parkade.compound.run.outages import Outages
from parkade.compound.run.progressing import (
    Counts,
    Progressing,
    RunStopped,
    VerifierBroken,
)
from parkade.compound.run.retrying import Retrying
from parkade.compound.run.steps import steps_of
from parkade.compound.values import Question

SLICE_S = 0.01
#: After a refusal that ends the run, calls in flight may come in for so long: most cost nothing.
LAST_CALLS_S = 5.0
#: Machines that may be open at once for each call that may be in flight.
OPEN_PER_CALL = 4


class Engine:
    """Runs questions through a bound network; `run` once."""

    def __init__(
        self,
        bound: Bound,
        journal: Journal,
        account: Account,
        *,
        width: int,
        most_checks: int,
        answered: Callable[[Progressing, Answer], None],
        outages: Outages | None = None,
        at_fault: AtFault | None = None,
        added: AddedText | None = None,
        needs: Needs | None = None,
    ) -> None:
        self.counts = Counts()
        self._bound = bound
        self._width = width
        self._answered = answered
        self._inbox: deque[tuple[Progressing, int, Any]] = deque()
        self._outages = outages or Outages()
        self._calls = Calls(
            bound.models,
            journal,
            account,
            self.counts,
            Retrying(self._outages, at_fault or AtFault()),
            self,
            added,
        )
        self._checking = Checking(
            journal, self.counts, most_checks, self.heard, self.schedule, self.give_up
        )
        self._open: set[Progressing] = set()
        self._admitting = Admitting(bound, account, needs)
        self._is_scheduled = False
        self._stays_open = False
        self._timer: asyncio.TimerHandle | None = None
        #: Why the run ends as soon as what is in flight has come in.
        self._ending: RunStopped | None = None
        self._last_calls: asyncio.TimerHandle | None = None
        self._questions: Iterator[Question] | None = None
        #: Read, and not begun yet.
        self._next: Question | None = None
        self._room = sum(lane.limiter.most for lane in self.lanes.values()) or 64

    @property
    def lanes(self) -> Mapping[str, Lane]:
        """The queue of each model."""
        return self._calls.lanes

    async def run(self, questions: Iterator[Question]) -> None:
        """All questions; returns when each has its answer or the budget is spent."""
        over = self.open()
        self._stays_open, self._questions = False, questions
        self.schedule()
        try:
            await over
        finally:
            self._stop()
            await self._checking.ended()

    def open(self) -> "asyncio.Future[None]":
        """Wait for questions that `ask` brings; the future ends only if the engine cannot go on."""
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._stays_open = True
        return self._over

    def ask(self, question: Question) -> Progressing:
        """Begin a question of an open engine; its answer comes through the callback, later."""
        run = self.begin(question)
        self.schedule()
        return run

    def abandon(self, run: Progressing) -> None:
        """The answer is not wanted any more: cancel what runs for it."""
        if run in self._open:
            run.machine.abandon()
            self._take_orders(run)
            self.schedule()

    async def close(self) -> None:
        """End an open engine."""
        if not self._over.done():
            self._over.set_result(None)
        self._stop()
        await self._checking.ended()

    def open_questions(self) -> int:
        """Questions that have begun and have no answer."""
        return len(self._open)

    def has_next(self) -> bool:
        """Whether a question was read and did not begin."""
        return self._next is not None

    def begin(self, question: Question) -> Progressing:
        """Start one question; its answer comes through the callback."""
        machine = Machine(self._bound, question, steps_of, self._width)
        run = Progressing(machine, time.monotonic())
        self._open.add(run)
        machine.start()
        self._take_orders(run)
        return run

    def heard(self, run: Progressing, ticket: int, value: Any) -> None:
        """See `Hearer`."""
        self._inbox.append((run, ticket, value))

    def schedule(self) -> None:
        """See `Hearer`."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_scheduled = False
        if self._over.done():
            return
        try:
            self._work(time.monotonic() + SLICE_S)
        except BaseException as error:  # noqa: BLE001 - a bug must end the run, not hang it
            if not self._over.done():
                self._over.set_exception(error)

    def _work(self, until: float) -> None:
        before = self.counts.questions
        while True:
            moved = self._tell_all()
            # The places of questions that ended together are filled in one pass.
            ended, before = self.counts.questions - before, self.counts.questions
            begun = self._begin_more(max(1, ended))
            # What the journal answers is told before a call starts that it makes needless.
            self._tell_inbox()
            self._start_calls()
            if not (moved or begun or self._calls.has_ended() or self._inbox):
                break
            if time.monotonic() > until:
                self.schedule()
                return
        if self._ending is not None and not self._calls.has_ended() and not self._calls.is_flying():
            self._end_run(self._ending)
        is_done = not self._open and self._questions is None and not self._stays_open
        if is_done and not self._over.done():
            self._over.set_result(None)

    def _tell_all(self) -> bool:
        for count in range(256):
            if self._calls.has_ended():
                self._calls.look()
            elif self._inbox:
                run, ticket, value = self._inbox.popleft()
                run.machine.tell(ticket, value)
                self._take_orders(run)
            else:
                return count > 0
        return True

    def _tell_inbox(self) -> None:
        for _ in range(min(256, len(self._inbox))):
            run, ticket, value = self._inbox.popleft()
            run.machine.tell(ticket, value)
            self._take_orders(run)

    def _begin_more(self, most: int) -> int:
        """How many questions began, at most so many."""
        count = 0
        while count < most and self._has_room() and (question := self._peek()) is not None:
            admission = self._admitting.admits(question, len(self._open))
            if admission is Admission.NEVER:
                self._questions = None
            if admission is not Admission.NOW:
                break
            self._next = None
            self.begin(question)
            count += 1
        return count

    def _peek(self) -> Question | None:
        """The next question; None if none is to begin any more."""
        if self._calls.is_spent:
            self._questions = None
        if self._questions is None:
            return None
        if self._next is None:
            self._next = next(self._questions, None)
            if self._next is None:
                self._questions = None
        return self._next

    def _has_room(self) -> bool:
        """Whether calls of one more question could soon start."""
        return (
            self._ending is None
            and self._calls.waiting() < self._room
            and len(self._open) < OPEN_PER_CALL * self._room
            and not self._checking.is_full()
        )

    def _take_orders(self, run: Progressing) -> None:
        orders = run.machine.orders
        place = 0
        while place < len(orders):
            order = orders[place]
            place += 1
            match order:
                case Ask():
                    self._calls.ask(run, order)
                case Check():
                    self._checking.check(run, order)
                case Apply():
                    self._checking.apply(run, order)
                case Drop(ticket=ticket):
                    self._drop(run, ticket)
                case Judged():
                    self._checking.judged(run, order)
                case _:
                    assert_never(order)
        orders.clear()
        if run.machine.answer is not None and run in self._open:
            self._open.remove(run)
            self.counts.questions += 1
            self._admitting.ended(run)
            self._answered(run, run.machine.answer)

    def _drop(self, run: Progressing, ticket: int) -> None:
        task = run.tasks.pop(ticket, None)
        if task is not None:
            task.cancel()
        self._calls.drop(run, ticket)

    def _start_calls(self) -> None:
        if self._ending is not None:
            return
        soonest_us = self._calls.start_due()
        if soonest_us and not self._is_scheduled:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(soonest_us / 1e6, self.schedule)

    def end_soon(self, error: RunStopped) -> None:
        """See `Hearer`; or after `LAST_CALLS_S`. An open engine goes on: what is refused now fails
        its own question, and may be granted to the next."""
        if self._ending is None and not self._stays_open:
            self._ending = error
            self._last_calls = self._loop.call_later(LAST_CALLS_S, self._end_run, error)

    def give_up(self, why: str | VerifierBroken) -> bool:
        """A server or verifier that always fails would fail every question that is left; an open
        engine goes on, since it may be mended before the next one."""
        if not self._stays_open:
            self._end_run(RunStopped(why) if isinstance(why, str) else why)
        elif isinstance(why, VerifierBroken):
            self._outages.broken(why.verifier, str(why), time.monotonic_ns() // 1_000)
        return not self._stays_open

    def _end_run(self, error: Exception) -> None:
        if not self._over.done():
            self._over.set_exception(error)

    def _stop(self) -> None:
        """Book what came in, and cancel what still runs."""
        for timer in filter(None, (self._timer, self._last_calls)):
            timer.cancel()
        self._calls.stop()
        self._checking.stop()
        for run in self._open:
            for task in run.tasks.values():
                task.cancel()
