"""The line that moves while a run goes on."""

import io
import time

import pytest
from rich.console import Console

from parkade.cli.compound import progress as shown
from parkade.compound.run.budget import Account, Amounts, Budget
from parkade.compound.run.progressing import Counts
from parkade.compound.run.running import Progress


@pytest.mark.parametrize("width", [30, 80, 120, 200])
def test_the_progress_is_one_line_of_any_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget(micros=5_000_000)
    counts = Counts(questions=123_456, calls=9_876_543)
    progress = Progress(counts, Account(budget, Amounts(1_234_567, 1, 1), Amounts()))
    progress.began = time.monotonic() - 10_000
    progress.verified = progress.accepted = 100_000
    terminal = Console(file=io.StringIO(), width=width)
    monkeypatch.setattr(shown, "console", terminal)
    display = shown._Display(1_000_000, budget)
    display.started(progress)
    terminal.print(display)
    lines = terminal.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 1
    if width >= 80:
        assert "123,456 of 1,000,000 (12%)" in lines[0] and "…" not in lines[0]
    assert ("9,876,543 calls" in lines[0]) == (width >= 120)


def test_the_progress_says_which_server_asked_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now_us = time.monotonic_ns() // 1_000
    counts = Counts(asked_until_us={"small": now_us + 3_600_000_000, "past": now_us - 1})
    terminal = Console(file=io.StringIO(), width=80)
    monkeypatch.setattr(shown, "console", terminal)
    display = shown._Display(10, Budget())
    display.started(Progress(counts, Account(Budget(), Amounts(), Amounts())))
    terminal.print(display)
    (line,) = terminal.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "small: asked to wait" in line
    assert "past" not in line
