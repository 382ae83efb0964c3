"""Run a network over questions: what the Python API, the command line and the server call.

`run` blocks, `run_async` is for programs with a loop of their own. With `out`, a folder, the run
can be killed at any moment and goes on when it is started again with the same folder; without, it
leaves nothing and its journal lies in a temporary folder.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from parkade.compound.models.local_server import ModelServer, serving
from parkade.compound.models.protocol import FailureKind
from parkade.compound.network import Operator
from parkade.compound.network.binding import Bound, Names, bind
from parkade.compound.run.added_text import AddedText
from parkade.compound.run.affording import affordable, fresh
from parkade.compound.run.at_fault import AtFault
from parkade.compound.run.budget import Account, Amounts, Budget
from parkade.compound.run.engine import Engine
from parkade.compound.run.hanging import look
from parkade.compound.run.needs import Needs
from parkade.compound.run.noted import Noted
from parkade.compound.run.orders import Answer
from parkade.compound.run.outages import PATIENCE_S, Outages
from parkade.compound.run.progressing import Counts, Progressing
from parkade.compound.run.reasons import Reason, Reasons
from parkade.compound.run.recording import Recording, open_folder, result_of
from parkade.compound.run.reserving import check_bounds
from parkade.compound.run.results import Result
from parkade.compound.values import Question, question_digest
from parkade.core.units.money import ceil_div
from parkade.loops import fast_loop


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is carried out; nothing here changes an answer's content address."""

    budget: Budget = Budget()
    #: At most so many calls and verifications in flight for one question.
    width: int = 16
    #: At most so many asynchronous verifications and functions at once.
    most_checks: int = 64
    #: Of budget, spent and doubtful amounts; a part of a larger run has an account of its own.
    account: Callable[[Budget, Amounts, Amounts], Account] = Account
    #: A model server for the time of the run.
    server: ModelServer | None = None
    #: When the budget is spent, the questions are read to their end, to count those not begun.
    counts_not_begun: bool = False
    #: What servers were heard to add to prompts; parts of a larger run share it.
    added: AddedText | None = None
    #: What questions took so far; parts of a larger run share it.
    needs: Needs | None = None
    #: A model whose calls fail for so long, and none of them is answered, ends the run.
    patience_s: float = PATIENCE_S


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did. Amounts are of the whole journal, counts of this start."""

    questions: int
    skipped: int
    answered: int
    accepted: int
    failed: int
    #: Begun, and ended by the budget.
    cut_short: int
    #: Left by a spent budget before they began; 0 where `counts_not_begun` is not set.
    not_begun: int
    calls: int
    cached: int
    retries: int
    cancelled: int
    spent: Amounts
    #: What servers may bill beyond what they reported: time-outs, cancelled calls, kills.
    doubtful: Amounts
    #: What servers billed beyond the worst case that was asked for.
    overrun: Amounts
    is_budget_spent: bool
    wall_us: int
    #: Calls that gave no completion after their retries.
    failed_calls: int
    #: The first distinct reasons for which questions failed.
    reasons: tuple[Reason, ...]
    #: Questions that failed for further reasons.
    other_reasons: int
    #: Verdicts that verifiers gave.
    verdicts: int
    #: Verdicts that verifiers failed to give, and the first distinct reasons.
    broken_verdicts: int
    broken: tuple[Reason, ...]
    #: Results in the folder that other networks gave; they stay there and count no more.
    kept_aside: int = 0
    #: Of `calls`: answers that `max_tokens` cut, that a filter stopped, and that hold nothing.
    cut_answers: int = 0
    filtered: int = 0
    empty: int = 0
    #: Of `calls`: the worst case is counted, since their server said no usage that can be.
    without_usage: int = 0
    #: Of `failed_calls`: those whose answers a batch is to bring, and why answer files had none.
    waiting: int = 0
    failed_lines: tuple[Reason, ...] = ()
    #: Questions of which their operators note such a thing (`noted`).
    noted: Noted = msgspec.field(default_factory=Noted)

    @property
    def abstained(self) -> int:
        """Questions that the network ended without an answer and without a failure."""
        return self.questions - self.answered - self.failed - self.cut_short

    @property
    def waits(self) -> bool:
        """Whether questions wait for the answers of a batch."""
        return self.waiting > 0 and self.failed > 0

    @property
    def has_no_answer(self) -> bool:
        """Whether calls failed and no question has an answer, now or from before."""
        done = self.answered + self.skipped + self.abstained
        return self.failed > 0 and self.failed_calls > 0 and done == 0


class Progress:
    """What a display may read while the run goes on."""

    def __init__(self, counts: Counts, account: Account) -> None:
        self.counts = counts
        self.account = account
        self.began = time.monotonic()
        self.skipped = 0
        self.kept_aside = 0
        self.answered = 0
        self.accepted = 0
        self.verified = 0
        self.failed = 0
        self.cut_short = 0
        self.not_begun = 0
        self.reasons = Reasons()
        self.noted = Noted()

    def waits_s(self) -> dict[str, int]:
        """Models whose servers asked to be left alone, and for how many seconds from now."""
        now_us = time.monotonic_ns() // 1_000
        left = {m: until - now_us for m, until in tuple(self.counts.asked_until_us.items())}
        return {model: ceil_div(us, 1_000_000) for model, us in left.items() if us > 0}

    def summary(self) -> Summary:
        """The state now."""
        counts, account = self.counts, self.account
        return Summary(
            questions=counts.questions,
            skipped=self.skipped,
            answered=self.answered,
            accepted=self.accepted,
            failed=self.failed,
            cut_short=self.cut_short,
            not_begun=self.not_begun,
            calls=counts.calls,
            cached=counts.cached,
            retries=counts.retries,
            cancelled=counts.cancelled,
            spent=account.spent,
            doubtful=account.doubtful,
            overrun=account.overrun,
            is_budget_spent=counts.is_budget_spent,
            wall_us=int((time.monotonic() - self.began) * 1e6),
            failed_calls=counts.failed,
            reasons=self.reasons.all(),
            other_reasons=self.reasons.others,
            verdicts=counts.verdicts,
            broken_verdicts=counts.broken_verdicts,
            broken=counts.broken.all(),
            kept_aside=self.kept_aside,
            cut_answers=counts.cut_answers,
            filtered=counts.filtered,
            empty=counts.empty,
            without_usage=counts.without_usage,
            waiting=counts.waiting,
            failed_lines=counts.failed_lines.all(),
            noted=msgspec.structs.replace(self.noted),
        )


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """Callbacks of a run: its progress once, each result, and what a user should know at once."""

    on_start: Callable[[Progress], None] | None = None
    on_result: Callable[[Result], None] | None = None
    on_notice: Callable[[str], None] | None = None


async def run_async(
    network: Operator,
    questions: Iterable[Question],
    *,
    names: Names,
    out: Path | None = None,
    settings: Settings | None = None,
    watch: Watch | None = None,
) -> Summary:
    """Answer all questions.

    Raises NetworkError, BudgetTooSmall, FolderError, JournalError, ResultError, RunStopped.
    """
    try:
        return await run_part(
            network, questions, names=names, out=out, settings=settings, watch=watch
        )
    finally:
        await close(names)


async def close(names: Names) -> None:
    """End connections of models, and sandboxes of verifiers that have one of their own."""
    for model in names.models.values():
        await model.close()
    for verifier in names.verifiers.values():
        if hasattr(verifier, "close"):
            verifier.close()


async def run_part(
    network: Operator,
    questions: Iterable[Question],
    *,
    names: Names,
    out: Path | None = None,
    settings: Settings | None = None,
    watch: Watch | None = None,
) -> Summary:
    """As `run_async`, but models and verifiers stay open for another part."""
    settings, watch = settings or Settings(), watch or Watch()
    bound = bind(network, names)
    check_bounds(bound, settings.budget)
    async with contextlib.AsyncExitStack() as stack:
        if out is None:
            out = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parkade-")))
        recording = open_folder(out, bound, watch.on_notice)
        stack.callback(recording.close)
        if not recording.journal.has_calls:
            # Else it may hold all that is left to ask.
            questions = affordable(bound, fresh(settings.budget), questions)
        await stack.enter_async_context(serving(settings.server))
        session = _Session(bound, recording, settings, watch)
        asked = session.open_questions(iter(questions))
        looking = asyncio.ensure_future(look(session.engine, session.on_notice))
        try:
            await session.engine.run(asked)
            if settings.counts_not_begun and session.progress.counts.is_budget_spent:
                session.progress.not_begun = session.engine.has_next() + sum(1 for _ in asked)
        finally:
            looking.cancel()
        return session.progress.summary()


def run(
    network: Operator,
    questions: Iterable[Question],
    *,
    names: Names,
    out: Path | None = None,
    settings: Settings | None = None,
    watch: Watch | None = None,
) -> Summary:
    """As `run_async`, on a loop of its own (uvloop where it is installed)."""
    work = run_async(network, questions, names=names, out=out, settings=settings, watch=watch)
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(work)


class _Session:
    """The pieces of one run, tied together."""

    def __init__(
        self,
        bound: Bound,
        recording: Recording,
        settings: Settings,
        watch: Watch,
    ) -> None:
        self.recording, journal = recording, recording.journal
        account = settings.account(settings.budget, journal.spent, journal.doubtful)
        self.engine = Engine(
            bound,
            journal,
            account,
            width=settings.width,
            most_checks=settings.most_checks,
            answered=self.answered,
            outages=Outages(settings.patience_s, watch.on_notice),
            at_fault=AtFault(settings.patience_s, recording.left_before),
            added=settings.added,
            needs=settings.needs,
        )
        self.progress = Progress(self.engine.counts, account)
        self.progress.kept_aside = recording.results.of_others
        self._watch = watch
        self.on_notice = watch.on_notice
        if watch.on_start is not None:
            watch.on_start(self.progress)

    def open_questions(self, questions: Iterator[Question]) -> Iterator[Question]:
        for question in questions:
            if self.recording.results.is_done(question_digest(question)):
                self.progress.skipped += 1
            else:
                yield question

    def answered(self, run: Progressing, answer: Answer) -> None:
        progress = self.progress
        result = result_of(run, answer, self.recording.results.network)
        progress.noted.add(answer.notes)
        if answer.is_cut_short:
            # No result is written: a larger budget goes on with it.
            if any(failure.kind is FailureKind.TOO_LARGE for failure in answer.failures):
                self._failed(result)
            else:
                progress.cut_short += 1
            return
        if result.has_failed:
            self._failed(result)
        elif result.answer is not None:
            progress.answered += 1
        if result.accepted is not None:
            progress.verified += 1
            progress.accepted += result.accepted
        if self._watch.on_result is not None:
            self._watch.on_result(result)
        if result.has_failed:
            return
        self.recording.answered(result)

    def _failed(self, result: Result) -> None:
        self.progress.failed += 1
        self.progress.reasons.add(result.failures[0], result.id)
        self.recording.failed(result)
