"""Carries commands beside ranks: begins what is asked for, and moves their bytes both ways.

What is sent is numbered, so that a call that is repeated after a lost answer doubles nothing. A
session ends with its command, and is let go where the control plane has forgotten it or was not
heard for SILENCE_S: so a command without a listener does not go on.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from parkade.agent.backoff import Backoff
from parkade.agent.control_plane import (
    CarriesExecs,
    ControlPlane,
    ControlPlaneError,
    ReaderGone,
)
from parkade.agent.optional import OpensExecs
from parkade.agent.serving import Serving
from parkade.ports import (
    DesiredState,
    Engine,
    EngineError,
    ExecChunk,
    ExecEnd,
    ExecOutput,
    ExecRequest,
    ExecSession,
    Stop,
    Timer,
)
from parkade.ports.execs import NOTE

MOST_EXECS = 64
POLL_S = 20.0
WAIT_S = 10.0
PAUSE_S = 0.05
BEAT_S = 5.0
LOOK_S = 1.0
SILENCE_S = 30.0
MOST_WORDS = 300

logger = logging.getLogger("parkade.agent")


async def carry_execs(
    engine: Engine,
    control_plane: ControlPlane,
    timer: Timer,
    desired: Callable[[], DesiredState | None],
) -> None:
    """Until cancelled, where the engine and the control plane can; else nothing."""

    def stop_of(attempt: str) -> Stop | None:
        state = desired()
        wanted = () if state is None else state.attempts
        return next((one.stop for one in wanted if one.attempt == attempt), None)

    if isinstance(engine, OpensExecs) and isinstance(control_plane, CarriesExecs):
        await ExecServer(engine, control_plane, timer, stop_of).run()


class ExecServer:
    """Asks for requests and serves each once. `stop_of`: the notice that an attempt has by now."""

    def __init__(
        self,
        engine: OpensExecs,
        control_plane: CarriesExecs,
        timer: Timer,
        stop_of: Callable[[str], Stop | None],
    ) -> None:
        self.engine = engine
        self.control_plane = control_plane
        self.timer = timer
        self.stop_of = stop_of

    async def run(self) -> None:
        """Until cancelled; its sessions end with it."""
        await Serving(
            lambda: self.control_plane.exec_requests(POLL_S),
            lambda request: request.session,
            self._serve,
            self.timer,
            about="exec requests",
            most=MOST_EXECS,
            pause_s=PAUSE_S,
        ).run()

    async def _serve(self, request: ExecRequest) -> None:
        served = _Served(request, self.control_plane, self.timer, self.stop_of)
        await served.serve(self.engine)


class _Served:
    """One session: its numbers, and the three things that go on in it."""

    def __init__(
        self,
        request: ExecRequest,
        control_plane: CarriesExecs,
        timer: Timer,
        stop_of: Callable[[str], Stop | None],
    ) -> None:
        self.request = request
        self.control_plane = control_plane
        self.timer = timer
        self.stop_of = stop_of
        self.number = 0
        self.sending = asyncio.Lock()

    async def serve(self, engine: OpensExecs) -> None:
        """From its begin to its end, told or let go."""
        name = self.request.session
        try:
            # Says that the request is taken.
            await self._send()
            session = await engine.open_exec(self.request)
        except ControlPlaneError as error:
            logger.info("session %s is not begun: %s", name, error)
            return
        except (EngineError, OSError) as error:
            await self._tell_refused(str(error))
            return
        logger.info(
            "session %s begins beside rank %d of %s", name, self.request.rank, self.request.attempt
        )
        tasks = [
            asyncio.create_task(part)
            for part in (self._carry_output(session), self._carry_input(session), self._watch())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            session.close()
        faults = [it for it in outcomes if isinstance(it, Exception)]
        for fault in faults:
            if not isinstance(fault, ControlPlaneError):
                raise fault
        if faults:
            logger.info("session %s is let go: %s", name, faults[0])

    async def _tell_refused(self, why: str) -> None:
        try:
            await self._send(end=ExecEnd(why=why[:MOST_WORDS]))
        except ControlPlaneError as error:
            logger.info(
                "session %s is not told that it was not begun: %s", self.request.session, error
            )

    async def _carry_output(self, session: ExecSession) -> None:
        while (chunk := await session.read()) is not None:
            await self._send(chunk)
        await self._send(end=await session.ended())

    async def _carry_input(self, session: ExecSession) -> None:
        after = windows = 0
        backoff, heard = Backoff(self.timer), time.monotonic()
        while True:
            try:
                found = await self.control_plane.exec_input(
                    self.request.session, after, windows, WAIT_S
                )
            except ReaderGone:
                raise
            except ControlPlaneError as error:
                if time.monotonic() - heard > SILENCE_S:
                    raise
                await backoff.wait("session input", error)
                continue
            backoff.reset()
            if found.window is not None:
                session.resize(found.window)
            windows = found.windows
            await session.write(found.content)
            after += len(found.content)
            if found.is_last:
                await session.end_input()
                after += 1
            heard = time.monotonic()

    async def _watch(self) -> None:
        """Says now and then that the session goes on, and once that its attempt is to leave."""
        has_notice, since = False, 0.0
        while True:
            await self.timer.sleep(LOOK_S)
            since += LOOK_S
            stop = self.stop_of(self.request.attempt)
            if stop is not None and not has_notice:
                has_notice, since = True, 0.0
                at = datetime.fromtimestamp(stop.deadline_us / 1e6, UTC)
                says = f"the workload was told to leave by {at:%H:%M:%S} UTC: {stop.cause}"
                await self._send(ExecChunk(stream=NOTE, content=says.encode()))
            elif since >= BEAT_S:
                since = 0.0
                await self._send()

    async def _send(self, chunk: ExecChunk | None = None, end: ExecEnd | None = None) -> None:
        """Once it is taken; waits where the reader is slow. Without either it only says that the
        session goes on. ReaderGone where the session is over."""
        if chunk is None and end is None:
            await self.control_plane.exec_output(
                self.request.session, ExecOutput(number=self.number), 0.0
            )
            return
        backoff, heard = Backoff(self.timer), time.monotonic()
        async with self.sending:
            output = ExecOutput(number=self.number, chunk=chunk, end=end)
            while True:
                try:
                    is_taken = await self.control_plane.exec_output(
                        self.request.session, output, WAIT_S
                    )
                except ReaderGone:
                    raise
                except ControlPlaneError as error:
                    if time.monotonic() - heard > SILENCE_S:
                        raise
                    await backoff.wait("session output", error)
                    continue
                heard = time.monotonic()
                if is_taken:
                    break
            self.number += 1
