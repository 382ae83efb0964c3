"""No promise is broken in small markets in which every node is well: those in which one was, and in
the long profile many more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.market_days_stories import clean_seat_for_an_owner
from benchmarks.market_search import search

pytestmark = pytest.mark.system

FOUND = (24, 26, 31, 35, 36, 72, 154, 429, 588, 671)
"""Markets in which an owner or on-demand once lost seats."""


@pytest.mark.parametrize("seed", FOUND)
def test_a_market_that_once_broke_a_promise_keeps_it(seed: int) -> None:
    assert search(seed, check_every=1_000).breaches == ()


@settings(max_examples=max(3, settings().max_examples // 20))
@given(st.integers(min_value=0, max_value=300))
def test_no_owner_waits_over_its_bound_and_no_seat_is_rechosen_while_its_nodes_are_well(
    seed: int,
) -> None:
    assert search(seed, check_every=1_000).breaches == ()


def test_an_owner_that_keeps_a_clean_node_does_not_wait_for_turnaround() -> None:
    seconds = clean_seat_for_an_owner()
    assert seconds is not None and seconds <= 1
