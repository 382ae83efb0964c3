"""A log that processes on many machines append to: numbered files, each made by one link.

`link` makes a name only if it is not there, in one step, also on NFS. The writer of entry n has
read all entries below n; if another process made n first, the link fails and the writer reads it
before it decides anew. No lock is held, so a killed writer blocks no other.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from parkade.compound.shards.entries import Entry
from parkade.compound.wrong_values import in_words

#: A bound on mistakes, not a working size: a run of 10,000 shards writes some 50,000.
MOST_ENTRIES = 10_000_000

_decode = msgspec.json.Decoder(Entry).decode
_encode = msgspec.json.Encoder().encode


class LogError(Exception):
    """The shared folder's log cannot be used; the message says why and what to do."""


class Log:
    """The entries in a folder, read and appended by one process under its own name."""

    def __init__(self, folder: Path, writer: str) -> None:
        self._folder = folder
        self._draft = folder / f".{writer}.new"
        #: How many entries were read.
        self.length = 0

    def unread(self) -> Iterator[Entry]:
        """Entries that were not read yet, in their order; LogError where one is damaged."""
        while self.length < MOST_ENTRIES:
            path = self._path(self.length + 1)
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return
            try:
                entry = _decode(content)
            except msgspec.DecodeError as error:
                raise LogError(
                    f"{path} is damaged ({in_words(error)}); restore it from a copy, or start anew "
                    "with another --out"
                ) from None
            self.length += 1
            yield entry
        raise LogError(f"{self._folder} has {MOST_ENTRIES} entries and takes no more")

    def append(self, entry: Entry) -> bool:
        """Durable as the next entry when this is True; False, and nothing done, if one came first.

        The caller has read everything before.
        """
        with self._draft.open("wb") as file:
            file.write(_encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(self._draft, self._path(self.length + 1))
        except FileExistsError:
            # Over a network the answer to a link that was made may be lost, and the link repeated.
            if self._draft.stat().st_nlink < 2:
                return False
        finally:
            self._draft.unlink()
        self.length += 1
        return True

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08}.json"
