"""The head file: the last (sequence, digest) of a journal, kept beside it and apart from it.

It is written after each commit and not synced: after a loss of power it may be behind the journal,
never ahead of it. A journal that does not reach the head, or that has another digest there, lost
its tail or was changed. Two slots are written in turn, so that a torn write leaves the other.
"""

import os
import zlib
from pathlib import Path

import msgspec

from parkade.ports import StoreError

_SLOT_BYTES = 128
_VERSION = "1"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The journal's end as it was last told."""

    sequence: int
    digest: str


class HeadFile:
    """A head file; made when it is first written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def read(self) -> Head | None:
        """The newest readable slot; None where the file is missing or neither slot can be read."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        slots = (content[:_SLOT_BYTES], content[_SLOT_BYTES : 2 * _SLOT_BYTES])
        heads = [head for slot in slots if (head := _parse(slot, self.path)) is not None]
        return max(heads, key=lambda head: head.sequence, default=None)

    def write(self, head: Head) -> None:
        """Replaces the older slot."""
        if self._descriptor is None:
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o600)
        text = f"{_VERSION} {head.sequence} {head.digest}"
        line = f"{text} {zlib.crc32(text.encode()):08x}\n".encode()
        assert len(line) <= _SLOT_BYTES
        os.pwrite(self._descriptor, line.ljust(_SLOT_BYTES), head.sequence % 2 * _SLOT_BYTES)

    def close(self) -> None:
        """Lets go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def refuse_broken(head: Head | None, *, last: int, digest_at_head: str | None, path: Path) -> None:
    """StoreError where the journal is not the one that the head was written for.

    `last` is the journal's end, `digest_at_head` what it has at the head's sequence.
    """
    if head is None or digest_at_head == head.digest:
        return
    if head.sequence > last:
        found = f"ends at entry {last}, but {head.sequence} entries were committed"
    else:
        found = f"is not the journal that was written: entry {head.sequence} has another digest"
    raise StoreError(
        f"the journal {found}; what is missing or changed cannot be told from it. Restore a backup."
        f" To go on with this journal and lose what is missing, move {path} away first"
    )


def _parse(slot: bytes, path: Path) -> Head | None:
    text, _, checksum = slot.decode(errors="replace").strip().rpartition(" ")
    if not text or checksum != f"{zlib.crc32(text.encode()):08x}":
        return None
    fields = text.split(" ")
    if fields[0] != _VERSION:
        return None
    if len(fields) != 3 or not fields[1].isdecimal():
        raise StoreError(
            f"{path} holds {text!r}, not an entry and its digest: it was changed. Restore a backup;"
            " to go on with this journal as it is, move that file away first"
        )
    return Head(sequence=int(fields[1]), digest=fields[2])
