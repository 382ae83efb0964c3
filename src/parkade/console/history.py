"""The last 24 hours of the lot as samples: GPUs by use, and the price to win a node.

A sample is taken at most every `every_s`, where the journal went on or a minute passed. The fine
ones are held for half an hour, one a minute for a day; those are also appended to a file, so that a
restart of the server leaves a gap and not an empty chart. What was not measured is a gap.

The file has one JSON object a line, `Sample` with its version. Lines of a version that is not known
and lines that cannot be read are passed over. While the file cannot be written, as on a full disk,
the samples are held in memory alone; the next write that succeeds has them all.
"""

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from parkade.api.lot_book import LotBook
from parkade.api.views.lot_sums import NO_PART, Part, exchanged, part_of, sums
from parkade.control.answers import PlaneStopped, TooMany
from parkade.control.plane import Plane
from parkade.core.state.world import World
from parkade.wire.lot import Lot, LotSums

DAY_S = 86_400
FINE_S = 1_800
MINUTE_S = 60
MOST_FINE = 3_600
OFF_S = 3 * MINUTE_S
"""Between samples that are further apart the server was off, or busy beyond measure."""
MOST_ORGS = 64
VERSION = 1
logger = logging.getLogger(__name__)


class MarketSample(msgspec.Struct, frozen=True, kw_only=True):
    """The GPUs of one market at an instant, and what orgs hold of them, as `Sample` has of all."""

    owner: int
    lent: int
    spot: int
    on_demand: int
    idle: int
    out: int
    orgs: dict[str, tuple[int, int, int]]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs at an instant (seconds since 1970). `orgs`: by org, what it holds by right, on demand
    and as spot, of at most `MOST_ORGS` orgs. `prices`: by market, micro-units per GPU-hour with
    which a newcomer of one node would have won; None: none would, not there: not known. `markets`:
    each by itself; empty where an earlier version kept the sample."""

    version: int = VERSION
    at_s: int
    owner: int
    lent: int
    spot: int
    on_demand: int
    idle: int
    out: int
    orgs: dict[str, tuple[int, int, int]]
    prices: dict[str, int | None]
    markets: dict[str, MarketSample] = {}


class Point(NamedTuple):
    """A sample as one user may see it. `layers`: GPUs by use, in the order of the chart."""

    at_s: int
    layers: tuple[int, ...]
    price_micros: int | None


class History:
    """Samples, oldest first. Used in one event loop."""

    def __init__(self, plane: Plane, lots: LotBook, *, file: Path | None, every_s: float) -> None:
        self._plane = plane
        self._lots = lots
        self._file = file
        self._every_s = every_s
        self._fine: deque[Sample] = deque(maxlen=MOST_FINE)
        self._minutes: deque[Sample] = deque(maxlen=DAY_S // MINUTE_S)
        self._task: asyncio.Task[None] | None = None
        self._appended = 0
        self._is_file_whole = True
        """Whether the file has what `_minutes` has."""

    def start(self) -> None:
        """Begins to sample; twice is once."""
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        if self._file is not None and not self._minutes:
            now_s = self._plane.present_us() // 1_000_000
            self._minutes.extend(await asyncio.to_thread(_read, self._file, now_s - DAY_S))
            await self._put(partial(_write, self._file, tuple(self._minutes)))
        before = -1
        while self._plane.health().is_running:
            sequence = self._plane.health().sequence
            now_s = self._plane.present_us() // 1_000_000
            last_s = self._fine[-1].at_s if self._fine else 0
            if sequence != before or now_s - last_s >= MINUTE_S:
                before = sequence
                with contextlib.suppress(PlaneStopped, TooMany):
                    await self.take()
            await asyncio.sleep(self._every_s)

    async def take(self) -> None:
        """One sample now."""
        lot = await self._lots.whole()
        prices = await self._plane.read(_prices)
        sample = sample_of(lot, prices, at_s=self._plane.present_us() // 1_000_000)
        self._fine.append(sample)
        last = self._minutes[-1].at_s if self._minutes else 0
        if sample.at_s - last >= MINUTE_S:
            self._minutes.append(sample)
            await self._keep(sample)

    async def _keep(self, sample: Sample) -> None:
        if self._file is None:
            return
        self._appended += 1
        if self._is_file_whole and self._appended % (DAY_S // MINUTE_S):
            await self._put(partial(_append, self._file, sample))
        else:
            await self._put(partial(_write, self._file, tuple(self._minutes)))

    async def _put(self, put: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(put)
        except OSError as error:
            if self._is_file_whole:
                logger.warning("the console's chart is not kept over a restart: %s", error)
            self._is_file_whole = False
        else:
            self._is_file_whole = True

    def samples(self, now_s: int) -> list[Sample]:
        """Those of the last day, the fine ones for the last half hour. The last one holds until
        now, for a change would have made another."""
        fine_from = max(now_s - FINE_S, self._fine[0].at_s if self._fine else now_s)
        old = [it for it in self._minutes if now_s - DAY_S <= it.at_s < fine_from]
        found = old + [it for it in self._fine if it.at_s >= fine_from]
        if self._fine and self._fine[-1].at_s < now_s:
            found.append(replace(self._fine[-1], at_s=now_s))
        return found


def sample_of(lot: Lot, prices: dict[str, int | None], *, at_s: int) -> Sample:
    """What is kept of a whole lot. Grows with nodes and with what holds seats."""
    assert lot.sums is not None, "a sample is of all that there is"
    known = {each.holder: each for each in lot.holders}
    parts: dict[str, Part] = {}
    orgs: dict[str, Held] = {}
    orgs_of: dict[str, dict[str, Held]] = {}
    for node in lot.nodes:
        part = parts.get(node.market, NO_PART)
        parts[node.market] = exchanged(part, NO_PART, part_of(node, known))
        of_market = orgs_of.setdefault(node.market, {})
        for seat in node.seats:
            holder = known[seat.holder]
            for held in (orgs, of_market):
                held.setdefault(holder.org, [0, 0, 0])[PLACE[holder.use]] += seat.gpus
    return Sample(
        at_s=at_s,
        **_uses(lot.sums),
        orgs=_most(orgs),
        prices=prices,
        markets={
            market: MarketSample(**_uses(sums(part)), orgs=_most(orgs_of[market]))
            for market, part in parts.items()
        },
    )


Held = list[int]
PLACE = {"owner": 0, "on-demand": 1, "spot": 2}


def _uses(sums: LotSums) -> dict[str, int]:
    return {name: getattr(sums, name) for name in USES}


def _most(orgs: dict[str, Held]) -> dict[str, tuple[int, int, int]]:
    """Those that hold most."""
    most = sorted(orgs.items(), key=lambda it: (-sum(it[1]), it[0]))[:MOST_ORGS]
    return {org: (held[0], held[1], held[2]) for org, held in most}


USES = ("owner", "lent", "spot", "on_demand", "idle", "out")
ALL_LAYERS = ("owner", "lent", "spot", "on demand", "idle", "out")
ORG_LAYERS = ("by right", "on demand", "spot")


def points(
    samples: list[Sample], *, org: str | None, market: str | None, is_of_all: bool = True
) -> list[Point]:
    """What a user may see of samples; `org` None: an operator, who sees all. `market`: whose price;
    unless `is_of_all` the GPUs are its alone, and what was not sampled so is left out."""
    found = []
    for each in samples:
        seen = each if is_of_all else each.markets.get(market or "")
        if seen is None:
            continue
        layers = tuple(getattr(seen, name) for name in USES)
        if org is not None:
            layers = seen.orgs.get(org, (0, 0, 0))
        found.append(Point(each.at_s, layers, each.prices.get(market) if market else None))
    return found


def known_prices(samples: Sequence[Sample], market: str) -> list[tuple[int | None, int]]:
    """(price of one node, for how many seconds) in the time that is known: without that before the
    market's first clearing with nodes in play, and that in which the server was off."""
    return [
        (first.prices[market], then.at_s - first.at_s)
        for first, then in pairwise(samples)
        if market in first.prices and 0 < then.at_s - first.at_s <= OFF_S
    ]


def _prices(world: World, _now_us: int) -> dict[str, int | None]:
    """By market, the first step of the ladder, which is public; one without a ladder has had no
    clearing with nodes in play, and is left out."""
    markets = world.records.markets.items()
    return {name: market.ladder[0][1] for name, market in markets if market.ladder}


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Sample)


def _read(file: Path, since_s: int) -> list[Sample]:
    found: list[Sample] = []
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return found
    for line in lines[-DAY_S // MINUTE_S :]:
        with contextlib.suppress(msgspec.MsgspecError):
            sample = _decoder.decode(line)
            if sample.version == VERSION and sample.at_s >= since_s:
                found.append(sample)
    return found


def _write(file: Path, samples: tuple[Sample, ...]) -> None:
    beside = file.with_suffix(".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.writelines(_encode(each) + b"\n" for each in samples)
    beside.replace(file)


def _append(file: Path, sample: Sample) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
        out.write(_encode(sample) + b"\n")
