"""Serves requests for output: a bounded number of streams, each ending with its reader."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec.structs import replace

from parkade.agent.backoff import Backoff
from parkade.agent.control_plane import (
    ControlPlane,
    ControlPlaneError,
    ReaderGone,
)
from parkade.agent.optional import KnowsLogTimes
from parkade.agent.serving import Serving
from parkade.ports import Engine, EngineError, LogPlace, LogRequest, Timer

MOST_STREAMS = 16
POLL_S = 20.0
PAUSE_S = 0.2
IDLE_S = 10.0
"""A stream without output says so this often, to learn whether anybody still listens."""
TRIES = 5

logger = logging.getLogger("parkade.agent")


class LogServer:
    """Asks for requests and sends what they want."""

    def __init__(self, engine: Engine, control_plane: ControlPlane, timer: Timer) -> None:
        self.engine = engine
        self.control_plane = control_plane
        self.timer = timer

    async def run(self) -> None:
        """Until cancelled; its streams end with it."""
        await Serving(
            lambda: self.control_plane.log_requests(POLL_S),
            lambda request: request.request,
            self._serve,
            self.timer,
            about="log requests",
            most=MOST_STREAMS,
            pause_s=PAUSE_S,
        ).run()

    async def _serve(self, request: LogRequest) -> None:
        chunks = self.engine.logs(request) if request.at_us is None else self._place(request)
        try:
            # Says at once that the request is taken.
            await self._send(request.request, b"", is_last=False)
            try:
                await self._send_all(request.request, chunks)
            except (EngineError, OSError) as error:
                logger.warning("output of %s: %s", request.attempt, error)
            await self._send(request.request, b"", is_last=True)
        except ReaderGone:
            pass
        except ControlPlaneError as error:
            logger.info("output of %s is not sent on: %s", request.attempt, error)

    async def _place(self, request: LogRequest) -> AsyncIterator[bytes]:
        """Where output begins that came at an instant or later, or why that is not known."""
        assert request.at_us is not None
        place = LogPlace(attempt=request.attempt, rank=request.rank, at_us=request.at_us)
        if not isinstance(self.engine, KnowsLogTimes):
            refused = "its engine keeps no times of output"
            yield msgspec.json.encode(replace(place, refused=refused))
            return
        offset = await self.engine.log_offset(request)
        if offset is None:
            refused = f"{request.attempt} was begun by an agent that kept no times of output"
            yield msgspec.json.encode(replace(place, refused=refused))
            return
        yield msgspec.json.encode(replace(place, offset=offset))

    async def _send_all(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        while True:
            following = asyncio.ensure_future(anext(chunks, None))
            try:
                while not await self._comes(following):
                    await self._send(name, b"", is_last=False)
                chunk = following.result()
            finally:
                following.cancel()
            if chunk is None:
                return
            await self._send(name, chunk, is_last=False)

    async def _comes(self, following: asyncio.Future[bytes | None]) -> bool:
        """Whether the next chunk is there before the stream has been idle for too long."""
        idle = asyncio.ensure_future(self.timer.sleep(IDLE_S))
        either: set[asyncio.Future[Any]] = {following, idle}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            idle.cancel()
        return following.done()

    async def _send(self, name: str, chunk: bytes, *, is_last: bool) -> None:
        backoff = Backoff(self.timer)
        for _ in range(TRIES - 1):
            try:
                return await self.control_plane.send_log(name, chunk, is_last)
            except ReaderGone:
                raise
            except ControlPlaneError as error:
                await backoff.wait("send output", error)
        return await self.control_plane.send_log(name, chunk, is_last)
