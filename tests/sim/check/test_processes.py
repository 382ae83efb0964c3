"""A search by several processes, of which one ends before the search does."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from parkade.sim.check.processes import ProcessEnded
from parkade.sim.check.search import Bounds, Level, Search
from parkade.sim.check.small_worlds import SCENARIOS
from tests.waits import PATIENCE_S

KILLING = """
import multiprocessing, os, signal
from parkade.cli import main
from parkade.sim.check import search

def killing(self, *given, **knobs):
    began(self, *given, **knobs)
    self._on_level = lambda level: level.depth == 2 and os.kill(
        multiprocessing.active_children()[0].pid, signal.SIGKILL)

if __name__ == "__main__":
    began, search.Search.__init__ = search.Search.__init__, killing
    main()
"""
"""The program in which a process of the search is killed once all of depth 2 is known."""


def test_a_search_ends_with_an_error_when_one_of_its_processes_is_killed() -> None:
    killed: list[int] = []

    def kill(level: Level) -> None:
        if level.depth == 2:
            victim = multiprocessing.active_children()[0].pid
            assert victim is not None
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    search = Search(SCENARIOS["owners"](), Bounds(depth=6), processes=2, on_level=kill)
    with pytest.raises(ProcessEnded, match="killed, or the machine is short of memory"):
        search.run()
    assert len(killed) == 1
    assert multiprocessing.active_children() == []


def test_sim_check_says_that_a_process_was_killed(tmp_path: Path) -> None:
    program = tmp_path / "killing.py"
    program.write_text(KILLING)
    done = subprocess.run(
        [
            *(sys.executable, str(program), "sim", "check", "--world", "owners"),
            *("--depth", "6", "--jobs", "2"),
        ],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2, done.stderr
    assert "a process of the search ended before the search did" in done.stderr
    assert "Traceback" not in done.stderr
    assert [it.name for it in tmp_path.iterdir()] == ["killing.py"]
