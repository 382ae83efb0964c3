"""A cluster of nodes with logs, whose drains are files, for tests of Mars alone."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import generate_latest

from parkade.core.units.time import SECOND_US
from parkade.mars.policy_file import shipped_policy
from parkade.mars.run_file import RunFile
from parkade.mars.running import MarsRunner, sensors_of
from parkade.ports import Sensor
from tests.waits import PATIENCE_S

XID = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."
CLUSTER = """#!/bin/sh
# A cluster whose drains are files: `cluster set NODE REASON`, `reason NODE`, `undo NODE`, `count`.
cd "$(dirname "$0")/drained" || exit 1
case "$1" in
  set) printf %s "$3" > "$2" ;;
  reason) cat "$2" 2>/dev/null || echo none ;;
  undo) rm -f "$2" ;;
  count) ls | wc -l ;;
  *) echo "no $1" >&2; exit 2 ;;
esac
"""


MAIN = "from parkade.cli import main; main()"


class Scene:
    """A folder with a cluster, logs of nodes, and a clock that is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drained = folder / "drained"
        self.drained.mkdir()
        program = folder / "cluster"
        program.write_text(CLUSTER)
        program.chmod(0o755)
        self.now_us = 1_700_000_000 * SECOND_US
        self.runners: list[MarsRunner] = []

    def file(self, *, nodes: int = 1, act: bool = True, most: int = 10) -> RunFile:
        program = str(self.folder / "cluster")
        for number in range(nodes):
            (self.folder / f"n{number}.log").touch()
        entries = [
            {"node": f"n{number}", "rack": f"r{number // 8}", "kernel_log": f"n{number}.log"}
            for number in range(nodes)
        ]
        for entry in entries:
            entry["kernel_log"] = str(self.folder / entry["kernel_log"])
        return RunFile.model_validate(
            {
                "format": 1,
                "act": act,
                "nodes": entries,
                "journal": str(self.folder / "drains.jsonl"),
                "resolve_after": "60s",
                "drain": {
                    "set": [program, "set", "{node}", "{reason}"],
                    "reason": [program, "reason", "{node}"],
                    "undo": [program, "undo", "{node}"],
                    "count": [program, "count"],
                    "most": most,
                },
            }
        )

    def runner(
        self, file: RunFile, sensors: dict[str, tuple[Sensor, ...]] | None = None
    ) -> MarsRunner:
        sensors = sensors_of(file) if sensors is None else sensors
        runner = MarsRunner(file, shipped_policy(), sensors, now=lambda: self.now_us)
        self.runners.append(runner)
        return runner

    @contextmanager
    def looping(self, file: RunFile) -> Iterator[MarsRunner]:
        """A runner in its loop, by the real clock; ended and waited for."""
        runner = MarsRunner(
            file, shipped_policy(), sensors_of(file), now=lambda: time.time_ns() // 1_000
        )
        stopped = threading.Event()
        loop = threading.Thread(target=runner.run, args=(stopped,))
        loop.start()
        try:
            yield runner
        finally:
            stopped.set()
            loop.join(PATIENCE_S)
            assert not loop.is_alive()
            runner.close()

    def mars_file(self) -> None:
        """`mars.yaml` for n0, which may be drained."""
        program = self.folder / "cluster"
        (self.folder / "n0.log").touch()
        (self.folder / "mars.yaml").write_text(
            f"format: 1\nlisten: 127.0.0.1:0\nact: true\njournal: drains.jsonl\n"
            f"nodes: [{{node: n0, kernel_log: n0.log}}]\n"
            f"drain: {{set: [{program}, set, '{{node}}', '{{reason}}'], undo: [{program}, undo,"
            f" '{{node}}'], reason: [{program}, reason, '{{node}}']}}\n"
        )

    def mars(self, *words: str, exit_code: int = 0) -> str:
        """What `parkade mars ... --config mars.yaml` prints."""
        done = self.run(*words, "--config", "mars.yaml", folder=self.folder)
        assert done.returncode == exit_code, done.stderr
        return done.stdout + done.stderr

    def run(self, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """`parkade mars ...` in a folder."""
        return subprocess.run(
            [sys.executable, "-c", MAIN, "mars", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    @contextmanager
    def running(self, *, errors: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
        """`parkade mars run --config mars.yaml`, which has begun; terminated and waited for."""
        child = subprocess.Popen(
            [sys.executable, "-c", MAIN, "mars", "run", "--config", "mars.yaml"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert child.stdout is not None
        try:
            assert "metrics at" in child.stdout.readline()
            yield child
        finally:
            child.terminate()
            child.wait(PATIENCE_S)
            child.stdout.close()
            if child.stderr is not None:
                child.stderr.close()

    def write(self, node: str, line: str = XID) -> None:
        with (self.folder / f"{node}.log").open("a") as handle:
            handle.write(f"{line}\n")

    def is_drained(self, node: str) -> str:
        path = self.drained / node
        return path.read_text() if path.exists() else ""


def shown(runner: MarsRunner) -> dict[str, float]:
    """Metrics by name and labels."""
    lines = generate_latest(runner.metrics.registry).decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }
