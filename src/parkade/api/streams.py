"""How many answers may stay open: under one token, and in all, shared among the orgs.

An open answer is an event stream, an output that is followed, or a long poll of an agent. Where all
places are taken, an org with fewer open answers than another takes the oldest of that org with the
most: that one ends as if the server had restarted, and its client goes on where it was. So no org
keeps the others out, however many tokens it has.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Self, TypeVar

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from parkade.api.problems import problem
from parkade.control.viewers import Viewer

T = TypeVar("T", str, bytes)


class Place:
    """One open answer. `is_taken_away` is set where another org needs it."""

    def __init__(self, streams: "Streams", viewer: Viewer) -> None:
        self.org = viewer.org
        self.token = viewer.token
        self.is_taken_away = asyncio.Event()
        self._streams = streams

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

    def __init__(self, *, most: int, most_per_token: int) -> None:
        self._most = most
        self._most_per_token = most_per_token
        self._open: dict[Place, None] = {}

    def open(self, viewer: Viewer) -> Place:
        """A place; the problem `busy` where there is none for this token now."""
        if sum(one.token == viewer.token for one in self._open) >= self._most_per_token:
            raise problem(
                "busy",
                f"this token has {self._most_per_token} open streams already; close one first",
            )
        if len(self._open) >= self._most:
            self._take_one_for(viewer.org)
        place = Place(self, viewer)
        self._open[place] = None
        return place

    def give_back(self, place: Place) -> None:
        """The answer ended."""
        self._open.pop(place, None)

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
            self._place.close()


async def _until_taken(place: Place, source: AsyncIterator[T]) -> AsyncIterator[T]:
    """What the source yields, until its place is taken away."""
    taken = asyncio.ensure_future(place.is_taken_away.wait())
    upcoming: asyncio.Future[T | None] | None = None
    try:
        while True:
            upcoming = asyncio.ensure_future(anext(source, None))
            await asyncio.wait({taken, upcoming}, return_when=asyncio.FIRST_COMPLETED)
            if not upcoming.done():
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
