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
import inspect
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from parkade.compound.models.protocol import RETRIED, Failure, FailureKind, Outcome, bounded
from parkade.compound.network.binding import Bound
from parkade.compound.network.digest import name_of
from parkade.compound.run.budget import NOTHING, Account, Amounts
from parkade.compound.run.journal import Journal
from parkade.compound.run.lane import Flight, Lane, worst_case
from parkade.compound.run.limiter import RetryBudget, backoff_us
from parkade.compound.run.lines import NO_MESSAGE, CallLine, FailedLine, VerdictLine
from parkade.compound.run.machine import Answer, Apply, Ask, Check, Drop, Machine
from parkade.compound.run.steps import steps_of
from parkade.compound.values import (
    MAX_REASON,
    Completion,
    Question,
    Usage,
    Verdict,
    verdict_key,
)

SLICE_S = 0.01
MAX_ATTEMPTS = 8
#: Calls that end without an answer, one after the other and after their retries, until a run stops.
MAX_FAILED_IN_A_ROW = 20
#: Machines that may be open at once for each call that may be in flight.
OPEN_PER_CALL = 4


class RunStopped(Exception):
    """A model refuses or answers no call (a wrong key, a dead server); the message says which."""


class Progressing:
    """A question that has begun, and what it has used."""

    __slots__ = (
        "began",
        "cached",
        "calls",
        "cost_micros",
        "flights",
        "input",
        "machine",
        "output",
        "tasks",
    )

    def __init__(self, machine: Machine, began: float) -> None:
        self.machine = machine
        self.began = began
        self.flights: dict[int, Flight] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.calls = 0
        #: Calls that the journal answered, or another question's.
        self.cached = 0
        self.cost_micros = 0
        self.input = 0
        self.output = 0


class Counts(msgspec.Struct):
    """What the engine has done so far; read it while it runs."""

    questions: int = 0
    calls: int = 0
    cached: int = 0
    retries: int = 0
    failed: int = 0
    cancelled: int = 0
    verdicts: int = 0
    accepted: int = 0
    is_budget_spent: bool = False


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
        self._checks: deque[Callable[[], None]] = deque()
        self._checking = 0
        self._most_checks = most_checks
        self._open: set[Progressing] = set()
        self._retries = RetryBudget()
        self._is_scheduled = False
        self._stays_open = False
        self._timer: asyncio.TimerHandle | None = None
        self._questions: Iterator[Question] | None = None
        self._room = sum(lane.limiter.most for lane in self.lanes.values()) or 64

    async def run(self, questions: Iterator[Question]) -> None:
        """All questions; returns when each has its answer or the budget is spent."""
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._questions = questions
        self._schedule()
        try:
            await self._over
        finally:
            self._stop()

    def open(self) -> "asyncio.Future[None]":
        """Wait for questions that `ask` brings; the future ends only if the engine cannot go on."""
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
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
        """How many questions have begun and have no answer."""
        return len(self._open)

    def begin(self, question: Question) -> Progressing:
        """Start one question; its answer comes through the callback."""
        machine = Machine(self._bound, question, steps_of, self._width)
        run = Progressing(machine, time.monotonic())
        self._open.add(run)
        machine.start()
        self._take_orders(run)
        return run

    # ------------------------------------------------------------ turns

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
            moved = self._tell_all() | self._begin_more()
            self._start_calls()
            if not (moved or self._ended or self._inbox):
                break
            if time.monotonic() > until:
                self._schedule()
                return
        is_done = not self._open and self._questions is None and not self._stays_open
        if is_done and not self._over.done():
            self._over.set_result(None)

    def _tell_all(self) -> bool:
        moved = False
        for _ in range(256):
            if self._ended:
                self._end(*self._ended.popleft())
            elif self._inbox:
                run, ticket, value = self._inbox.popleft()
                run.machine.tell(ticket, value)
                self._take_orders(run)
            else:
                break
            moved = True
        return moved

    def _begin_more(self) -> bool:
        if self._questions is None:
            return False
        waiting = sum(lane.waiting() for lane in self.lanes.values())
        if (
            waiting >= self._room
            or len(self._open) >= OPEN_PER_CALL * self._room
            or len(self._checks) > self._most_checks
        ):
            return False
        question = None if self.counts.is_budget_spent else next(self._questions, None)
        if question is None:
            self._questions = None
            return False
        self.begin(question)
        return True

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
                    self._check(run, order)
                case Apply():
                    self._apply(run, order)
                case Drop(ticket=ticket):
                    self._drop(run, ticket)
        orders.clear()
        if run.machine.answer is not None and run in self._open:
            self._open.remove(run)
            self.counts.questions += 1
            self._answered(run, run.machine.answer)

    # ------------------------------------------------------------ calls

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
            worst = self._worst(call, lane)
            if isinstance(worst, Failure):
                self._inbox.append((run, order.ticket, worst))
                return
            flight = Flight(call, order.node, worst, run)
            self._flights[call.key] = flight
            lane.queue.append(flight)
        else:
            run.cached += 1
        flight.waiters.append((run, order.ticket))
        run.flights[order.ticket] = flight

    def _worst(self, call: Any, lane: Lane) -> Amounts | Failure:
        worst = worst_case(call, lane.model)
        budget = self.account.budget
        if worst is None and (budget.micros is not None or budget.tokens is not None):
            return Failure(
                kind=FailureKind.REFUSED,
                message=f"a budget in money or tokens needs max_tokens for model {call.model!r}, "
                "and attachment_tokens where the prompt has images",
            )
        if budget.micros is not None and lane.model.price is None:
            return Failure(
                kind=FailureKind.REFUSED,
                message=f"a budget in money needs a price for model {call.model!r}",
            )
        if worst is not None:
            return worst
        # Nothing limits the output, and no budget needs a bound: limits per minute count the rest.
        return Amounts(0, (call.most_input_tokens or 0) + (call.most_output_tokens or 0), 1)

    def _start_calls(self) -> None:
        now_us = time.monotonic_ns() // 1_000
        soonest = 0
        for lane in self.lanes.values():
            begun, wait = lane.start(now_us, self._may_start)
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
        if account.reserve(flight.worst):
            self._promise()
            return True
        if account.can_ever(flight.worst) and account.reserved != NOTHING:
            return False
        self.counts.is_budget_spent = True
        self._finish(flight, Failure(kind=FailureKind.BUDGET, message="the budget is spent"))
        return True

    def _promise(self) -> None:
        """Before a kill could lose more than the journal promises, write, and promise more."""
        if self.account.budget.is_unlimited:
            return
        journal, reserved = self._journal, self.account.reserved
        if (reserved + journal.unwritten).is_within(journal.promised):
            return
        journal.flush()
        if not reserved.is_within(journal.promised):
            journal.promise(self._rounded_up(reserved))

    def _rounded_up(self, reserved: Amounts) -> Amounts:
        """Half as much again, so that few promises are written, but never past the budget."""
        account = self.account
        budget, used = account.budget, account.spent + account.doubtful
        return Amounts(
            _more(reserved.micros, budget.micros, used.micros),
            _more(reserved.tokens, budget.tokens, used.tokens),
            _more(reserved.calls, budget.calls, used.calls),
        )

    def _start(self, lane: Lane, flight: Flight) -> None:
        flight.attempt += 1
        flight.has_arrived = False

        def done(outcome: Outcome) -> None:
            flight.has_arrived = True
            self._ended.append((flight, outcome))
            self._schedule()

        flight.cancel = lane.model.start(flight.call, done)

    def _end(self, flight: Flight, outcome: Outcome) -> None:
        if flight.is_over:
            return
        lane = self.lanes[flight.call.model]
        lane.limiter.in_flight -= 1
        flight.is_flying = False
        now_us = time.monotonic_ns() // 1_000
        if isinstance(outcome, Completion):
            lane.limiter.answered(now_us - flight.began_us, now_us)
            lane.failed_in_a_row = 0
            self._retries.succeeded()
            self._complete(flight, outcome)
        else:
            self._failed(lane, flight, outcome, now_us)

    def _complete(self, flight: Flight, completion: Completion) -> None:
        usage = completion.usage
        cost = Amounts(completion.cost_micros, usage.input_tokens + usage.output_tokens, 1)
        self.account.settle(flight.worst, cost)
        run = flight.owner
        run.calls += 1
        run.cost_micros += completion.cost_micros
        run.input += usage.input_tokens
        run.output += usage.output_tokens
        self.counts.calls += 1
        call = flight.call
        self._journal.call(
            CallLine(
                key=call.key,
                question=run.machine.question.id,
                node=flight.node,
                model=call.model,
                sample=call.sample,
                input=usage.input_tokens,
                output=usage.output_tokens,
                cost=completion.cost_micros,
                us=completion.latency_us,
                finish=completion.finish,
                text=completion.text,
                message=NO_MESSAGE if completion.message is None else completion.message,
            )
        )
        self._finish(flight, completion)

    def _failed(self, lane: Lane, flight: Flight, failure: Failure, now_us: int) -> None:
        if failure.kind in RETRIED:
            lane.limiter.overloaded(flight.began_us, now_us)
        if failure.may_be_billed:
            self._doubt(flight, failure.message)
        else:
            self.account.release(flight.worst)
        if failure.kind is FailureKind.DENIED and not self._over.done():
            self._over.set_exception(RunStopped(f"model {flight.call.model!r}: {failure.message}"))
        if failure.retry_after_us is not None:
            lane.closed_until_us = max(lane.closed_until_us, now_us + failure.retry_after_us)
        is_worth_it = failure.kind in RETRIED and flight.attempt < MAX_ATTEMPTS
        if is_worth_it and self._retries.take():
            self.counts.retries += 1
            lane.later(flight, now_us + backoff_us(flight.attempt - 1, flight.call.key))
            return
        self.counts.failed += 1
        lane.failed_in_a_row += failure.kind in RETRIED
        if lane.failed_in_a_row >= MAX_FAILED_IN_A_ROW and not self._stays_open:
            self._give_up(flight, failure)
        self._finish(flight, failure)

    def _give_up(self, flight: Flight, failure: Failure) -> None:
        """A server that answers no call any more would fail every question that is left."""
        if not self._over.done():
            self._over.set_exception(
                RunStopped(
                    f"model {flight.call.model!r} answers no more ({failure.message}); "
                    "when it does, the same run goes on"
                )
            )

    def _doubt(self, flight: Flight, why: str) -> None:
        """A call that may be billed and told no usage stays on the bill at its worst case."""
        worst = flight.worst
        self.account.doubt(worst)
        self._journal.failed(
            FailedLine(
                key=flight.call.key,
                question=flight.owner.machine.question.id,
                node=flight.node,
                model=flight.call.model,
                why=why,
                cost=worst.micros,
                tokens=worst.tokens,
                calls=worst.calls,
            )
        )

    def _finish(self, flight: Flight, outcome: Outcome) -> None:
        flight.is_over = True
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
        if flight.waiters or flight.has_arrived:
            return
        if flight.is_flying:
            assert flight.cancel is not None
            flight.cancel()
            self.lanes[flight.call.model].limiter.in_flight -= 1
            self.counts.cancelled += 1
            self._doubt(flight, "cancelled: another candidate was accepted first")
        flight.is_over = True
        self._flights.pop(flight.call.key, None)

    # ------------------------------------------------------------ verifiers and functions

    def _check(self, run: Progressing, order: Check) -> None:
        question, verifier = run.machine.question, order.verifier
        began = time.perf_counter_ns()
        function, key = verifier, ""
        if hasattr(verifier, "verify"):
            function = verifier.verify
            key = verdict_key(verifier.name, verifier.version(), question, order.candidate)
            line = self._journal.verdict(key)
            if line is not None:
                verdict = Verdict(is_accepted=line.accepted, score=line.score, reason=line.reason)
                self._inbox.append((run, order.ticket, verdict))
                return

        def given(value: Any) -> Any:
            verdict = _as_verdict(value)
            if isinstance(verdict, Verdict):
                took_us = (time.perf_counter_ns() - began) // 1_000
                self._journal_verdict(run, order, key, verdict, took_us)
            return verdict

        self._call(run, order.ticket, function, (question, order.candidate), given)

    def _journal_verdict(
        self, run: Progressing, order: Check, key: str, verdict: Verdict, took_us: int
    ) -> None:
        self.counts.verdicts += 1
        self.counts.accepted += verdict.is_accepted
        self._journal.verdict_given(
            VerdictLine(
                key=key,
                question=run.machine.question.id,
                node=order.node,
                of=order.candidate.key,
                verifier=name_of(order.verifier),
                accepted=verdict.is_accepted,
                us=took_us,
                score=verdict.score,
                reason=verdict.reason,
            )
        )

    def _apply(self, run: Progressing, order: Apply) -> None:
        self._call(run, order.ticket, order.function, order.arguments, _as_it_is)

    def _call(
        self,
        run: Progressing,
        ticket: int,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        read: Callable[[Any], Any],
    ) -> None:
        """Call a user's function; a coroutine becomes a task when there is room for it."""
        try:
            value = function(*arguments)
            if not inspect.isawaitable(value):
                self._inbox.append((run, ticket, read(value)))
                return
        except Exception as error:  # noqa: BLE001 - the function is the user's
            self._inbox.append((run, ticket, _raised(function, error)))
            return

        def begin() -> None:
            if ticket not in run.machine.waiting:
                if inspect.iscoroutine(value):
                    value.close()
                return
            self._checking += 1
            task = self._loop.create_task(self._wait(run, ticket, value, read, function))
            run.tasks[ticket] = task
            task.add_done_callback(lambda _: self._checked(run, ticket))

        if self._checking < self._most_checks:
            begin()
        else:
            self._checks.append(begin)

    async def _wait(
        self,
        run: Progressing,
        ticket: int,
        value: Any,
        read: Callable[[Any], Any],
        function: Callable[..., Any],
    ) -> None:
        try:
            outcome_read = read(await value)
        except Exception as error:  # noqa: BLE001 - the function is the user's
            outcome_read = _raised(function, error)
        self._inbox.append((run, ticket, outcome_read))

    def _checked(self, run: Progressing, ticket: int) -> None:
        run.tasks.pop(ticket, None)
        self._checking -= 1
        while self._checks and self._checking < self._most_checks:
            self._checks.popleft()()
        self._schedule()

    def _stop(self) -> None:
        """Cancel what still runs; calls in flight stay on the bill as doubtful."""
        if self._timer is not None:
            self._timer.cancel()
        for flight in list(self._flights.values()):
            if flight.is_flying and flight.cancel is not None:
                flight.cancel()
                self._doubt(flight, "the run was stopped")
        for run in self._open:
            for task in run.tasks.values():
                task.cancel()
        for lane in self.lanes.values():
            lane.limiter.in_flight = 0


def completion_of(line: CallLine) -> Completion:
    """A completion out of the journal; it costs nothing again."""
    return Completion(
        text=line.text,
        usage=Usage(input_tokens=line.input, output_tokens=line.output),
        cost_micros=line.cost,
        finish=line.finish,
        latency_us=line.us,
        message=line.message if bytes(line.message) else None,
    )


def _more(reserved: int, limit: int | None, used: int) -> int:
    wanted = reserved + reserved // 2
    return wanted if limit is None else max(reserved, min(wanted, limit - used))


def _as_it_is(value: Any) -> Any:
    return value


def _as_verdict(value: Any) -> Verdict | Failure:
    """What a verifier or a plain function said."""
    if isinstance(value, Verdict):
        return value
    if isinstance(value, bool):
        return Verdict(is_accepted=value)
    return Failure(
        kind=FailureKind.BROKEN,
        message=f"a verifier gave {type(value).__name__}; it must give a Verdict, True or False",
    )


def _raised(function: Any, error: Exception) -> Failure:
    name = getattr(function, "__qualname__", type(function).__name__)
    message = f"{name} raised {type(error).__name__}: {error}"
    return Failure(kind=FailureKind.BROKEN, message=bounded(message[:MAX_REASON]))
