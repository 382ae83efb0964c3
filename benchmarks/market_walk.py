"""A search of small random markets for broken claims, each on the outcome of the last.

    python benchmarks/market_walk.py [--first 0] [--walks 1000] [--only overpaid] [--seconds 100]

`tests/core/market/market_walk.py` draws the markets and `market_findings.py` says what no clearing
may do with one. Each finding is printed with the seed of its walk and the step; at the end how many
there are of each kind. Kinds with an excuse are those that docs/market.md tells of.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.core.market.market_findings import CHECKS, findings
from tests.core.market.market_walk import STEPS, walk


def main() -> None:
    parser = argparse.ArgumentParser(description="Search small random markets for broken claims.")
    parser.add_argument("--first", type=int, default=0, help="seed of the first walk")
    parser.add_argument("--walks", type=int, default=1_000)
    parser.add_argument("--only", choices=CHECKS, action="append", help="checks; all if none")
    parser.add_argument("--seconds", type=float, default=100, help="no new walk after so many")
    options = parser.parse_args()
    checks = tuple(options.only or CHECKS)
    markets = walks = 0
    found: Counter[str] = Counter()
    began = time.monotonic()
    for seed in range(options.first, options.first + options.walks):
        if time.monotonic() - began > options.seconds:
            break
        walks += 1
        for step, state in enumerate(walk(seed)):
            markets += 1
            kinds = []
            for it in findings(state, checks):
                kinds.append(it.kind)
                print(f"walk {seed} step {step}: {it.kind}: {it.demand}: {it.detail}", flush=True)
            found.update(set(kinds))
    print(f"{walks} walks of {STEPS} clearings from {options.first}, {markets} markets")
    for kind, count in sorted(found.items()):
        print(f"{count} markets: {kind}")


if __name__ == "__main__":
    main()
