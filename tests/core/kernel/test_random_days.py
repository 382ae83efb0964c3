"""Random days: whatever people, engines and machines do, the invariants hold after every event.

A journey is a list of small acts on a small parkade; each act is decided, evolved and checked as
the cycle does it. What a journey cannot do (a refusal) it skips.
"""

import os
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events
from parkade.core.state.codec import decode_snapshot, encode_event, encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.life import Phase
from tests.auditor import audit
from tests.core.kernel.story import Parkade

ORGS = ("acme", "lab", "student", "studio")
JOURNEYS = 400 if os.environ.get("PARKADE_LONG") else 40


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
        self._submit(limit=self.chance.choice((1, 4, 7, 8, 8.5, 9, 15)), max_spend=most)

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


@settings(max_examples=JOURNEYS)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_every_invariant_holds_after_every_event_of_a_random_day(seed: int) -> None:
    journey = Journey(seed)
    for _ in range(60):
        journey.act()
    parkade = journey.parkade
    assert parkade.world.records.balances
    snapshot = encode_snapshot(parkade.world)
    assert parkade.replayed() == snapshot
    assert encode_snapshot(decode_snapshot(snapshot)) == snapshot


@settings(max_examples=JOURNEYS)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_repeating_a_clearing_moves_no_workload(seed: int) -> None:
    journey = Journey(seed)
    for _ in range(40):
        journey.act()
    parkade = journey.parkade
    parkade.clear()
    parkade.clear()
    before = len(parkade.journal)
    parkade.clear()
    for event in parkade.journal[before:]:
        if isinstance(event, events.Cleared):
            assert not event.left and not event.won


@settings(max_examples=JOURNEYS)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_no_workload_is_charged_above_any_limit_it_ever_named(seed: int) -> None:
    journey = Journey(seed)
    for _ in range(50):
        journey.act()
    limits: dict[str, list[int]] = {}
    for event in journey.parkade.journal:
        match event:
            case events.Submitted(workload=workload) if workload.spec.limit_price_micros:
                limits[workload.workload] = [workload.spec.limit_price_micros]
            case events.BidChanged(workload=name, limit_price_micros=limit):
                limits[name].append(limit)
            case events.UsePosted(transfers=transfers):
                for transfer in transfers:
                    if transfer.kind == "usage" and transfer.workload in limits:
                        assert transfer.use is not None
                        assert transfer.use.price_micros <= max(limits[transfer.workload])
            case _:
                pass


@pytest.mark.parametrize("seed", range(3))
def test_everything_ends_where_all_workloads_are_cancelled(seed: int) -> None:
    journey = Journey(seed)
    for _ in range(80):
        journey.act()
    parkade = journey.parkade
    for name in tuple(parkade.world.live):
        journey.ask(commands.Cancel(by=None, workload=name, now=True))
    parkade.stop_all()
    assert not parkade.world.live
    assert all(
        workload.phase in (Phase.CANCELLED, Phase.SUCCEEDED, Phase.FAILED, Phase.EXPIRED)
        for workload in parkade.world.records.workloads.values()
    )


@settings(max_examples=JOURNEYS // 4)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_the_ledger_of_a_random_day_agrees_with_the_auditor(seed: int) -> None:
    journey = Journey(seed)
    for _ in range(80):
        journey.act()
    journey.parkade.pass_time(3700)
    books = audit(encode_event(event) for event in journey.parkade.journal)
    balances = journey.parkade.world.records.balances
    assert {name: held for name, held in books.balances.items() if held} == {
        name: held for name, held in balances.items() if held
    }
