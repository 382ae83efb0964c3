"""One room: a bubblewrap process with a zygote inside, which takes one job at a time.

A room that is in doubt (no answer in time, a torn answer, code or tests that were not read to their
end, a cancelled job) is closed, and never used again; the pool opens another.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import msgspec

from parkade.compound.verify.sandbox.errors import SandboxUnavailable
from parkade.compound.verify.sandbox.inside import frames
from parkade.compound.verify.sandbox.jobs import Job, Reply, Wire, has_verdict, on_wire
from parkade.compound.verify.sandbox.limits import Limits
from parkade.compound.verify.sandbox.plan import RoomPlan

START_SECONDS = 60
#: Beyond a job's wall time, before the room itself is given up: a loaded machine is slow.
PATIENCE_SECONDS = 30
#: For bubblewrap to end after its zygote was killed.
END_SECONDS = 10
MOST_REPLY_BYTES = MOST_PART_BYTES = 1 << 16
MOST_COMPLAINT_BYTES = 2_000


class Lost(Exception):
    """The room died or fell silent during a job; what became of the job is not known."""


class Room:
    """A sandbox that is ready; made by `open_room`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        control: socket.socket,
        code: socket.socket,
        tests: socket.socket,
    ) -> None:
        self._process = process
        self._zygote: int | None = None
        self._control = control
        self._code = code
        self._tests = tests
        self._heard = bytearray()
        self._numbers = itertools.count(1)
        self.is_open = True

    @property
    def pid(self) -> int:
        """Of the outermost process."""
        return self._process.pid

    async def serve(self, job: Job, limits: Limits) -> tuple[Reply, bytes]:
        """The zygote's reply and the stream of what was said; closes the room if in doubt."""
        wire = on_wire(job, next(self._numbers), limits)
        is_whole = False
        try:
            async with asyncio.timeout(limits.wall_us / 1e6 + PATIENCE_SECONDS):
                reply, stream, is_taken = await self._exchange(wire, limits.output_bytes)
            is_whole = is_taken and (not wire.tests or has_verdict(reply, stream))
            return reply, stream
        except (OSError, frames.Ended, frames.TooLong, msgspec.DecodeError, TimeoutError) as error:
            raise Lost(str(error)) from error
        finally:
            if not is_whole:
                self.close()

    async def _exchange(self, wire: Wire, most: int) -> tuple[Reply, bytes, bool]:
        """The reply, the stream, and whether nothing of code and tests is still on its way."""
        code, tests = frames.pack(wire.code), frames.pack(wire.tests) if wire.tests else b""
        rest = (code[_send_some(self._code, code) :], tests[_send_some(self._tests, tests) :])
        # Most jobs are small, so that all of them is there when the zygote wakes.
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._control, frames.pack(wire.head))
        if not any(rest):
            return *await self._answer(most), True
        sending = [
            asyncio.create_task(loop.sock_sendall(one, part))
            for one, part in zip((self._code, self._tests), rest, strict=True)
        ]
        try:
            reply, stream = await self._answer(most)
            _, late = await asyncio.wait(sending, timeout=END_SECONDS if reply.is_read else 0)
            return reply, stream, reply.is_read and not late
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    async def _answer(self, most: int) -> tuple[Reply, bytes]:
        """Parts of the stream up to an empty message, then the reply."""
        stream = bytearray()
        while part := await self._receive(MOST_PART_BYTES):
            stream += part
            if len(stream) > most + MOST_PART_BYTES:
                raise frames.TooLong(f"{len(stream)} bytes from the zygote")
        reply = msgspec.json.decode(await self._receive(MOST_REPLY_BYTES), type=Reply)
        return reply, bytes(stream)

    async def hear_opening(self) -> list[str]:
        """What the walls let through, as the zygote found; empty if they stand."""
        async with asyncio.timeout(START_SECONDS):
            found = msgspec.json.decode(await self._receive(MOST_REPLY_BYTES))
        self._zygote = _child(self._process.pid)
        breaches: list[str] = found["breaches"]
        return breaches

    async def _receive(self, most: int) -> bytes:
        """The next message of the zygote; often several come with one read."""
        length = int.from_bytes(await self._take(frames.HEADER_BYTES), "big")
        if length > most:
            raise frames.TooLong(f"{length} bytes from the zygote")
        return await self._take(length)

    async def _take(self, count: int) -> bytes:
        loop = asyncio.get_running_loop()
        while len(self._heard) < count:
            part = await loop.sock_recv(self._control, MOST_PART_BYTES)
            if not part:
                raise frames.Ended("the sandbox ended")
            self._heard += part
        taken = bytes(self._heard[:count])
        del self._heard[:count]
        return taken

    def close(self) -> None:
        """Ends the sandbox and everything in it, now; may be called again."""
        if self.is_open:
            self.is_open = False
            for one in (self._control, self._code, self._tests):
                one.close()
            self._kill()

    def _kill(self) -> None:
        """The zygote first, so that bubblewrap, which waits for it, leaves no process unwaited."""
        if self._zygote is not None:
            try:
                signal.pidfd_send_signal(self._zygote, signal.SIGKILL)
                self._process.wait(END_SECONDS)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
            os.close(self._zygote)
        self._process.kill()
        self._process.wait()


async def open_room(plan: RoomPlan) -> Room:
    """Starts a sandbox and sees that its walls stand; `SandboxUnavailable` if they do not."""
    with tempfile.TemporaryFile() as complaints:
        room = _start(plan, complaints)
        is_sound = False
        try:
            breaches = await room.hear_opening()
            is_sound = not breaches
        except (OSError, frames.Ended, TimeoutError) as error:
            room.close()
            raise SandboxUnavailable(
                _complaint(complaints) or f"it does not start: {error}"
            ) from error
        finally:
            if not is_sound:
                room.close()
        if breaches:
            raise SandboxUnavailable(f"a jailed process {', '.join(breaches)}")
    return room


def _send_some(to: socket.socket, body: bytes) -> int:
    """How much was sent without waiting."""
    try:
        return to.send(body) if body else 0
    except BlockingIOError:
        return 0


def _child(pid: int) -> int | None:
    """A descriptor of the only child of a process; None if it has none."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return os.pidfd_open(int(children.read_text().split()[0]))
    except (OSError, IndexError):
        return None


def _start(plan: RoomPlan, complaints: IO[bytes]) -> Room:
    ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)
    with contextlib.ExitStack() as shut:
        for one in theirs:
            shut.enter_context(one)
        control, code, tests = (one.fileno() for one in theirs)
        try:
            process = subprocess.Popen(
                [*plan.command, plan.settings(code, tests)],
                stdin=control,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                env=plan.environment,
                pass_fds=(code, tests),
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            for one in ours:
                one.close()
            raise SandboxUnavailable(
                f"{plan.command[0]}: {os.strerror(error.errno or 0)}"
            ) from error
    for one in ours:
        one.setblocking(False)
    return Room(process, *ours)


def _complaint(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    return complaints.read(MOST_COMPLAINT_BYTES).decode(errors="replace").strip()
