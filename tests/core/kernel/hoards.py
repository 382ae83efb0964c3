"""One org keeps GPUs from a rival and pays as little as it can, in random small markets.

Each market is drawn from its seed: one or two fabrics, a notice, a rival that always has enough
bids of one node each at one limit, starts at once, and leaves when it is told to. Then one org acts
at random for an hour: it bids at any limit, holds, releases, raises and lowers, cancels with and
without notice, lets its work start early, late or never, end at once with any code, or stay until
it is killed; it claims its own reservation, lends it, and changes its floor. At the end it gives
everything back.

    kept      GPUs of nodes that the org's bids hold or are promised and no other work is on,
              after each clearing, as far as bids of the rival wait for them
    worth     that time at the rival's bid less the switching credit, which is the price of such a
              seat while a rival waits
    paid      what the org's bids were charged, for whatever
"""

import random
from typing import Any, NamedTuple

from msgspec.structs import replace

from parkade.core.fleet.seat import by_node
from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from parkade.core.workloads.observed import EnginePhase
from parkade.core.workloads.spec import CapacityKind, Moves
from parkade.core.workloads.workload import Workload
from tests import builders
from tests.core.kernel.story import Parkade

CHEAT, RIVAL = "cheat", "rival"
GPUS = 2
STEP_S = 30
RIVAL_BID = 3


class Kept(NamedTuple):
    """What an org kept from its rival in an hour, and what it paid."""

    seed: int
    worth_micros: int
    paid_micros: int
    journal: tuple[events.AnyEvent, ...]


class Hoard:
    """One market, and an org that acts in it."""

    def __init__(self, seed: int, *, steps: int = 120) -> None:
        self._seed, self._steps = seed, steps
        self._chance = random.Random(f"hoards {seed}")
        chance = self._chance
        fabrics = {"a": chance.choice((2, 3, 4))}
        if chance.random() < 0.5:
            fabrics["b"] = chance.choice((1, 2, 3))
        notice_s = chance.choice((30, 120, 600))
        self.parkade = Parkade(
            fabrics=fabrics,
            gpus=GPUS,
            buffer_nodes=0,
            public_floor_micros=MICROS,
            notice_us=notice_s * SECOND_US,
            minimum_charge_us=notice_s * SECOND_US,
        )
        self._nodes = sum(fabrics.values())
        self._step = STEP_S
        for org in (CHEAT, RIVAL):
            self.parkade.org(org)
        self._owned: str | None = None
        if chance.random() < 0.4:
            self._owned = self.parkade.reserve(CHEAT, chance.choice((1, 2)), hours=1000)
            self.parkade.lend(self._owned, chance.choice((0, 1, 2)))
        # Of these habits one makes what the org does less random, so that it is tried often.
        self._late_s = chance.choice((0, 30, 60, 110, 300))
        self._limits = chance.choice(((5, 9), (1, 2, 5, 9), (3.1, 4)))
        self._acts = chance.choice((1, 1, 2, 3))
        self._weights = {it: chance.choice((0, 1, 4)) for it in ACTS}

    def played(self) -> Kept:
        """All steps, and what they came to."""
        self._use_up_free_hold()
        worth = 0
        for _ in range(self._steps):
            self._rival_bids()
            for _ in range(self._chance.randint(0, self._acts)):
                self._act()
            self._engine()
            self.parkade.clear()
            worth += self._kept_gpu_us()
            self.parkade.tick(STEP_S)
        self._give_all_back()
        price = RIVAL_BID * MICROS * 100 // 105
        paid = sum(
            transfer.micros
            for event in self.parkade.journal
            if isinstance(event, events.MoneyEvent)
            for transfer in event.transfers
            if transfer.debit == f"org/{CHEAT}" and transfer.kind.is_paid_by_user
        )
        return Kept(self._seed, worth * price // 3_600_000_000, paid, tuple(self.parkade.journal))

    def _use_up_free_hold(self) -> None:
        parkade = self.parkade
        name = parkade.bid(CHEAT, 5)
        parkade.clear()
        parkade.tick(300)
        parkade.do(commands.Cancel(by=None, workload=name, now=True))
        self._gone(name)

    def _rival_bids(self) -> None:
        """As many bids wait as there are nodes."""
        waiting = sum(it.phase is Phase.QUEUED for it in self._of(RIVAL))
        for _ in range(self._nodes - waiting):
            self.parkade.bid(RIVAL, RIVAL_BID, failures=1000)

    def _kept_gpu_us(self) -> int:
        """GPUs x microseconds of the step that begins, as far as the rival waits for so many; not
        after a kill, when what is still there was not seen to be gone."""
        now_us, step_us = self.parkade.now_us, STEP_S * SECOND_US
        held: dict[str, int] = {}
        for workload in self._of(CHEAT):
            if workload.spec.capacity.kind is not CapacityKind.SPOT:
                continue
            attempt = workload.attempt
            until_us = step_us
            if attempt is not None and attempt.stop is not None:
                until_us = max(0, min(step_us, attempt.stop.kill_us - now_us))
            for holder, us in ((attempt, until_us), (workload.promise, step_us)):
                for seat in () if holder is None else by_node(holder.seats):
                    if not self._is_others(seat.node):
                        held[seat.node] = max(held.get(seat.node, 0), us)
        waiting = sum(it.phase is Phase.QUEUED for it in self._of(RIVAL))
        return GPUS * sum(sorted(held.values(), reverse=True)[:waiting])

    def _is_others(self, node: str) -> bool:
        """Whether work of another org is still there."""
        workloads = self.parkade.world.records.workloads
        there = [workloads.get(it) for it in self.parkade.world.held_on[node]]
        return any(it is None or it.org != CHEAT for it in there)

    def _of(self, org: str) -> list[Workload]:
        live = list(self.parkade.world.live_of_org.get(org, ()))
        return [self.parkade.workload(name) for name in live]

    def _ask(self, command: commands.AnyCommand) -> None:
        outcome = decide(self.parkade.world, command, self.parkade.now_us)
        if not isinstance(outcome, Refusal):
            self.parkade.happen(outcome)

    def _act(self) -> None:
        chance = self._chance
        kinds = [it for it, weight in self._weights.items() for _ in range(weight)]
        own = [it for it in self._of(CHEAT) if it.spec.capacity.kind is CapacityKind.SPOT]
        match chance.choice(kinds or list(ACTS)):
            case "bid":
                self._submit()
            case "again" if own:
                one = chance.choice(own)
                self._submit(nodes=one.spec.nodes)
                self._ask(commands.Cancel(by=None, workload=one.workload, now=True))
            case "cancel" if own:
                one = chance.choice(own)
                now = chance.random() < 0.5
                self._ask(commands.Cancel(by=None, workload=one.workload, now=now))
            case "hold" if own:
                self._ask(commands.Hold(by=None, workload=chance.choice(own).workload))
            case "release" if own:
                self._ask(commands.Release(by=None, workload=chance.choice(own).workload))
            case "rebid" if own:
                limit = round(chance.choice(self._limits) * MICROS)
                name = chance.choice(own).workload
                self._ask(commands.ChangeBid(by=None, workload=name, limit_price_micros=limit))
            case "own" if self._owned is not None:
                self._act_as_owner(self._owned)
            case _:
                return

    def _submit(self, nodes: int | None = None) -> None:
        chance = self._chance
        wanted = chance.randint(1, self._nodes) if nodes is None else nodes
        shape: dict[str, Any] = {"nodes": wanted, "gpus": GPUS}
        if chance.random() < 0.15 and nodes is None:
            shape["most_nodes"] = min(self._nodes, wanted + 2)
        if shape.get("most_nodes", wanted + 1) <= wanted:
            del shape["most_nodes"]
        spec = self.parkade.spec(
            limit=chance.choice(self._limits),
            failures=chance.choice((0, 1000)),
            any_fabric=chance.random() < 0.3 and "most_nodes" not in shape,
            **shape,
        )
        if chance.random() < 0.3 and not spec.is_elastic:
            spec = replace(spec, moves=Moves.CHEAPER)
        self._ask(commands.Submit(by=None, org=CHEAT, market=None, spec=spec, is_held=False))

    def _act_as_owner(self, name: str) -> None:
        chance = self._chance
        match chance.choice(("claim", "unclaim", "floor", "keep")):
            case "claim":
                self._ask(commands.MakeClaim(by=None, reservation=name, nodes=1))
            case "unclaim":
                for claim in tuple(self.parkade.world.records.claims):
                    self._ask(commands.Unclaim(by=None, claim=claim))
            case "floor":
                floor = chance.choice((0, 1, 2, 6)) * MICROS
                self._ask(commands.Lend(by=None, reservation=name, floor_micros=floor, keep=0))
            case _:
                self._ask(commands.Lend(by=None, reservation=name, floor_micros=0, keep=1))

    def _engine(self) -> None:
        """The rival's work starts and leaves at once; the org's as it likes, within what an engine
        enforces."""
        parkade, chance = self.parkade, self._chance
        for workload in [*self._of(RIVAL), *self._of(CHEAT)]:
            attempt = workload.attempt
            if attempt is None:
                continue
            if workload.org == RIVAL:
                if attempt.started_us is None and attempt.stop is None:
                    parkade.started(workload.workload)
                elif attempt.stop is not None:
                    parkade.ended(workload.workload, code=85)
                continue
            if attempt.stop is not None and attempt.stop.kill_us <= parkade.now_us:
                self._end(workload)
            elif attempt.stop is not None:
                if chance.random() < 0.1:
                    self._end(workload)
            elif attempt.started_us is None:
                waited_us = parkade.now_us - attempt.ordered_us
                if waited_us >= self._late_s * SECOND_US and chance.random() < 0.7:
                    parkade.started(workload.workload)
            elif chance.random() < 0.15:
                parkade.ended(workload.workload, code=chance.choice((0, 1, 85)))
        parkade.heard()

    def _end(self, workload: Workload) -> None:
        if workload.attempt is not None and workload.attempt.started_us is None:
            self._gone(workload.workload)
        else:
            self.parkade.ended(workload.workload, code=self._chance.choice((85, 1)))

    def _gone(self, name: str) -> None:
        attempt = self.parkade.attempt(name)
        seen = builders.observed(
            attempt.attempt,
            generation=attempt.generation,
            phase=EnginePhase.RELEASED,
            started_us=None,
            released_us=self.parkade.now_us,
            exits=(),
        )
        self.parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(seen,)))

    def _give_all_back(self) -> None:
        for workload in self._of(CHEAT):
            self._ask(commands.Cancel(by=None, workload=workload.workload, now=True))
        self.parkade.tick()
        for workload in self._of(CHEAT):
            if workload.attempt is not None:
                self._end(workload)


ACTS = ("bid", "again", "cancel", "hold", "release", "rebid", "own")
