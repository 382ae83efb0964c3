"""A command beside a rank of an attempt, or a terminal there: what is asked for, and what it says.

A *session* is one such command with its input and output. It belongs to the attempt: it has the
rank's user, folder, environment, devices and control group, and ends with the attempt. It also ends
with its own first process, and when its user lets go.
"""

from typing import Protocol

import msgspec

MOST_WORDS_BYTES = 65_536
"""Of a command with all its words."""
MOST_CHUNK_BYTES = 65_536
"""Of input or output carried at once."""
STDOUT, STDERR, NOTE = "stdout", "stderr", "note"
"""Where a chunk belongs; a note is a line of Parkade's own for people."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a terminal, in characters."""

    columns: int
    rows: int


class ExecRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A command to be run beside a rank. `window`: it has a terminal of that size, of the kind
    `term`; None: it has three pipes. An attempt of another org, or ordered before `since_us`, is
    not the one that is meant."""

    session: str
    attempt: str
    rank: int
    words: tuple[str, ...]
    window: Window | None
    term: str
    org: str
    since_us: int


class ExecEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a session ended: by the exit code of its first process, by a signal, or, with neither,
    without one that is known. `why`: what ended it or kept it from beginning, for people; empty:
    the command itself."""

    code: int | None = None
    signal: int | None = None
    why: str = ""


class ExecChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Some output: bytes of one stream, not empty."""

    stream: str
    content: bytes


class ExecOutput(msgspec.Struct, frozen=True, kw_only=True):
    """From the agent: the chunk of that number, counted from 0, or after the last one how it ended.
    A number that was heard before changes nothing."""

    number: int
    chunk: ExecChunk | None = None
    end: ExecEnd | None = None


class ExecInput(msgspec.Struct, frozen=True, kw_only=True):
    """To the agent: the bytes of the input from the offset on that it asked for. `is_last`: none
    follow. `window`: the terminal's size, where it changed since; `windows`: how often it has."""

    content: bytes
    is_last: bool
    window: Window | None
    windows: int


class ExecSession(Protocol):
    """A session that runs, as an engine hands it out. Reading waits for output; what is not read
    holds the command up, and so does writing that it does not take."""

    async def read(self) -> ExecChunk | None:
        """The next output; None once it has ended and all of it was read."""
        ...

    async def write(self, content: bytes) -> None:
        """Hands over input; what has ended takes it and drops it."""
        ...

    async def end_input(self) -> None:
        """There is no more input."""
        ...

    def resize(self, window: Window) -> None:
        """The terminal has another size."""
        ...

    async def ended(self) -> ExecEnd:
        """How it ended, once it has."""
        ...

    def close(self) -> None:
        """Lets go: what still runs of it is hung up on, and killed soon after."""
        ...
