"""The second opinion on the on-demand that lists buy hears of each wrong price and end."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.workloads.spec import CapacityKind
from parkade.sim.auditor.windows import WindowAuditor
from parkade.sim.findings import Breach
from tests.core.clearing.test_entries import ON_DEMAND, SPOT, market, right
from tests.core.clearing.test_on_demand_entries import submit
from tests.core.kernel.story import Parkade

Wrong = Callable[[events.AnyEvent], events.AnyEvent]


def lists() -> Parkade:
    """One list buys at once, another once it has run as spot; the price changes in between."""
    parkade = market()
    parkade.reserve("acme", 1)
    parkade.on_reservation("acme", "acme")
    later = submit(parkade, right("acme"), SPOT, ON_DEMAND)
    parkade.run(60)
    submit(parkade, right("acme"), ON_DEMAND)
    parkade.run(60)
    bound = commands.NewBound(value=2 * 3600 * 1_000_000)
    parkade.do(
        commands.ChangeBounds(
            by=None, workload=later, max_spend_micros=None, max_duration_us=bound, members=None
        )
    )
    parkade.do(
        commands.SetPrices(
            by=None,
            market="pool",
            pay_as_you_go_micros=20 * MICROS,
            reservation_rate_micros=None,
            public_floor_micros=None,
        )
    )
    parkade.bid("rival", 50)
    parkade.run(300)
    return parkade


def read(parkade: Parkade, wrong: Wrong = lambda event: event) -> None:
    auditor = WindowAuditor()
    for event in parkade.journal:
        auditor.read(wrong(event))


def ends_later(event: events.AnyEvent) -> events.AnyEvent:
    if isinstance(event, events.EntryTaken) and event.must_end_us is not None:
        return replace(event, must_end_us=event.must_end_us + 1)
    return event


def agrees_on_less(event: events.AnyEvent) -> events.AnyEvent:
    if isinstance(event, events.Submitted) and event.workload.window_price_micros is not None:
        return replace(event, workload=replace(event.workload, window_price_micros=1))
    return event


def sells_at_another_price(event: events.AnyEvent) -> events.AnyEvent:
    if not isinstance(event, events.Cleared):
        return event
    won = [
        replace(
            it,
            promise=replace(
                it.promise,
                rates=tuple(replace(r, price_micros=r.price_micros + 1) for r in it.promise.rates),
            ),
        )
        for it in event.won
    ]
    return replace(event, won=tuple(won))


def test_what_lists_buy_has_its_price_and_its_end() -> None:
    parkade = lists()
    bought = [
        it
        for it in parkade.journal
        if isinstance(it, events.EntryTaken) and it.capacity.kind is CapacityKind.ON_DEMAND
    ]
    assert len({it.workload for it in bought}) == 2
    read(parkade)


@pytest.mark.parametrize("wrong", [ends_later, agrees_on_less, sells_at_another_price])
def test_each_fault_is_found(wrong: Wrong) -> None:
    with pytest.raises(Breach) as found:
        read(lists(), wrong)
    assert found.value.invariant == 46
