"""Faults of bids with several markets, and the small world in which they are found."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.clearing import linking
from parkade.sim.check.scenarios import (
    GUEST,
    MARKET,
    OTHER,
    Asks,
    Scenario,
    another_market,
    fleet,
    in_markets,
    submission,
)
from tests.sim.check.faults import Fault

LINKED = Scenario(
    name="two markets of a node",
    says="a bid in both, and one that outbids it in its first",
    setup=(
        *fleet({"a": 1}, gpus=1, orgs=("birch", GUEST)),
        another_market({"b": 1}, gpus=1),
    ),
    submissions=(
        in_markets(GUEST, {MARKET: 3, OTHER: 5}),
        replace(submission("birch", limit=6), market=MARKET),
    ),
    most_live=2,
    bids=(),
    asks=Asks(0),
)


def _keeps_what_it_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(linking, "_is_silent", lambda *_: True)


def _pays_the_other_markets_price(patch: pytest.MonkeyPatch) -> None:
    part_of = linking._part

    def dear(seen: Any, given: Any, market: str, *rest: Any) -> Any:
        made, lists = part_of(seen, given, market, *rest), rest[1]
        lines = []
        for it in made.outcome.lines:
            is_dear = it.demand in lists and bool(it.seats)
            lines.append(replace(it, price_micros=10**8) if is_dear else it)
        return made._replace(outcome=replace(made.outcome, lines=tuple(lines)))

    patch.setattr(linking, "_part", dear)


IN_LINKED_MARKETS = (
    Fault(name="a bid that is promised seats in another market keeps those that it lost",
          plant=_keeps_what_it_lost, scenario=LINKED, invariants=(2, 3, 6, 8, 43)),
    Fault(name="a bid pays more than its limit in the market where it wins",
          plant=_pays_the_other_markets_price, scenario=LINKED, invariants=(14,)),
)  # fmt: skip
