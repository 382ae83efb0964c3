"""HTTP posts through httpx, which knows proxies: used where the environment sets one."""

import asyncio
from collections.abc import Callable

import httpx

from parkade.compound.models.exchange import MAX_REPLY_BYTES, Broken, Heard, HttpReply

CONNECT_S = 30.0


class LibraryExchange:
    """Posts to one origin with a task for each request."""

    def __init__(self, origin: str, headers: dict[str, str], timeout_s: float) -> None:
        self.in_flight = 0
        self._client = httpx.AsyncClient(
            base_url=origin,
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=1_024),
        )
        self._timeout_s = timeout_s
        self._tasks: set[asyncio.Task[None]] = set()

    def post(self, path: str, body: bytes, heard: Heard) -> Callable[[], None]:
        """See `Exchange`."""
        self.in_flight += 1
        task = asyncio.get_running_loop().create_task(self._post(path, body, heard))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return lambda: _cancel(task)

    async def close(self) -> None:
        """See `Exchange`."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self.in_flight -= 1

    async def _post(self, path: str, body: bytes, heard: Heard) -> None:
        heard(await self._outcome(path, body))

    async def _outcome(self, path: str, body: bytes) -> HttpReply | Broken:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._reply(path, body)
        except TimeoutError:
            return Broken(f"no answer in {self._timeout_s:g} s", is_timeout=True, was_sent=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            return Broken(f"cannot connect: {error}", is_timeout=False, was_sent=False)
        except httpx.TimeoutException:
            return Broken(f"no answer in {self._timeout_s:g} s", is_timeout=True, was_sent=True)
        except httpx.HTTPError as error:
            return Broken(f"the connection was lost: {error}", is_timeout=False, was_sent=True)

    async def _reply(self, path: str, body: bytes) -> HttpReply | Broken:
        parts: list[bytes] = []
        size = 0
        headers = {"content-type": "application/json"}
        async with self._client.stream("POST", path, content=body, headers=headers) as response:
            async for part in response.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > MAX_REPLY_BYTES:
                    why = f"the reply is larger than {MAX_REPLY_BYTES} bytes"
                    return Broken(why, is_timeout=False, was_sent=True)
            return HttpReply(response.status_code, dict(response.headers), b"".join(parts))


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
