"""Starts the factoring programs as processes, reads their lines with a bound, and ends them."""

import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waits import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ROOT / "examples" / "factoring" / "train.py"
SAMPLE = ROOT / "examples" / "factoring" / "sample.py"

SHORT = ("--steps", "12", "--batch", "64", "--checkpoint-every", "3", "--print-every", "1")


def clean_environment() -> dict[str, str]:
    """This environment without any seat."""
    dropped = ("PARKADE_", "MASTER_", "CUDA_")
    return {k: v for k, v in os.environ.items() if not k.startswith(dropped)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Running:
    """A process whose lines are read as they come."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.output = ""

    def read_until(self, pattern: str) -> str:
        """Wait for a match in what it prints; fail if it ends or PATIENCE passes first."""
        end = time.monotonic() + PATIENCE_S
        while (match := re.search(pattern, self.output)) is None:
            assert self._read(end), f"no {pattern!r} in:\n{self.output}"
        return match.group()

    def finish(self) -> int:
        """Read to the end; the exit status."""
        end = time.monotonic() + PATIENCE_S
        while self._read(end):
            pass
        return self.process.wait(max(0.1, end - time.monotonic()))

    def digest(self) -> str:
        """Finish well; what it learned."""
        assert self.finish() == 0, self.output
        return self.read_until(r"sha256 \w{64}")

    def _read(self, end: float) -> bool:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
        assert ready, f"no end within {PATIENCE_S} s of:\n{self.output}"
        chunk = os.read(self.process.stdout.fileno(), 65536)
        self.output += chunk.decode()
        return bool(chunk)


@contextmanager
def running(*command: str | Path, folder: Path, **environment: str) -> Iterator[Running]:
    """Start a command in a folder; it is dead when the block ends."""
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env=clean_environment() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        try:
            yield Running(process)
        finally:
            process.kill()


@contextmanager
def training(folder: Path, *flags: str, **environment: str) -> Iterator[Running]:
    """A short training in a folder of its own."""
    with running(sys.executable, TRAIN, *SHORT, *flags, folder=folder, **environment) as rank:
        yield rank


@contextmanager
def gang(folder: Path, *flags: str) -> Iterator[tuple[Running, Running]]:
    """Two ranks on loopback that share a folder."""
    shared = {"PARKADE_NODES": "2", "MASTER_PORT": str(free_port()), "PARKADE_ATTEMPT": "a1"}
    with (
        training(folder, *flags, PARKADE_NODE_RANK="0", **shared) as first,
        training(folder, *flags, PARKADE_NODE_RANK="1", **shared) as second,
    ):
        yield first, second
