"""A lane: the calls that wait for one model, are with it, or come back to it after a failure."""

import enum
import heapq
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from parkade.compound.models.protocol import RETRIED, Cancel, Failure, Model
from parkade.compound.run.budget import NOTHING, Amounts
from parkade.compound.run.limiter import CALLS_US, Bucket, Limiter
from parkade.compound.run.lines import NO_MESSAGE, CallLine, FailedLine
from parkade.compound.run.orders import Ask
from parkade.compound.run.pacing import Pace
from parkade.compound.run.provider import Provider
from parkade.compound.values import Call, Completion, Usage

if TYPE_CHECKING:
    from parkade.compound.run.progressing import Progressing


class FlightState(enum.Enum):
    """Where a call is: waiting → flying → arrived → over, or arrived → later → flying again.

    A call that no question wants any more is over from any state but `ARRIVED`: then what it cost
    is told first.
    """

    #: In its lane's queue.
    WAITING = enum.auto()
    #: With the model.
    FLYING = enum.auto()
    #: Its outcome is here and waits for its turn.
    ARRIVED = enum.auto()
    #: It failed, and is sent again at a time to come.
    LATER = enum.auto()
    #: Its questions were told its outcome, or none wants it.
    OVER = enum.auto()


class Flight:
    """One call on its way, and all questions that wait for it."""

    __slots__ = (
        "at_fault_us",
        "attempt",
        "began_us",
        "call",
        "cancel",
        "node",
        "of",
        "owner",
        "state",
        "waiters",
        "worst",
    )

    def __init__(self, order: Ask, worst: Amounts, owner: "Progressing") -> None:
        self.call = order.call
        #: The question that the journal names and that is billed.
        self.owner = owner
        self.node = order.node
        self.of = order.of
        self.worst = worst
        self.attempt = 0
        self.began_us = 0
        #: Since when it fails while its server is well; None if it does not.
        self.at_fault_us: int | None = None
        self.cancel: Cancel | None = None
        self.state = FlightState.WAITING
        #: Questions and what they asked.
        self.waiters: list[tuple[Progressing, Ask]] = []

    def line(self, completion: Completion) -> CallLine:
        """What the journal keeps of its end."""
        call, usage = self.call, completion.usage
        return CallLine(
            key=call.key,
            question=self.owner.machine.question.id,
            node=self.node,
            model=call.model,
            sample=call.sample,
            input=usage.input_tokens,
            output=usage.output_tokens,
            cost=completion.cost_micros,
            us=completion.latency_us,
            finish=completion.finish,
            text=completion.text,
            message=NO_MESSAGE if completion.message is None else completion.message,
            shared=completion.shared_micros,
            of=self.of,
            most=completion.is_usage_missing,
        )

    def doubtful_line(self, why: str, amounts: Amounts) -> FailedLine:
        """What the journal keeps if it may be billed and gave no completion."""
        return FailedLine(
            key=self.call.key,
            question=self.owner.machine.question.id,
            node=self.node,
            model=self.call.model,
            why=why,
            cost=amounts.micros,
            tokens=amounts.tokens,
            calls=amounts.calls,
        )


class Lane:
    """The queue of one model with its limits."""

    def __init__(self, model: Model, provider: Provider | None = None) -> None:
        self.model = model
        self.limiter = Limiter(model.limits)
        self._provider = provider
        if provider is not None:
            provider.joined(self.limiter)
        self.queue: deque[Flight] = deque()
        self._calls = Bucket(model.limits.calls_per_minute, CALLS_US)
        self._pace = Pace()
        self._tokens = Bucket(model.limits.tokens_per_minute)
        self._later: list[tuple[int, int, Flight]] = []
        self._count = 0
        #: A server that asked to be left alone is, until then.
        self.closed_until_us = 0
        #: When the server last said something, or was first asked after it had nothing to do.
        self.heard_us = 0
        #: When it last answered a call.
        self.answered_us = 0

    @property
    def shares(self) -> bool:
        """Whether limits of a provider hold for other lanes too."""
        return self._provider is not None

    def came_back(self, now_us: int) -> None:
        """A call with the model has come back, answered or not."""
        self.limiter.in_flight -= 1
        self.heard_us = now_us

    def answered(self, flight: Flight, now_us: int) -> None:
        """A call was answered well."""
        self.limiter.answered(now_us - flight.began_us, now_us)
        self._pace.answered()
        self.answered_us = now_us

    def failed(self, flight: Flight, failure: Failure, now_us: int) -> None:
        """A call failed: the server may have too much to do, or ask to be left alone."""
        if failure.kind in RETRIED and not failure.is_unreached:
            self.limiter.overloaded(flight.began_us, now_us)
        if failure.retry_after_us is not None:
            self._pace.asked_to_wait(flight.began_us, now_us, failure.retry_after_us)
            self.closed_until_us = max(self.closed_until_us, now_us + failure.retry_after_us)

    def later(self, flight: Flight, at_us: int) -> None:
        """Put a call back at a time to come."""
        flight.state = FlightState.LATER
        self._count += 1
        heapq.heappush(self._later, (at_us, self._count, flight))

    def next_due_us(self) -> int | None:
        """When the first of those put back is due."""
        return self._later[0][0] if self._later else None

    def waiting(self) -> int:
        """Calls that are not with the model."""
        return len(self.queue) + len(self._later)

    def take_waiting(self) -> list[Flight]:
        """Take out all calls that are not with the model."""
        waiting = [*self.queue, *(flight for _, _, flight in self._later)]
        self.queue.clear()
        self._later.clear()
        return [flight for flight in waiting if flight.state is not FlightState.OVER]

    def start(self, now_us: int, may_start: Callable[[Flight], bool]) -> tuple[list[Flight], int]:
        """Calls to begin now, and in how long to look again (0: when something ends).

        A lane that shares a provider begins one, so that the others have their turn.
        """
        while self._later and self._later[0][0] <= now_us:
            self.queue.appendleft(heapq.heappop(self._later)[2])
        begun: list[Flight] = []
        while self.queue and self._has_room():
            flight = self.queue[0]
            if flight.state is FlightState.OVER:
                self.queue.popleft()
                continue
            wait = self._wait_us(flight, now_us)
            if wait:
                return begun, wait
            if not may_start(flight):
                break
            self.queue.popleft()
            if self._was_given_up(flight):
                continue
            self._calls.take(1)
            self._pace.take(now_us)
            self._tokens.take(flight.worst.tokens)
            if self._provider is not None:
                self._provider.take(flight.worst.tokens)
            if self.limiter.in_flight == 0:
                self.heard_us = now_us
                self._pace.began_anew(now_us)
            self.limiter.in_flight += 1
            flight.state = FlightState.FLYING
            flight.began_us = now_us
            begun.append(flight)
            if self.shares:
                break
        due = self.next_due_us()
        return begun, 0 if due is None else max(1, due - now_us)

    def _was_given_up(self, flight: Flight) -> bool:
        """Whether the asking itself ended the call."""
        return flight.state is FlightState.OVER

    def _has_room(self) -> bool:
        return self.limiter.has_room() and (self._provider is None or self._provider.has_room())

    def _wait_us(self, flight: Flight, now_us: int) -> int:
        tokens = flight.worst.tokens
        return max(
            0 if self._provider is None else self._provider.wait_us(tokens, now_us),
            self.closed_until_us - now_us,
            self._calls.wait_us(1, now_us),
            self._pace.wait_us(now_us),
            self._tokens.wait_us(tokens, now_us),
            0,
        )


def worst_case(call: Call, model: Model, *, added: int) -> Amounts | None:
    """The most that a call may use, with so many input tokens that its server adds; None if it
    cannot be said."""
    if call.most_input_tokens is None or call.most_output_tokens is None:
        return None
    most_input = call.most_input_tokens + added
    usage = Usage(input_tokens=most_input, output_tokens=call.most_output_tokens)
    return cost_of(usage, model)


def cost_of(usage: Usage, model: Model) -> Amounts:
    """What a call with this usage is counted as."""
    cost = NOTHING.micros if model.price is None else model.price.cost_micros(usage)
    return Amounts(cost, usage.input_tokens + usage.output_tokens, 1)
