"""Decides whether an attempt could ever run on these nodes; the message names the key."""

import signal
from collections.abc import Sequence
from urllib.parse import quote

from parkade.core.units.names import ENV_KEY
from parkade.ports import DesiredAttempt, InvalidSpec, Misconfigured, NodeShape

MOST_NAME_BYTES = 200
MOST_RANKS = 256
UNCATCHABLE = ("SIGKILL", "SIGSTOP")


def validate(attempt: DesiredAttempt, nodes: Sequence[NodeShape]) -> None:
    """Raises InvalidSpec, or Misconfigured where the seats that it was given are none here; whether
    its user may run here is the engine's to say."""
    for key in ("attempt", "workload", "org"):
        folder_name(getattr(attempt, key), key=key)
    if not attempt.command.strip():
        raise InvalidSpec("command: it is empty")
    for key in ("command", "workdir", "env_file"):
        if "\0" in (getattr(attempt, key) or ""):
            raise InvalidSpec(f"{key}: it holds a NUL character")
    for name, value in attempt.env:
        if not ENV_KEY.accepts(name) or "\0" in value:
            raise InvalidSpec(f"env: {name!r} cannot be an environment variable")
    for name in attempt.save.signals:
        _check_signal(name)
    if "\0" in (attempt.save.command or ""):
        raise InvalidSpec("checkpoint.command: it holds a NUL character")
    _check_ranks(attempt, nodes)


def folder_name(name: str, *, key: str) -> str:
    """The name as one component of a path, reversibly; raises InvalidSpec where it cannot be."""
    quoted = quote(name, safe="")
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    if not quoted or len(quoted) > MOST_NAME_BYTES:
        raise InvalidSpec(f"{key}: {name!r} is empty or too long to name a folder")
    return quoted


def _check_signal(name: str) -> None:
    if name in UNCATCHABLE or name not in signal.Signals.__members__:
        raise InvalidSpec(f"checkpoint.signal: {name!r} is no signal that a program can catch")


def _check_ranks(attempt: DesiredAttempt, nodes: Sequence[NodeShape]) -> None:
    if not 0 < len(attempt.ranks) <= MOST_RANKS:
        raise InvalidSpec(f"nodes: {len(attempt.ranks)} ranks, where 1 to {MOST_RANKS} can run")
    left = {shape.node: shape.gpus for shape in nodes}
    for rank in attempt.ranks:
        if rank.node not in left:
            raise Misconfigured(f"nodes: {rank.node} is no node of this pool")
        left[rank.node] -= rank.gpus
        if rank.gpus < 0 or left[rank.node] < 0:
            raise Misconfigured(f"gpus: node {rank.node} has fewer GPUs than its ranks ask for")
