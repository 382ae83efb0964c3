"""The index of keys against a dict."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.compound.run.index import AddressSet, FilePlaces, KeyIndex

ADDRESSES = st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(ADDRESSES, st.integers(1, 2**40 - 1))))
def test_it_is_a_dict(pairs: list[tuple[int, int]]) -> None:
    index, expected = KeyIndex(), {}
    for address, place in pairs:
        index.put(address, place)
        expected[address & ~0b11000000] = place
    for address, _ in pairs:
        assert index.get(address) == expected[address & ~0b11000000]
    assert len(index) == len(expected)


def test_it_grows_and_finds_everything() -> None:
    index = KeyIndex()
    addresses = [n * 0x9E3779B97F4A7C15 % 2**64 for n in range(1, 50_000)]
    for place, address in enumerate(addresses, start=1):
        index.put(address, place)
    assert [index.get(address) for address in addresses] == list(range(1, 50_000))
    assert index.get(12345) == 0


def _keys(addresses: list[int]) -> list[str]:
    return [f"{address:016x}{7:016x}" for address in addresses]


@given(st.lists(ADDRESSES), st.lists(ADDRESSES))
@settings(max_examples=30)
def test_a_closed_set_of_addresses_holds_what_was_added(
    added: list[int], others: list[int]
) -> None:
    found = AddressSet()
    found.add(_keys(added[: len(added) // 2]))
    found.add(_keys(added[len(added) // 2 :]))
    found.close()
    assert all(address in found for address in added)
    assert [address in found for address in others] == [each in set(added) for each in others]


@given(st.lists(st.sampled_from([5, 5 << 32, 6 << 32]) | ADDRESSES))
@settings(max_examples=30)
def test_places_of_a_file_are_found_the_last_one_first(keys: list[int]) -> None:
    found = FilePlaces()
    found.add(_keys(keys), range(1, len(keys) + 1))
    found.close()
    for address in [*keys, 1, 5 << 40]:
        # The upper half of an address is compared; the reader of the file compares the rest.
        same = [n for n, key in enumerate(keys, start=1) if key >> 32 == address >> 32]
        assert list(found.get(address)) == same[::-1]


@pytest.mark.parametrize("key", ["", "0123", "0123456789abcdeg", "0123 456789abcde"])
def test_a_key_that_is_not_hexadecimal_is_refused(key: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its words differ between versions of Python
        FilePlaces().add([key], [1])
    with pytest.raises(ValueError):  # noqa: PT011 - the same
        AddressSet().add([key])
