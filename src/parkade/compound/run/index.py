"""An index from content addresses to places in a file, small enough for tens of millions.

A dict of a million keys takes 180 MB; this takes 12 bytes a slot, 16 to 20 MB for a million. It is
a hash table with linear probing in 64 shards, so that growing one copies little and adds a quarter.
Of the address 62 bits are compared here (6 choose the shard, 56 are stored); the reader of the file
compares all 128.

A slot is one word and one half word: `(place << 24 | bits 40-63)` and bits 8-39 of the address. A
word of zero is free, so no place is zero. Cost of an insertion and a look-up: constant on average,
at most 1 / (1 - load)² probes.
"""

import os
from array import array
from bisect import bisect_left
from pathlib import Path

SHARDS = 64
FIRST_SLOTS = 64
#: A shard grows when three quarters of it are used.
LOAD_NUMERATOR, LOAD_DENOMINATOR = 3, 4
MAX_PLACE = 1 << 40
SAMPLE_BYTES = 256 * 1024


class _Shard:
    __slots__ = ("halves", "slots", "used", "words")

    def __init__(self, slots: int) -> None:
        self.words = array("Q", bytes(8 * slots))
        self.halves = array("I", bytes(4 * slots))
        self.slots = slots
        self.used = 0


class KeyIndex:
    """Places by 64-bit address; a later place replaces an earlier one."""

    def __init__(self, expected: int = 0) -> None:
        """Room for `expected` places at once, so that filling it copies nothing."""
        slots = FIRST_SLOTS + expected // SHARDS * LOAD_DENOMINATOR // LOAD_NUMERATOR
        self._shards = [_Shard(slots) for _ in range(SHARDS)]

    def __len__(self) -> int:
        return sum(shard.used for shard in self._shards)

    def put(self, address: int, place: int) -> None:
        """Remember a place, 0 < place < 2⁴⁰."""
        assert 0 < place < MAX_PLACE
        shard = self._shards[address & 63]
        half = (address >> 8) & 0xFFFFFFFF
        top = address >> 40
        words, halves, slots = shard.words, shard.halves, shard.slots
        slot = half % slots
        while word := words[slot]:
            if halves[slot] == half and word & 0xFFFFFF == top:
                words[slot] = place << 24 | top
                return
            slot = slot + 1 if slot + 1 < slots else 0
        words[slot] = place << 24 | top
        halves[slot] = half
        shard.used += 1
        if shard.used * LOAD_DENOMINATOR > slots * LOAD_NUMERATOR:
            _grow(shard)

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


class AddressSet:
    """Which addresses were added, 8 bytes each: add all, `close` once, then ask."""

    def __init__(self, expected: int = 0) -> None:
        """Room for `expected` addresses at once: shards that grow in turn leave holes behind."""
        room = bytes(8 * (FIRST_SLOTS + expected // SHARDS * 17 // 16))
        self._shards = [array("Q", room) for _ in range(SHARDS)]
        self._used = [0] * SHARDS

    def add(self, address: int) -> None:
        """Before `close`."""
        number = address & 63
        shard, used = self._shards[number], self._used[number]
        if used < len(shard):
            shard[used] = address
        else:
            shard.append(address)
        self._used[number] = used + 1

    def close(self) -> None:
        """Sort the shards one by one, so that little is copied."""
        for shard, used in zip(self._shards, self._used, strict=True):
            shard[:used] = array("Q", sorted(shard[:used]))

    def __contains__(self, address: int) -> bool:
        number = address & 63
        shard, used = self._shards[number], self._used[number]
        place = bisect_left(shard, address, 0, used)
        return place < used and shard[place] == address


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


def expected_lines(path: Path) -> int:
    """About how many lines a file has, by its size and its first lines; 0 if there is none."""
    try:
        with path.open("rb") as file:
            sample = file.read(SAMPLE_BYTES)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return 0
    return size * sample.count(b"\n") // max(1, len(sample))
