"""Random days of two markets that bids link: where bids sit, what they pay, one event for all."""

from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.clearing.linking import linked_with
from parkade.core.state import commands, events
from parkade.core.workloads.choices import limit_in
from tests.core.kernel.journeys import JOURNEYS, LinkedJourney


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
