"""The second opinion on the money of windows that lists may buy hears of each way to spend it."""

from collections.abc import Callable, Iterable

import pytest
from msgspec.structs import replace

from parkade.core.running import bounding, buying
from parkade.core.state import commands, events
from parkade.core.steps import windows
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US
from parkade.sim.auditor.set_aside import SetAsideAuditor
from parkade.sim.auditor.windows import WindowAuditor
from parkade.sim.findings import Breach
from tests.core.clearing.test_entries import ON_DEMAND, SPOT, market, right
from tests.core.clearing.test_on_demand_entries import submit
from tests.core.kernel.story import Parkade

Patch = pytest.MonkeyPatch


def given(micros: int = 32_900_000) -> Parkade:
    """Two nodes of two GPUs: acme's list uses the one that it reserved for 8.00 an hour, and might
    buy an hour of the other for 24.233334, where a rival's bid of 50.00 runs. It has 24.90 then."""
    parkade = market(nodes=2)
    parkade.org("acme", deposit=0)
    parkade.do(commands.Deposit(by=None, org="acme", micros=micros))
    parkade.reserve("acme", 1)
    submit(parkade, right("acme"), ON_DEMAND)
    parkade.bid("rival", 50)
    parkade.run(60)
    return parkade


def read(journal: Iterable[events.AnyEvent]) -> None:
    of_windows = WindowAuditor()
    of_money = SetAsideAuditor(of_windows)
    for event in journal:
        of_windows.read(event)
        of_money.read(event)


def bids(parkade: Parkade) -> None:
    """A bid that costs 1.90 until it could be gone."""
    parkade.bid("acme", 60)
    parkade.run(120)


def submits_another(parkade: Parkade) -> None:
    parkade.do(buys_at_last(parkade))


def reserves(parkade: Parkade) -> None:
    """Another reservation, of which the first hour is paid at once."""
    parkade.do(
        commands.Reserve(
            by=None,
            org="acme",
            market=None,
            name=None,
            nodes=1,
            start_us=parkade.now_us + HOUR_US,
            end_us=parkade.now_us + 2 * HOUR_US,
        )
    )


def lasts_longer(parkade: Parkade) -> None:
    parkade.do(
        commands.ChangeBounds(
            by=None,
            workload="w1",
            max_spend_micros=None,
            max_duration_us=commands.NewBound(value=3 * HOUR_US),
        )
    )


def buys_at_last(parkade: Parkade) -> commands.Submit:
    spec = replace(
        parkade.spec(max_duration_us=HOUR_US),
        capacity=right("acme"),
        entries=(right("acme"), ON_DEMAND),
    )
    return commands.Submit(by=None, org="acme", market=None, spec=spec, is_held=False)


Spends = Callable[[Parkade], None]
WAYS: tuple[Spends, ...] = (bids, submits_another, reserves, lasts_longer)


def without_set_aside(patch: Patch) -> None:
    """Nothing is set aside for a window that is not bought, and none is refused for its cost."""
    patch.setattr(windows, "unbought_micros", lambda *args: 0)
    patch.setattr(buying, "unbought_micros", lambda *args: 0)
    patch.setattr(bounding, "_bad_unbought", lambda *args: None)


@pytest.mark.parametrize("way", WAYS)
def test_what_spends_the_money_of_a_window_is_found(way: Spends, monkeypatch: Patch) -> None:
    parkade = given()
    read(parkade.journal)
    without_set_aside(monkeypatch)
    way(parkade)
    with pytest.raises(Breach) as found:
        read(parkade.journal)
    assert found.value.invariant == 46


@pytest.mark.parametrize("way", WAYS)
def test_with_enough_money_each_of_these_is_right(way: Spends) -> None:
    parkade = given(500 * MICROS)
    way(parkade)
    read(parkade.journal)


def test_a_list_that_starts_as_spot_leaves_its_window_of_max_spend() -> None:
    parkade = market(nodes=1)
    parkade.org("acme")
    submit(parkade, SPOT, ON_DEMAND)
    parkade.run(60)
    for micros, is_right in ((25 * MICROS, True), (24 * MICROS, False)):
        journal = [_with_most(it, micros) for it in parkade.journal]
        if is_right:
            read(journal)
        else:
            with pytest.raises(Breach):
                read(journal)


def _with_most(event: events.AnyEvent, micros: int) -> events.AnyEvent:
    if not isinstance(event, events.Submitted):
        return event
    spec = replace(event.workload.spec, max_spend_micros=micros)
    return replace(event, workload=replace(event.workload, spec=spec))
