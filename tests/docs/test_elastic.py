"""The page of elastic work: its table and its bill are computed here."""

from parkade.core.billing.live_ranks import kept_rate
from parkade.core.units.money import MICROS, format_amount
from parkade.core.workloads.ranks import ranks_of
from parkade.core.workloads.spec import Resize
from tests.core.kernel.story import Parkade
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "elastic.md"


def row(parkade: Parkade, name: str, clock: str) -> str:
    attempt = parkade.attempt(name)
    ranks = ranks_of(attempt)
    stays = ", ".join(f"{it.rank} on {it.seat.node}" for it in ranks if it.leaving is None)
    leaves = ", ".join(f"{it.rank} on {it.seat.node}" for it in ranks if it.leaving) or "–"
    per_hour = attempt.rates[-1].per_hour_micros(attempt.gpus)
    assert kept_rate(attempt).node_prices, "each node has a price"
    return f"| {clock} | {attempt.attempt} | {stays} | {leaves} | {format_amount(per_hour)} |"


def test_the_table_and_the_bill_are_what_the_market_does() -> None:
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0, public_floor_micros=MICROS)
    name = parkade.bid("lab", 5, nodes=1, most_nodes=4, resize=Resize.LIVE)
    parkade.clear()
    parkade.started(name)
    rows = [row(parkade, name, "0:00")]
    parkade.tick(600)
    gang = parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    rows.append(row(parkade, name, "10:00"))
    parkade.tick(20)
    parkade.ranks_left(name)
    rows.append(row(parkade, name, "10:20"))
    parkade.tick(580)
    parkade.start_all()
    parkade.ended(gang)
    rows.append(row(parkade, name, "20:00"))
    parkade.tick(5)
    parkade.begun(name, 2, 3)
    rows.append(row(parkade, name, "20:05"))
    parkade.tick(25)
    parkade.fail("a2")
    parkade.ranks_left(name)
    rows.append(row(parkade, name, "20:30"))
    parkade.tick(570)
    parkade.ended(name)
    page = PAGE.read_text("utf-8")
    found = [it for it in page.splitlines() if it.startswith("| ") and " w1.1 " in it]
    assert found == rows, "\n".join(rows)
    spent = format_amount(parkade.workload(name).spent_micros)
    assert f"costs {spent}" in page, spent
