"""The counts of decision 185: with the exchange of places no more is displaced without need."""

from collections import Counter
from unittest.mock import patch

from benchmarks.market_displaced import count, gangs_beside_idle_nodes
from parkade.core.market import stepping_aside
from parkade.core.market.clear import clear
from tests.core.market.market_findings import squeezed

GANGS = "gangs beside idle nodes"
HELPED = 8


def test_the_exchange_ends_needless_displacements_and_makes_none() -> None:
    shipped, without = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    count(25, shipped)
    with patch.object(stepping_aside, "_exchange", lambda *_: {}):
        count(25, without)
    for kind in ("walks", GANGS):
        assert shipped[kind, "markets"] == without[kind, "markets"] > 20
        for what in ("displaced", "displaced without need"):
            assert shipped[kind, what] <= without[kind, what]
        assert shipped[kind, "displaced"] > 0


def test_a_market_in_which_two_newcomers_have_to_change_places() -> None:
    state = gangs_beside_idle_nodes(HELPED)
    assert not list(squeezed(state, clear(state)))
    with patch.object(stepping_aside, "_exchange", lambda *_: {}):
        assert list(squeezed(state, clear(state)))
