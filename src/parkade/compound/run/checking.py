"""Verifiers and functions: called at once, or as tasks where they are coroutines.

At most `most` coroutines run at once; the others wait their turn. A Verifier's verdict is looked up
in the journal first and written there; a plain function's is only written, and so is that of a
model verifier, whose votes are calls that the journal answers. What a user's code raises becomes a
Failure of its order.
"""

import asyncio
import inspect
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from parkade.compound.models.protocol import Failure, FailureKind, bounded
from parkade.compound.network.digest import code_name, name_of
from parkade.compound.network.raising import raised
from parkade.compound.run.given import Use
from parkade.compound.run.given import read as read_given
from parkade.compound.run.journal import Journal
from parkade.compound.run.lines import VerdictLine
from parkade.compound.run.orders import Apply, Check, Judged
from parkade.compound.run.progressing import Counts, Progressing, VerifierBroken
from parkade.compound.values import MAX_REASON, Verdict, verdict_key

#: Verdicts of a verifier that all fail until a run stops.
MAX_BROKEN = 20
#: At the end, checks that were cancelled have so long to end what they started.
LAST_CHECKS_S = 5.0
#: Instead of a count, for a verifier that has given a verdict.
WORKS = -1


class Checking:
    """Carries out `Check` and `Apply` orders; `heard` gets what came of each."""

    def __init__(
        self,
        journal: Journal,
        counts: Counts,
        most: int,
        heard: Callable[[Progressing, int, Any], None],
        schedule: Callable[[], None],
        give_up: Callable[[VerifierBroken], bool],
    ) -> None:
        self._journal = journal
        self._counts = counts
        self._most = most
        self._heard = heard
        self._schedule = schedule
        self._give_up = give_up
        #: Verdicts that failed of each verifier, or WORKS.
        self._broken: dict[str, int] = {}
        #: By the identity of a verifier, which lives as long as the run.
        self._names: dict[int, str] = {}
        self._waiting: deque[tuple[Callable[[], None], Any]] = deque()
        self._running = 0
        #: All that run, also those that are cancelled and not over.
        self._tasks: set[asyncio.Task[None]] = set()

    def is_full(self) -> bool:
        """Whether more waits than may run."""
        return len(self._waiting) > self._most

    def stop(self) -> None:
        """Lets go of what has not begun."""
        while self._waiting:
            _close(self._waiting.popleft()[1])

    async def ended(self) -> None:
        """Returns when what was cancelled is over, so that no process of it is left; or after
        `LAST_CHECKS_S`, since it is a user's code."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_CHECKS_S)

    def check(self, run: Progressing, order: Check) -> None:
        question, verifier = run.machine.question, order.verifier
        began = time.perf_counter_ns()
        function, key = verifier, ""
        if hasattr(verifier, "verify"):
            function = verifier.verify
            key = verdict_key(verifier.name, verifier.version(), question, order.candidate)
            line = self._journal.verdict(key)
            if line is not None:
                verdict = Verdict(is_accepted=line.accepted, score=line.score, reason=line.reason)
                self._heard(run, order.ticket, verdict)
                return

        def given(value: Any) -> Any:
            verdict = read_given(Use.VERDICT, verifier, value)
            if isinstance(verdict, Verdict):
                took_us = (time.perf_counter_ns() - began) // 1_000
                self._journal_verdict(run, order, key, verdict, took_us)
                self._broken[name_of(verifier)] = WORKS
            return verdict

        def broke(failure: Failure) -> None:
            self._verdict_broken(name_of(verifier), failure.message, question.id)

        self._call(run, order.ticket, function, (question, order.candidate), given, broke)

    def judged(self, run: Progressing, order: Judged) -> None:
        """Write down what a model verifier said; its calls are in the journal already."""
        if order.broken is not None:
            self._verdict_broken(order.verifier, order.broken, run.machine.question.id)
            return
        self._counts.verdicts += 1
        self._counts.accepted += order.verdict.is_accepted
        self._broken[order.verifier] = WORKS
        question = run.machine.question
        key = verdict_key(order.verifier, order.version, question, order.candidate)
        if order.is_complete and self._journal.verdict(key) is None:
            self._journal.verdict_given(
                VerdictLine(
                    key=key,
                    question=question.id,
                    node=order.node,
                    of=order.candidate.key,
                    verifier=f"{order.verifier}@{order.version}",
                    accepted=order.verdict.is_accepted,
                    us=order.us,
                    score=order.verdict.score,
                    reason=order.verdict.reason,
                    cost=order.cost_micros,
                )
            )

    def _verdict_broken(self, verifier: str, why: str, question: str) -> None:
        """Count it; a verifier that has only failed would let no candidate pass."""
        self._counts.broken_verdicts += 1
        self._counts.broken.add(f"{verifier}: {why}", question)
        count = self._broken.get(verifier, 0)
        if count == WORKS:
            return
        self._broken[verifier] = count + 1
        if count + 1 >= MAX_BROKEN:
            self._give_up(
                VerifierBroken(
                    verifier,
                    f"failed on each of its first {MAX_BROKEN} candidates ({why}); "
                    "correct it, and the same run goes on",
                )
            )

    def _journal_verdict(
        self, run: Progressing, order: Check, key: str, verdict: Verdict, took_us: int
    ) -> None:
        self._counts.verdicts += 1
        self._counts.accepted += verdict.is_accepted
        self._journal.verdict_given(
            VerdictLine(
                key=key,
                question=run.machine.question.id,
                node=order.node,
                of=order.candidate.key,
                verifier=self._code_name(order.verifier),
                accepted=verdict.is_accepted,
                us=took_us,
                score=verdict.score,
                reason=verdict.reason,
            )
        )

    def _code_name(self, verifier: Any) -> str:
        """Its source is read once."""
        name = self._names.get(id(verifier))
        if name is None:
            name = self._names[id(verifier)] = code_name(verifier)
        return name

    def apply(self, run: Progressing, order: Apply) -> None:
        function = order.function
        given = partial(read_given, order.use, function)
        self._call(run, order.ticket, function, order.arguments, given, _nothing)

    def _call(
        self,
        run: Progressing,
        ticket: int,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        read: Callable[[Any], Any],
        broke: Callable[[Failure], None],
    ) -> None:
        """Call a user's function; a coroutine becomes a task when there is room for it."""
        try:
            value = function(*arguments)
            if not inspect.isawaitable(value):
                self._tell(run, ticket, read(value), broke)
                return
        except Exception as error:  # noqa: BLE001 - the function is the user's
            self._tell(run, ticket, _raised(function, error), broke)
            return

        def begin() -> None:
            if ticket not in run.machine.waiting:
                _close(value)
                return
            self._running += 1
            waiting = self._wait(run, ticket, value, read, function, broke)
            task = asyncio.get_running_loop().create_task(waiting)
            run.tasks[ticket] = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            # A task that is cancelled before it began has never awaited what it was given.
            task.add_done_callback(lambda _: _close(value))
            task.add_done_callback(lambda _: self._checked(run, ticket))

        if self._running < self._most:
            begin()
        else:
            self._waiting.append((begin, value))

    async def _wait(
        self,
        run: Progressing,
        ticket: int,
        value: Any,
        read: Callable[[Any], Any],
        function: Callable[..., Any],
        broke: Callable[[Failure], None],
    ) -> None:
        try:
            outcome_read = read(await value)
        except Exception as error:  # noqa: BLE001 - the function is the user's
            outcome_read = _raised(function, error)
        self._tell(run, ticket, outcome_read, broke)

    def _tell(
        self, run: Progressing, ticket: int, value: Any, broke: Callable[[Failure], None]
    ) -> None:
        if isinstance(value, Failure):
            broke(value)
        self._heard(run, ticket, value)

    def _checked(self, run: Progressing, ticket: int) -> None:
        run.tasks.pop(ticket, None)
        self._running -= 1
        while self._waiting and self._running < self._most:
            begin, _ = self._waiting.popleft()
            begin()
        self._schedule()


def _close(value: Any) -> None:
    """A coroutine that is over or will not be awaited; nothing happens to others."""
    if inspect.iscoroutine(value):
        value.close()


def _nothing(failure: Failure) -> None:
    """A function that fails is told of with its question."""


def _raised(function: Any, error: Exception) -> Failure:
    message = bounded(raised(function, error), MAX_REASON)
    return Failure(kind=FailureKind.BROKEN, message=message)
