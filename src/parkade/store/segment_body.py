"""A run of entries as bytes, and back: what a segment holds for ever.

Version 1 is XZ (`lzma` of the standard library, preset 1) over MessagePack of a list, for each
entry [epoch, at_us, type, version, body]. Sequences follow one another, and digests are not kept:
32 random bytes an entry are what compresses worst, and they are computed from the chain again. So
a segment cannot be read without being checked.
"""

import lzma

import msgspec

from parkade.core.state.chain import GENESIS, link
from parkade.ports import JournalEntry, StoreError

VERSION = 1
_PRESET = 1
# What preset 1 needs to decode is 2 MiB.
_MEMORY_LIMIT = 64 * 1024 * 1024
MOST_BYTES = 256 * 1024 * 1024
"""Of a segment that is read: far more than any that is made."""

_Kept = tuple[int, int, str, int, bytes]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Kept]).decode


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """A segment as its row is: `digest_before` and `digest_after` are the chain's before its first
    and at its last entry, `kinds` the types of its entries, `size` the bytes before compression."""

    last: int
    first: int
    first_at_us: int
    last_at_us: int
    digest_before: str
    digest_after: str
    kinds: str
    version: int
    size: int
    body: bytes


def pack(entries: list[JournalEntry], digest_before: str) -> Packed:
    """A run without a gap. StoreError where its chain does not follow `digest_before`."""
    plain = _encode([(it.epoch, it.at_us, it.type, it.version, it.body) for it in entries])
    filters = [{"id": lzma.FILTER_LZMA2, "preset": _PRESET}]
    packed = Packed(
        last=entries[-1].sequence,
        first=entries[0].sequence,
        first_at_us=entries[0].at_us,
        last_at_us=entries[-1].at_us,
        digest_before=digest_before,
        digest_after=entries[-1].digest,
        kinds=kinds_of(entries),
        version=VERSION,
        size=len(plain),
        body=lzma.compress(plain, format=lzma.FORMAT_XZ, filters=filters),
    )
    try:
        is_whole = unpack(packed) == entries
    except StoreError:
        is_whole = False
    if not is_whole:
        raise StoreError(
            f"entries {packed.first} to {packed.last} of the journal are not what was written: they"
            " stay as they are; restore a backup"
        )
    return packed


def unpack(packed: Packed) -> list[JournalEntry]:
    """Its entries, byte for byte. StoreError where they are not what was folded."""
    try:
        entries = _unpacked(packed)
    except (TypeError, ValueError, AssertionError, lzma.LZMAError, msgspec.MsgspecError) as error:
        raise _damaged(packed, f"{type(error).__name__}: {str(error)[:100]}") from error
    ends = (packed.first, packed.first_at_us, packed.last_at_us, packed.digest_after)
    if not entries or ends != (
        entries[0].sequence,
        entries[0].at_us,
        entries[-1].at_us,
        entries[-1].digest,
    ):
        raise _damaged(packed, "its ends are others")
    if entries[-1].sequence != packed.last or packed.kinds != kinds_of(entries):
        raise _damaged(packed, "it holds other entries")
    return entries


def kinds_of(entries: list[JournalEntry]) -> str:
    """The types of the entries, each between line breaks, which no type has."""
    return "\n" + "".join(f"{kind}\n" for kind in sorted({entry.type for entry in entries}))


def _unpacked(packed: Packed) -> list[JournalEntry]:
    if packed.version != VERSION:
        raise ValueError(f"version {packed.version} is not known")
    if not 0 < packed.size <= MOST_BYTES or len(packed.digest_before) != len(GENESIS):
        raise ValueError("its row was changed")
    reader = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MEMORY_LIMIT)
    plain = reader.decompress(packed.body, max_length=packed.size)
    if len(plain) != packed.size or reader.unused_data:
        raise ValueError("it has another size")
    found, digest, sequence = [], packed.digest_before, packed.first
    for epoch, at_us, kind, version, body in _decode(plain):
        digest = link(
            digest,
            sequence=sequence,
            epoch=epoch,
            at_us=at_us,
            type=kind,
            version=version,
            body=body,
        )
        found.append(
            JournalEntry(
                sequence=sequence,
                epoch=epoch,
                at_us=at_us,
                type=kind,
                version=version,
                body=body,
                digest=digest,
            )
        )
        sequence += 1
    return found


def _damaged(packed: Packed, why: str) -> StoreError:
    return StoreError(
        f"the segment of entries {packed.first} to {packed.last} of the journal is not what was"
        f" written ({why}): restore a backup"
    )
