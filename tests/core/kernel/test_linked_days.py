"""Random days of two markets that bids link: the invariants hold after every event."""

import os
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.clearing.linking import linked_with
from parkade.core.state import commands, events
from parkade.core.state.codec import decode_snapshot, encode_event, encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.workloads.choices import limit_in
from tests.auditor import audit
from tests.core.clearing.two_markets import TwoMarkets
from tests.core.kernel.test_random_days import ORGS, Journey

JOURNEYS = 400 if os.environ.get("PARKADE_LONG") else 40
LIMITS = (1, 4, 7, 8, 8.5, 9, 15)


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


@settings(max_examples=JOURNEYS)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_every_invariant_holds_after_every_event_of_a_random_day(seed: int) -> None:
    journey = LinkedJourney(seed)
    for _ in range(60):
        journey.act()
    snapshot = encode_snapshot(journey.parkade.world)
    assert journey.parkade.replayed() == snapshot
    assert encode_snapshot(decode_snapshot(snapshot)) == snapshot


@settings(max_examples=JOURNEYS)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_no_bid_has_seats_in_two_markets_or_above_its_limit_there(seed: int) -> None:
    journey = LinkedJourney(seed)
    for _ in range(50):
        journey.act()
        world = journey.parkade.world
        for name in world.live:
            workload = world.records.workloads[name]
            attempt, promise = workload.attempt, workload.promise
            assert promise is None or attempt is None or attempt.stop is not None
            holder = promise or attempt
            if holder is None or not workload.spec.choices:
                continue
            there = {world.records.nodes[seat.node].market for seat in holder.seats}
            assert there == {workload.bids_in}


@settings(max_examples=JOURNEYS)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_linked_markets_are_cleared_in_one_event(seed: int) -> None:
    journey = LinkedJourney(seed)
    for _ in range(40):
        journey.act()
    world = journey.parkade.world
    linked = linked_with(world, "pool")
    before = len(journey.parkade.journal)
    journey.parkade._do(commands.RunClearing(by=None, market=linked[-1]))
    made = journey.parkade.journal[before:]
    found = [it for it in made if isinstance(it, events.Cleared)]
    assert len(found) <= 1
    for event in found:
        assert set(event.markets) <= set(linked)
        for won in event.won:
            workload = world.records.workloads.get(getattr(won.demand, "workload", ""))
            if workload is not None and workload.spec.choices:
                market = world.records.nodes[won.promise.seats[0].node].market
                limit = limit_in(workload, market)
                assert limit is not None and won.promise.rates[-1].price_micros <= limit


@settings(max_examples=JOURNEYS // 4)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_the_ledger_of_a_random_day_agrees_with_the_auditor(seed: int) -> None:
    journey = LinkedJourney(seed)
    for _ in range(80):
        journey.act()
    journey.parkade.pass_time(3700)
    books = audit(encode_event(event) for event in journey.parkade.journal)
    balances = journey.parkade.world.records.balances
    assert {name: held for name, held in books.balances.items() if held} == {
        name: held for name, held in balances.items() if held
    }
