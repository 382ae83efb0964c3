"""Which digests were seen: 64-bit numbers in an open-addressing table of 8 bytes a place.

A Python set would take ten times the memory. The table is at most 3/5 full, so a look takes about
two places; it doubles when it is fuller.
"""

from array import array

_FIRST_BITS = 16


class Seen:
    """A set of whole numbers from 1 to 2⁶⁴ - 1, well spread (they are digests)."""

    def __init__(self) -> None:
        self._bits = _FIRST_BITS
        self._places = array("Q", bytes(8 << self._bits))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def bytes(self) -> int:
        """Memory of the table."""
        return len(self._places) * self._places.itemsize

    def add(self, digest: int) -> bool:
        """Whether it is new; it is kept from now on. O(1)."""
        assert 0 < digest < 1 << 64
        places, mask = self._places, (1 << self._bits) - 1
        place = digest & mask
        while (found := places[place]) != 0:
            if found == digest:
                return False
            place = (place + 1) & mask
        places[place] = digest
        self._count += 1
        if self._count * 5 > 3 << self._bits:
            self._grow()
        return True

    def _grow(self) -> None:
        before = self._places
        self._bits += 1
        self._places = array("Q", bytes(8 << self._bits))
        places, mask = self._places, (1 << self._bits) - 1
        for digest in before:
            if digest:
                place = digest & mask
                while places[place]:
                    place = (place + 1) & mask
                places[place] = digest
