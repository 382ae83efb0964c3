"""Reads kernel lines from an open file and from this machine's ring, in bounded pieces."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from parkade.sensors.kernel_log.reading import MOST_LINE

KMSG = Path("/dev/kmsg")
MOST_RECORD = 8_192
"""The kernel gives one record a read, never longer than this."""
MOST_RECORDS = 100_000
"""In one look; a ring of the largest size that kernels are built with holds about so many."""


def lines_of(handle: IO[bytes]) -> Iterator[str]:
    """The lines of an open file, each cut to MOST_LINE; bytes that are no UTF-8 are replaced."""
    while chunk := handle.readline(MOST_LINE):
        line = chunk
        while chunk and not chunk.endswith(b"\n"):
            chunk = handle.readline(MOST_LINE)
        yield line.decode("utf-8", "replace").rstrip("\n")


class KernelRecords:
    """The records of the kernel's ring, each given once: first all that it still holds, oldest
    first, then what came since. The device stays open, so a look without news is one call."""

    def __init__(self, path: Path = KMSG) -> None:
        self._path = path
        self._descriptor: int | None = None

    def new(self) -> Iterator[str]:
        """Those since the last call, without waiting for more; at most `MOST_RECORDS`. Raises
        OSError where the device cannot be opened (by root only on most machines) or read; then it
        is opened anew by the next call, which gives everything again."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        for _ in range(MOST_RECORDS):
            try:
                record = os.read(self._descriptor, MOST_RECORD)
            except BlockingIOError:
                return
            except BrokenPipeError:
                # Records were overwritten before they could be read; the next read goes on.
                continue
            except OSError:
                self.close()
                raise
            if not record:
                return
            # Lines after the first are a record's properties, each behind a space.
            yield record.split(b"\n", 1)[0].decode("utf-8", "replace")

    def close(self) -> None:
        """Lets go of the device."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
