"""The page of caps: its numbers are computed here."""

from decimal import Decimal

from parkade.core.billing.commitments import earmark_micros, spending_of_user
from parkade.core.billing.metering import accrued_micros
from parkade.core.state import commands, events
from parkade.core.state.people import CapPeriod
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import CAPPED
from tests.core.accounts.test_caps import lab, submit
from tests.core.clearing.test_earmarks import bid, excluded, lab_with, on
from tests.core.records import stop
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "caps.md"
TEXT = PAGE.read_text("utf-8")


def test_the_page_names_the_reasons() -> None:
    assert {row[0].strip("`") for row in table(PAGE, "What counts")} == CAPPED


def test_a_cap_on_gpus_keeps_the_bids_that_the_page_says() -> None:
    made, told = [], {}
    for place, (name, gpus, limit, seated, then) in enumerate(
        table(PAGE, "Which bids a cap on GPUs keeps")
    ):
        name, node = name.strip("`"), f"a{place + 1}"
        if seated == "no":
            made.append(bid(name, int(gpus), float(limit)))
        else:
            leaves = stop() if seated == "leaves" else None
            made.append(on(name, node, int(gpus), float(limit), stop=leaves))
        if then != "takes part":
            told[name] = then.strip("`")
    assert "The cap is 8 GPUs" in TEXT
    assert excluded(lab_with(8, *made)) == told


def test_a_cap_is_told_of_and_reached_when_the_page_says() -> None:
    parkade = lab("ann")
    cap = commands.SetCap(
        by=None, user="ann", cap_micros=3 * MICROS, period=CapPeriod.MONTH, most_gpus=None
    )
    parkade.do(cap)
    begun_us = parkade.now_us
    job = submit(parkade, "ann", limit=9)
    told = [(int(row[0].split()[0]), Decimal(row[1])) for row in table(PAGE, "A cap by the minute")]
    for seconds, amount in told:
        parkade.run(seconds - (parkade.now_us - begun_us) / SECOND_US)
        owed = accrued_micros(parkade.world, parkade.workload(job), parkade.now_us)
        spent = spending_of_user(parkade.world, "ann").total_micros + owed
        assert abs(Decimal(spent) / MICROS - amount) < Decimal("0.005")
    noted = [it.at_us for it in parkade.journal if isinstance(it, events.CapNoted)]
    left = [it for it in parkade.journal if isinstance(it, events.Cleared) and it.left]
    gone = [it.at_us for it in parkade.journal if isinstance(it, events.Ended)]
    happened = [(at_us - begun_us) // SECOND_US for at_us in (*noted, left[0].at_us, *gone)]
    assert happened == [seconds for seconds, _ in told]
    assert left[0].left[0].why == "user_cap"


def test_the_earmark_is_that_of_the_page() -> None:
    parkade = lab("ann")
    job = submit(parkade, "ann", limit=9)
    parkade.run(60)
    market = parkade.world.records.markets["pool"]
    assert earmark_micros(market, parkade.workload(job)) == 325_000
    assert "9 × 2 × 65 s = 0.325" in TEXT
