"""The shipped checks: `python -m parkade.repairs.check validate|sanitise --engine FOLDER`.

`validate` passes where no process of an ended attempt is left on the node, the disk takes and gives
back what is written, and, where the node has GPUs, none is lost, none runs a process of no live
attempt, none keeps memory without a process, and none has a pending or failed row remap. `--gpus`
says how many GPUs the machine should have; without it, a machine without a driver has none. A long
one writes and reads more, and where `--machine` names the node, the machine is loaded for
`--burn-in` seconds (`burn_in`).

`sanitise` first removes folders of attempts that no index of the engine names any more (remnants of
crashed launches; never output or checkpoints, which are the orgs' own), and then passes where every
attempt's folder is closed to other users, no leftover process is there, and GPUs are as above. It
checks that GPU memory is free and writes none of it: that no process reads what another left there
is the driver's policy. It erases no disk either.

The output is one JSON object: `passed`, `says`, and one entry for each check.
"""

import argparse
import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from parkade.repairs.burn_in import burn_in
from parkade.repairs.found import CheckResult
from parkade.repairs.marks import PROC, marks, processes

SHORT_BYTES = 4 << 20
LONG_BYTES = 256 << 20
BLOCK = 1 << 20
IDLE_GPU_BYTES = 1 << 30
"""An idle GPU's driver keeps some hundred MiB; more than this without a process is left over."""
LIVE = "live"
ENDED = "ended"
LOCK = "lock"
"""The engine holds it for a launch and for forgetting one."""


def main(arguments: list[str] | None = None) -> int:
    """0 where every check passed, 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m parkade.repairs.check")
    parser.add_argument("what", choices=("validate", "sanitise"))
    parser.add_argument("--engine", type=Path, required=True, help="the engine's folder")
    parser.add_argument("--gpus", type=int, help="how many this machine should have")
    parser.add_argument("--machine", help="the node that is this whole machine, which is loaded")
    parser.add_argument("--burn-in", type=float, default=0.0, help="for so many seconds, when long")
    given = parser.parse_args(arguments)
    node = os.environ.get("PARKADE_NODE", "")
    is_long = os.environ.get("PARKADE_GRADE") == "long"
    found = [leftover_processes(given.engine, node), *gpus(given.engine, given.gpus)]
    if given.what == "validate":
        found.append(disk(LONG_BYTES if is_long else SHORT_BYTES, given.engine))
        is_sound = all(each.passed for each in found)
        if is_long and is_sound and given.burn_in > 0 and node and given.machine == node:
            found += burn_in(given.burn_in)
            found += gpus(given.engine, given.gpus)
    else:
        found.insert(0, scrub(given.engine))
    failed = [each for each in found if not each.passed]
    says = "; ".join(f"{each.check}: {each.says}" for each in failed or found)
    report = {"passed": not failed, "says": says, "checks": [each._asdict() for each in found]}
    sys.stdout.write(json.dumps(report) + "\n")
    return 1 if failed else 0


def leftover_processes(engine: Path, node: str) -> CheckResult:
    """No process carries the mark of an attempt that had a seat on this node and is over.

    Cost grows with the processes of the machine. Those of other users cannot be read unless the
    agent is root.
    """
    live = {entry.name for entry in _entries(engine / LIVE)}
    left = []
    for entry in processes():
        known = marks(entry)
        attempt = known.get("PARKADE_ATTEMPT", "")
        seats = {seat.partition(":")[0] for seat in known.get("PARKADE_SEATS", "").split(",")}
        is_here = str(engine.resolve()) in known.get("PARKADE_NOTICE_FILE", "")
        if attempt and is_here and node in seats and attempt not in live:
            left.append(f"{entry.name} of {attempt}")
    says = "none" if not left else f"{len(left)} left: {', '.join(left[:5])}"
    return CheckResult("processes", not left, says)


def disk(size: int, folder: Path) -> CheckResult:
    """What is written is read back."""
    block = os.urandom(BLOCK)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(size // BLOCK):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            is_same = all(file.read(BLOCK) == block for _ in range(size // BLOCK))
    except OSError as error:
        return CheckResult("disk", False, error.strerror or str(error))
    return CheckResult("disk", is_same, f"{size >> 20} MiB" if is_same else "read back otherwise")


def scrub(engine: Path) -> CheckResult:
    """Removes remnants, and finds attempts whose folder other users could read. Waits for a launch
    that is under way on this folder: until its end no index names it."""
    try:
        lock = os.open(engine / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return CheckResult("scrub", False, f"{error.filename}: {error.strerror}")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _scrub(engine)
    finally:
        os.close(lock)


def _scrub(engine: Path) -> CheckResult:
    links = (*_entries(engine / LIVE), *_entries(engine / ENDED))
    known = {link.resolve() for link in links}
    removed, readable = 0, []
    try:
        for home in _homes(engine.resolve()):
            if home not in known:
                shutil.rmtree(home)
                removed += 1
            elif home.stat().st_mode & 0o006:
                readable.append(home.name)
    except OSError as error:
        return CheckResult("scrub", False, f"{error.filename}: {error.strerror}")
    if readable:
        return CheckResult("scrub", False, f"others can read: {', '.join(readable[:5])}")
    return CheckResult("scrub", True, f"{removed} remnants removed")


def _homes(engine: Path) -> list[Path]:
    """The folders of all attempts; what lies behind a link is left alone."""
    return sorted(
        home
        for org in _folders_in(engine, "orgs")
        for workload in _folders_in(org, "workloads")
        for home in _folders_in(workload, "attempts")
    )


def _folders_in(parent: Path, name: str) -> list[Path]:
    """The folders in the folder of that name; none where that is a link, nor any that is one."""
    within = parent / name
    if within.is_symlink():
        return []
    return [it for it in _entries(within) if it.is_dir() and not it.is_symlink()]


def gpus(engine: Path, expected: int | None) -> list[CheckResult]:
    """One finding for the GPUs of this machine; none where it has none and should have none."""
    try:
        import pynvml  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return _none(expected, "nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        missing = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
        if error.value in missing:
            return _none(expected, str(error))
        return [CheckResult("gpus", False, f"the driver does not begin: {error}")]
    live = {entry.name for entry in _entries(engine / LIVE)}
    bad: list[str] = []
    try:
        count = pynvml.nvmlDeviceGetCount()
        for index in range(count):
            bad += _left_on(pynvml, index, live)
    except Exception as error:  # noqa: BLE001 - whatever the driver cannot do is the finding
        return [CheckResult("gpus", False, str(error))]
    if expected is not None and count < expected:
        bad.append(f"{count} of {expected} GPUs")
    return [CheckResult("gpus", not bad, "; ".join(bad) or f"{count} read, nothing left on them")]


def _none(expected: int | None, why: str) -> list[CheckResult]:
    """No GPU can be read: a finding only where there should be some."""
    return [CheckResult("gpus", False, f"0 of {expected} GPUs: {why}")] if expected else []


def _left_on(nvml: Any, index: int, live: AbstractSet[str]) -> list[str]:
    """Processes of no live attempt, memory of no process, and rows that wait for a reset."""
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    used = int(nvml.nvmlDeviceGetMemoryInfo(handle).used)
    running = [int(it.pid) for it in nvml.nvmlDeviceGetComputeRunningProcesses(handle)]
    words = []
    if used > IDLE_GPU_BYTES and not running:
        words.append(f"GPU {index} keeps {used >> 20} MiB without a process")
    left = [pid for pid in running if marks(PROC / str(pid)).get("PARKADE_ATTEMPT") not in live]
    if left:
        pids = ", ".join(str(pid) for pid in left[:5])
        words.append(f"GPU {index} runs what is of no live attempt: {pids}")
    return words + _rows(nvml, handle, index)


def _rows(nvml: Any, handle: object, index: int) -> list[str]:
    """Rows that wait for a reset, or could not be remapped; nothing where it is not supported."""
    try:
        rows = nvml.nvmlDeviceGetRemappedRows(handle)
    except Exception:  # noqa: BLE001 - not every GPU has it
        return []
    _, _, pending, failed = rows
    words = []
    if pending:
        words.append(f"GPU {index}: a row remap is pending")
    if failed:
        words.append(f"GPU {index}: a row could not be remapped")
    return words


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
