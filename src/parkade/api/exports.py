"""An answer of any length that must not look whole where it is not.

A place that is taken away, or a token that is no longer good, ends an event stream like any other
end. A file would be short then without a sign of it, so an export that cannot go on closes the
connection in the middle of its body, which every HTTP client reports.
"""

import asyncio
from collections.abc import AsyncIterator

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from parkade.api.streams import Place


class Export(StreamingResponse):
    """A streamed file that has a place and gives it back, however it ends."""

    def __init__(self, place: Place, source: AsyncIterator[str], *, media_type: str) -> None:
        super().__init__(source, headers={"Cache-Control": "no-store"}, media_type=media_type)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it, or as much of it as may be sent."""
        sending = asyncio.ensure_future(super().__call__(scope, receive, send))
        taken = asyncio.ensure_future(self._place.is_taken_away.wait())
        try:
            await asyncio.wait({sending, taken}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for each in (sending, taken):
                each.cancel()
            await asyncio.gather(sending, taken, return_exceptions=True)
            self._place.close()
