"""What a clearing of two linked markets costs, beside two of the same size that no bid links.

Decision only, in processor time. The same workloads bid in both worlds; in the linked one a part of
them names the other market as well, at the same limit. No clearing finds anything remembered.

    python benchmarks/run.py --only linked
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msgspec.structs import replace

from benchmarks.figures import Figure, Kind
from benchmarks.town import POOL, Town, open_pool
from parkade.core.clearing.linking import linked_with
from parkade.core.kernel.decide import decide
from parkade.core.state import commands
from parkade.core.workloads.choice import Choice

OTHER = "other"
MARKETS = (POOL, OTHER)
NODES, WORKLOADS, REPEAT = 500, 500, 9
QUICK = (25, 25, 2)
PARTS = (10, 2)
"""Of so many workloads one names both markets."""


def figures(*, quick: bool) -> list[Figure]:
    """A ratio for each part, where nothing has seats and where all that won has."""
    nodes, workloads, repeat = QUICK if quick else (NODES, WORKLOADS, REPEAT)
    found = []
    for part in PARTS:
        apart, together = (two_markets(nodes, workloads, part=it) for it in (None, part))
        for state in ("new", "seated"):
            pairs = [(cleared_s(apart), cleared_s(together)) for _ in range(repeat)]
            what = f"two markets of {nodes:,} nodes and {workloads:,} workloads, one in {part} bids"
            what += f" in both, beside the same unlinked: {_WORDS[state]}"
            found.append(
                Figure(
                    name=f"linked.one_in_{part}_{state}",
                    kind=Kind.DECISION,
                    unit="times",
                    values=_ratios(pairs),
                    what=what,
                )
            )
            for town in (apart, together):
                seat(town)
    return found


_WORDS = {"new": "none seated yet", "seated": "what won is seated"}


def _ratios(pairs: list[tuple[float, float]]) -> tuple[float, ...]:
    base = statistics.median(apart for apart, _ in pairs)
    return tuple(together / base for _, together in pairs)


def two_markets(nodes: int, workloads: int, *, part: int | None) -> Town:
    """Each market with so many nodes and workloads; `part`: one in so many bids in both, None: no
    workload does."""
    town = Town(nodes=nodes)
    opens = open_pool(nodes)
    fabrics = tuple(
        (f"other-{fabric}", tuple(f"other-{node}" for node in named))
        for fabric, named in opens.supply.fabrics
    )
    supply = replace(opens.supply, market=OTHER, fabrics=fabrics)
    town.do(replace(opens, pool=OTHER, supply=supply))
    for number in range(2 * workloads):
        command, first = town.submission(), MARKETS[number % 2]
        if part is not None and number // 2 % part == 0:
            town.do(replace(command, spec=replace(command.spec, choices=both(command, first))))
        else:
            town.do(replace(command, market=first))
    return town


def both(command: commands.Submit, first: str) -> tuple[Choice, ...]:
    limit = command.spec.limit_price_micros or 0
    second = next(it for it in MARKETS if it != first)
    return tuple(Choice(instance_type=it, limit_price_micros=limit) for it in (first, second))


def turns(town: Town) -> tuple[str, ...]:
    """A market of each group that is cleared together."""
    return tuple(dict.fromkeys(linked_with(town.world, it)[0] for it in MARKETS))


def cleared_s(town: Town) -> float:
    """The processor's seconds for one clearing of both markets; nothing is changed by it."""
    town.world.memories.clear()
    asked = [commands.RunClearing(by=None, market=it) for it in turns(town)]
    before = time.process_time()
    for command in asked:
        decide(town.world, command, town.now_us)
    return time.process_time() - before


def seat(town: Town) -> None:
    """Both markets cleared, and what that promises launched."""
    for market in turns(town):
        town.do(commands.RunClearing(by=None, market=market))
        town.take_deadlines()
