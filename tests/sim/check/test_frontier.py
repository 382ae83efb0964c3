"""The files of a search: what was put there is read back, and a full disk is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from parkade.sim.check.frontier import Shelves, kept
from parkade.sim.check.root import root_of
from parkade.sim.check.small_worlds import SCENARIOS
from tests.waits import PATIENCE_S

LIMITED = """
import resource
from parkade.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
main()
"""
"""The program where no file may be larger: the last write is a part, and the next one fails."""


def test_states_that_are_written_in_parts_are_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = root_of(SCENARIOS["owners"]())
    shelves = Shelves(tmp_path, root, writer=0)
    states = [kept(root, digest, 0) for digest in range(5)]
    places = [shelves.put(0, state) for state in states]
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, content: whole(file, content[:100]))
    shelves.flush()
    monkeypatch.undo()
    assert [shelves.read(0, place) for place in places] == states
    shelves.close()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_search_whose_states_find_no_room_says_where_and_what_to_do(
    tmp_path: Path, jobs: str
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c", LIMITED, "sim", "check", "--world", "shared"),
            *("--depth", "6", "--rest-every", "100", "--jobs", jobs),
        ],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2, done.stderr
    assert f"cannot be written to {tmp_path}: File too large" in done.stderr
    assert "name another folder with TMPDIR" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
