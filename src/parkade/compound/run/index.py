"""Indexes from content addresses to places in a file, small enough for tens of millions.

A dict of a million keys takes 180 MB; these take 8 to 9 bytes for each. An address is 64 bits. Its
first 12 choose one of 4,096 shards; a shard is a sorted array of words of 8 bytes, which are found
by bisection. What a file held when it was opened is added in batches and sorted once; what comes
later is put in its place one by one.

Cost of a look-up: O(log n). Cost of putting one in its place: the same, and moving the words behind
it: 2 KB in a million, 20 KB in ten million.
"""

import sys
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence

SHARDS = 4_096
#: Address to shard: the first 12 of its 64 bits.
SHARD_SHIFT = 52
#: The next 24 bits of the address stand above the place in a word.
NEXT_SHIFT, NEXT_MASK = 28, 0xFFFFFF
PLACE_BITS = 40
MAX_PLACE = 1 << PLACE_BITS


class Places:
    """Places of lines by address. First `add` all that is there, `sort` once; then put and get.

    36 bits of the address are compared: of a million lines some 7 pairs share them, so an address
    may have several places, and the reader of the file compares the rest.
    """

    def __init__(self) -> None:
        self._shards = _empty_shards()

    def add(self, keys: Sequence[str], places: Iterable[int]) -> None:
        """Before `sort`; 0 < place < 2⁴⁰. Raises ValueError for a key that is not hexadecimal."""
        shards = self._shards
        for address, place in zip(addresses_of(keys), places, strict=True):
            shards[address >> SHARD_SHIFT].append(
                (address >> NEXT_SHIFT & NEXT_MASK) << PLACE_BITS | place
            )

    def sort(self) -> None:
        """All that was there is added."""
        _sort(self._shards)

    def put(self, address: int, place: int) -> None:
        """One more, 0 < place < 2⁴⁰; earlier places of the address stay."""
        assert 0 < place < MAX_PLACE
        word = (address >> NEXT_SHIFT & NEXT_MASK) << PLACE_BITS | place
        insort(self._shards[address >> SHARD_SHIFT], word)

    def get(self, address: int) -> Iterator[int]:
        """The places where the line may be, the last one first."""
        shard = self._shards[address >> SHARD_SHIFT]
        least = (address >> NEXT_SHIFT & NEXT_MASK) << PLACE_BITS
        slot = bisect_left(shard, least + MAX_PLACE)
        while slot and shard[slot - 1] >= least:
            slot -= 1
            yield shard[slot] & (MAX_PLACE - 1)


class AddressSet:
    """Which addresses there are. First `add` all that is there, `sort` once; then put and ask."""

    def __init__(self) -> None:
        self._shards = _empty_shards()

    def add(self, keys: Sequence[str]) -> None:
        """Before `sort`. Raises ValueError for a key that is not hexadecimal."""
        shards = self._shards
        for address in addresses_of(keys):
            shards[address >> SHARD_SHIFT].append(address)

    def sort(self) -> None:
        """All that was there is added."""
        _sort(self._shards)

    def put(self, address: int) -> bool:
        """One more; whether it is new."""
        shard = self._shards[address >> SHARD_SHIFT]
        place = bisect_left(shard, address)
        if place < len(shard) and shard[place] == address:
            return False
        shard.insert(place, address)
        return True

    def __contains__(self, address: int) -> bool:
        shard = self._shards[address >> SHARD_SHIFT]
        place = bisect_left(shard, address)
        return place < len(shard) and shard[place] == address


def _empty_shards() -> "list[array[int]]":
    return [array("Q") for _ in range(SHARDS)]


def _sort(shards: "list[array[int]]") -> None:
    """One by one, so that little is copied."""
    for shard in shards:
        shard[:] = array("Q", sorted(shard))


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
