"""The indexes against lists and sets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.compound.run.index import AddressSet, Places

ADDRESSES = st.integers(0, 2**64 - 1)


def _keys(addresses: list[int]) -> list[str]:
    return [f"{address:016x}{7:016x}" for address in addresses]


@given(st.lists(ADDRESSES), st.lists(ADDRESSES))
@settings(max_examples=30)
def test_a_set_of_addresses_holds_what_was_there_and_what_came(
    added: list[int], others: list[int]
) -> None:
    found = AddressSet()
    found.add(_keys(added[: len(added) // 3]))
    found.add(_keys(added[len(added) // 3 : len(added) // 2]))
    found.sort()
    known = set(added[: len(added) // 2])
    for address in added[len(added) // 2 :]:
        assert found.put(address) is (address not in known)
        known.add(address)
    assert all(address in found for address in added)
    assert [address in found for address in others] == [each in set(added) for each in others]


@given(st.lists(st.sampled_from([5, 5 << 28, 6 << 28]) | ADDRESSES), st.integers(0, 100))
@settings(max_examples=30)
def test_places_are_found_the_last_one_first(keys: list[int], there: int) -> None:
    found = Places()
    found.add(_keys(keys[:there]), range(1, len(keys[:there]) + 1))
    found.sort()
    for place, key in enumerate(keys[there:], start=there + 1):
        found.put(key, place)
    for address in [*keys, 1, 5 << 40]:
        # 36 bits of an address are compared; the reader of the file compares the rest.
        same = [n for n, key in enumerate(keys, start=1) if key >> 28 == address >> 28]
        assert list(found.get(address)) == same[::-1]


@pytest.mark.parametrize("key", ["", "0123", "0123456789abcdeg", "0123 456789abcde"])
def test_a_key_that_is_not_hexadecimal_is_refused(key: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its words differ between versions of Python
        Places().add([key], [1])
    with pytest.raises(ValueError):  # noqa: PT011 - the same
        AddressSet().add([key])
