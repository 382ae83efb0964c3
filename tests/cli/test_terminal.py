"""What moves on a terminal is obeyed by it, and not printed as text."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waits import PATIENCE_S

NETWORK = 'models: {m: {function: "rules.py:answer"}}\nnetwork: "E@m"\n'
RULES = "def answer(call): return 'x'\n"
BARS = """
from parkade.cli.streams import show_control_characters
show_control_characters()
from parkade.cli.sim.replay import _Bars
with _Bars(is_shown=True) as bars:
    bars.begin(("run",), 2)
    bars.tell("run", 2)
"""


def on_a_terminal(folder: Path, *arguments: str) -> str:
    """What a program of Python writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
    )
    os.close(theirs)
    parts = []
    try:
        # Linux ends the reading with an error when the last writer has closed.
        while part := os.read(ours, 65_536):
            parts.append(part)
    except OSError:
        pass
    finally:
        os.close(ours)
    assert program.wait(PATIENCE_S) == 0
    return b"".join(parts).decode()


@pytest.mark.system
def test_progress_of_a_compound_run_moves_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(RULES)
    (tmp_path / "net.yaml").write_text(NETWORK)
    (tmp_path / "q.jsonl").write_text(json.dumps({"id": "a", "prompt": "what"}) + "\n")
    words = ("compound", "run", "net.yaml", "q.jsonl", "--out", "o")
    shown = on_a_terminal(tmp_path, "-c", "from parkade.cli import main; main()", *words)
    assert "1 of 1 questions" in shown and "\x1b[" in shown
    assert "\\x1b" not in shown


@pytest.mark.system
def test_bars_of_a_replay_move_on_a_terminal(tmp_path: Path) -> None:
    shown = on_a_terminal(tmp_path, "-c", BARS)
    assert "run" in shown and "\x1b[" in shown
    assert "\\x1b" not in shown
