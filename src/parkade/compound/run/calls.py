"""The calls of all questions: from an order to its outcome, through journal, budget and lanes.

A call that the journal has is answered from it; one that is in flight already is joined; any other
waits in its model's lane until limits and budget let it start. What comes back is booked, tried
again or told to every question that waits. The engine hears of outcomes, and of reasons to end.
"""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from parkade.compound.models.protocol import Failure, FailureKind, Model, Outcome
from parkade.compound.run.added_text import AddedText
from parkade.compound.run.booking import Booking
from parkade.compound.run.budget import NOTHING, Account
from parkade.compound.run.journal import Journal, completion_of
from parkade.compound.run.lane import Flight, FlightState, Lane
from parkade.compound.run.lines import SharedLine
from parkade.compound.run.orders import Ask
from parkade.compound.run.progressing import Counts, ModelDenied, Progressing, RunStopped
from parkade.compound.run.provider import Provider
from parkade.compound.run.reserving import Reserving
from parkade.compound.run.retrying import Retrying
from parkade.compound.values import Completion


class Hearer(Protocol):
    """What calls tell: the engine."""

    def heard(self, run: Progressing, ticket: int, value: Any) -> None:
        """A question's order has come to its end."""
        ...

    def schedule(self) -> None:
        """Something came in: look soon."""
        ...

    def give_up(self, why: str) -> bool:
        """A model has failed for too long, which ends the run; False if the engine goes on."""
        ...

    def end_soon(self, error: RunStopped) -> None:
        """End the run when the calls in flight have come in."""
        ...


class Calls:
    """The calls of one engine."""

    def __init__(
        self,
        models: Mapping[str, Model],
        journal: Journal,
        account: Account,
        counts: Counts,
        retrying: Retrying,
        hearer: Hearer,
        added: AddedText | None = None,
    ) -> None:
        self.counts = counts
        self.lanes = _lanes(models)
        #: In which order lanes are tried: of those that share a provider, the one that has waited
        #: longest for its turn comes first.
        self._order = list(self.lanes.values())
        self._account = account
        self._journal = journal
        self._hearer = hearer
        #: Every call that is on its way, by its key.
        self._flights: dict[str, Flight] = {}
        #: What came back and is not looked at yet.
        self._ended: deque[tuple[Flight, Outcome]] = deque()
        self._reserving = Reserving(account, journal, added)
        self._booking = Booking(account, journal)
        self._retrying = retrying

    def has_ended(self) -> bool:
        """Whether an outcome waits to be looked at."""
        return bool(self._ended)

    @property
    def is_spent(self) -> bool:
        """Whether the budget is, so that no more questions begin."""
        return self._reserving.is_spent

    def is_flying(self) -> bool:
        """Whether a call is with a model."""
        return any(lane.limiter.in_flight for lane in self.lanes.values())

    def waiting(self) -> int:
        """Calls that are not with their model."""
        count = 0
        for lane in self.lanes.values():
            count += lane.waiting()
        return count

    def ask(self, run: Progressing, order: Ask) -> None:
        """A question wants this call: the journal answers, one in flight is joined, or it waits."""
        call = order.call
        flight = self._flights.get(call.key)
        if flight is None:
            line = self._journal.completion(call.key)
            if line is not None:
                self.counts.cached += 1
                run.cached += 1
                given = self._given(run, order, completion_of(line), line.question)
                self._hearer.heard(run, order.ticket, given)
                return
            lane = self.lanes[call.model]
            if lane.closed_until_us and (closed := self._closed(lane)) is not None:
                self._hearer.heard(run, order.ticket, closed)
                return
            worst = self._reserving.worst(call, lane.model)
            if isinstance(worst, Failure):
                self._hearer.heard(run, order.ticket, worst)
                return
            flight = Flight(order, worst, run)
            self._flights[call.key] = flight
            lane.queue.append(flight)
        else:
            run.cached += 1
        flight.waiters.append((run, order))
        run.flights[order.ticket] = flight

    def drop(self, run: Progressing, ticket: int) -> None:
        """A question wants this call no more; it is cancelled where no other one waits for it."""
        flight = run.flights.pop(ticket, None)
        if flight is None:
            return
        flight.waiters = [
            (other, order)
            for other, order in flight.waiters
            if other is not run or order.ticket != ticket
        ]
        if flight.waiters or flight.state is FlightState.ARRIVED:
            return
        if flight.state is FlightState.FLYING:
            assert flight.cancel is not None
            why = "cancelled: another candidate was accepted first"
            self._booking.cancelled(flight, why, was_sent=not flight.cancel())
            self.lanes[flight.call.model].limiter.in_flight -= 1
            self.counts.cancelled += 1
        flight.state = FlightState.OVER
        self._retrying.ended(flight)
        self._flights.pop(flight.call.key, None)

    def start_due(self) -> int:
        """Start what may start now; in how many microseconds to look again (0: when told)."""
        now_us = time.monotonic_ns() // 1_000
        soonest = 0
        to_try = deque(self._order)
        while to_try:
            lane = to_try.popleft()
            begun, wait = lane.start(now_us, self._may_start)
            if begun:
                self._reserving.promise()
            for flight in begun:
                self._start(lane, flight)
            if begun and lane.shares:
                # It has begun one; the next turn is another's.
                self._order.remove(lane)
                self._order.append(lane)
                to_try.append(lane)
            if wait and lane.waiting():
                soonest = wait if soonest == 0 else min(soonest, wait)
        return soonest

    def look(self) -> None:
        """Look at the first outcome that waits."""
        self._end(*self._ended.popleft())

    def stop(self) -> None:
        """Book what came in, and cancel what still runs."""
        self._book_last()
        for flight in list(self._flights.values()):
            if flight.state is FlightState.FLYING and flight.cancel is not None:
                self._booking.cancelled(flight, "the run was stopped", was_sent=not flight.cancel())
        for lane in self.lanes.values():
            lane.limiter.in_flight = 0

    def _may_start(self, flight: Flight) -> bool:
        account, lane = self._account, self.lanes[flight.call.model]
        flight.worst = self._reserving.renewed(flight, lane.model)
        if self._reserving.must_hear_first(flight, lane.model, lane.limiter.in_flight):
            return False
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
            self._hearer.schedule()

        flight.cancel = lane.model.start(flight.call, done)

    def _end(self, flight: Flight, outcome: Outcome) -> None:
        lane = self.lanes[flight.call.model]
        now_us = time.monotonic_ns() // 1_000
        lane.came_back(now_us)
        if isinstance(outcome, Completion):
            lane.answered(flight, now_us)
            self._retrying.answered(flight.call.model)
            self._complete(flight, outcome)
        else:
            self._failed(lane, flight, outcome, now_us)

    def _complete(self, flight: Flight, completion: Completion) -> None:
        self._booking.answered(flight, completion)
        model = self.lanes[flight.call.model].model
        self._reserving.heard(flight.call, completion.usage, lambda: self._beside(flight), model)
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
            self._hearer.end_soon(ModelDenied(f"model {model!r}: {failure.message}"))
        why = self._retrying.failed(lane, flight, failure, now_us)
        if why is not None and not self._hearer.give_up(why):
            # What waits for the model would fail as well.
            for each in (flight, *lane.take_waiting()):
                self._lost(each, failure)
            return
        if not flight.waiters:
            # What it cost is on the bill; no question wants it asked again.
            self._finish(flight, failure)
            return
        again_us = self._retrying.again_us(lane, flight, failure, now_us, is_over=why is not None)
        if again_us is not None:
            self.counts.retries += 1
            lane.later(flight, again_us)
            return
        self._lost(flight, failure)

    def _lost(self, flight: Flight, failure: Failure) -> None:
        """A call failed and is not tried again."""
        self.counts.failed += 1
        self.counts.waiting += failure.kind is FailureKind.WAITING
        if failure.failed_line is not None:
            self.counts.failed_lines.add(failure.failed_line, flight.owner.machine.question.id)
        self._retrying.lost(flight, failure)
        self._finish(flight, failure)

    def _closed(self, lane: Lane) -> Failure | None:
        """Why a call cannot wait for a model whose server asked to be left alone for long."""
        left_us = lane.closed_until_us - time.monotonic_ns() // 1_000
        if left_us <= self._retrying.outages.most_asked_us:
            return None
        return Failure(
            kind=FailureKind.RATE_LIMITED,
            message=f"its server asks to be left alone for another {left_us // 1_000_000:,} s",
            is_unreached=True,
        )

    def _beside(self, ended: Flight) -> list[Flight]:
        """Other calls of its model for which something is set aside."""
        held, name = (FlightState.FLYING, FlightState.ARRIVED), ended.call.model
        others = (each for each in self._flights.values() if each is not ended)
        return [each for each in others if each.call.model == name and each.state in held]

    def _finish(self, flight: Flight, outcome: Outcome) -> None:
        flight.state = FlightState.OVER
        self._retrying.ended(flight)
        # It refers back to the flight.
        flight.cancel = None
        self._flights.pop(flight.call.key, None)
        for run, order in flight.waiters:
            run.flights.pop(order.ticket, None)
            given = outcome
            if isinstance(outcome, Completion) and run is not flight.owner:
                given = self._given(run, order, outcome, flight.owner.machine.question.id)
            self._hearer.heard(run, order.ticket, given)

    def _given(
        self, run: Progressing, order: Ask, completion: Completion, paid_by: str
    ) -> Completion:
        """What a question is told of a call: another question's costs it nothing, and the journal
        keeps that it has it too."""
        question = run.machine.question.id
        if paid_by == question:
            return completion
        self._journal.shared(
            SharedLine(key=order.call.key, question=question, node=order.node, of=order.of)
        )
        return msgspec.structs.replace(completion, cost_micros=0)

    def _book_last(self) -> None:
        """Outcomes that came in and were not looked at: their answers are kept."""
        while self._ended:
            flight, outcome = self._ended.popleft()
            if isinstance(outcome, Completion):
                self._complete(flight, outcome)
            else:
                self._booking.failed(flight, outcome, self.lanes[flight.call.model].model)


def _lanes(models: Mapping[str, Model]) -> dict[str, Lane]:
    """One for each model; those of one provider share its limits."""
    providers: dict[str, Provider] = {}
    lanes: dict[str, Lane] = {}
    for name, model in models.items():
        limits = model.limits.provider
        shared = None
        if limits is not None:
            shared = providers.setdefault(limits.name, Provider(limits))
        lanes[name] = Lane(model, shared)
    return lanes
