"""Lines of a file that may be as long as it likes: each line is bounded, and so is the memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from parkade.sim.replay.tables import BadData

MOST_LINE_BYTES = 1 << 16
BLOCK_BYTES = 1 << 20


class Lines:
    """The lines of a file without their ends; bytes that are no UTF-8 become `\ufffd`.

    `too_long` counts lines that were left out for their length; `is_cut` says that the last line
    has no end, as in a file that is still being written.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.too_long = 0
        self.is_cut = False

    def __iter__(self) -> Iterator[str]:
        try:
            with self._file.open("rb") as handle:
                yield from self._read(handle)
        except OSError as error:
            raise BadData(f"{self._file} cannot be read: {error.strerror}") from None

    def _read(self, handle: BinaryIO) -> Iterator[str]:
        rest, is_dropping = b"", False
        while block := handle.read(BLOCK_BYTES):
            head, end, tail = block.rpartition(b"\n")
            if not end:
                rest, is_dropping = self._longer(rest, block, is_dropping)
                continue
            if is_dropping:
                _, _, head = head.partition(b"\n") if b"\n" in head else (b"", b"", b"")
                is_dropping = False
                if not head:
                    rest, is_dropping = self._longer(b"", tail, is_dropping=False)
                    continue
            for line in (rest + head).decode("utf-8", "replace").split("\n"):
                if len(line) > MOST_LINE_BYTES:
                    self.too_long += 1
                else:
                    yield line.removesuffix("\r")
            rest, is_dropping = self._longer(b"", tail, is_dropping=False)
        if rest:
            self.is_cut = True
            yield rest.decode("utf-8", "replace")

    def _longer(self, rest: bytes, more: bytes, is_dropping: bool) -> tuple[bytes, bool]:
        """(the line so far, whether the rest of it is dropped)."""
        if is_dropping:
            return b"", True
        if len(rest) + len(more) > MOST_LINE_BYTES:
            self.too_long += 1
            return b"", True
        return rest + more, False
