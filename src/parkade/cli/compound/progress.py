"""What `parkade compound run` shows while it runs, and what it says at the end."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from parkade.cli.compound.bill import bill_of, without_usage
from parkade.cli.exit_codes import (
    COMPOUND_BUDGET,
    COMPOUND_DENIED,
    COMPOUND_FAILED,
    COMPOUND_WAITING,
)
from parkade.cli.screen import GAP, brief, console, fields
from parkade.compound.run.budget import Budget
from parkade.compound.run.failures import FAILURES
from parkade.compound.run.reasons import Reason
from parkade.compound.run.running import Progress, Summary
from parkade.core.units.money import format_amount
from parkade.core.units.phrases import counted

REFRESH_S = 0.25
BAR_WIDTH = 20
#: A wait that a server asked for is shown from so many seconds on.
LONG_WAIT_S = 3
MAX_ID = 40
#: The share of a spent budget in calls without an answer from which the summary says why.
MUCH_DOUBT = 0.25


class _Display:
    """Reads the progress from a thread of its own; the run never waits for the screen."""

    def __init__(self, total: int | None, budget: Budget) -> None:
        self.total = total
        self.budget = budget
        self.progress: Progress | None = None
        self._last = (time.monotonic(), 0)
        self._rate = 0.0

    def started(self, progress: Progress) -> None:
        self.progress = progress

    def __rich__(self) -> Table:
        grid = Table.grid(padding=(0, GAP))
        progress = self.progress
        if progress is None:
            grid.add_row(Text("reading the journal…", style="dim"))
            return grid
        summary = progress.summary()
        done = summary.questions + summary.skipped
        parts = _fitting(self._parts(progress, summary, done), console.width - BAR_WIDTH)
        bar = ProgressBar(total=self.total or max(done, 1), completed=done, width=BAR_WIDTH)
        for _ in range(len(parts) + 1):
            grid.add_column(no_wrap=True)
        grid.add_row(bar, *(Text(part) for part in parts))
        return grid

    def _parts(self, progress: Progress, summary: Summary, done: int) -> tuple[str, ...]:
        """What stands beside the bar, the most wanted first."""
        # A wait of a moment would flicker.
        waits = [each for each in progress.waits_s().items() if each[1] >= LONG_WAIT_S]
        share = f" of {self.total:,} ({done / self.total:.0%})" if self.total else " questions"
        return (
            f"{done:,}{share}",
            *(f"{model}: asked to wait {brief(timedelta(seconds=s))}" for model, s in waits),
            self._left(summary, done),
            self._money(summary),
            f"{summary.failed:,} failed" if summary.failed else "",
            f"{progress.accepted:,} verified" if progress.verified else "",
            counted(summary.calls, "call"),
            f"{self._per_second(summary.calls):,.0f}/s",
        )

    def _per_second(self, calls: int) -> float:
        now = time.monotonic()
        then, before = self._last
        if now - then >= 1.0:
            self._rate = (calls - before) / (now - then)
            self._last = (now, calls)
        elif self._rate == 0.0 and now > then:
            return calls / (now - then)
        return self._rate

    def _money(self, summary: Summary) -> str:
        used = summary.spent.micros + summary.doubtful.micros
        if self.budget.micros is None:
            return format_amount(used) if used else ""
        return f"{format_amount(used)} of {format_amount(self.budget.micros)}"

    def _left(self, summary: Summary, done: int) -> str:
        fresh = done - summary.skipped
        if self.total is None or fresh <= 0:
            return ""
        seconds = summary.wall_us / 1e6 * (self.total - done) / fresh
        return f"{brief(timedelta(seconds=seconds))} left"


@contextmanager
def display(
    total: int | None, budget: Budget, *, is_shown: bool
) -> Iterator[Callable[[Progress], None]]:
    """A line that moves, on a terminal; nothing where the output is not one."""
    shown = _Display(total, budget)
    if not is_shown or not console.is_terminal:
        yield shown.started
        return
    stop = threading.Event()
    # What rich would put before stdout writes to `VisibleStream`, which shows its sequences.
    # A notice goes above the line where stderr is the same terminal, else to where stderr goes.
    with Live(
        shown,
        console=console,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=sys.stderr.isatty(),
    ) as live:

        def refresh() -> None:
            while not stop.wait(REFRESH_S):
                live.refresh()

        thread = threading.Thread(target=refresh, daemon=True)
        thread.start()
        try:
            yield shown.started
        finally:
            stop.set()
            thread.join()
            live.refresh()


def print_notice(text: str) -> None:
    """What a user should know while the run goes on."""
    print(" ".join(text.split()), file=sys.stderr, flush=True)


def print_summary(summary: Summary, out: Path, *, as_json: bool) -> None:
    """What the run did."""
    if as_json:
        summary_fields = {"v": 1, **msgspec.to_builtins(summary), "out": str(out)}
        print(msgspec.json.encode(summary_fields).decode())
        return
    fields_of(summary, out)


def fields_of(summary: Summary, out: Path | None = None) -> None:
    """The summary for people; without the folder where the run did not come to its end."""
    rate = summary.calls / max(summary.wall_us / 1e6, 1e-6)
    fields(
        (
            ("questions", _questions(summary)),
            ("verified", f"{summary.accepted:,}" if summary.accepted else None),
            ("no verdict", _broken(summary)),
            ("calls", f"{summary.calls:,} ({rate:,.0f}/s), {summary.cached:,} from the journal"),
            ("cut", _share("at max_tokens ", summary.cut_answers, summary)),
            ("filtered", _share("", summary.filtered, summary)),
            ("empty", _share("", summary.empty, summary)),
            *_noted(summary),
            ("waiting", _waiting(summary)),
            *_failed_lines(summary),
            ("retries", summary.retries or None),
            ("cancelled", summary.cancelled or None),
            ("spent", bill_of(summary.spent, summary.doubtful, tail=" in all")),
            ("usage", without_usage(summary.without_usage, summary.calls)),
            ("overrun", _overrun(summary)),
            ("budget", _spent(summary)),
            ("results", None if out is None else out / "results.jsonl"),
            *failure_fields(summary.failed, summary.reasons, summary.other_reasons, out),
        )
    )


def failure_fields(
    failed: int, reasons: Sequence[Reason], others: int, out: Path | None
) -> tuple[tuple[str, object], ...]:
    """The rows that say which questions failed and why; none where none did."""
    if not failed:
        return ()
    rows = ((f"failed {n}", _reason(each)) for n, each in enumerate(reasons, start=1))
    more = f"{others:,} more for other reasons" if others else None
    return (("failures", None if out is None else out / FAILURES), *rows, ("", more))


def exit_code(summary: Summary) -> int:
    """How `run` ends: 0 only if no question failed and none is left."""
    if summary.waits:
        return COMPOUND_WAITING
    if summary.is_budget_spent:
        return COMPOUND_BUDGET
    if summary.has_no_answer:
        return COMPOUND_DENIED
    if summary.broken_verdicts and not summary.verdicts:
        return COMPOUND_FAILED
    return COMPOUND_FAILED if summary.failed else 0


def _fitting(parts: Sequence[str], width: int) -> tuple[str, ...]:
    """The first parts that a line of so many columns holds, each after a gap; at least one."""
    kept: list[str] = []
    for part in filter(None, parts):
        width -= len(part) + GAP
        if width < 0 and kept:
            break
        kept.append(part)
    return tuple(kept)


def _questions(summary: Summary) -> str:
    parts = [f"{summary.answered:,} answered"]
    for count, what in (
        (summary.skipped, "done before"),
        (summary.failed, "failed"),
        (summary.cut_short, "cut short"),
        (summary.not_begun, "not begun"),
        (summary.abstained, "abstained"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    return ", ".join(parts)


def _reason(reason: Reason) -> str:
    """One line: how many questions, why, and which first."""
    ids = ", ".join(_brief(each) for each in reason.questions)
    more = ", …" if reason.count > len(reason.questions) else ""
    return f"{reason.count:,} × {' '.join(reason.reason.split())} ({ids}{more})"


def _broken(summary: Summary) -> str | None:
    """Verdicts that a verifier failed to give, with the first reason."""
    if not summary.broken:
        return None
    return f"{summary.broken_verdicts:,}; first {_reason(summary.broken[0])}"


def _brief(identity: str) -> str:
    return identity if len(identity) <= MAX_ID else identity[: MAX_ID - 1] + "…"


def _share(what: str, count: int, summary: Summary) -> str | None:
    return f"{what}{count:,} of {summary.calls:,}" if count else None


def _noted(summary: Summary) -> tuple[tuple[str, str | None], ...]:
    """What `show` says of each such question."""
    noted = summary.noted
    rows = (
        ("given up", noted.given_up, "without an accepted candidate: more was not worth it"),
        ("off schema", noted.off_schema, "with answers that do not meet it after all repairs"),
        ("unread", noted.unread, "with replies of a judge that say nothing: show tells which"),
    )
    return tuple(
        (name, f"{counted(count, 'question')} {what}" if count else None)
        for name, count, what in rows
    )


def _waiting(summary: Summary) -> str | None:
    if not summary.waits:
        return None
    calls = counted(summary.waiting, "call")
    return f"{calls} for a batch: have it answered, and run again"


def _failed_lines(summary: Summary) -> tuple[tuple[str, str | None], ...]:
    """Why answer files hold no answer for requests that they name."""
    rows = (_reason(each) for each in summary.failed_lines if summary.waits)
    return tuple((f"not done {n}", f"{row}: asked again") for n, row in enumerate(rows, start=1))


def _spent(summary: Summary) -> str | None:
    """Says so too where calls without an answer, most of them cancelled, took much of it."""
    if not summary.is_budget_spent:
        return None
    spent, doubtful = summary.spent, summary.doubtful
    used = spent + doubtful
    # In money where there is any: many calls without an answer may be a small part of it.
    doubt = next(
        part / whole
        for part, whole in (
            (doubtful.micros, used.micros),
            (doubtful.tokens, used.tokens),
            (doubtful.calls, max(1, used.calls)),
        )
        if whole
    )
    ended = f"spent; {_left(summary)}" if _left(summary) else "spent"
    if doubt < MUCH_DOUBT:
        return f"{ended}: raise it and run again"
    return (
        f"{ended}; {doubt:.0%} of it went for calls without an answer: raise it, or draw fewer at "
        "once with parallel= in the network or --width, and run again"
    )


def _left(summary: Summary) -> str:
    """What a spent budget left."""
    parts = (
        (summary.not_begun, "not begun"),
        (summary.cut_short, "begun and not answered"),
        (summary.failed, "failed"),
    )
    shown = [f"{count:,} {what}" for count, what in parts if count]
    return f"of the questions {', '.join(shown)}" if shown else ""


def _overrun(summary: Summary) -> str | None:
    if not (summary.overrun.micros or summary.overrun.tokens):
        return None
    return (
        f"{format_amount(summary.overrun.micros)}, {summary.overrun.tokens:,} tokens billed beyond "
        "what was asked for; where a server adds text to prompts, say so with template_tokens at "
        "its model"
    )
