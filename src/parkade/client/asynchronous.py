"""The client that does something else meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Generic, ParamSpec, Self, TypeVar, overload

import httpx
import httpx_sse
from pydantic import BaseModel

from parkade.client import calls
from parkade.client.call import Call
from parkade.client.errors import error_of, unreachable
from parkade.client.flow import MOST_TRIES, Outcome, Wait, flow, pause
from parkade.client.streams import TIMEOUT, Position, headers_of, log_path, stream_timeout
from parkade.wire.feed import Event

P = ParamSpec("P")
M = TypeVar("M", bound=BaseModel)


class Method(Generic[P, M]):
    """A call as a method of `AsyncClient`."""

    def __init__(self, describe: Callable[P, Call[M]]) -> None:
        self.describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type["AsyncClient"]) -> Self: ...
    @overload
    def __get__(
        self, client: "AsyncClient", owner: type["AsyncClient"]
    ) -> Callable[P, Awaitable[M]]: ...
    def __get__(
        self, client: "AsyncClient | None", owner: type["AsyncClient"]
    ) -> Self | Callable[P, Awaitable[M]]:
        if client is None:
            return self

        async def method(*args: P.args, **kwargs: P.kwargs) -> M:
            return await client.send(self.describe(*args, **kwargs))

        method.__doc__ = self.__doc__
        return method


class AsyncClient:
    """A server and a token. `transport` is for tests and for servers in the same process."""

    def __init__(
        self, server: str, *, token: str | None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.server = server.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.server, headers=headers_of(token), timeout=TIMEOUT, transport=transport
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
        steps = flow(call, server=self.server)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                answer: M = done.value
                return answer
            outcome = await self._step(step, call)

    async def _step(self, step: object, call: Call[M]) -> Outcome:
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return await self._http.request(
                call.method,
                call.path,
                params=call.params,
                content=call.body,
                headers=call.headers(),
            )
        except httpx.TransportError as error:
            return error

    async def events(
        self, *, after: int | None = None, follow: bool = True
    ) -> AsyncIterator[Event]:
        """Events as they are committed, without gaps: a lost connection is resumed.

        From `after` on, or from now on where it is None. Without `follow`, ends with the last.
        """
        position = Position(after)
        while True:
            try:
                async with httpx_sse.aconnect_sse(
                    self._http,
                    "GET",
                    "/v1/events",
                    params=position.params(follow=follow),
                    timeout=stream_timeout(),
                ) as source:
                    if not source.response.is_success:
                        await source.response.aread()
                        raise error_of(source.response)
                    async for received in source.aiter_sse():
                        event = position.take(received)
                        if event is not None:
                            yield event
                if not follow:
                    return
            except httpx.TransportError as error:
                if position.failures >= MOST_TRIES:
                    raise unreachable(error, server=self.server) from error
            await asyncio.sleep(pause(position.failed()))

    async def logs(
        self, workload: str, *, rank: int = 0, offset: int = 0, follow: bool = False
    ) -> AsyncIterator[bytes]:
        """The output of a rank from a byte offset on; a lost connection goes on where it was."""
        failures = 0
        while True:
            try:
                async with self._http.stream(
                    "GET",
                    log_path(workload),
                    params={"rank": rank, "offset": offset, "follow": str(follow).lower()},
                    timeout=stream_timeout(is_quiet=follow),
                ) as response:
                    if not response.is_success:
                        await response.aread()
                        raise error_of(response)
                    async for chunk in response.aiter_bytes():
                        offset += len(chunk)
                        failures = 0
                        yield chunk
                return
            except httpx.TransportError as error:
                failures += 1
                if failures >= MOST_TRIES:
                    raise unreachable(error, server=self.server) from error
            await asyncio.sleep(pause(failures))

    whoami = Method(calls.whoami)
    create_org = Method(calls.create_org)
    orgs = Method(calls.orgs)
    deposit = Method(calls.deposit)
    create_user = Method(calls.create_user)
    set_grant = Method(calls.set_grant)
    set_cap = Method(calls.set_cap)
    users = Method(calls.users)
    create_token = Method(calls.create_token)
    tokens = Method(calls.tokens)
    revoke_token = Method(calls.revoke_token)
    create_agent_token = Method(calls.create_agent_token)
    open_pool = Method(calls.open_pool)
    list_pools = Method(calls.list_pools)
    nodes = Method(calls.nodes)
    cordon = Method(calls.cordon)
    uncordon = Method(calls.uncordon)
    fail = Method(calls.fail)
    restore = Method(calls.restore)
    prices = Method(calls.prices)
    set_prices = Method(calls.set_prices)
    reserve = Method(calls.reserve)
    list_reservations = Method(calls.list_reservations)
    end_reservation = Method(calls.end_reservation)
    lend = Method(calls.lend)
    claim = Method(calls.claim)
    unclaim = Method(calls.unclaim)
    claims = Method(calls.claims)
    submit = Method(calls.submit)
    plan = Method(calls.plan)
    list_workloads = Method(calls.list_workloads)
    workload = Method(calls.workload)
    why = Method(calls.why)
    hold = Method(calls.hold)
    release = Method(calls.release)
    cancel = Method(calls.cancel)
    bid = Method(calls.bid)
    statement = Method(calls.statement)
    confirm_clock = Method(calls.confirm_clock)
