"""Reads a file of JSON lines from its start in batches: each line decoded, and where it begins.

A resumed run reads millions of lines before its first call, so little is done for each of them. A
torn last line is left out; a line that is broken anywhere else raises `DamagedLine`.
"""

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import BinaryIO, Generic, NamedTuple, TypeVar

import msgspec

BATCH_BYTES = 128 * 1024

T = TypeVar("T")


class DamagedLine(Exception):
    """A whole line cannot be read; `place` is its first byte."""

    def __init__(self, place: int, why: str) -> None:
        super().__init__(why)
        self.place = place


class LineBatch(NamedTuple, Generic[T]):
    """Whole lines, one after the other."""

    values: list[T]
    #: The first byte of each line in the file.
    places: list[int]
    #: The first byte behind the last line.
    end: int


def batches(file: BinaryIO, decode: Callable[[bytes], T]) -> Iterator[LineBatch[T]]:
    """All whole lines from where the file stands, which is its start. Raises DamagedLine.

    `decode` raises msgspec.DecodeError. Holds one batch, or one line where that is longer.
    """
    end = 0
    while lines := file.readlines(BATCH_BYTES):
        if not lines[-1].endswith(b"\n"):
            lines.pop()
        if not lines:
            return
        places = list(accumulate(map(len, lines), initial=end))
        end = places.pop()
        try:
            values = list(map(decode, lines))
        except msgspec.DecodeError:
            raise _damaged(lines, places, decode) from None
        yield LineBatch(values, places, end)


def _damaged(lines: list[bytes], places: list[int], decode: Callable[[bytes], T]) -> DamagedLine:
    for line, place in zip(lines, places, strict=True):
        try:
            decode(line)
        except msgspec.DecodeError as error:
            return DamagedLine(place, str(error))
    raise AssertionError("a batch cannot be decoded, and each of its lines can")
