"""A random search for broken promises in small markets where every node is well.

Each market is drawn from its seed: one to three fabrics, terms, reservations now and later with and
without an end, loans, claims, owners' workloads, on-demand windows and bids, over half a day. It is
driven like a day (`sim.dynamics.day`). No node breaks and no engine is late, so nothing excuses:

- an accepted on-demand window gets its seats in the next clearing and keeps them until its end;
- an owner waits at most notice + kill + turnaround, and its seats are never chosen anew;
- the invariants of the world hold after every event;
- a clearing that is repeated at once, and once more, changes no seat.

    python benchmarks/market_search.py [--markets 4000] [--first 0] [--every 1]

What is found is printed with its seed, so that `--first SEED --markets 1` shows it again.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msgspec.structs import replace

from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events, lines
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.life import Cause
from parkade.core.workloads.spec import CapacityKind
from parkade.sim.auditor.owners import OwnersAuditor
from parkade.sim.dynamics.day import START_US, Day
from parkade.sim.dynamics.demand import GPUS, Claim, Demand, Job
from parkade.sim.dynamics.opening import MARKET, TERMS, fund, open_pool

SPAN_US = 12 * HOUR_US
OWNS = ("own-a", "own-b", "own-c", "own-d")
ORGS = ("x", "y")
OWN_CAUSES = (Cause.CANCELLED, Cause.EXPIRED)


class Windows:
    """Notes on-demand windows that waited for seats or lost them."""

    def __init__(self) -> None:
        self.breaches: list[str] = []
        self.accepted = 0

    def read(self, event: events.AnyEvent, world: World) -> None:
        """The next event, evolved already."""
        if isinstance(event, events.Submitted):
            self.accepted += _is_window(event.workload.workload, world)
        if not isinstance(event, events.Cleared):
            return
        for waiting in event.waiting:
            name = lines.name_of(waiting.demand)
            if _is_window(name, world):
                self.breaches.append(f"{name} waits: {waiting.why}, at {_at(event)}")
        for leaving in event.left:
            name = lines.name_of(leaving.demand)
            is_own_doing = leaving.stop is not None and leaving.stop.cause in OWN_CAUSES
            if _is_window(name, world) and not is_own_doing:
                self.breaches.append(f"{name} lost its seats: {leaving.why}, at {_at(event)}")


def _is_window(name: str, world: World) -> bool:
    workload = world.records.workloads.get(name)
    return workload is not None and workload.spec.capacity.kind is CapacityKind.ON_DEMAND


def _at(event: events.AnyEvent) -> str:
    return f"{(event.at_us - START_US) / 1e6:g} s"


class Searcher:
    """Listens to one market."""

    def __init__(self) -> None:
        self.windows = Windows()
        self.owners = OwnersAuditor()
        self.not_repeated: list[str] = []
        self._clearings = 0

    def happened(self, event: events.AnyEvent, world: World) -> None:
        """An event was evolved."""
        self.windows.read(event, world)
        self.owners.read(event)

    def passed(self, _world: World, _now_us: int) -> None:
        """Nothing is added up."""

    def cleared(self, _cpu_s: float) -> None:
        """Nothing is timed."""

    def refused(self, _command: commands.AnyCommand, _refusal: Refusal) -> None:
        """Refusals are part of the draw."""


class Found(NamedTuple):
    """What one market showed."""

    windows: int
    owners: int
    breaches: tuple[str, ...]


def search(seed: int, *, check_every: int | None = 1) -> Found:
    """One market; AssertionError where an invariant breaks."""
    chance = random.Random(f"search {seed}")
    demand = _draw_demand(chance)
    searcher = Searcher()
    day = Day(demand, (searcher,), opens=_opening(chance), check_every=check_every)
    for at_us, command in _draw_commands(chance):
        day.at(START_US + at_us, partial(day.do, command))
    day.run(SPAN_US)
    audit = searcher.owners.close(day.now_us)
    breaches = [*searcher.windows.breaches, *audit.breaches, *_repeat(day)]
    return Found(searcher.windows.accepted, audit.seated, tuple(breaches))


def _repeat(day: Day) -> Iterator[str]:
    """Prices and floors may settle in two more clearings; the third moves nothing."""
    clearing = commands.RunClearing(by=None, market=MARKET)
    for _ in range(2):
        day.do(clearing)
    made = decide(day.world, clearing, day.now_us)
    assert not isinstance(made, Refusal), made
    for event in made:
        if isinstance(event, events.Cleared) and (event.left or event.won or event.claims):
            seated = [lines.name_of(it.demand) for it in event.won]
            yield f"a clearing that is repeated seats {seated} anew"


def _opening(chance: random.Random) -> Iterator[commands.AnyCommand]:
    yield commands.OpenEpoch(by=None, installation="i" * 32, lineage="l" * 32)
    fabrics = {
        fabric: tuple(f"{fabric}{number}" for number in range(1, chance.randint(2, 6) + 1))
        for fabric in "abc"[: chance.randint(1, 3)]
    }
    terms = replace(
        TERMS,
        notice_us=chance.choice((30, 120, 600)) * SECOND_US,
        turnaround_us=chance.choice((0, 30, 600)) * SECOND_US,
        buffer_nodes=chance.choice((0, 0, 1)),
        clearing_interval_us=5 * MINUTE_US,
        retention_us=24 * HOUR_US,
    )
    yield open_pool(fabrics, terms)
    for org in (*ORGS, *OWNS):
        yield from fund(org)


def _draw_commands(chance: random.Random) -> Iterator[tuple[int, commands.AnyCommand]]:
    """Reservations, each of an owner of its own and of its name, and what they lend."""
    for owner in OWNS[: chance.choice((1, 2, 3, 4, 4))]:
        sold_us = chance.choice((0, chance.randrange(SPAN_US // 2)))
        start_us = chance.choice((None, START_US + sold_us + chance.randrange(1, 3 * HOUR_US)))
        begins_us = START_US + sold_us if start_us is None else start_us
        length_us = chance.choice((None, chance.randrange(10 * MINUTE_US, 5 * HOUR_US)))
        yield (
            sold_us,
            commands.Reserve(
                by=None,
                org=owner,
                market=None,
                name=owner,
                nodes=chance.randint(1, 5),
                start_us=start_us,
                end_us=None if length_us is None else begins_us + length_us,
            ),
        )
        for _ in range(chance.randint(0, 3)):
            yield (
                sold_us + chance.randrange(SPAN_US - sold_us),
                commands.Lend(
                    by=None,
                    reservation=owner,
                    floor_micros=chance.choice((None, 2 * MICROS, 5 * MICROS)),
                    keep=chance.choice((0, 0, 1)),
                ),
            )


def _draw_demand(chance: random.Random) -> Demand:
    jobs = []
    for number in range(chance.randint(5, 50)):
        kind = chance.choice(("spot", "spot", "spot", "on-demand", "on-demand", *OWNS))
        is_bid = kind == "spot"
        jobs.append(
            Job(
                number=number,
                at_us=chance.randrange(SPAN_US),
                org=kind if kind in OWNS else chance.choice(ORGS),
                capacity=kind,
                nodes=chance.choice((1, 1, 2, 3)),
                gpus=chance.choice((GPUS, GPUS, GPUS, 2, 4)),
                limit_micros=chance.randint(2, 12) * MICROS if is_bid else None,
                work_us=chance.randrange(5 * MINUTE_US, 3 * HOUR_US),
                starting_us=chance.randint(0, 60) * SECOND_US,
                saving_us=chance.choice((None, chance.randint(0, 30) * SECOND_US)),
                patience_us=SPAN_US,
            )
        )
    claims = [
        Claim(
            at_us=chance.randrange(SPAN_US),
            reservation=chance.choice(OWNS),
            nodes=chance.randint(1, 3),
            span_us=chance.randrange(MINUTE_US, 3 * HOUR_US),
        )
        for _ in range(chance.randint(0, 12))
    ]
    return Demand(jobs=tuple(jobs), claims=tuple(claims), outages=())


def main(argv: list[str] | None = None) -> int:
    """Searches and tells; 1 where something was found."""
    parser = argparse.ArgumentParser(description="a random search for broken promises")
    parser.add_argument("--markets", type=int, default=4000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--every", type=int, default=1, help="check after so many events")
    asked = parser.parse_args(argv)
    broken = windows = owners = 0
    for seed in range(asked.first, asked.first + asked.markets):
        try:
            found = search(seed, check_every=asked.every)
        except AssertionError as wrong:
            broken += 1
            print(f"seed {seed}: an assertion failed: {wrong}")
            continue
        windows, owners = windows + found.windows, owners + found.owners
        broken += bool(found.breaches)
        for breach in found.breaches[:3]:
            print(f"seed {seed}: {breach}")
    print(
        f"{asked.markets} markets, {windows} on-demand windows, {owners} seats of owners:"
        f" {broken} markets with something found"
    )
    return int(broken > 0)


if __name__ == "__main__":
    raise SystemExit(main())
