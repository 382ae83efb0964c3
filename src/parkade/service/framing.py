"""Requests as their bytes come in: what is not whole, and what waits behind another, is bounded.

httptools reads the bytes. It keeps a head or a trailer of any length, and takes as many requests of
a connection as are sent at once. Here what comes without making anything whole has a bound, later
requests wait up to a number, and fields behind a body are no headers (decision record 243).
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_INCOMPLETE = 65_536
"""Bytes, beside those of the chunk that ended the last whole thing."""

MOST_WAITING = 64
"""Requests of one connection behind the one that is being answered."""


class _TooManyWait(Exception):
    """More requests of a connection wait than may: ends the reading of what it sent."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol over httptools, with these bounds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A length told in two ways is refused by the app, in words, and ends the connection.
        self.parser.set_dangerous_leniencies(
            lenient_data_after_close=True, lenient_chunked_length=True
        )
        self._is_in_head = False
        self._is_refused = False
        self._made_whole = 0
        self._incomplete = 0

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._is_refused:
            return
        before = self._made_whole
        super().data_received(data)
        self._incomplete = 0 if self._made_whole != before else self._incomplete + len(data)
        if self._incomplete > MOST_INCOMPLETE and not self._is_refused:
            self.send_400_response("The head of a request, or what frames its body, is too long.")

    def on_message_begin(self) -> None:
        """Called by httptools."""
        super().on_message_begin()
        self._is_in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools for each field, also for those behind a body, which say nothing."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called by httptools."""
        if len(self.pipeline) >= MOST_WAITING:
            raise _TooManyWait
        self._is_in_head = False
        self._made_whole += 1
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called by httptools for each part."""
        self._made_whole += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by httptools."""
        self._made_whole += 1
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Nothing of this connection is read any more. Requests that came whole are still answered,
        and this one then is not: its answer would be taken for theirs."""
        self._is_refused = True
        last = self.cycle
        if bool(last) and not last.response_complete and not last.more_body:
            last.keep_alive = False
        else:
            super().send_400_response(msg)
