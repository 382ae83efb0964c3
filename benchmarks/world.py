"""What the world costs: decisions, their effects, a whole clearing, replay, snapshots, deadlines.

Decision only: nothing is stored, sent or launched.

    python benchmarks/run.py --only world
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.figures import Figure, Kind, repeated_ms, seconds
from benchmarks.town import POOL, Town
from parkade.core.clearing.input import build_input
from parkade.core.kernel.deadlines import next_deadline_us
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.market.clear import clear
from parkade.core.state import commands, events
from parkade.core.state.codec import (
    decode_event,
    decode_snapshot,
    encode_event,
    encode_snapshot,
)
from parkade.core.state.world import Records, World
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US


@dataclass(frozen=True, kw_only=True)
class Size:
    """`small` and `large` are workloads; growth is measured from the one to the other."""

    nodes: int
    small: int
    large: int
    batch: int
    repeat: int


FULL = Size(nodes=1_000, small=1_000, large=10_000, batch=100, repeat=15)
REPRICINGS = 120
"""Between two postings of a running workload: one each clearing of an hour, the most there are."""

QUICK = Size(nodes=50, small=20, large=60, batch=10, repeat=2)


def figures(*, quick: bool) -> list[Figure]:
    """Everything of this file."""
    size = QUICK if quick else FULL
    small, large = running(size.nodes, size.small), running(size.nodes, size.large)
    return [
        *evolving(size, small, large),
        *waiting(size, small, large),
        *keeping(size, small, large),
        *submitting(size, small, large),
        *clearing(size),
        *repricing(size),
        *replaying(size),
    ]


def running(nodes: int, workloads: int) -> Town:
    """A town where everybody who wins already runs."""
    town = Town(nodes=nodes)
    town.submit(workloads)
    for _ in range(2):
        town.clear()
        town.leave()
        town.wait(30 * SECOND_US)
    town.clear()
    return town


def submitting(size: Size, small: Town, large: Town) -> list[Figure]:
    """Decide and evolve of a submission, and how that grows with workloads and with nodes."""
    wide = Town(nodes=4 * size.nodes)
    found = interleaved_us([small, large, wide], _submit, size)
    return [
        _figure(
            "world.submit",
            "/s",
            tuple(1e6 / us for us in found[1]),
            f"submissions decided and evolved, {size.large:,} workloads, {size.nodes:,} nodes",
        ),
        _growth("world.submit_growth_workloads", found[0], found[1], _times(size)),
        _growth("world.submit_growth_nodes", found[0], found[2], "the same with 4 times the nodes"),
    ]


def _submit(town: Town, batch: int) -> Callable[[], None]:
    submissions = [town.submission() for _ in range(batch)]

    def work() -> None:
        for command in submissions:
            town.do(command)

    return work


def evolving(size: Size, small: Town, large: Town) -> list[Figure]:
    """The effect of one event on one workload's record, with the agenda brought up to date."""
    found = interleaved_us([small, large], _evolve, size)
    return [
        _figure(
            "world.evolve",
            "µs",
            found[1],
            f"a running workload's bid changed, next deadline found, {size.large:,} workloads",
        ),
        _growth("world.evolve_growth_workloads", found[0], found[1], _times(size)),
    ]


def _evolve(town: Town, batch: int) -> Callable[[], None]:
    running = [attempt.attempt.rpartition(".")[0] for attempt in town.attempts()]
    changes = [
        events.BidChanged(
            at_us=town.now_us,
            workload=running[number * 7919 % len(running)],
            limit_price_micros=900_000 + number,
        )
        for number in range(batch)
    ]

    def work() -> None:
        for event in changes:
            evolve(town.world, event)
            next_deadline_us(town.world)

    return work


def clearing(size: Size) -> list[Figure]:
    """A whole clearing as the cycle runs it: input, pass with prices and seating, difference."""
    new = Town(nodes=size.nodes)
    new.submit(size.small)
    seated = running(size.nodes, size.small)
    replaced = running(size.nodes, size.small)
    replaced.leave()
    replaced.submit(max(1, size.small // 100))
    quarter = running(max(8, size.nodes // 4), size.small // 4)
    markets = f"{size.nodes:,} nodes, {size.small:,} workloads"
    whole = repeated_ms(lambda: decide(seated.world, _clearing(), seated.now_us), size.repeat)
    fewer = repeated_ms(lambda: decide(quarter.world, _clearing(), quarter.now_us), size.repeat)
    return [
        *_whole_clearing("all_new", new, size, f"{markets}, none seated yet"),
        *_whole_clearing("seated", seated, size, f"{markets}, all seated"),
        *_whole_clearing("replaced", replaced, size, f"{markets}, one in ten gone, newcomers"),
        *_parts_of_clearing(seated, size, markets),
        _growth("world.clearing_growth", fewer, whole, "4 times the nodes and workloads"),
        *_effect_of_clearing(size, markets),
    ]


def _clearing() -> commands.RunClearing:
    return commands.RunClearing(by=None, market=POOL)


def _whole_clearing(name: str, town: Town, size: Size, what: str) -> list[Figure]:
    taken = repeated_ms(lambda: decide(town.world, _clearing(), town.now_us), size.repeat)
    return [_figure(f"world.clearing_{name}", "ms", taken, f"a whole clearing: {what}")]


def _parts_of_clearing(town: Town, size: Size, markets: str) -> list[Figure]:
    market = town.world.records.markets[POOL]
    given = build_input(town.world, market, town.now_us)
    return [
        _figure(
            "world.clearing_input",
            "ms",
            tuple(_roll_ms(town) for _ in range(size.repeat)),
            f"of it, the input: what takes part, with which seats: {markets}, all seated",
        ),
        _figure(
            "world.clearing_market",
            "ms",
            repeated_ms(lambda: clear(given.state), size.repeat),
            f"of it, who wins where at what price: {markets}, all seated",
        ),
    ]


def repricing(size: Size) -> list[Figure]:
    """What an hour of changing prices adds to the input, and to the full hour's deadlines."""
    calm = running(size.nodes, size.small)
    moved = running(size.nodes, size.small)
    for _ in range(REPRICINGS):
        moved.reprice()
    before = [_roll_ms(calm) for _ in range(size.repeat)]
    after = [_roll_ms(moved) for _ in range(size.repeat)]
    hours = [seconds(partial(town.wait, HOUR_US)) * 1000 for town in (calm, moved)]
    what = f"{REPRICINGS} prices since the last posting, {size.small:,} workloads"
    return [
        _figure("world.input_repriced", "ms", tuple(after), f"the input, {what}"),
        _growth("world.input_repriced_growth", tuple(before), tuple(after), f"the input, {what}"),
        _figure(
            "world.hour_repriced", "ms", (hours[1],), f"the deadlines of the full hour, {what}"
        ),
        _growth("world.hour_repriced_growth", (hours[0],), (hours[1],), f"the full hour, {what}"),
    ]


def _roll_ms(town: Town) -> float:
    market = town.world.records.markets[POOL]
    return seconds(lambda: build_input(town.world, market, town.now_us)) * 1000


def _effect_of_clearing(size: Size, markets: str) -> list[Figure]:
    taken = []
    for _ in range(min(size.repeat, 5)):
        town = Town(nodes=size.nodes)
        town.submit(size.small)
        made = decide(town.world, _clearing(), town.now_us)
        assert isinstance(made, tuple)
        taken.append(seconds(partial(town.happen, made)) * 1000)
    what = f"effect of a clearing that seats all: {markets}"
    return [_figure("world.clearing_evolve", "ms", tuple(taken), what)]


def replaying(size: Size) -> list[Figure]:
    """A journal of whole lives, from its bytes to the world."""
    town = Town(nodes=size.nodes)
    for _ in range(4):
        town.submit(size.small // 2)
        town.clear()
        town.wait(30 * MINUTE_US)
        town.leave()
    lines = [encode_event(event) for event in town.journal]
    taken = [seconds(lambda: replay(lines)) for _ in range(min(size.repeat, 5))]
    megabytes = sum(map(len, lines)) / 1e6
    return [
        _figure(
            "world.replay",
            "events/s",
            tuple(len(lines) / each for each in taken),
            f"{len(lines):,} events ({megabytes:.1f} MB) decoded and evolved",
        )
    ]


def replay(lines: list[bytes]) -> World:
    """The world of a journal."""
    world = World(Records(balances={"external": 0}))
    for line in lines:
        evolve(world, decode_event(line))
    return world


def keeping(size: Size, small: Town, large: Town) -> list[Figure]:
    """A snapshot: its size, writing it, reading it with all indexes."""
    body = encode_snapshot(large.world)
    what = f"{len(large.world.records.workloads):,} workloads, {size.nodes:,} nodes"
    writing = repeated_ms(lambda: encode_snapshot(large.world), size.repeat)
    writing_small = repeated_ms(lambda: encode_snapshot(small.world), size.repeat)
    reading = repeated_ms(lambda: decode_snapshot(body), min(size.repeat, 5))
    return [
        _figure("world.snapshot_size", "MB", (len(body) / 1e6,), what),
        _figure("world.snapshot_write", "ms", writing, f"encoded: {what}"),
        _figure("world.snapshot_read", "ms", reading, f"decoded and indexed: {what}"),
        _growth("world.snapshot_growth_workloads", writing_small, writing, _times(size)),
    ]


def waiting(size: Size, small: Town, large: Town) -> list[Figure]:
    """When something is next due, asked again and again as each turn of the writer does."""
    found = interleaved_us([small, large], _ask, size)
    what = f"asked when nothing changed, {len(large.world.live):,} live workloads"
    return [
        _figure("world.next_deadline", "µs", found[1], what),
        _growth("world.next_deadline_growth", found[0], found[1], _times(size)),
    ]


def _ask(town: Town, batch: int) -> Callable[[], None]:
    def work() -> None:
        for _ in range(batch):
            next_deadline_us(town.world)

    return work


def interleaved_us(
    towns: list[Town], make: Callable[[Town, int], Callable[[], None]], size: Size
) -> list[tuple[float, ...]]:
    """Microseconds of one of a batch in each town; taken in turn, so that noise meets all alike."""
    found: list[list[float]] = [[] for _ in towns]
    for _ in range(size.repeat):
        for taken, town in zip(found, towns, strict=True):
            taken.append(seconds(make(town, size.batch)) * 1e6 / size.batch)
    return [tuple(taken) for taken in found]


def _figure(name: str, unit: str, values: tuple[float, ...], what: str) -> Figure:
    return Figure(name=name, kind=Kind.DECISION, unit=unit, values=values, what=what)


def _growth(name: str, before: tuple[float, ...], after: tuple[float, ...], what: str) -> Figure:
    """Each later measurement by the earlier one's median."""
    middle = sorted(before)[len(before) // 2]
    return _figure(name, "times", tuple(each / middle for each in after), f"growth: {what}")


def _times(size: Size) -> str:
    return f"{size.large / size.small:g} times the workloads"
