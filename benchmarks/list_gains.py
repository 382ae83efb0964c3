"""What a lie gains for an org whose work has a list of capacity, in one clearing of random markets.

    python benchmarks/list_gains.py [--markets 300] [--first 0] [--on-demand]

Each market has three to eight nodes in up to two fabrics. acme reserved one to three of them, lends
them in half of the markets, and has work of its own there; guests run and bid. Then acme submits
work that is worth so much per GPU-hour to it. The truth is the list `reservation/acme, spot` with
that as its limit. Lies name another limit, spot alone, the reservation alone, or the list twice.
With `--on-demand` the truth ends with on-demand, which costs less than the work is worth, and
begins with the reservation or, in half of the markets, with spot; its limit is what on-demand
costs. Lies name another limit, leave on-demand out, or ask for on-demand alone. What acme
gains is what the work is worth to it less its price, where it has seats, and what acme earns by
lending. A line for each lie: how many were tried, how many gain, the mean and greatest
gain and the mean over all, as parts of what the work is worth.
"""

import argparse
import random
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msgspec.structs import replace

from parkade.core.clearing.entries import cleared_dry
from parkade.core.ledger.accounts import org_account
from parkade.core.running.decisions import accept
from parkade.core.state import commands
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.spec import Capacity, CapacityKind, Spec
from tests.core.kernel.story import Parkade

SPOT = Capacity(kind=CapacityKind.SPOT)
ON_DEMAND = Capacity(kind=CapacityKind.ON_DEMAND)
RIGHT = Capacity(kind=CapacityKind.RESERVATION, reservation="acme")
POSTED = 12 * MICROS
LIMITS = (0.5, 0.9, 0.97, 1.03, 1.1, 1.5, 2.0)


def draw(chance: random.Random) -> Parkade:
    """A market with work that runs and work that waits."""
    sizes = [chance.randint(2, 4) for _ in range(chance.randint(1, 2))]
    parkade = Parkade(
        fabrics=dict(zip("ab", sizes, strict=False)),
        buffer_nodes=0,
        public_floor_micros=chance.choice((1, 2)) * MICROS,
    )
    owned = chance.randint(1, min(3, sum(sizes) - 1))
    parkade.reserve("acme", owned)
    if chance.random() < 0.5:
        parkade.lend("acme", chance.choice((1, 2, 3)), keep=chance.randint(0, 1))
    for _ in range(chance.randint(0, owned)):
        parkade.on_reservation("acme", "acme")
    for number in range(chance.randint(1, sum(sizes) + 2)):
        org = f"guest-{number}"
        parkade.bid(org, chance.randint(10, 80) / 10, nodes=chance.choice((1, 1, 2)))
    parkade.run(60)
    for number in range(chance.randint(0, 2)):
        org = f"late-{number}"
        parkade.bid(org, chance.randint(10, 80) / 10, nodes=chance.choice((1, 1, 2)))
    return parkade


def surplus(parkade: Parkade, asked: commands.Submit, worth_micros: int) -> int | None:
    """What acme has per hour from the clearing with the work that it asks for; None: refused."""
    made = accept(parkade.world, asked, parkade.now_us)
    if isinstance(made, Refusal):
        return None
    given = cleared_dry(parkade.world, ("pool",), parkade.now_us, extra=(made,))
    lines = {line.demand: line for line in given.together.lines()}
    own = lines.get(made.workload)
    earned = sum(
        micros
        for line in lines.values()
        for account, micros in line.shares
        if account == org_account("acme")
    )
    if own is None or not own.seats:
        return earned
    (chosen,) = given.extra
    agreed = chosen.agreed_price_micros
    price_micros = own.price_micros if agreed is None else agreed
    return earned + (worth_micros - price_micros) * asked.spec.nodes * asked.spec.gpus


def lies(truth: commands.Submit, worth_micros: int) -> list[tuple[str, commands.Submit]]:
    """Each with its name."""
    spec = truth.spec
    alone = replace(spec, entries=(), spot_limit_micros=None)
    told: list[tuple[str, Spec]] = [
        ("another limit", replace(spec, spot_limit_micros=round(worth_micros * part)))
        for part in LIMITS
    ]
    if spec.entries[-1] == ON_DEMAND:
        entries = spec.entries[:-1]
        short = replace(spec, entries=entries)
        if len(entries) == 1:
            short = replace(alone, capacity=SPOT, limit_price_micros=worth_micros)
        told.append(("without on-demand", replace(short, max_duration_us=HOUR_US)))
        told.append(("on-demand alone", replace(alone, capacity=ON_DEMAND)))
        return [(name, replace(truth, spec=it)) for name, it in told]
    told.append(("spot alone", replace(alone, capacity=SPOT, limit_price_micros=worth_micros)))
    told.append(("the reservation alone", alone))
    return [(name, replace(truth, spec=it)) for name, it in told]


def gains(seed: int, *, has_on_demand: bool) -> list[tuple[str, float]]:
    """(lie, gain as a part of what the work is worth) in one market."""
    chance = random.Random(seed)
    parkade = draw(chance)
    worth_micros = chance.randint(10, 90) * MICROS // 10
    nodes = chance.choice((1, 1, 2))
    entries: tuple[Capacity, ...] = (RIGHT, SPOT)
    if has_on_demand:
        worth_micros = POSTED + chance.randint(1, 90) * MICROS // 10
        first = () if chance.random() < 0.5 else (RIGHT,)
        entries = (*first, SPOT, ON_DEMAND)
    limit_micros = min(worth_micros, POSTED)
    spec = replace(
        parkade.spec(nodes=nodes, max_duration_us=HOUR_US if has_on_demand else None),
        capacity=entries[0],
        entries=entries,
        spot_limit_micros=limit_micros,
    )
    truth = commands.Submit(by=None, org="acme", market=None, spec=spec, is_held=False)
    honest = surplus(parkade, truth, worth_micros)
    if honest is None:
        return []
    whole = worth_micros * nodes * spec.gpus
    found = []
    for name, lie in lies(truth, limit_micros):
        got = surplus(parkade, lie, worth_micros)
        if got is not None:
            found.append((name, (got - honest) / whole))
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--markets", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--on-demand", action="store_true")
    asked = parser.parse_args()
    by_lie: dict[str, list[float]] = defaultdict(list)
    for seed in range(asked.first, asked.first + asked.markets):
        for name, gain in gains(seed, has_on_demand=asked.on_demand):
            by_lie[name].append(gain)
    print(f"{'lie':<24}{'lies':>7}{'gain':>6}{'mean':>8}{'most':>8}{'all':>8}")
    for name, found in by_lie.items():
        won = [it for it in found if it > 1e-9]
        mean = sum(won) / len(won) if won else 0
        line = f"{name:<24}{len(found):>7}{len(won):>6}{mean:>8.1%}{max(won, default=0):>8.1%}"
        print(f"{line}{sum(found) / len(found):>8.1%}")


if __name__ == "__main__":
    main()
