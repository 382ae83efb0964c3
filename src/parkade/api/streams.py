"""How many answers may stay open: under one token, and in all, shared among the orgs.

An open answer is an event stream, an output that is followed, or a long poll of an agent. Where all
places are taken, an org with fewer open answers than another takes the oldest of that org with the
most: that one ends as if the server had restarted, and its client goes on where it was. So no org
keeps the others out, however many tokens it has.

An open answer ends as soon as its token is good no more: at the commit that revoked it or disabled
its user or org, and within LOOK_S where it expired or its session of the console ended.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from types import TracebackType
from typing import Protocol, Self, TypeVar

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from parkade.api.problems import problem
from parkade.control.viewers import Viewer

A = TypeVar("A")
T = TypeVar("T", str, bytes)
LOOK_S = 1.0


class Changes(Protocol):
    """When tokens change; `Plane.tokens_change` is it."""

    def __call__(self, seen: int, *, within_s: float) -> Awaitable[int]:
        """Returns once more than `seen` changes were made, or after the time; how many were."""
        ...


class Place:
    """One open answer. `is_taken_away` is set where another org needs it, or where its token is
    good no more, which `is_good` says."""

    def __init__(self, streams: "Streams", viewer: Viewer, is_good: Callable[[], bool]) -> None:
        self.org = viewer.org
        self.token = viewer.token
        self.is_good = is_good
        self.is_taken_away = asyncio.Event()
        self._streams = streams

    async def wait_for(self, answer: Coroutine[object, object, A]) -> A | None:
        """What is waited for; None, and it is not waited for any more, once the place is taken
        away."""
        taken = asyncio.ensure_future(self.is_taken_away.wait())
        waiting = asyncio.ensure_future(answer)
        try:
            await asyncio.wait({taken, waiting}, return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None
        finally:
            for each in (taken, waiting):
                each.cancel()
            await asyncio.gather(taken, waiting, return_exceptions=True)

    def close(self) -> None:
        """Gives it back; twice is once."""
        self._streams.give_back(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()


class Streams:
    """The open answers, oldest first. Used in one event loop; a new one costs a look at all."""

    def __init__(self, changes: Changes, *, most: int, most_per_token: int) -> None:
        self._changes = changes
        self._most = most
        self._most_per_token = most_per_token
        self._open: dict[Place, None] = {}
        self._watching: asyncio.Task[None] | None = None

    def open(self, viewer: Viewer, is_good: Callable[[], bool]) -> Place:
        """A place; the problem `busy` where there is none for this token now."""
        if sum(one.token == viewer.token for one in self._open) >= self._most_per_token:
            raise problem(
                "busy",
                f"this token has {self._most_per_token} open streams already; close one first",
            )
        if len(self._open) >= self._most:
            self._take_one_for(viewer.org)
        place = Place(self, viewer, is_good)
        self._open[place] = None
        if self._watching is None or self._watching.done():
            self._watching = asyncio.ensure_future(self._watch())
        return place

    def give_back(self, place: Place) -> None:
        """The answer ended."""
        self._open.pop(place, None)

    async def _watch(self) -> None:
        """Ends the answers whose token is good no more, while any is open."""
        seen = 0
        while self._open:
            seen = await self._changes(seen, within_s=LOOK_S)
            for place in [it for it in self._open if not it.is_good()]:
                place.is_taken_away.set()
                self.give_back(place)

    def _take_one_for(self, org: str) -> None:
        counts: dict[str, int] = {org: 0}
        for one in self._open:
            counts[one.org] = counts.get(one.org, 0) + 1
        most = max(counts, key=lambda name: counts[name])
        if counts[most] <= counts[org] + 1:
            raise problem("busy", f"{len(self._open)} streams are open already; try again later")
        taken = next(one for one in self._open if one.org == most)
        taken.is_taken_away.set()
        self.give_back(taken)


class PlacedStream(StreamingResponse):
    """A streamed answer that has a place and gives it back, however it ends."""

    def __init__(
        self,
        place: Place,
        source: AsyncIterator[T],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__(_until_taken(place, source), status_code, headers, media_type)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.close()

    def close(self) -> None:
        """Gives the place back, where what it yields is read without being sent."""
        self._place.close()


async def _until_taken(place: Place, source: AsyncIterator[T]) -> AsyncIterator[T]:
    """What the source yields, until its place is taken away."""
    taken = asyncio.ensure_future(place.is_taken_away.wait())
    upcoming: asyncio.Future[T | None] | None = None
    try:
        while True:
            upcoming = asyncio.ensure_future(anext(source, None))
            await asyncio.wait({taken, upcoming}, return_when=asyncio.FIRST_COMPLETED)
            if taken.done():
                return
            item = upcoming.result()
            if item is None:
                return
            yield item
    finally:
        left = [each for each in (taken, upcoming) if each is not None]
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)
