"""The index of keys against a dict."""

from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.compound.run.index import AddressSet, KeyIndex

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


@given(st.lists(st.integers(0, (1 << 64) - 1)), st.lists(st.integers(0, (1 << 64) - 1)))
@settings(max_examples=30)
def test_a_closed_set_of_addresses_holds_what_was_added(
    added: list[int], others: list[int]
) -> None:
    found = AddressSet()
    for address in added:
        found.add(address)
    found.close()
    assert all(address in found for address in added)
    assert [address in found for address in others] == [each in set(added) for each in others]
