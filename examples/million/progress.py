"""What the sandbox said of each program, in a file that only grows; a run goes on from any byte.

The first line says which run it is: {"version": 1, "run": …}. Each further line is one result:
program number, 1 for passed or 0, and a check sum of both in hexadecimal, so that a torn or spoiled
line is told from a whole one. At the opening, everything from the first bad line on is cut off;
what it held is done again.

    {"version":1,"run":"seed 7"}
    12 0 1f0e3c55
    15 1 9a70b1d2
"""

import json
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

VERSION = 1
FLUSH_EVERY = 200
MOST_LINE_BYTES = 1_000


class OtherRun(Exception):
    """The file belongs to a run with other settings; the message names both."""


class Progress:
    """The results so far, by program number, and the file they are added to."""

    def __init__(self, path: Path, run: str) -> None:
        self.results: dict[int, bool] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+")
        self._waiting = 0
        try:
            length = self._read(run)
        except BaseException:
            self._file.close()
            raise
        self._file.truncate(length)
        if length == 0:
            self._file.write(json.dumps({"version": VERSION, "run": run}).encode() + b"\n")
            self._flush()

    def _read(self, run: str) -> int:
        """Takes in all whole lines; gives their length in bytes."""
        self._file.seek(0)
        head = self._file.readline(MOST_LINE_BYTES)
        if not head.endswith(b"\n"):
            return 0
        said = json.loads(head)
        if said != {"version": VERSION, "run": run}:
            raise OtherRun(
                f"{self._file.name} belongs to {said}, not to {run!r}; give another folder"
            )
        length = len(head)
        while (line := self._file.readline(MOST_LINE_BYTES)).endswith(b"\n"):
            found = parse(line)
            if found is None:
                break
            self.results[found[0]] = found[1]
            length += len(line)
        return length

    def note(self, index: int, is_passed: bool) -> None:
        """Adds a result; it is on disk after at most `FLUSH_EVERY` more, or at the end."""
        self.results[index] = is_passed
        self._file.write(line_of(index, is_passed))
        self._waiting += 1
        if self._waiting >= FLUSH_EVERY:
            self._flush()

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._flush()
        self._file.close()


def line_of(index: int, is_passed: bool) -> bytes:
    """One result as it stands in the file."""
    said = b"%d %d" % (index, is_passed)
    return b"%s %08x\n" % (said, zlib.crc32(said))


def parse(line: bytes) -> tuple[int, bool] | None:
    """The result of a line; None if it is torn or spoiled."""
    said, _, _ = line.rpartition(b" ")
    index, _, passed = said.partition(b" ")
    if not index.isdigit() or passed not in (b"0", b"1"):
        return None
    found = (int(index), passed == b"1")
    return found if line_of(*found) == line else None
