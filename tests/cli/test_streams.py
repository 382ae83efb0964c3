"""No text of a user is obeyed by the terminal of who reads it."""

import csv
import io
import os
import subprocess
import sys

import pytest
from rich.table import Table
from rich.text import Text

from parkade.cli.screen import VisibleConsole
from parkade.cli.streams import VisibleStream
from parkade.core.workloads.observed import EnginePhase
from tests import builders
from tests.api.town import Town
from tests.waits import PATIENCE_S

ATTACK = "\x1b]0;OWNED\x07\x1b[2J\x9b2J"
SHOWN = r"\x1b]0;OWNED\x07\x1b[2J\u009b2J"
PARKADE = [sys.executable, "-c", "from parkade.cli import main; main()"]


def parkade(town: Town, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the operator, as a program of its own."""
    environment = {
        **os.environ,
        "PARKADE_SERVER": town.url,
        "PARKADE_TOKEN": town.operator,
        "COLUMNS": "200",
    }
    done = subprocess.run(
        [*PARKADE, *words], env=environment, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert not any(mark in done.stdout + done.stderr for mark in "\x1b\x07\x9b"), words
    return done


@pytest.mark.system
def test_what_a_member_writes_reaches_no_terminal_as_a_control_sequence(town: Town) -> None:
    pool, (_, owner) = town.pool(), town.org()
    workload = town.submit(pool, owner, command=f"echo #{ATTACK}")
    attempt = town.wait_for_attempt(pool, workload)
    seen = builders.observed(
        attempt, phase=EnginePhase.RELEASED, started_us=None, launch_error=f"no folder {ATTACK}"
    )
    assert town.observe(pool, seen).is_success
    for words in (("status", workload), ("events",)):
        for form in ((), ("--json",)):
            done = parkade(town, *words, *form)
            assert "OWNED" in done.stdout, (words, form, done)
    assert SHOWN in parkade(town, "status", workload).stdout
    for words in (("ps", "-a"), ("why", workload), ("statement",)):
        assert parkade(town, *words).returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        ("status", f"w1{ATTACK}"),
        ("org", "create", f"a{ATTACK}"),
        ("compound", "draw", f"/nowhere{ATTACK}"),
        ("mars", "policy", "diff", f"/nowhere{ATTACK}"),
    ],
)
def test_an_error_shows_control_characters(town: Town, words: tuple[str, ...]) -> None:
    assert parkade(town, *words).returncode != 0


@pytest.fixture
def terminal() -> VisibleConsole:
    """A console that prints in colour."""
    out = io.StringIO()
    return VisibleConsole(
        file=out, force_terminal=True, width=80, color_system="standard", no_color=False
    )


def test_a_console_keeps_its_own_colours_and_shows_the_texts(terminal: VisibleConsole) -> None:
    grid = Table.grid()
    grid.add_row(Text(ATTACK, style="red"))
    terminal.print(grid)
    terminal.print(Text(ATTACK))
    written = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert written.count(r"\x1b]0;OWNED") == 2 and "\x1b[31m" in written
    assert not any(mark in written for mark in ("\x1b]", "\x1b[2J", "\x9b", "\x07"))


def test_bytes_of_a_workload_pass_unchanged() -> None:
    raw = io.BytesIO()
    stream = VisibleStream(io.TextIOWrapper(raw, encoding="utf-8", write_through=True))
    stream.buffer.write(b"\x1b[31mred")
    print(ATTACK, file=stream)
    assert raw.getvalue() == b"\x1b[31mred" + SHOWN.encode() + b"\n"


@pytest.mark.system
def test_every_csv_has_the_same_ends_of_lines_and_is_read_by_the_csv_module(town: Town) -> None:
    pool, (org, owner) = town.pool(), town.org()
    attempt = town.wait_for_attempt(pool, town.submit(pool, owner))
    assert town.observe(pool, town.running(attempt)).is_success
    environment = {**os.environ, "PARKADE_SERVER": town.url, "PARKADE_TOKEN": town.operator}
    for words, last in (
        (("statement", "--account", f"org/{org}", "--csv"), "end"),
        (("showback", "--csv"), "net"),
        (("costs",), None),
    ):
        done = subprocess.run(
            [*PARKADE, *words], env=environment, capture_output=True, timeout=PATIENCE_S
        )
        lines = done.stdout.split(b"\r\n")
        assert done.returncode == 0 and lines.pop() == b"", (words, done)
        assert not any(mark in line for line in lines for mark in (b"\\x", b"\r", b"\n")), words
        head, *rows = csv.reader(io.StringIO(done.stdout.decode(), newline=""))
        assert last in (None, head[-1]) and {len(row) for row in rows} <= {len(head)}, words
