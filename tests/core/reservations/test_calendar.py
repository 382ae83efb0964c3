"""The calendar against a count at every instant."""

from hypothesis import given
from hypothesis import strategies as st

from parkade.core.reservations.calendar import Sold, peak_nodes, room, shape_for
from parkade.core.units.time import Window

FABRICS = ("a", "b")


@st.composite
def windows(draw: st.DrawFn) -> Window:
    start_us = draw(st.integers(min_value=0, max_value=20))
    length = draw(st.none() | st.integers(min_value=1, max_value=10))
    return Window(start_us=start_us, end_us=None if length is None else start_us + length)


ENTRIES = st.lists(
    st.builds(
        Sold,
        fabric=st.sampled_from(FABRICS),
        nodes=st.integers(min_value=1, max_value=4),
        window=windows(),
    ),
    max_size=8,
)


@given(ENTRIES, windows())
def test_the_peak_is_the_highest_count_at_any_instant(entries: list[Sold], window: Window) -> None:
    for fabric in FABRICS:
        counts = [
            sum(it.nodes for it in entries if it.fabric == fabric and it.window.holds(at))
            for at in range(60)
            if window.holds(at)
        ]
        assert peak_nodes(entries, fabric, window) == max(counts)


@given(ENTRIES, windows(), st.integers(min_value=0, max_value=2), st.integers(1, 12))
def test_a_sold_shape_never_takes_more_than_capacity_less_the_buffer(
    entries: list[Sold], window: Window, buffer_nodes: int, nodes: int
) -> None:
    capacity = {"a": 6, "b": 8}
    free = room(entries, capacity, buffers=dict.fromkeys(capacity, buffer_nodes), window=window)
    shape = shape_for(free, nodes)
    if shape is None:
        assert sum(free.values()) < nodes
        return
    assert sum(count for _, count in shape) == nodes
    sold = [*entries, *(Sold(fabric=f, nodes=n, window=window) for f, n in shape)]
    for fabric, count in shape:
        assert count <= free[fabric]
        assert peak_nodes(sold, fabric, window) <= capacity[fabric] - buffer_nodes


def test_a_shape_stays_in_the_tightest_fabric_that_holds_it() -> None:
    assert shape_for({"a": 5, "b": 3, "c": 2}, 3) == (("b", 3),)
    assert shape_for({"a": 2, "b": 3}, 4) == (("a", 1), ("b", 3))
    assert shape_for({"a": 2}, 3) is None
