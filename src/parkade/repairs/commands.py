"""Carries orders out by commands: each in a session of its own, ended whole at its time-out.

A command is done when it ends itself. What it leaves running then is its own affair, such as the
shared connection of `ssh`; at its time-out all that it started is ended.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping

import msgspec

from parkade.core.healing.incident import RepairKind, RepairOrder, RepairReport
from parkade.core.healing.symptom import bounded
from parkade.ports import Clock
from parkade.repairs.marks import marks, processes

MOST_OUTPUT_BYTES = 65_536
MOST_SAYS = 500
LAST_WORDS_S = 1.0
"""For what a command printed last, where a child of its still holds its output."""
MOST_ROUNDS = 5
"""Looks for processes that were forked while others were ended."""
KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "USER", "LOGNAME", "PYTHONPATH", "TMPDIR")
"""A command sees these and its order; no token that the agent may have in its environment."""


class RepairProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A command's words; `{node}`, `{device}`, `{grade}` and `{order}` are replaced in each."""

    words: tuple[str, ...]
    timeout_s: float


class CommandRepairs:
    """Implements `ports.Repairs`."""

    def __init__(self, commands: Mapping[RepairKind, RepairProgram], clock: Clock) -> None:
        self.programs = commands
        self._clock = clock

    @property
    def kinds(self) -> tuple[RepairKind, ...]:
        """See `ports.Repairs`."""
        return tuple(kind for kind in RepairKind if kind in self.programs)

    async def carry_out(self, order: RepairOrder) -> RepairReport:
        """See `ports.Repairs`."""
        command = self.programs[order.kind]
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


async def _run(command: RepairProgram, order: RepairOrder) -> tuple[int | None, str]:
    """Exit code (None: it could not be run, or was ended by its time-out), and words."""
    values = _values(order)
    words = [_filled(word, values) for word in command.words]
    environment = {key: os.environ[key] for key in KEPT_ENVIRONMENT if key in os.environ}
    environment |= {f"PARKADE_{key.upper()}": value for key, value in values.items()}
    # A pipe of ours: a child of the command may hold it open, and the end of the command is its
    # own, not the pipe's.
    read_end, write_end = os.pipe()
    try:
        child = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        os.close(read_end)
        return None, f"{words[0]}: {error.strerror}"
    finally:
        os.close(write_end)
    output = bytearray()
    reading = asyncio.create_task(_read(read_end, output))
    try:
        async with asyncio.timeout(command.timeout_s):
            code = await child.wait()
        await asyncio.wait({reading}, timeout=LAST_WORDS_S)
        return code, _says(bytes(output))
    except TimeoutError:
        end_all(child.pid, order.order)
        await child.wait()
        return None, f"{words[0]}: not done after {command.timeout_s:g} s; it was ended"
    except asyncio.CancelledError:
        end_all(child.pid, order.order)
        raise
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read(read_end: int, kept: bytearray) -> None:
    """The end of what it prints into `kept`; memory is bounded, whatever it prints."""
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(read_end, "rb")
    )
    try:
        while chunk := await stream.read(MOST_OUTPUT_BYTES):
            kept += chunk
            del kept[:-MOST_OUTPUT_BYTES]
    finally:
        transport.close()


def end_all(session: int, order: str) -> None:
    """Kills the session made for a command, and what carries its order elsewhere: a child may have
    taken a session of its own. One that dropped its environment too is not found. Cost grows with
    the processes of the machine."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
    for _ in range(MOST_ROUNDS):
        left = [entry for entry in processes() if marks(entry).get("PARKADE_ORDER") == order]
        if not left:
            return
        for entry in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(entry.name), signal.SIGKILL)


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
