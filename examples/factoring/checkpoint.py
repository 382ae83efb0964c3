"""Checkpoints that survive `kill -9` at any instant, and the report of each finished one.

A file is written beside its name, synced, and renamed: under its final name it is whole. Only
then is it reported in `.parkade.json`, which a marketplace reads. What a crash left half-written
is ignored, then removed. The last `KEPT` checkpoints stay, so that a bad disk block costs a
few steps and not the run.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from examples.factoring.archive import Unreadable, pack, unpack
from examples.factoring.model import PARAMETER_COUNT
from examples.factoring.optimizer import State

REPORT = ".parkade.json"
PARTIAL = ".partial"
KEPT = 2


class OtherRun(Exception):
    """The folder holds checkpoints of a run with other settings."""


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` under `path` in one instant: before it the old file, after it the new one."""
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def save(folder: Path, state: State, settings: str) -> Path:
    """Write the checkpoint, report it, drop those it makes needless; the path of the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{state.step:09d}.npz"
    replace_file(path, encode(state, settings))
    report = {"step": state.step, "at": datetime.now(UTC).isoformat()}
    replace_file(folder / REPORT, json.dumps(report).encode())
    for old in saved(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def saved(folder: Path) -> list[Path]:
    """Finished checkpoints, the newest first."""
    return sorted(folder.glob("step-*.npz"), reverse=True)


def newest(folder: Path, settings: str) -> tuple[State | None, tuple[str, ...]]:
    """The newest whole checkpoint, if any, and what was found wrong with newer ones.

    `OtherRun` if that checkpoint was made with other settings.
    """
    troubles: list[str] = []
    for path in saved(folder):
        try:
            state, found = decode(path.read_bytes())
        except Unreadable as error:
            troubles.append(f"ignored {path.name}: {error}")
            continue
        if found != settings:
            raise OtherRun(f"{path} was made with {found}, this run has {settings}")
        return state, tuple(troubles)
    return None, tuple(troubles)


def sweep(folder: Path) -> None:
    """Remove what a crash left half-written. For rank 0, before its first checkpoint."""
    for partial in folder.glob(f"*{PARTIAL}"):
        partial.unlink(missing_ok=True)


def encode(state: State, settings: str) -> bytes:
    """The bytes of a checkpoint; the same for the same state and settings."""
    return pack(
        {
            "settings": np.frombuffer(settings.encode(), np.uint8),
            "step": np.array(state.step, np.int64),
            "weights": state.weights,
            "mean": state.mean,
            "square": state.square,
        }
    )


def decode(content: bytes) -> tuple[State, str]:
    """State and settings of a checkpoint; `Unreadable` unless whole and of this model."""
    arrays = unpack(content)
    if missing := {"settings", "step", "weights", "mean", "square"} - arrays.keys():
        raise Unreadable(f"it lacks {sorted(missing)}")
    vectors = [arrays[name] for name in ("weights", "mean", "square")]
    if any(vector.shape != (PARAMETER_COUNT,) for vector in vectors):
        raise Unreadable(f"its vectors are not of {PARAMETER_COUNT} numbers")
    settings = arrays["settings"].tobytes().decode()
    return State(int(arrays["step"]), *(vector.copy() for vector in vectors)), settings
