"""A node under load: what a long validation does beside the short one's looks.

For as long as it is told, all processors read a quarter of the free memory again and again and
compare what they computed of it, and each GPU that runs no process is loaded by a process of its
own (`gpu_load`). A fault that only load shows is found here and not by the next tenant.

The load is of low priority and the first to go where memory runs short. It stops a node of the same
machine from nothing, but takes what such a one leaves: it is for machines that are one node.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from parkade.repairs.found import CheckResult

SHARE = 4
"""A quarter of the memory that is available."""
MOST_BYTES = 4 << 30
"""Of one thread."""
BYTES_A_SECOND = 64 << 20
"""A thread holds no more than this for each second of the load: it must read all of it twice."""
SEED_BYTES = 1 << 20
PATIENCE_S = 120.0
"""Beyond its time, until a GPU that says nothing has failed."""
NICE = 10
FIRST_TO_GO = "1000"


class LoadedGpus(NamedTuple):
    """What became of each GPU that was to be loaded, in words."""

    bad: list[str]
    """What is wrong with which GPU."""
    loaded: list[str]
    """What was done on each that passed."""
    not_loaded: list[str]
    """Why each could not be loaded, which says nothing of its health."""

    @property
    def says(self) -> str:
        """One line: what is wrong, or how many were loaded and what was done on the first."""
        if self.bad:
            return "; ".join(self.bad)
        count = f"{len(self.loaded)} of {len(self.loaded) + len(self.not_loaded)} GPUs loaded"
        if not self.loaded:
            return f"{count}: {self.not_loaded[0]}"
        rest = f"; not loaded: {self.not_loaded[0]}" if self.not_loaded else ""
        return f"{count}: {self.loaded[0]}{rest}"


def burn_in(seconds: float) -> list[CheckResult]:
    """Loads the machine and its idle GPUs side by side for so long."""
    _step_back()
    addresses, busy = idle_gpus()
    children = [begin_gpu(address, seconds) for address in addresses]
    found = [load_machine(seconds)]
    if children:
        gpus = await_gpus(dict(zip(addresses, children, strict=True)), PATIENCE_S)
        found.append(CheckResult("gpu load", not gpus.bad, gpus.says))
    if busy:
        found.append(CheckResult("gpus in use", True, f"{busy} not loaded"))
    return found


def load_machine(seconds: float, blocks: Sequence[bytearray] | None = None) -> CheckResult:
    """One thread for each block, by default one for each processor. At least two passes are made,
    so that there is something to compare."""
    held = blocks_for(seconds, _available_bytes()) if blocks is None else blocks
    until, wrong, passes = time.monotonic() + seconds, list[str](), [0] * len(held)

    def work(number: int) -> None:
        block = held[number]
        first = hashlib.sha256(block).digest()
        passes[number] = 1
        while passes[number] < 2 or time.monotonic() < until:
            if hashlib.sha256(block).digest() != first:
                wrong.append(f"block {number} differs in pass {passes[number] + 1}")
                return
            passes[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(held))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    size = sum(map(len, held)) >> 20
    says = f"{len(held)} processors, {size} MiB read {min(passes)} times and more"
    return CheckResult("load", not wrong, "; ".join(wrong) or says)


def idle_gpus() -> tuple[list[str], int]:
    """PCI addresses of the GPUs that run no process, and how many do; none where NVML is not."""
    try:
        import pynvml  # type: ignore[import-untyped,unused-ignore]

        pynvml.nvmlInit()
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        idle = [
            _text(pynvml.nvmlDeviceGetPciInfo(handle).busId)
            for handle in handles
            if not pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        ]
    except Exception:  # noqa: BLE001 - what cannot be read is a finding of the looks, not of the load
        return [], 0
    return idle, len(handles) - len(idle)


def begin_gpu(address: str, seconds: float) -> "subprocess.Popen[str]":
    """The process that loads one GPU."""
    words = [sys.executable, "-m", "parkade.repairs.gpu_load", address, str(seconds)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def await_gpus(children: dict[str, "subprocess.Popen[str]"], patience_s: float) -> LoadedGpus:
    """What each process found. One that does not answer in time is killed; one that no signal ends
    is left behind."""
    until = time.monotonic() + patience_s
    found = LoadedGpus([], [], [])
    for address, child in children.items():
        try:
            output, _ = child.communicate(timeout=max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.communicate(timeout=1.0)
            found.bad.append(f"GPU {address} does not answer under load")
            continue
        answer = _read(output)
        if not answer.is_passed or child.returncode != 0:
            found.bad.append(f"GPU {address}: {answer.says}")
        elif answer.is_loaded:
            found.loaded.append(answer.says)
        else:
            found.not_loaded.append(answer.says)
    return found


class _Answer(NamedTuple):
    is_passed: bool
    is_loaded: bool
    says: str


def _read(output: str) -> _Answer:
    last = output.strip().splitlines()[-1:] or ["it ended without a word"]
    try:
        answer: Any = json.loads(last[0])
        return _Answer(bool(answer["passed"]), bool(answer["loaded"]), str(answer["says"]))
    except (ValueError, TypeError, KeyError):
        return _Answer(False, False, last[0][:200])


def blocks_for(seconds: float, available_bytes: int) -> list[bytearray]:
    """One for each processor, of random content."""
    count = len(os.sched_getaffinity(0))
    most = min(MOST_BYTES, int(seconds * BYTES_A_SECOND))
    each = min(most, available_bytes // SHARE // count)
    return [bytearray(os.urandom(SEED_BYTES) * max(1, each // SEED_BYTES)) for _ in range(count)]


def _available_bytes() -> int:
    """What the machine has left, or the part of it that this process may use."""
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    (line,) = (it for it in text.splitlines() if it.startswith("MemAvailable:"))
    left = int(line.split()[1]) << 10
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text(encoding="ascii"))
        left = min(left, most - int((group / "memory.current").read_text(encoding="ascii")))
    return max(0, left)


def _step_back() -> None:
    with contextlib.suppress(OSError):
        os.nice(NICE)
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
