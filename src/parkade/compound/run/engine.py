"""The engine: carries out the orders of many questions' machines on one event loop.

It owns what the machines must not know: models, time, the journal, the budget. One pass (`_turn`)
tells machines what came in, takes their orders, starts what may start, and begins new questions
while there is room; it runs again when something comes in, and yields to the loop after `SLICE_S`.
A call in flight costs one small object, not a task.

What is bounded: calls in flight by each model's limit; calls that wait by the questions that have
begun, which begin only while fewer calls wait than could be in flight; verifications by
`most_checks`. Memory therefore does not grow with the number of questions or calls.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, assert_never

from parkade.compound.models.protocol import Failure, FailureKind, Outcome
from parkade.compound.network.binding import Bound
from parkade.compound.run.booking import Booking
from parkade.compound.run.budget import NOTHING, Account
from parkade.compound.run.checking import Checking
from parkade.compound.run.journal import Journal, completion_of
from parkade.compound.run.lane import Flight, FlightState, Lane
from parkade.compound.run.machine import Machine
from parkade.compound.run.orders import Answer, Apply, Ask, Check, Drop, Judged
from parkade.compound.run.outages import Outages
from parkade.compound.run.progressing import (
    Counts,
    ModelDenied,
    Progressing,
    RunStopped,
    VerifierBroken,
)
from parkade.compound.run.reserving import Reserving
from parkade.compound.run.retrying import Retrying
from parkade.compound.run.steps import steps_of
from parkade.compound.values import Completion, Question

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
    ) -> None:
        self.counts = Counts()
        self.lanes = {name: Lane(model) for name, model in bound.models.items()}
        self.account = account
        self._bound = bound
        self._journal = journal
        self._width = width
        self._answered = answered
        self._flights: dict[str, Flight] = {}
        self._inbox: deque[tuple[Progressing, int, Any]] = deque()
        self._ended: deque[tuple[Flight, Outcome]] = deque()
        self._outages = outages or Outages()
        self._reserving = Reserving(account, journal)
        self._booking = Booking(account, journal)
        self._checking = Checking(
            journal, self.counts, most_checks, self._heard, self._schedule, self._give_up
        )
        self._open: set[Progressing] = set()
        self._retrying = Retrying(self._outages)
        self._is_scheduled = False
        self._stays_open = False
        self._timer: asyncio.TimerHandle | None = None
        #: Why the run ends as soon as what is in flight has come in.
        self._ending: RunStopped | None = None
        self._last_calls: asyncio.TimerHandle | None = None
        self._questions: Iterator[Question] | None = None
        self._room = sum(lane.limiter.most for lane in self.lanes.values()) or 64

    async def run(self, questions: Iterator[Question]) -> None:
        """All questions; returns when each has its answer or the budget is spent."""
        over = self.open()
        self._stays_open, self._questions = False, questions
        self._schedule()
        try:
            await over
        finally:
            self._stop()

    def open(self) -> "asyncio.Future[None]":
        """Wait for questions that `ask` brings; the future ends only if the engine cannot go on."""
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._stays_open = True
        return self._over

    def ask(self, question: Question) -> Progressing:
        """Begin a question of an open engine; its answer comes through the callback, later."""
        run = self.begin(question)
        self._schedule()
        return run

    def abandon(self, run: Progressing) -> None:
        """The answer is not wanted any more: cancel what runs for it."""
        if run in self._open:
            run.machine.abandon()
            self._take_orders(run)
            self._schedule()

    def close(self) -> None:
        """End an open engine."""
        if not self._over.done():
            self._over.set_result(None)
        self._stop()

    def open_questions(self) -> int:
        """Questions that have begun and have no answer."""
        return len(self._open)

    def begin(self, question: Question) -> Progressing:
        """Start one question; its answer comes through the callback."""
        machine = Machine(self._bound, question, steps_of, self._width)
        run = Progressing(machine, time.monotonic())
        self._open.add(run)
        machine.start()
        self._take_orders(run)
        return run

    def _heard(self, run: Progressing, ticket: int, value: Any) -> None:
        self._inbox.append((run, ticket, value))

    def _schedule(self) -> None:
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
        while True:
            before = self.counts.questions
            moved = self._tell_all()
            # The places of questions that ended together are filled in one pass.
            begun = self._begin_more(max(1, self.counts.questions - before))
            self._start_calls()
            if not (moved or begun or self._ended or self._inbox):
                break
            if time.monotonic() > until:
                self._schedule()
                return
        if self._ending is not None and not self._ended and not self._is_flying():
            self._end_run(self._ending)
        is_done = not self._open and self._questions is None and not self._stays_open
        if is_done and not self._over.done():
            self._over.set_result(None)

    def _tell_all(self) -> bool:
        for count in range(256):
            if self._ended:
                self._end(*self._ended.popleft())
            elif self._inbox:
                run, ticket, value = self._inbox.popleft()
                run.machine.tell(ticket, value)
                self._take_orders(run)
            else:
                return count > 0
        return True

    def _begin_more(self, most: int) -> int:
        """How many questions began, at most so many."""
        count = 0
        while self._questions is not None and count < most and self._has_room():
            question = None if self._reserving.is_spent else next(self._questions, None)
            if question is None:
                self._questions = None
                break
            self.begin(question)
            count += 1
        return count

    def _has_room(self) -> bool:
        """Whether calls of one more question could soon start."""
        waiting = 0
        for lane in self.lanes.values():
            waiting += lane.waiting()
        return (
            self._ending is None
            and waiting < self._room
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
                    self._ask(run, order)
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
            self._answered(run, run.machine.answer)

    def _ask(self, run: Progressing, order: Ask) -> None:
        call = order.call
        flight = self._flights.get(call.key)
        if flight is None:
            line = self._journal.completion(call.key)
            if line is not None:
                self.counts.cached += 1
                run.cached += 1
                self._inbox.append((run, order.ticket, completion_of(line)))
                return
            lane = self.lanes[call.model]
            worst = self._reserving.worst(call, lane.model)
            if isinstance(worst, Failure):
                self._inbox.append((run, order.ticket, worst))
                return
            flight = Flight(order, worst, run)
            self._flights[call.key] = flight
            lane.queue.append(flight)
        else:
            run.cached += 1
        flight.waiters.append((run, order.ticket))
        run.flights[order.ticket] = flight

    def _start_calls(self) -> None:
        if self._ending is not None:
            return
        now_us = time.monotonic_ns() // 1_000
        soonest = 0
        for lane in self.lanes.values():
            begun, wait = lane.start(now_us, self._may_start)
            if begun:
                self._reserving.promise()
            for flight in begun:
                self._start(lane, flight)
            if wait and lane.waiting():
                soonest = wait if soonest == 0 else min(soonest, wait)
        if soonest and not self._is_scheduled:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(soonest / 1e6, self._schedule)

    def _may_start(self, flight: Flight) -> bool:
        account = self.account
        flight.worst = self._reserving.renewed(flight, self.lanes[flight.call.model].model)
        if self._reserving.may_start(flight.worst):
            return True
        if account.can_ever(flight.worst) and account.reserved != NOTHING:
            return False
        refusal = self._reserving.refuse(flight.worst, flight.owner)
        if refusal.kind is FailureKind.BUDGET or self._reserving.is_spent:
            self.counts.is_budget_spent = True
        self._finish(flight, refusal)
        return True

    def _start(self, lane: Lane, flight: Flight) -> None:
        flight.attempt += 1

        def done(outcome: Outcome) -> None:
            assert flight.state is FlightState.FLYING, "a cancelled call was answered"
            flight.state = FlightState.ARRIVED
            self._ended.append((flight, outcome))
            self._schedule()

        flight.cancel = lane.model.start(flight.call, done)

    def _end(self, flight: Flight, outcome: Outcome) -> None:
        lane = self.lanes[flight.call.model]
        now_us = time.monotonic_ns() // 1_000
        lane.came_back(now_us)
        if isinstance(outcome, Completion):
            lane.limiter.answered(now_us - flight.began_us, now_us)
            self._retrying.answered(flight.call.model)
            self._complete(flight, outcome)
        else:
            self._failed(lane, flight, outcome, now_us)

    def _complete(self, flight: Flight, completion: Completion) -> None:
        self._booking.answered(flight, completion)
        self._reserving.heard(flight.call, completion.usage)
        self.counts.calls += 1
        self.counts.note_finish(completion)
        self._finish(flight, completion)

    def _failed(self, lane: Lane, flight: Flight, failure: Failure, now_us: int) -> None:
        model = flight.call.model
        lane.failed(flight, failure, now_us)
        if failure.retry_after_us is not None:
            self.counts.asked_until_us[model] = lane.closed_until_us
        self._booking.failed(flight, failure, lane.model)
        if failure.kind is FailureKind.DENIED:
            self._end_soon(ModelDenied(f"model {model!r}: {failure.message}"))
        why = self._outages.failed(model, failure, now_us)
        self._give_up(why)
        if not flight.waiters:
            # What it cost is on the bill; no question wants it asked again.
            self._finish(flight, failure)
            return
        again_us = self._retrying.again_us(lane, flight, failure, now_us, is_over=why is not None)
        if again_us is not None:
            self.counts.retries += 1
            lane.later(flight, again_us)
            return
        self.counts.failed += 1
        self.counts.waiting += failure.kind is FailureKind.WAITING
        self._outages.ended(model, failure)
        self._finish(flight, failure)

    def _end_soon(self, error: RunStopped) -> None:
        """End the run when the calls in flight have come in, or after `LAST_CALLS_S`."""
        if self._ending is None:
            self._ending = error
            self._last_calls = self._loop.call_later(LAST_CALLS_S, self._end_run, error)

    def _is_flying(self) -> bool:
        return any(lane.limiter.in_flight for lane in self.lanes.values())

    def _give_up(self, why: str | VerifierBroken | None) -> None:
        """A server or verifier that always fails would fail every question that is left."""
        if why is not None and not self._stays_open:
            self._end_run(RunStopped(why) if isinstance(why, str) else why)

    def _end_run(self, error: Exception) -> None:
        if not self._over.done():
            self._over.set_exception(error)

    def _finish(self, flight: Flight, outcome: Outcome) -> None:
        flight.state = FlightState.OVER
        # It refers back to the flight.
        flight.cancel = None
        self._flights.pop(flight.call.key, None)
        for run, ticket in flight.waiters:
            run.flights.pop(ticket, None)
            self._inbox.append((run, ticket, outcome))

    def _drop(self, run: Progressing, ticket: int) -> None:
        task = run.tasks.pop(ticket, None)
        if task is not None:
            task.cancel()
        flight = run.flights.pop(ticket, None)
        if flight is None:
            return
        flight.waiters.remove((run, ticket))
        if flight.waiters or flight.state is FlightState.ARRIVED:
            return
        if flight.state is FlightState.FLYING:
            assert flight.cancel is not None
            why = "cancelled: another candidate was accepted first"
            self._booking.cancelled(flight, why, was_sent=not flight.cancel())
            self.lanes[flight.call.model].limiter.in_flight -= 1
            self.counts.cancelled += 1
        flight.state = FlightState.OVER
        self._flights.pop(flight.call.key, None)

    def _stop(self) -> None:
        """Book what came in, and cancel what still runs."""
        for timer in filter(None, (self._timer, self._last_calls)):
            timer.cancel()
        self._book_last()
        for flight in list(self._flights.values()):
            if flight.state is FlightState.FLYING and flight.cancel is not None:
                self._booking.cancelled(flight, "the run was stopped", was_sent=not flight.cancel())
        self._checking.stop()
        for run in self._open:
            for task in run.tasks.values():
                task.cancel()
        for lane in self.lanes.values():
            lane.limiter.in_flight = 0

    def _book_last(self) -> None:
        """Outcomes that came in and were not looked at: their answers are kept."""
        while self._ended:
            flight, outcome = self._ended.popleft()
            if isinstance(outcome, Completion):
                self._complete(flight, outcome)
            else:
                self._booking.failed(flight, outcome, self.lanes[flight.call.model].model)
