"""Carries orders out by commands: each in a session of its own, ended whole at its time-out."""

import asyncio
import os
import signal
from collections.abc import Mapping

import msgspec

from parkade.core.healing.incident import RepairKind, RepairOrder, RepairReport
from parkade.core.healing.symptom import bounded
from parkade.ports import Clock

MOST_OUTPUT_BYTES = 65_536
MOST_SAYS = 500
KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "USER", "LOGNAME", "PYTHONPATH", "TMPDIR")
"""A command sees these and its order; no token that the agent may have in its environment."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command's words; `{node}`, `{device}`, `{grade}` and `{order}` are replaced in each."""

    words: tuple[str, ...]
    timeout_s: float


class CommandRepairs:
    """Implements `ports.Repairs`."""

    def __init__(self, commands: Mapping[RepairKind, Command], clock: Clock) -> None:
        self._commands = commands
        self._clock = clock

    @property
    def kinds(self) -> tuple[RepairKind, ...]:
        """See `ports.Repairs`."""
        return tuple(kind for kind in RepairKind if kind in self._commands)

    async def carry_out(self, order: RepairOrder) -> RepairReport:
        """See `ports.Repairs`."""
        command = self._commands[order.kind]
        began_us = self._clock.now_us()
        code, says = await _run(command, order)
        return RepairReport(
            order=order.order,
            node=order.node,
            is_done=code == 0,
            exit_code=code,
            says=says,
            began_us=began_us,
            ended_us=self._clock.now_us(),
        )


async def _run(command: Command, order: RepairOrder) -> tuple[int | None, str]:
    """Exit code (None: it could not be run, or was ended by its time-out), and words."""
    values = _values(order)
    words = [_filled(word, values) for word in command.words]
    environment = {key: os.environ[key] for key in KEPT_ENVIRONMENT if key in os.environ}
    environment |= {f"PARKADE_{key.upper()}": value for key, value in values.items()}
    try:
        child = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        return None, f"{words[0]}: {error.strerror}"
    assert child.stdout is not None
    try:
        async with asyncio.timeout(command.timeout_s):
            output = await _read(child.stdout)
            code = await child.wait()
    except TimeoutError:
        _end(child)
        await child.wait()
        return None, f"{words[0]}: not done after {command.timeout_s:g} s; it was ended"
    except asyncio.CancelledError:
        _end(child)
        raise
    return code, _says(output)


async def _read(stream: asyncio.StreamReader) -> bytes:
    """The end of what it prints; memory is bounded, whatever it prints."""
    kept = b""
    while chunk := await stream.read(MOST_OUTPUT_BYTES):
        kept = (kept + chunk)[-MOST_OUTPUT_BYTES:]
    return kept


def _end(child: asyncio.subprocess.Process) -> None:
    """The session that was made for it, and so nothing else."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _values(order: RepairOrder) -> dict[str, str]:
    return {
        "order": order.order,
        "repair": order.kind.value,
        "node": order.node,
        "grade": "" if order.grade is None else order.grade.value,
        "device": order.device or "",
    }


def _filled(word: str, values: Mapping[str, str]) -> str:
    """Replaced one by one: a name with braces in it is no template."""
    for key, value in values.items():
        word = word.replace("{" + key + "}", value)
    return word


def _says(output: bytes) -> str:
    """The `says` of a JSON object in the last line; else that line."""
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    if not lines:
        return ""
    try:
        last = msgspec.json.decode(lines[-1].encode())
    except msgspec.DecodeError:
        last = None
    if isinstance(last, dict) and isinstance(last.get("says"), str):
        return bounded(last["says"], MOST_SAYS)
    return bounded(lines[-1].strip(), MOST_SAYS)
