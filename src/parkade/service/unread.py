"""Answers that their clients do not read hold connections and memory for a bounded time.

A connection is *unread* while the server holds bytes for it that the network does not take. It is
given up where nothing of that was taken for `unread_s`; and of too many the oldest gives way, so
that no client keeps others out, or takes all memory, by asking and never reading. A slow client
that goes on reading loses nothing (decision record 103).
"""

import asyncio
from typing import Protocol

UNREAD_S = 30.0
MOST_UNREAD = 256


class Connection(Protocol):
    """A client's connection as it is looked at here."""

    def unread_bytes(self) -> int:
        """What the server still holds for it; 0 where it is gone."""
        ...

    def give_up(self) -> None:
        """Drops it at once, with what was not read."""
        ...


class Unread:
    """The unread connections, oldest first. Used in one event loop."""

    def __init__(self, *, unread_s: float, most: int) -> None:
        assert most > 0
        self._unread_s = unread_s
        self._most = most
        self._open: dict[Connection, asyncio.TimerHandle] = {}

    def begin(self, one: Connection) -> None:
        """An answer was written, and maybe not all of it taken; the time runs from the last call
        on. While much is unread nothing is written, and so nothing begins anew."""
        self.end(one)
        if not one.unread_bytes():
            return
        self._wait(one)
        if len(self._open) > self._most:
            self._give_way()

    def end(self, one: Connection) -> None:
        """All was read, or it is gone; twice is once."""
        timer = self._open.pop(one, None)
        if timer is not None:
            timer.cancel()

    def make_room(self) -> None:
        """Gives up the oldest, where there is one."""
        oldest = next(iter(self._open), None)
        if oldest is not None:
            self._give_up(oldest)

    def _wait(self, one: Connection) -> None:
        loop = asyncio.get_running_loop()
        left = one.unread_bytes()
        self._open[one] = loop.call_later(self._unread_s, self._look, one, left)

    def _look(self, one: Connection, before: int) -> None:
        left = one.unread_bytes()
        if left >= before > 0:
            self._give_up(one)
            return
        self.end(one)
        if left:
            self._wait(one)

    def _give_way(self) -> None:
        """Cost grows with their number, which is bounded."""
        for one in [one for one in self._open if not one.unread_bytes()]:
            self.end(one)
        if len(self._open) > self._most:
            self.make_room()

    def _give_up(self, one: Connection) -> None:
        self.end(one)
        one.give_up()
