"""One room: a bubblewrap process with a zygote inside, which takes one job at a time.

A room that is in doubt (no answer in time, a torn answer, tests that were not read, a cancelled
job) is closed, and never used again; the pool opens another.
"""

import asyncio
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
from parkade.compound.verify.sandbox.jobs import Job, Reply, has_verdict, on_wire
from parkade.compound.verify.sandbox.limits import Limits
from parkade.compound.verify.sandbox.plan import RoomPlan

START_SECONDS = 60
#: Beyond a job's wall time, before the room itself is given up: a loaded machine is slow.
PATIENCE_SECONDS = 30
#: For bubblewrap to end after its zygote was killed.
END_SECONDS = 10
MOST_REPLY_BYTES = 1 << 16
MOST_COMPLAINT_BYTES = 2_000


class Lost(Exception):
    """The room died or fell silent during a job; what became of the job is not known."""


class Room:
    """A sandbox that is ready; made by `open_room`."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: socket.socket, tests: socket.socket
    ) -> None:
        self._process = process
        self._zygote: int | None = None
        self._control = control
        self._tests = tests
        self._numbers = itertools.count(1)
        self.is_open = True

    @property
    def pid(self) -> int:
        """Of the outermost process."""
        return self._process.pid

    async def serve(self, job: Job, limits: Limits) -> tuple[Reply, bytes]:
        """The zygote's reply and the stream of what was said; closes the room if in doubt."""
        body, tests = on_wire(job, next(self._numbers), limits)
        is_whole = False
        try:
            async with asyncio.timeout(limits.wall_us / 1e6 + PATIENCE_SECONDS):
                reply, stream = await self._exchange(body, tests, limits.output_bytes)
            is_whole = not tests or has_verdict(reply, stream)
            return reply, stream
        except (OSError, frames.Ended, frames.TooLong, msgspec.DecodeError, TimeoutError) as error:
            raise Lost(str(error)) from error
        finally:
            if not is_whole:
                self.close()

    async def _exchange(self, body: bytes, tests: bytes, most: int) -> tuple[Reply, bytes]:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._control, frames.pack(body))
        sending = None
        if tests:
            sending = asyncio.create_task(loop.sock_sendall(self._tests, frames.pack(tests)))
        try:
            reply = msgspec.json.decode(await self._receive(MOST_REPLY_BYTES), type=Reply)
            return reply, await self._receive(most)
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def hear_opening(self) -> list[str]:
        """What the walls let through, as the zygote found; empty if they stand."""
        async with asyncio.timeout(START_SECONDS):
            found = msgspec.json.decode(await self._receive(MOST_REPLY_BYTES))
        self._zygote = _child(self._process.pid)
        breaches: list[str] = found["breaches"]
        return breaches

    async def _receive(self, most: int) -> bytes:
        length = int.from_bytes(await self._receive_exactly(frames.HEADER_BYTES), "big")
        if length > most + frames.HEADER_BYTES:
            raise frames.TooLong(f"{length} bytes from the zygote")
        return await self._receive_exactly(length)

    async def _receive_exactly(self, count: int) -> bytes:
        loop = asyncio.get_running_loop()
        parts = bytearray()
        while len(parts) < count:
            part = await loop.sock_recv(self._control, min(count - len(parts), 1 << 20))
            if not part:
                raise frames.Ended("the sandbox ended")
            parts += part
        return bytes(parts)

    def close(self) -> None:
        """Ends the sandbox and everything in it, now; may be called again."""
        if self.is_open:
            self.is_open = False
            self._control.close()
            self._tests.close()
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


def _child(pid: int) -> int | None:
    """A descriptor of the only child of a process; None if it has none."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return os.pidfd_open(int(children.read_text().split()[0]))
    except (OSError, IndexError):
        return None


def _start(plan: RoomPlan, complaints: IO[bytes]) -> Room:
    control, their_control = socket.socketpair()
    tests, their_tests = socket.socketpair()
    with their_control, their_tests:
        descriptor = their_tests.fileno()
        try:
            process = subprocess.Popen(
                [*plan.command, plan.settings(descriptor)],
                stdin=their_control.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                env=plan.environment,
                pass_fds=(descriptor,),
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            control.close()
            tests.close()
            raise SandboxUnavailable(
                f"{plan.command[0]}: {os.strerror(error.errno or 0)}"
            ) from error
    control.setblocking(False)
    tests.setblocking(False)
    return Room(process, control, tests)


def _complaint(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    return complaints.read(MOST_COMPLAINT_BYTES).decode(errors="replace").strip()
