"""The client that does something else meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

import httpx
import httpx_sse
from pydantic import BaseModel

from parkade.client.call import Call
from parkade.client.errors import TryAgain, error_of, unreachable
from parkade.client.flow import Outcome, Send, Wait, flow
from parkade.client.methods import Methods
from parkade.client.streams import (
    TIMEOUT,
    TIMEOUT_OF_SEVERAL,
    EventStream,
    LogPart,
    LogStream,
    costs_request,
    headers_of,
    next_server,
    refusal,
)
from parkade.client.waiting import Waiting
from parkade.wire.feed import Event
from parkade.wire.servers import Servers
from parkade.wire.workloads import Workload

M = TypeVar("M", bound=BaseModel)


class AsyncClient(Methods):
    """A server and a token; servers of one marketplace, with commas, are asked one after another
    until one leads. `transport` is for tests and for servers in the same process."""

    def __init__(
        self, server: str, *, token: str | None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._servers = Servers(server)
        self.server = str(self._servers)
        self._http = httpx.AsyncClient(
            base_url=self._servers.now,
            headers=headers_of(token),
            timeout=TIMEOUT if len(self._servers) == 1 else TIMEOUT_OF_SEVERAL,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def send(self, call: Call[M]) -> M:
        """Carries out the flow of a call."""
        steps = flow(call, server=self.server, servers=len(self._servers))
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                answer: M = done.value
                return answer
            outcome = await self._step(step)

    async def _step(self, step: Send | Wait) -> Outcome:
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
            return None
        asked, call = self._servers.now, step.call
        outcome: Outcome
        try:
            outcome = await self._http.request(
                call.method,
                call.path,
                params=call.params,
                content=call.body,
                headers=call.headers(),
            )
        except httpx.TransportError as error:
            outcome = error
        self._http.base_url = next_server(self._servers, asked, outcome)
        return outcome

    async def wait(self, workload: str, *, within: timedelta | None = None) -> Workload:
        """Answers a workload once it has ended; TimeoutError where that takes longer. A server that
        is gone meanwhile is asked again for ten minutes."""
        waiting = Waiting(workload, within)
        while True:
            try:
                answer = await self.get_workload(workload)
            except TryAgain as error:
                await asyncio.sleep(waiting.pause_s(error))
                continue
            if answer.ended is not None:
                return answer
            await asyncio.sleep(waiting.pause_s())

    async def events(
        self, *, after: int | None = None, follow: bool = True
    ) -> AsyncIterator[Event]:
        """Events as they are committed, without gaps: a lost connection is resumed.

        From `after` on, or from now on where it is None. Without `follow`, ends with the last.
        """
        stream = EventStream(self._servers, after=after, follow=follow)
        while True:
            asked = self._servers.now
            try:
                async with httpx_sse.aconnect_sse(self._http, **stream.request()) as source:
                    if not source.response.is_success:
                        await source.response.aread()
                        raise refusal(source.response, self._servers)
                    async for received in source.aiter_sse():
                        event = stream.take(received)
                        if event is not None:
                            yield event
                if not follow:
                    return
            except httpx.TransportError as error:
                self._http.base_url = next_server(self._servers, asked, error)
                stream.lost(error)
            await asyncio.sleep(stream.pause_s())

    async def logs(
        self,
        workload: str,
        *,
        rank: int = 0,
        offset: int = 0,
        follow: bool = False,
        attempt: str | None = None,
    ) -> AsyncIterator[bytes]:
        """The output of a rank from a byte offset on, of the last attempt or the one named; a lost
        connection goes on where it was."""
        part = LogPart(rank=rank, offset=offset, follow=follow, attempt=attempt)
        stream = LogStream(self._servers, workload, part)
        while True:
            asked = self._servers.now
            try:
                async with self._http.stream(**stream.request()) as response:
                    if not response.is_success:
                        await response.aread()
                        raise refusal(response, self._servers)
                    async for chunk in response.aiter_bytes():
                        yield stream.take(chunk)
                return
            except httpx.TransportError as error:
                self._http.base_url = next_server(self._servers, asked, error)
                stream.lost(error)
            await asyncio.sleep(stream.pause_s())

    async def export_costs(
        self,
        *,
        org: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        form: str = "csv",
    ) -> AsyncIterator[bytes]:
        """Every charge in [start, end) with the columns of FOCUS, as `csv` or `json`, in parts as
        they come; without `start` of this month. Raises Unreachable where it breaks off."""
        try:
            async with self._http.stream(**costs_request(org, start, end, form)) as response:
                if not response.is_success:
                    await response.aread()
                    raise error_of(response)
                async for chunk in response.aiter_bytes():
                    yield chunk
        except httpx.TransportError as error:
            raise unreachable(error, server=self.server) from error
