"""Random days of a small parkade: what people, engines and machines do, one act after another.

A journey is a list of small acts; each is decided, evolved and checked as the cycle does it. What a
journey cannot do (a refusal) it skips.
"""

import os
import random
from collections.abc import Mapping
from typing import Any

from parkade.core.kernel.decide import decide
from parkade.core.state import commands
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from tests.core.clearing.two_markets import TwoMarkets
from tests.core.kernel.story import Parkade

ORGS = ("acme", "lab", "student", "studio")
JOURNEYS = 400 if os.environ.get("PARKADE_LONG") else 40
LIMITS = (1, 4, 7, 8, 8.5, 9, 15)


class Journey:
    """One seeded day of random acts."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        chance = self.chance
        self.parkade = Parkade(
            fabrics={"a": chance.choice((2, 3)), "b": 3},
            gpus=chance.choice((2, 4)),
            buffer_nodes=chance.choice((0, 1)),
            public_floor_micros=chance.choice((0, 3, 8)) * MICROS,
            turnaround_us=chance.choice((0, 7)) * 1_000_000,
        )
        for org in ORGS:
            self.parkade.org(org, deposit=chance.choice((1, 20, 1000)))

    def act(self) -> None:
        """One random thing happens."""
        acts = (
            self._bid, self._bid, self._bid, self._own, self._on_demand, self._reserve, self._lend,
            self._claim, self._unclaim, self._cancel, self._rebid, self._hold, self._fail,
            self._restore, self._cordon, self._pass, self._pass, self._pass, self._engine,
            self._engine, self._engine, self._silence,
        )  # fmt: skip
        self.chance.choice(acts)()

    def ask(self, command: commands.AnyCommand) -> None:
        """Does it, unless it is refused."""
        parkade = self.parkade
        outcome = decide(parkade.world, command, parkade.now_us)
        if not isinstance(outcome, Refusal):
            parkade.do(command)

    def _submit(self, **capacity: Any) -> None:
        org = self.chance.choice(ORGS)
        shape = self.chance.choice(((1, 2), (2, 2), (1, 1), (2, 1), (3, 2), (3, 1)))
        spread = self.chance.random() < 0.4
        spec = self.parkade.spec(nodes=shape[0], gpus=shape[1], spread=spread, **capacity)
        self.ask(commands.Submit(by=None, org=org, market=None, spec=spec, is_held=False))

    def _bid(self) -> None:
        most = self.chance.choice((None, None, 2))
        self._submit(limit=self.chance.choice(LIMITS), max_spend=most)

    def _own(self) -> None:
        names = tuple(self.parkade.world.records.reservations)
        if names:
            self._submit(reservation=self.chance.choice(names))

    def _on_demand(self) -> None:
        self._submit(on_demand_hours=self.chance.choice((1, 2)))

    def _reserve(self) -> None:
        now_us = self.parkade.now_us
        start_us = self.chance.choice((None, now_us + 1800 * 10**6))
        end_us = self.chance.choice((None, now_us + 5000 * 10**6))
        self.ask(
            commands.Reserve(
                by=None,
                org=self.chance.choice(ORGS),
                market=None,
                name=None,
                nodes=self.chance.choice((1, 2)),
                start_us=start_us,
                end_us=end_us,
            )
        )

    def _some(self, names: Mapping[str, object]) -> str:
        return self.chance.choice(tuple(names) or ("nobody",))

    def _lend(self) -> None:
        name = self._some(self.parkade.world.records.reservations)
        floor = self.chance.choice((None, 0, 5 * MICROS))
        keep = self.chance.choice((0, 1))
        self.ask(commands.Lend(by=None, reservation=name, floor_micros=floor, keep=keep))

    def _claim(self) -> None:
        name = self._some(self.parkade.world.records.reservations)
        self.ask(commands.MakeClaim(by=None, reservation=name, nodes=1))

    def _unclaim(self) -> None:
        self.ask(commands.Unclaim(by=None, claim=self._some(self.parkade.world.records.claims)))

    def _cancel(self) -> None:
        is_now = self.chance.random() < 0.3
        self.ask(commands.Cancel(by=None, workload=self._some(self.parkade.world.live), now=is_now))

    def _rebid(self) -> None:
        limit = self.chance.choice((2, 8, 12)) * MICROS
        name = self._some(self.parkade.world.live)
        self.ask(commands.ChangeBid(by=None, workload=name, limit_price_micros=limit))

    def _hold(self) -> None:
        name = self._some(self.parkade.world.live)
        self.ask(commands.Hold(by=None, workload=name))
        if self.chance.random() < 0.7:
            self.ask(commands.Release(by=None, workload=name))

    def _fail(self) -> None:
        if self.chance.random() < 0.4:
            self.ask(commands.FailNode(by=None, node=self._node(), reason="broken"))

    def _restore(self) -> None:
        self.ask(commands.RestoreNode(by=None, node=self._node()))

    def _cordon(self) -> None:
        self.ask(commands.CordonNode(by=None, node=self._node(), reason="look"))
        if self.chance.random() < 0.8:
            self.ask(commands.UncordonNode(by=None, node=self._node()))

    def _node(self) -> str:
        return self._some(self.parkade.world.records.nodes)

    def _silence(self) -> None:
        for is_reachable in (False, True):
            self.ask(commands.ReportReachability(by=None, pool="pool", is_reachable=is_reachable))
            self.parkade.clear()

    def _pass(self) -> None:
        self.parkade.pass_time(self.chance.choice((1, 20, 31, 600)))

    def _engine(self) -> None:
        """Reports come in: most obey, some fail, some let go late."""
        parkade = self.parkade
        for name in tuple(parkade.world.live):
            attempt = parkade.workload(name).attempt
            if attempt is None or self.chance.random() < 0.3:
                continue
            if attempt.started_us is None:
                parkade.started(name)
            elif attempt.stop is not None or attempt.broken_us is not None:
                parkade.ended(name, code=self.chance.choice((0, 85, 1)))
            elif self.chance.random() < 0.2:
                parkade.saved(name, self.chance.randrange(100))
            elif self.chance.random() < 0.15:
                parkade.ended(name, code=self.chance.choice((0, 0, 85, 1)))


class LinkedJourney(Journey):
    """One seeded day; most bids name both markets, in either order."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        chance = self.chance
        self.parkade = self.markets = TwoMarkets(
            here={"a": chance.choice((1, 2, 3)), "b": 2},
            there={"a": chance.choice((1, 2, 3))},
            gpus=chance.choice((2, 4)),
            buffer_nodes=0,
            public_floor_micros=chance.choice((0, 3, 8)) * MICROS,
            turnaround_us=chance.choice((0, 7)) * 1_000_000,
            min_runtime_us=chance.choice((None, None, 300_000_000)),
        )
        for org in ORGS:
            self.parkade.org(org, deposit=chance.choice((1, 20, 1000)))

    def _bid(self) -> None:
        chance = self.chance
        names = chance.choice(
            (("pool",), ("other",), ("pool", "other"), ("other", "pool"), ("other", "pool"))
        )
        nodes, gpus = chance.choice(((1, 2), (2, 2), (1, 1), (2, 1), (3, 2), (3, 1)))
        self.ask(
            self.markets.list_bid(
                chance.choice(ORGS),
                {name: chance.choice(LIMITS) for name in names},
                nodes=nodes,
                gpus=gpus,
                spread=chance.random() < 0.4,
                max_spend=chance.choice((None, None, 2)),
            )
        )
