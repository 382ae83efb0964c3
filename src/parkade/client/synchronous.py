"""The client that waits."""

import time
from collections.abc import Iterator
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


class Client(Methods):
    """A server and a token; servers of one marketplace, with commas, are asked one after another
    until one leads. `transport` is for tests and for servers in the same process."""

    def __init__(
        self, server: str, *, token: str | None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._servers = Servers(server)
        self.server = str(self._servers)
        self._http = httpx.Client(
            base_url=self._servers.now,
            headers=headers_of(token),
            timeout=TIMEOUT if len(self._servers) == 1 else TIMEOUT_OF_SEVERAL,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def send(self, call: Call[M]) -> M:
        """Carries out the flow of a call."""
        steps = flow(call, server=self.server, servers=len(self._servers))
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                answer: M = done.value
                return answer
            outcome = self._step(step)

    def _step(self, step: Send | Wait) -> Outcome:
        if isinstance(step, Wait):
            time.sleep(step.seconds)
            return None
        asked, call = self._servers.now, step.call
        outcome: Outcome
        try:
            outcome = self._http.request(
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

    def wait(self, workload: str, *, within: timedelta | None = None) -> Workload:
        """Answers a workload once it has ended; TimeoutError where that takes longer. A server that
        is gone meanwhile is asked again for ten minutes."""
        waiting = Waiting(workload, within)
        while True:
            try:
                answer = self.get_workload(workload)
            except TryAgain as error:
                time.sleep(waiting.pause_s(error))
                continue
            if answer.ended is not None:
                return answer
            time.sleep(waiting.pause_s())

    def events(self, *, after: int | None = None, follow: bool = True) -> Iterator[Event]:
        """Events as they are committed, without gaps: a lost connection is resumed.

        From `after` on, or from now on where it is None. Without `follow`, ends with the last.
        """
        stream = EventStream(self._servers, after=after, follow=follow)
        while True:
            asked = self._servers.now
            try:
                with httpx_sse.connect_sse(self._http, **stream.request()) as source:
                    if not source.response.is_success:
                        source.response.read()
                        raise refusal(source.response, self._servers)
                    yield from filter(None, map(stream.take, source.iter_sse()))
                if not follow:
                    return
            except httpx.TransportError as error:
                self._http.base_url = next_server(self._servers, asked, error)
                stream.lost(error)
            time.sleep(stream.pause_s())

    def logs(
        self,
        workload: str,
        *,
        rank: int = 0,
        offset: int = 0,
        follow: bool = False,
        attempt: str | None = None,
    ) -> Iterator[bytes]:
        """The output of a rank from a byte offset on, of the last attempt or the one named; a lost
        connection goes on where it was."""
        part = LogPart(rank=rank, offset=offset, follow=follow, attempt=attempt)
        stream = LogStream(self._servers, workload, part)
        while True:
            asked = self._servers.now
            try:
                with self._http.stream(**stream.request()) as response:
                    if not response.is_success:
                        response.read()
                        raise refusal(response, self._servers)
                    yield from map(stream.take, response.iter_bytes())
                return
            except httpx.TransportError as error:
                self._http.base_url = next_server(self._servers, asked, error)
                stream.lost(error)
            time.sleep(stream.pause_s())

    def export_costs(
        self,
        *,
        org: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        form: str = "csv",
    ) -> Iterator[bytes]:
        """Every charge in [start, end) with the columns of FOCUS, as `csv` or `json`, in parts as
        they come; without `start` of this month. Raises Unreachable where it breaks off."""
        try:
            with self._http.stream(**costs_request(org, start, end, form)) as response:
                if not response.is_success:
                    response.read()
                    raise error_of(response)
                yield from response.iter_bytes()
        except httpx.TransportError as error:
            raise unreachable(error, server=self.server) from error
