"""Random days: whatever people, engines and machines do, the invariants hold after every event."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.state import commands, events
from parkade.core.state.codec import decode_snapshot, encode_event, encode_snapshot
from parkade.core.workloads.life import Phase
from tests.auditor import audit
from tests.core.kernel.journeys import JOURNEYS, Journey, LinkedJourney

BOTH = pytest.mark.parametrize("kind", [Journey, LinkedJourney])
"""A day of one market, and one of two that bids link."""


@BOTH
@settings(max_examples=JOURNEYS)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_every_invariant_holds_after_every_event_of_a_random_day(
    kind: type[Journey], seed: int
) -> None:
    journey = kind(seed)
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


@BOTH
@settings(max_examples=JOURNEYS // 4)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_the_ledger_of_a_random_day_agrees_with_the_auditor(kind: type[Journey], seed: int) -> None:
    journey = kind(seed)
    for _ in range(80):
        journey.act()
    journey.parkade.pass_time(3700)
    books = audit(encode_event(event) for event in journey.parkade.journal)
    balances = journey.parkade.world.records.balances
    assert {name: held for name, held in books.balances.items() if held} == {
        name: held for name, held in balances.items() if held
    }
