"""Any command as a verifier: a simulator, a compiler, a proof checker, a test suite.

Contract, version 1 (`tests/compound/verify/kept/command-v1.json` has an example that stays valid).
The command is started once for each candidate, without a shell, and gets one line of JSON on its
standard input:

    {"version": 1, "question": {"id", "prompt", "fields"}, "candidate": {"text", "model", "sample"}}

It answers by its exit code, and may say more by one line of JSON, its last, on standard output:

    exit 0                    accepted, unless the line says otherwise
    exit 1                    rejected; but where it wrote no line and Python's traceback stands on
                              standard error, it crashed, which Python ends with 1 too: an error
    any other, or a signal    the verifier is broken: an error, and no verdict

    {"is_accepted": bool, "score": number or null, "reason": text}     each key may be left out

Other output is ignored. A command that runs out of time, or writes too much, rejects the candidate.
It is the user's own program and runs with the user's rights; the candidate's text is data to it.
When it ends, or its time does, its process group is killed.
"""

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from parkade.compound.values import MAX_REASON, Candidate, Question, Verdict

CONTRACT = 1
ACCEPTED, REJECTED = 0, 1
TRACEBACK = b"Traceback (most recent call last):"
#: A larger file is an interpreter, or data: it counts by its name.
MOST_PROGRAM_BYTES = 1 << 20
MOST_OUTPUT_BYTES = 1 << 20
MOST_COMPLAINT_BYTES = 1 << 16
MOST_SHOWN = 500

#: After the end of a command, for what is still in its pipes.
PIPES_SECONDS = 1.0
INPUT, OUTPUT, ERRORS = 0, 1, 2

#: Of this program's environment, what a command sees; the rest may hold secrets.
KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")


class CommandBroken(Exception):
    """A verifier's command cannot be started, or failed; the message says how it ended."""


class CommandReport(msgspec.Struct, frozen=True, kw_only=True):
    """The line of JSON that a command may write."""

    is_accepted: bool | None = None
    score: float | None = None
    reason: str = ""


def _programs(command: Sequence[str], folder: Path | None) -> list[str]:
    """Digests of the files that the words name: a program, or a script behind its interpreter."""
    paths = ((folder or Path()) / word for word in command)
    return [_digest(path.read_bytes()) for path in paths if _is_program(path)]


def _is_program(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size <= MOST_PROGRAM_BYTES
    except (OSError, ValueError):
        # Longer than a name may be, or with a character that none holds.
        return False


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


class CommandVerifier:
    """Accepts what a command accepts."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str | None = None,
        version: str = "",
        wall_us: int = 60_000_000,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        at_once: int | None = None,
    ) -> None:
        """`environment` is added to `KEPT_ENVIRONMENT`; at most `at_once` run at a time.

        `version` must change when the command's verdicts do. The files that its words name count
        with their content (up to `MOST_PROGRAM_BYTES`), what these load or read does not.
        """
        if not command:
            raise ValueError("a command has at least one word")
        self.name = name or Path(command[0]).name
        self._command = tuple(command)
        self._wall_us = wall_us
        kept = {key: os.environ[key] for key in KEPT_ENVIRONMENT if key in os.environ}
        self._environment = kept | dict(environment or {})
        self._folder = folder
        parts = [str(CONTRACT), version, str(wall_us), *command, *_programs(command, folder)]
        self._version = _digest("\0".join(parts).encode())
        self._free = asyncio.Semaphore(at_once or len(os.sched_getaffinity(0)))

    def version(self) -> str:
        """A digest of the contract, the command's words and files, its time, and the version
        given."""
        return self._version

    async def verify(self, question: Question, candidate: Candidate) -> Verdict:
        """The command's verdict; `CommandBroken` if it has none."""
        asked = request(question, candidate)
        async with self._free:
            transport, talk = await self._start()
            try:
                async with asyncio.timeout(self._wall_us / 1e6):
                    await talk.converse(asked)
            except TimeoutError:
                reason = f"{self.name} took longer than {self._wall_us / 1e6:g} s"
                return Verdict(is_accepted=False, reason=reason)
            finally:
                await _end(transport, talk)
        if talk.is_too_long:
            reason = f"{self.name} wrote more than {MOST_OUTPUT_BYTES} bytes"
            return Verdict(is_accepted=False, reason=reason)
        return verdict(
            self.name, transport.get_returncode(), talk.output(OUTPUT), talk.output(ERRORS)
        )

    async def _start(self) -> tuple[asyncio.SubprocessTransport, "_Talk"]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.subprocess_exec(
                _Talk,
                *self._command,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandBroken(f"{self.name} cannot be started: {error}") from error


def request(question: Question, candidate: Candidate) -> bytes:
    """The line that a command reads."""
    request_body: dict[str, Any] = {
        "version": CONTRACT,
        "question": msgspec.to_builtins(question),
        "candidate": {
            "text": candidate.text,
            "model": candidate.model,
            "sample": candidate.sample,
        },
    }
    return json.dumps(request_body).encode() + b"\n"


def verdict(name: str, code: int | None, output: bytes, complaint: bytes) -> Verdict:
    """What a command said by its exit code and its last line; `CommandBroken` for other codes."""
    if code not in (ACCEPTED, REJECTED):
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        last = complaint.decode(errors="replace").strip()[-MOST_SHOWN:]
        raise CommandBroken(f"{name} ended with {how}: {last or 'it said nothing'}")
    report = _report(name, output)
    if code == REJECTED and TRACEBACK in complaint and not output.strip():
        last = complaint.decode(errors="replace").strip()[-MOST_SHOWN:]
        raise CommandBroken(f"{name} crashed: {last}")
    is_accepted = code == ACCEPTED if report.is_accepted is None else report.is_accepted
    if is_accepted and code == REJECTED:
        raise CommandBroken(f"{name} says that it accepts, and ends with exit code {code}")
    return Verdict(is_accepted=is_accepted, score=report.score, reason=report.reason[:MAX_REASON])


def _report(name: str, output: bytes) -> CommandReport:
    lines = output.strip().splitlines()
    if not lines or not lines[-1].lstrip().startswith(b"{"):
        return CommandReport()
    try:
        return msgspec.json.decode(lines[-1], type=CommandReport)
    except msgspec.MsgspecError as error:
        raise CommandBroken(f"{name} wrote a verdict that cannot be read: {error}") from error


class _Talk(asyncio.SubprocessProtocol):
    """What is said to a process and by it, bounded; over when it ended or wrote too much."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.is_too_long = False
        self.ended: asyncio.Future[None] = loop.create_future()
        self._is_over: asyncio.Future[None] = loop.create_future()
        self._outputs = {OUTPUT: bytearray(), ERRORS: bytearray()}
        self._open = {OUTPUT, ERRORS}
        self._transport: asyncio.SubprocessTransport | None = None

    def output(self, descriptor: int) -> bytes:
        """What came through standard output or standard error."""
        return bytes(self._outputs[descriptor])

    async def converse(self, asked: bytes) -> None:
        """Writes the request; returns when the process has ended, or wrote too much."""
        assert self._transport is not None
        stdin = self._transport.get_pipe_transport(INPUT)
        assert stdin is not None
        stdin = cast(asyncio.WriteTransport, stdin)
        try:
            stdin.write(asked)
            stdin.close()
        except (BrokenPipeError, ConnectionResetError):
            # It ended without reading: its exit code has the verdict.
            pass
        except RuntimeError:
            # uvloop's way of saying the same.
            if not stdin.is_closing():
                raise
        await self._is_over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods and not the base class.
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        output = self._outputs[fd]
        room = (MOST_OUTPUT_BYTES if fd == OUTPUT else MOST_COMPLAINT_BYTES) - len(output)
        output += data[:room]
        if len(data) > room and fd == OUTPUT:
            self.is_too_long = True
            self._finish()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        self._open.discard(fd)
        self._look()

    def process_exited(self) -> None:
        """Children may hold its pipes: they end with it, so that the pipes close."""
        assert self._transport is not None
        _kill_group(self._transport.get_pid())
        if not self.ended.done():
            self.ended.set_result(None)
        asyncio.get_running_loop().call_later(PIPES_SECONDS, self._finish)
        self._look()

    def _look(self) -> None:
        if self.ended.done() and not self._open:
            self._finish()

    def _finish(self) -> None:
        if not self._is_over.done():
            self._is_over.set_result(None)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


async def _end(transport: asyncio.SubprocessTransport, talk: _Talk) -> None:
    """Kills the process group if its first process has not ended, and waits for that."""
    if transport.get_returncode() is None:
        _kill_group(transport.get_pid())
    await asyncio.shield(talk.ended)
    transport.close()
