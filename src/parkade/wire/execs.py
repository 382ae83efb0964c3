"""Commands beside ranks: what is asked for, and the bytes both ways. Bytes are base64."""

import base64
from typing import Annotated

from pydantic import AfterValidator, Base64Bytes, Field

from parkade.wire.model import Answer, Request

MOST_WORDS = 1_000
LONGEST_WORD = 65_536
MOST_PART_BYTES = 65_536

Word = Annotated[str, Field(max_length=LONGEST_WORD, pattern=r"^[^\x00]*$")]


def _fits(words: tuple[str, ...]) -> tuple[str, ...]:
    if sum(len(word.encode(errors="surrogatepass")) for word in words) > LONGEST_WORD:
        raise ValueError(f"has at most {LONGEST_WORD:,} bytes in all its words")
    return words


Letters = Annotated[int, Field(ge=1, le=10_000)]


class Window(Request):
    """The size of a terminal."""

    columns: Letters
    rows: Letters


class Terminal(Window):
    """A terminal of that size; `term`: its kind, as in the variable TERM."""

    term: Annotated[str, Field(pattern="^[A-Za-z0-9._+-]{1,64}$")] = "xterm"


class Exec(Request):
    """A command to run beside a rank of the present attempt; its words are carried to the node and
    stored nowhere, but for the first. `terminal` null: it has three pipes instead."""

    command: Annotated[
        tuple[Word, ...], Field(min_length=1, max_length=MOST_WORDS), AfterValidator(_fits)
    ]
    rank: Annotated[int, Field(ge=0, le=100_000)] = 0
    terminal: Terminal | None = None


class ExecSession(Answer):
    """A session that was let in; only the token that asked for it may go on with it."""

    session: str
    workload: str
    attempt: str
    rank: int


class ExecInput(Request):
    """A part of the input from the byte `at` on; what was heard before is left out."""

    at: Annotated[int, Field(ge=0, le=2**62)]
    content: Annotated[Base64Bytes, Field(max_length=MOST_PART_BYTES)] = b""
    is_last: bool = False


class ExecTaken(Answer):
    """The byte of the input that is wanted next; nothing was taken where it is the old one."""

    next: int


class ExecChunk(Answer):
    """Output of one stream: `stdout`, `stderr`, or `note`, a line of Parkade's own."""

    stream: str
    content: Base64Bytes


def shown_chunk(stream: str, content: bytes) -> ExecChunk:
    """Some output as it is written."""
    return ExecChunk(stream=stream, content=base64.b64encode(content))


class ExecEnd(Answer):
    """How it ended: by an exit code, by a signal, or without either. `why`: what ended it, unless
    that was the command itself; else empty."""

    code: int | None
    signal: int | None
    why: str


class ExecOutput(Answer):
    """Output from a number on; `next`: the number to ask for next. `end` comes with the last of
    it."""

    chunks: tuple[ExecChunk, ...]
    next: int
    end: ExecEnd | None
