"""Tokens in the memory of server and agent reach no core dump and no process of the same user."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.marketplace import POOL
from tests.service.served import Served, serving
from tests.service.test_agents import agent_of
from tests.waits import PATIENCE_S, until

PATTERN = Path("/proc/sys/kernel/core_pattern")
PR_GET_DUMPABLE = 3


def test_a_shielded_process_is_not_dumpable_and_one_that_it_starts_is() -> None:
    program = (
        "import ctypes, subprocess, sys; from parkade.service.shielding import shield;"
        f"look = 'import ctypes; print(ctypes.CDLL(None).prctl({PR_GET_DUMPABLE}, 0, 0, 0, 0))';"
        " exec(look); shield(); exec(look); sys.stdout.flush();"
        " subprocess.run([sys.executable, '-c', look])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["1", "0", "1"], done.stderr
    assert ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    home = Path.cwd()
    os.chdir(tmp_path)
    try:
        with serving(tmp_path) as made:
            yield made
    finally:
        os.chdir(home)
        resource.setrlimit(resource.RLIMIT_CORE, before)


@pytest.mark.system
@pytest.mark.skipif(
    PATTERN.read_text().startswith(("|", "/")), reason="cores go elsewhere on this machine"
)
def test_neither_server_nor_agent_leaves_a_core_that_holds_tokens(
    served: Served, tmp_path: Path
) -> None:
    unshielded = subprocess.Popen(["sleep", "600"])
    unshielded.send_signal(signal.SIGABRT)
    unshielded.wait(PATIENCE_S)
    (core,) = cores(tmp_path)
    core.unlink()
    served.ask("POST", "/pools", POOL)
    agent = agent_of(served)
    os.kill(agent, signal.SIGABRT)
    until(lambda: not Path(f"/proc/{agent}").exists() or agent_of(served) != agent)
    assert served.process is not None
    served.process.send_signal(signal.SIGABRT)
    served.process.communicate(timeout=PATIENCE_S)
    assert served.process.returncode == -signal.SIGABRT
    assert cores(tmp_path) == []


def cores(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("core*") if path.is_file()]
