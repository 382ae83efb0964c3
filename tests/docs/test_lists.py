"""The page of lists: its table is computed here."""

from parkade.core.state import commands, events
from parkade.core.units.money import MICROS, format_amount
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.life import Cause, Phase
from tests.core.clearing.test_entries import ON_DEMAND, SPOT, asks, command, right, submit
from tests.core.kernel.story import Parkade
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "lists.md"


def test_the_table_is_what_the_market_does() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, public_floor_micros=MICROS)
    parkade.reserve("acme", 1)
    names = [submit(parkade, right("acme"), SPOT) for _ in range(3)]
    won = {
        each.demand: each.promise.rates[0].price_micros
        for it in parkade.journal
        if isinstance(it, events.Cleared)
        for each in it.won
    }
    assert len(won) == 2, "each got its seats in the clearing of its submission"
    prices = [*won.values(), None]
    whys = ["placed", "placed", parkade.workload(names[2]).why]
    rows = []
    for name, price, why in zip(names, prices, whys, strict=True):
        told = "–" if price is None else format_amount(price)
        rows.append(f"| {name} | {asks(parkade, name)} | {told} | {why} |")
    parkade.start_all()
    for ends in (0, 2):
        assert asks(parkade, names[1]) == "spot"
        parkade.do(commands.Cancel(by=None, workload=names[ends], now=True))
        parkade.run(60)
    assert asks(parkade, names[1]) == "reservation/acme" and parkade.price(names[1]) == 0
    assert parkade.attempt(names[1]).generation == 1
    page = PAGE.read_text("utf-8")
    assert [it for it in page.splitlines() if it.startswith("| w") and it[3].isdigit()] == rows


def test_the_table_of_on_demand_is_what_the_market_does() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, public_floor_micros=MICROS)
    parkade.reserve("acme", 1)
    rival = parkade.bid("rival", 5)
    parkade.run(60)
    entries = (right("acme"), SPOT, ON_DEMAND)
    names = [submit(parkade, *entries, max_duration_us=2 * HOUR_US) for _ in range(3)]
    rows = []
    for name, told in zip(names, ("first", "second", "third"), strict=True):
        seated = parkade.workload(name).promise or parkade.workload(name).attempt
        price = "–" if seated is None else format_amount(seated.rates[0].price_micros)
        why = "placed" if seated is not None else parkade.workload(name).why
        rows.append(f"| {told} | {asks(parkade, name)} | {price} | {why} |")
    assert parkade.stop(rival).cause is Cause.RECLAIMED
    page = PAGE.read_text("utf-8").splitlines()
    found = [it for it in page if it.startswith(("| first", "| second", "| third"))]
    assert found == rows
    parkade.run(120)
    assert [parkade.phase(it) for it in names] == [Phase.RUNNING, Phase.RUNNING, Phase.QUEUED]


def test_its_limit_is_that_of_spot() -> None:
    parkade = Parkade()
    parkade.reserve("acme", 1)
    assert command(parkade, right("acme"), SPOT).spec.spot_limit_micros == 2 * MICROS
    name = submit(parkade, right("acme"), SPOT)
    change = commands.ChangeBid(by=None, workload=name, limit_price_micros=MICROS)
    parkade.do(change)
    assert parkade.world.records.workloads[name].spec.spot_limit_micros == MICROS
