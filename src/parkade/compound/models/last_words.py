"""The last lines of a program that is started, while all that it prints goes on to our stderr."""

import asyncio
import os
import re
import sys
from collections import deque

MOST_LINES = 5
MOST_COLUMNS = 200
READ_BYTES = 1 << 16
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class LastWords:
    """Reads what a process prints until it is closed; the whole lines last printed are kept."""

    def __init__(self, output: asyncio.StreamReader) -> None:
        self._output = output
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._rest = b""
        self._reading = asyncio.ensure_future(self._read())

    async def until_end(self, timeout_s: float) -> None:
        """Wait until all is read; a child that lives on may hold the output open."""
        await asyncio.wait((self._reading,), timeout=timeout_s)

    @property
    def lines(self) -> tuple[str, ...]:
        """The last lines that say something."""
        rest = self._shown(self._rest)
        return (*self._lines, rest)[-MOST_LINES:] if rest else tuple(self._lines)

    def close(self) -> None:
        """Read no more."""
        self._reading.cancel()

    async def _read(self) -> None:
        while chunk := await self._output.read(READ_BYTES):
            _write(chunk)
            *whole, rest = (self._rest + chunk).split(b"\n")
            # A program may never end its line.
            self._rest = rest[-READ_BYTES:]
            self._lines.extend(filter(None, map(self._shown, whole[-4 * MOST_LINES :])))
        if self._rest:
            # What is printed next begins a line of its own.
            _write(b"\n")

    @staticmethod
    def _shown(line: bytes) -> str:
        text = line.decode("utf-8", "replace")
        text = COLOURS.sub("", text)
        text = "".join(each if each.isprintable() else " " for each in text).strip()
        return text if len(text) <= MOST_COLUMNS else text[: MOST_COLUMNS - 1] + "…"


def _write(chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(sys.stderr.fileno(), left) :]
