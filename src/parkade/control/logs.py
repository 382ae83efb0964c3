"""Output on its way from an agent to a reader: asked for by a long poll, sent chunk by chunk.

Nothing is kept: a reader that is slow holds its agent back, one that left makes the agent stop.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

from parkade.control.answers import LogsUnavailable
from parkade.control.bell import Bell
from parkade.ports import LogRequest

_SEND_TIMEOUT_S = 30.0
# So many times the answer's timeout without a chunk, and a followed stream has lost its agent.
_SILENT_TIMEOUTS = 3


class Relay:
    """Requests by pool, and a bounded queue for each. Used inside one event loop only.

    `prefix` keeps the names of requests apart from those of an earlier server.
    """

    def __init__(self, *, prefix: str, chunks_held: int, answer_timeout_s: float) -> None:
        self._prefix = prefix
        self._chunks_held = chunks_held
        self._answer_timeout_s = answer_timeout_s
        self._count = 0
        self._is_closed = False
        self._unsent: dict[str, dict[str, LogRequest]] = {}
        self._chunk_at: dict[tuple[str, str], float] = {}
        self._open: dict[tuple[str, str], asyncio.Queue[bytes | None]] = {}
        self._bell = Bell()

    async def requests(self, pool: str, *, wait_s: float) -> list[LogRequest]:
        """What the pool's agent shall send; waits where there is nothing.

        A request is in every answer until its first chunk comes, because an answer may go to an
        agent that has left: the agent takes each request once.
        """
        await self._bell.wait_until(
            lambda: self._is_closed or bool(self._unsent.get(pool)), timeout_s=wait_s
        )
        return list(self._unsent.get(pool, {}).values())

    def close(self) -> None:
        """Ends every stream after what was sent, and every wait for requests: the server goes,
        whatever runs does not."""
        self._is_closed = True
        self._bell.ring()
        for queue in self._open.values():
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def chunk(self, pool: str, request: str, chunk: bytes, *, is_last: bool) -> bool:
        """Hands a chunk on as soon as the reader has room; false where the reader is gone."""
        queue = self._open.get((pool, request))
        if queue is None:
            return False
        self._unsent.get(pool, {}).pop(request, None)
        self._chunk_at[pool, request] = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                if chunk:
                    await queue.put(chunk)
                if is_last:
                    await queue.put(None)
        except TimeoutError:
            return False
        return (pool, request) in self._open

    async def read(
        self,
        pool: str,
        attempt: str,
        rank: int,
        *,
        offset: int,
        follow: bool,
        org: str | None = None,
        since_us: int | None = None,
        at_us: int | None = None,
        is_heard: Callable[[], bool],
    ) -> AsyncGenerator[bytes]:
        """The output as it comes; LogsUnavailable where the agent does not answer in time."""
        self._count += 1
        request = LogRequest(
            request=f"{self._prefix}-{self._count}",
            attempt=attempt,
            rank=rank,
            offset=offset,
            follow=follow,
            org=org,
            since_us=since_us,
            at_us=at_us,
        )
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(self._chunks_held)
        self._open[pool, request.request] = queue
        self._unsent.setdefault(pool, {})[request.request] = request
        self._bell.ring()
        try:
            while True:
                try:
                    async with asyncio.timeout(self._answer_timeout_s):
                        chunk = await queue.get()
                except TimeoutError:
                    if follow and is_heard() and self._is_sent(pool, request.request):
                        continue
                    detail = f"the agent of pool {pool} does not answer; ask again later"
                    raise LogsUnavailable(detail) from None
                if chunk is None:
                    return
                yield chunk
        finally:
            del self._open[pool, request.request]
            self._unsent.get(pool, {}).pop(request.request, None)
            self._chunk_at.pop((pool, request.request), None)

    def _is_sent(self, pool: str, request: str) -> bool:
        """Whether the agent still works on it: it sends an empty chunk where there is no output."""
        at = self._chunk_at.get((pool, request))
        silent_s = _SILENT_TIMEOUTS * self._answer_timeout_s
        return at is not None and asyncio.get_running_loop().time() - at < silent_s
