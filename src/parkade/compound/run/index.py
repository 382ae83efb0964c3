"""Indexes from content addresses to places in a file, small enough for tens of millions.

A dict of a million keys takes 180 MB. Lines that are read when a file is opened are known all at
once: `FilePlaces` sorts them, 8 bytes each, and takes a fraction of a microsecond for one. Lines
that are written later come one by one: `KeyIndex` takes 12 bytes a slot, 16 to 20 MB for a million.
It is a hash table with linear probing in 64 shards, so that growing one copies little and adds a
quarter. Of the address 62 bits are compared there (6 choose the shard, 56 are stored); the reader
of the file compares all 128.

A slot is one word and one half word: `(place << 24 | bits 40-63)` and bits 8-39 of the address. A
word of zero is free, so no place is zero. Cost of an insertion and a look-up: constant on average,
at most 1 / (1 - load)² probes.
"""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

SHARDS = 64
FIRST_SLOTS = 64
#: A shard grows when three quarters of it are used.
LOAD_NUMERATOR, LOAD_DENOMINATOR = 3, 4
MAX_PLACE = 1 << 40


class _Shard:
    __slots__ = ("halves", "slots", "used", "words")

    def __init__(self, slots: int) -> None:
        self.words = array("Q", bytes(8 * slots))
        self.halves = array("I", bytes(4 * slots))
        self.slots = slots
        self.used = 0


class KeyIndex:
    """Places by 64-bit address; a later place replaces an earlier one."""

    def __init__(self) -> None:
        self._shards = [_Shard(FIRST_SLOTS) for _ in range(SHARDS)]

    def __len__(self) -> int:
        return sum(shard.used for shard in self._shards)

    def put(self, address: int, place: int) -> int:
        """Remember a place, 0 < place < 2⁴⁰; the earlier one of the address, or 0."""
        assert 0 < place < MAX_PLACE
        shard = self._shards[address & 63]
        half = (address >> 8) & 0xFFFFFFFF
        top = address >> 40
        words, halves, slots = shard.words, shard.halves, shard.slots
        slot = half % slots
        while word := words[slot]:
            if halves[slot] == half and word & 0xFFFFFF == top:
                words[slot] = place << 24 | top
                return word >> 24
            slot = slot + 1 if slot + 1 < slots else 0
        words[slot] = place << 24 | top
        halves[slot] = half
        shard.used += 1
        if shard.used * LOAD_DENOMINATOR > slots * LOAD_NUMERATOR:
            _grow(shard)
        return 0

    def get(self, address: int) -> int:
        """The place, or 0 if there is none."""
        shard = self._shards[address & 63]
        half = (address >> 8) & 0xFFFFFFFF
        top = address >> 40
        words, halves, slots = shard.words, shard.halves, shard.slots
        slot = half % slots
        while word := words[slot]:
            if halves[slot] == half and word & 0xFFFFFF == top:
                return word >> 24
            slot = slot + 1 if slot + 1 < slots else 0
        return 0


class FilePlaces:
    """Places of the lines of a whole file by 64-bit address, 8 bytes each.

    Add all, `close` once, then ask. A word is bits 32-55 of the address above the place; bits 56-63
    choose the shard. 32 bits are compared: of a million lines one in 4,000 shares them with
    another, so an address may have several places, and the reader of the file compares the rest.
    """

    def __init__(self) -> None:
        self._shards = [array("Q") for _ in range(256)]

    def add(self, keys: Sequence[str], places: Iterable[int]) -> None:
        """Before `close`; 0 < place < 2⁴⁰. Raises ValueError for a key that is not hexadecimal."""
        shards = self._shards
        for address, place in zip(addresses_of(keys), places, strict=True):
            shards[address >> 56].append((address >> 32 & 0xFFFFFF) << 40 | place)

    def close(self) -> None:
        """All were added."""
        _sort(self._shards)

    def get(self, address: int) -> Iterator[int]:
        """The places where the line may be, the last one first."""
        shard = self._shards[address >> 56]
        least = (address >> 32 & 0xFFFFFF) << 40
        slot = bisect_left(shard, least + MAX_PLACE)
        while slot and shard[slot - 1] >= least:
            slot -= 1
            yield shard[slot] & (MAX_PLACE - 1)


class AddressSet:
    """Which addresses were added, 8 bytes each: add all, `close` once, then ask."""

    def __init__(self) -> None:
        self._shards = [array("Q") for _ in range(SHARDS)]

    def add(self, keys: Sequence[str]) -> None:
        """Before `close`. Raises ValueError for a key that is not hexadecimal."""
        shards = self._shards
        for address in addresses_of(keys):
            shards[address & 63].append(address)

    def close(self) -> None:
        """All were added."""
        _sort(self._shards)

    def __contains__(self, address: int) -> bool:
        shard = self._shards[address & 63]
        place = bisect_left(shard, address)
        return place < len(shard) and shard[place] == address


def _sort(shards: "list[array[int]]") -> None:
    """One by one, so that little is copied."""
    for shard in shards:
        shard[:] = array("Q", sorted(shard))


def _grow(shard: _Shard) -> None:
    old_words, old_halves = shard.words, shard.halves
    slots = len(old_words) * 5 // 4
    words, halves = array("Q", bytes(8 * slots)), array("I", bytes(4 * slots))
    for word, half in zip(old_words, old_halves, strict=True):
        if word:
            slot = half % slots
            while words[slot]:
                slot = slot + 1 if slot + 1 < slots else 0
            words[slot] = word
            halves[slot] = half
    shard.words, shard.halves, shard.slots = words, halves, slots


def address_of(key: str) -> int:
    """The first 64 bits of a key in hexadecimal."""
    return int(key[:16], 16)


def addresses_of(keys: Sequence[str]) -> "array[int]":
    """As `address_of`, for many at once. Raises ValueError for a key that is not hexadecimal."""
    addresses = array("Q", bytes.fromhex("".join([key[:16] for key in keys])))
    if len(addresses) != len(keys):
        raise ValueError("a key is not 16 hexadecimal digits or more")
    if sys.byteorder == "little":
        addresses.byteswap()
    return addresses
