"""The demo from its start to its end: it greets, its people run work, and it leaves nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waits import PATIENCE_S

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_the_demo_plays_and_leaves_nothing_when_it_is_interrupted(tmp_path: Path) -> None:
    playing = subprocess.Popen(
        [sys.executable, "-m", "parkade", "up", "--demo", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
    )
    assert playing.stdout is not None
    said = []
    for line in playing.stdout:
        said.append(line)
        if "studio submits render" in line:
            break
    assert any("The console is at http://127.0.0.1:" in line for line in said)
    assert sum(" pk_" in line for line in said) == 7
    playing.send_signal(signal.SIGINT)
    rest, _ = playing.communicate(timeout=PATIENCE_S)
    assert playing.returncode == 0, rest
    assert "ending what runs" in rest
    assert list(tmp_path.iterdir()) == []
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, check=False)
    assert left.stdout == b""


def test_the_demo_takes_no_journal_of_another(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "parkade", "up", "--demo", "--data-folder", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2 and "leave the other flags out" in refused.stderr
