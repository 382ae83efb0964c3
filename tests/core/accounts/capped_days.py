"""Random days of an org with a cap and a balance, in which every clearing comes in time.

The org bids with whole nodes and parts, elastic work, arrays and on-demand, owns a node or two that
it lends and claims, cancels, changes bids, and its work starts late, fails, or ends. A rival bids
against it. Its cap, that of its user and its balance are set once and never lowered. So whatever is
charged for its workloads stays within the least of them.
"""

import random
from typing import Any

from parkade.core.billing.commitments import spending_of_org
from parkade.core.kernel.decide import decide
from parkade.core.state import commands
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.workload import Attempt
from tests import builders
from tests.core.kernel.story import Parkade

INTERVAL_S = 30
LAB, RIVAL, ANN = "lab", "rival", "ann"


class CappedDay:
    """One day; `spent` after each step, and what it may be at most."""

    def __init__(self, seed: int) -> None:
        self._chance = chance = random.Random(f"capped {seed}")
        self.parkade = parkade = Parkade(
            fabrics={"a": chance.choice((2, 3, 4)), "b": chance.choice((1, 2))},
            buffer_nodes=0,
            public_floor_micros=chance.choice((0, 2, 5)) * MICROS,
            minimum_charge_us=chance.choice((30, 30, 60, 300)) * SECOND_US,
            notice_us=chance.choice((30, 30, 120)) * SECOND_US,
            turnaround_us=chance.choice((0, 0, 7)) * SECOND_US,
            regrow_us=chance.choice((60, 600)) * SECOND_US,
            assemble_us=None,
        )
        self.cap_micros = chance.choice((1, 2, 4, 10)) * MICROS
        parkade.org(RIVAL)
        parkade.org(LAB)
        parkade._do(builders.create_user(ANN, LAB))
        self.of_user = chance.random() < 0.3
        if self.of_user:
            parkade._do(commands.SetCap(by=None, user=ANN, cap_micros=self.cap_micros))
        else:
            cap = commands.SetOrgCap(by=None, org=LAB, cap_micros=self.cap_micros)
            parkade._do(cap)
        self._owned: str | None = None
        if chance.random() < 0.4:
            self._owned = parkade.reserve(LAB, 1, hours=1000)
            parkade.lend(self._owned, chance.choice((0, 3)))
        self._starts_us: dict[str, int] = {}

    def spent_micros(self) -> int:
        """What workloads of the org were charged."""
        return spending_of_org(self.parkade.world, LAB).total_micros

    def step(self) -> None:
        """Someone acts, or an interval passes."""
        acts = (self._submit, self._submit, self._rival, self._cancel, self._rebid, self._own)
        if self._chance.random() < 0.35:
            self._chance.choice(acts)()
            return
        for _ in range(self._chance.choice((1, 1, 2, 10, 40))):
            self._pass()

    def close(self) -> None:
        """All that still lives is given up."""
        for name in tuple(self.parkade.world.live):
            if self.parkade.workload(name).member_of is None:
                self._ask(commands.Cancel(by=None, workload=name, now=True))
        for _ in range(8):
            self._pass()

    def _ask(self, command: commands.AnyCommand) -> None:
        parkade = self.parkade
        if not isinstance(decide(parkade.world, command, parkade.now_us), Refusal):
            parkade.do(command)

    def _submit(self) -> None:
        self._ask_for(LAB, ANN, (4, 6, 9, 12))

    def _rival(self) -> None:
        self._ask_for(RIVAL, None, (3, 5, 8, 10, 20))

    def _ask_for(self, org: str, by: str | None, limits: tuple[int, ...]) -> None:
        chance, limit = self._chance, self._chance.choice(limits)
        shape: dict[str, Any] = {"limit": limit, "nodes": chance.choice((1, 1, 2, 3))}
        match chance.choice(("bid", "bid", "bid", "elastic", "array", "on-demand")):
            case "elastic":
                shape |= {"nodes": chance.choice((1, 2)), "most_nodes": chance.choice((3, 4))}
            case "array":
                shape |= {"nodes": 1, "array": chance.choice(("0-2", "0-3%2"))}
            case "on-demand":
                shape = {"nodes": 1, "on_demand_hours": 1}
            case _:
                shape["gpus"] = chance.choice((1, 2, 2))
                shape["failures"] = chance.choice((0, 2))
        spec = self.parkade.spec(**shape)
        self._ask(commands.Submit(by=by, org=org, market=None, spec=spec, is_held=False))

    def _name(self) -> str:
        return self._chance.choice((*self.parkade.world.live, "w0"))

    def _cancel(self) -> None:
        now = self._chance.random() < 0.5
        self._ask(commands.Cancel(by=None, workload=self._name(), now=now))

    def _rebid(self) -> None:
        limit = self._chance.choice((3, 6, 9, 15)) * MICROS
        self._ask(commands.ChangeBid(by=None, workload=self._name(), limit_price_micros=limit))

    def _own(self) -> None:
        if self._owned is None:
            return
        claims = tuple(self.parkade.world.records.claims)
        if claims:
            self._ask(commands.Unclaim(by=None, claim=self._chance.choice(claims)))
        else:
            self._ask(commands.MakeClaim(by=None, reservation=self._owned, nodes=1))

    def _pass(self) -> None:
        """An interval: the engine does what is due, the market is cleared."""
        parkade = self.parkade
        for name in tuple(parkade.world.live):
            workload = parkade.world.records.workloads.get(name)
            if workload is not None and workload.attempt is not None:
                self._work(name, workload.attempt)
        parkade.tick(INTERVAL_S)
        parkade.clear()

    def _work(self, name: str, attempt: Attempt) -> None:
        chance, parkade = self._chance, self.parkade
        if attempt.stop is not None:
            if parkade.now_us >= attempt.stop.deadline_us or chance.random() < 0.5:
                parkade.ended(name, code=chance.choice((0, 85, 1)))
            return
        if attempt.attempt not in self._starts_us:
            late_s = chance.choice((0, 0, 60, 300, 600, 1500))
            self._starts_us[attempt.attempt] = parkade.now_us + late_s * SECOND_US
        if attempt.started_us is None:
            if parkade.now_us >= self._starts_us[attempt.attempt]:
                parkade.started(name)
        elif chance.random() < 0.04:
            parkade.ended(name, code=chance.choice((0, 1)))
        else:
            parkade.heard()
