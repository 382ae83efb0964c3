"""The files of a run's folder: opened here, and what is written down of questions that ended.

A run and a server open and record alike. Lines are collected, and written together after `FLUSH_S`
or `FLUSH_RESULTS`, whichever comes first; a result only after the journal's lines that it stands
on. A failed question has no result: a resumed run tries it again.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from parkade.compound.network.binding import Bound
from parkade.compound.network.digest import network_digest
from parkade.compound.run.at_fault import left_without_answer
from parkade.compound.run.budget import NOTHING, Amounts
from parkade.compound.run.describing import describe
from parkade.compound.run.failures import FAILURES, FailedQuestion, Failures
from parkade.compound.run.failures import VERSION as FAILURES_VERSION
from parkade.compound.run.journal import Journal
from parkade.compound.run.orders import Answer
from parkade.compound.run.ownership import JOURNAL, RUN, refuse_submitted
from parkade.compound.run.progressing import Progressing
from parkade.compound.run.results import VERSION, Result, Results
from parkade.compound.values import question_digest
from parkade.core.units.money import format_amount

RESULTS = "results.jsonl"
FLUSH_RESULTS = 64
FLUSH_S = 0.2


class Recording:
    """The files of a folder: the journal, and what became of questions."""

    def __init__(self, out: Path, network: str, journal: Journal) -> None:
        self.journal = journal
        self.results = Results(out / RESULTS, network)
        #: Ids of questions that the start before left without an answer.
        self.left_before = left_without_answer(out / FAILURES)
        self._failures = Failures(out / FAILURES)
        self._timer: asyncio.TimerHandle | None = None

    def answered(self, result: Result) -> None:
        """A question has its result."""
        self.results.add(result)
        if self.results.pending() >= FLUSH_RESULTS:
            self.flush()
        else:
            self._flush_soon()

    def failed(self, result: Result) -> None:
        """A question has none, and why."""
        self._failures.add(
            FailedQuestion(
                v=FAILURES_VERSION,
                id=result.id,
                question=result.question,
                network=result.network,
                failures=result.failures,
            )
        )
        self._flush_soon()

    def flush(self) -> None:
        """Write what was collected."""
        self._stop()
        self._failures.flush()
        self.journal.flush()
        self.results.flush()

    def close(self) -> None:
        """Write all, and close the files."""
        self._stop()
        self.journal.flush()
        self.results.close()
        self._failures.close()
        self.journal.close()

    def _flush_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def open_folder(out: Path, bound: Bound, notice: Callable[[str], None] | None) -> Recording:
    """The files of a run or a server of this network; close them.

    `notice` hears what an earlier start lost, and which functions have changed since. Raises
    FolderError, JournalError, ResultError.
    """
    refuse_submitted(out)
    digest = network_digest(bound)
    journal = Journal(out / JOURNAL)
    try:
        if journal.lost != NOTHING and notice is not None:
            notice(lost_in_words(journal.lost))
        recording = Recording(out, digest, journal)
        changed = describe(out / RUN, bound, digest, journal.size)
        if changed is not None and notice is not None:
            notice(changed)
    except BaseException:
        journal.close()
        raise
    return recording


def lost_in_words(lost: Amounts) -> str:
    """What is told of calls that a kill of an earlier start left in flight."""
    money = f": at most {format_amount(lost.micros)}" if lost.micros else ""
    calls = "1 call was" if lost.calls == 1 else f"up to {lost.calls:,} calls were"
    return (
        f"note: the start before was killed while {calls} in flight, which may be billed{money}; "
        "they count as doubtful"
    )


def result_of(run: Progressing, answer: Answer, network: str) -> Result:
    """The line of one question."""
    question = run.machine.question
    items = () if answer.is_waiting else answer.items
    first = items[0] if items else None
    verdict = None if first is None else first.verdict
    many = len(items) > 1
    return Result(
        v=VERSION,
        id=question.id,
        answer=None if first is None else first.candidate.text,
        accepted=None if verdict is None else verdict.is_accepted,
        calls=run.calls,
        cached=run.cached,
        cost=run.cost_micros,
        input=run.input,
        output=run.output,
        us=int((time.monotonic() - run.began) * 1e6),
        question=question_digest(question),
        network=network,
        score=None if first is None else first.score if verdict is None else verdict.score,
        model="" if first is None else first.candidate.model,
        key="" if first is None else first.candidate.key,
        finish="stop" if first is None else first.candidate.finish,
        refusal="" if first is None else first.candidate.refusal,
        candidates=tuple(item.candidate.text for item in items) if many else (),
        failures=tuple(f"{failure.kind.value}: {failure.message}" for failure in answer.failures),
        notes=answer.notes,
    )
