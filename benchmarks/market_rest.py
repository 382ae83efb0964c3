"""How often a second clearing of an unchanged small market changes seats.

    python benchmarks/market_rest.py [MARKETS]

The chance markets of `tests/core/market/test_truthful.py`, of MARKETS (10,000) seeds: once with one
floor and whole nodes alone, once with all that they have. Printed is how many are restless, by what
the first clearing changes and how many do. Half a minute on one core.
"""

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from parkade.core.market.clear import clear
from parkade.core.market.market_state import MarketState
from tests.core.market.story import chance_market, incumbents
from tests.core.market.test_truthful import moved

MOST = 10
"""Clearings after which a market counts as one that never rests."""


def restless(state: MarketState) -> tuple[int, str]:
    """(clearings that change seats, what the first changes), after the one that seats all."""
    changes = ""
    state = incumbents(state)
    for count in range(MOST):
        clearing = clear(state)
        changed = sorted(set(moved(clearing).values()))
        if not changed:
            return count, changes
        changes = changes or " and ".join(changed)
        state = incumbents(state, clearing)
    return MOST, changes


def main() -> None:
    """Prints a line for each kind."""
    markets = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    found: Counter[str] = Counter()
    for seed in range(markets):
        for name, state in (
            ("one floor", chance_market(seed, lends=False, shared=False)),
            ("several floors", chance_market(seed)),
        ):
            count, changes = restless(state)
            if count:
                found[f"{name}: {changes}, in {count} clearings"] += 1
    print(f"{markets} markets of each kind")
    for kind, count in sorted(found.items()):
        print(f"{count} {kind}")


if __name__ == "__main__":
    main()
