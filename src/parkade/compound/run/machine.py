"""The state machine of one question: answers in, orders out; no clock, no I/O, no tasks.

Theory of operation
-------------------
A network is run by *frames*. A frame is one running operator: a generator that receives events and
acts through its frame's methods. Candidates are pulled, never pushed: a frame asks its sources for
one candidate at a time with `pull`, and a source makes a candidate only while its `demand` is above
zero. What is in flight is therefore bounded by what the outermost consumer has pulled, however many
samples the network has; a million candidates that a filter drops are never in memory together.

A frame can `ask` a model, `check` a candidate, `apply` a function: each gives a ticket at once and
the event `Finished(ticket, value)` later. It can `open` a source and `pull` it: a pull
brings the event `Came(source, item)` or, when there is no more, `Over(source)` once for all
outstanding pulls. When its generator returns, the frame is over and all that it opened is closed:
tickets that still run become `Drop` orders. That is how the siblings of a verified answer are
cancelled.

The machine collects orders in `orders`; the engine takes them, carries them out, and answers with
`tell(ticket, value)`. Events wait in one queue, so a generator is never entered twice.

Example: `BestOf(Generate("m", n=1), k=3, verify=v, parallel=1)`.
`start` opens best_of and pulls it; best_of pulls generate; orders: [Ask 1]. `tell(1, completion)`:
generate emits, best_of checks; orders: [Check 2]. `tell(2, rejected)`: best_of pulls again; orders:
[Ask 3]. `tell(3, …)`, [Check 4], `tell(4, accepted)`: best_of emits and is over; `answer` is set.

Invariants: a frame never emits more than it was asked for plus what it holds ready; each ticket is
told or dropped exactly once; after `answer` is set no ticket is outstanding.
"""

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from parkade.compound.models.protocol import Failure, FailureKind, bounded
from parkade.compound.network.binding import Bound, Node
from parkade.compound.network.errors import NetworkError
from parkade.compound.network.operators import Chain
from parkade.compound.run.frame import Frame, Steps
from parkade.compound.run.orders import (
    MAX_ITEMS,
    PULLED,
    START,
    Answer,
    Came,
    Drop,
    Event,
    Finished,
    Item,
    Order,
    Over,
)
from parkade.compound.values import Question, Verdict

MAX_FAILURES = 20


class Machine:
    """One question on its way through a bound network."""

    __slots__ = (
        "_came",
        "_count",
        "_failures",
        "_is_cut_short",
        "_is_waiting",
        "_last_ticket",
        "_queue",
        "_root",
        "_start",
        "answer",
        "notes",
        "orders",
        "question",
        "variables",
        "waiting",
        "width",
    )

    def __init__(
        self,
        bound: Bound,
        question: Question,
        start: Callable[[Frame], tuple[Steps, bool]],
        width: int,
    ) -> None:
        assert width >= 1
        self.question = question
        self.variables = {**question.fields, "prompt": question.prompt, "id": question.id}
        self.width = width
        self.orders: list[Order] = []
        self.waiting: dict[int, Frame] = {}
        self.answer: Answer | None = None
        self.notes: list[str] = []
        self._start = start
        self._queue: deque[tuple[Frame, Event]] = deque()
        self._last_ticket = 0
        self._came: list[Item] = []
        self._count = 0
        self._failures: list[Failure] = []
        self._is_cut_short = False
        self._is_waiting = False
        self._root: Frame | None = self.open(bound.root, None, 0, None)

    # ------------------------------------------------------------ what the engine does

    def start(self) -> None:
        """Pull the network for the first time."""
        assert self._root is not None
        self._root.demand = self.width - 1
        self.pull(self._root)
        self._drain()

    def abandon(self) -> None:
        """End without an answer; what runs is dropped."""
        if self._root is not None:
            self.close(self._root)
            self._is_cut_short = True
            self._finish()

    def tell(self, ticket: int, value: Any) -> None:
        """What came of an order; of no effect if the order was dropped meanwhile."""
        frame = self.waiting.pop(ticket, None)
        if frame is None:
            return
        frame.tickets.discard(ticket)
        if isinstance(value, Failure):
            self._note(value)
            frame.missing += value.kind is FailureKind.WAITING
            if value.kind is FailureKind.BUDGET and self._root is not None:
                self.close(self._root)
                self._finish()
                return
        self._queue.append((frame, Finished(ticket, value)))
        self._drain()

    # ------------------------------------------------------------ what frames do

    def next_ticket(self) -> int:
        """A number that no other order of this question has."""
        self._last_ticket += 1
        return self._last_ticket

    def open(self, node: Node, parent: Frame | None, draw: int, given: Item | None) -> Frame:
        """A frame; a chain is its last step, fed by the steps before."""
        if not isinstance(node.operator, Chain):
            frame = Frame(self, node, parent, draw)
            frame.given = given
            if parent is not None:
                parent.children[frame] = None
            return frame
        last: Frame | None = None
        frames: list[Frame] = []
        for step in node.children:
            frame = self.open(step, None, draw, given if last is None else None)
            frame.upstream = last
            frames.append(frame)
            last = frame
        for feeder, fed in pairwise(frames):
            feeder.parent = fed
            fed.children[feeder] = None
        assert last is not None
        last.parent = parent
        if parent is not None:
            parent.children[last] = None
        return last

    def pull(self, source: Frame) -> None:
        """One more candidate is wanted of a source."""
        if source.ready:
            self.deliver(source, source.ready.popleft())
        elif source.is_over:
            self._tell_over(source)
        else:
            source.demand += 1
            if source.steps is None:
                source.steps, source.hears_pulls = self._start(source)
                self._queue.append((source, START))
            elif source.hears_pulls:
                self._queue.append((source, PULLED))

    def deliver(self, source: Frame, item: Item) -> None:
        """Bring a candidate to whom it is for."""
        parent = source.parent
        if parent is None:
            self._arrived(item)
        elif source.reply is not None:
            self._queue.append((parent, Finished(source.reply, item.verdict)))
        else:
            self._queue.append((parent, Came(source, item)))

    def close(self, frame: Frame) -> None:
        """End a frame and all that it opened."""
        frame.is_over = True
        frame.demand = 0
        if frame.steps is not None:
            frame.steps.close()
            # The generator holds its frame: without this both would wait for the collector.
            frame.steps = None
        for ticket in sorted(frame.tickets):
            del self.waiting[ticket]
            self.orders.append(Drop(ticket))
        frame.tickets.clear()
        for child in tuple(frame.children):
            if not child.is_over:
                self.close(child)
        frame.children.clear()

    # ------------------------------------------------------------ inside

    def _drain(self) -> None:
        queue = self._queue
        while queue:
            frame, event = queue.popleft()
            if not frame.is_over:
                self._step(frame, event)

    def _step(self, frame: Frame, event: Event) -> None:
        steps = frame.steps
        assert steps is not None
        try:
            if event is START:
                next(steps)
            else:
                steps.send(event)
        except StopIteration:
            self._ended(frame)
        except NetworkError as error:
            self._note(Failure(kind=FailureKind.BROKEN, message=bounded(str(error))))
            self._ended(frame)

    def _ended(self, frame: Frame) -> None:
        wanted = frame.demand
        self.close(frame)
        if frame.parent is not None:
            frame.parent.missing += frame.missing
            if not frame.ready:
                frame.parent.children.pop(frame, None)
            if wanted:
                self._tell_over(frame)
        elif self.answer is None:
            self._is_waiting = frame.missing > 0
            self._finish()

    def _tell_over(self, frame: Frame) -> None:
        """Once: it stands for all pulls that are outstanding and still to come."""
        if frame.parent is None or frame.is_end_sent:
            return
        frame.is_end_sent = True
        if frame.reply is None:
            self._queue.append((frame.parent, Over(frame)))
        else:
            verdict = Verdict(is_accepted=False, reason="the verifier gave no verdict")
            self._queue.append((frame.parent, Finished(frame.reply, verdict)))

    def _arrived(self, item: Item) -> None:
        self._count += 1
        if len(self._came) < MAX_ITEMS:
            self._came.append(item)
        assert self._root is not None
        self.pull(self._root)

    def _note(self, failure: Failure) -> None:
        if failure.kind in (FailureKind.BUDGET, FailureKind.TOO_LARGE):
            self._is_cut_short = True
        if len(self._failures) < MAX_FAILURES:
            self._failures.append(failure)

    def _finish(self) -> None:
        assert not self.waiting, "a question ended while an order runs"
        self.answer = Answer(
            items=tuple(self._came),
            count=self._count,
            failures=tuple(self._failures),
            is_cut_short=self._is_cut_short,
            is_waiting=self._is_waiting,
            notes=tuple(self.notes),
        )
        # A finished machine holds no frame, and so is freed as soon as it is let go.
        self._root = None
        self._came.clear()
