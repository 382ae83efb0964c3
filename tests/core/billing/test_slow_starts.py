"""What counts as owed for seats that are held before a first process."""

from dataclasses import dataclass

import pytest

from parkade.core.billing.commitments import owed_micros
from parkade.core.ledger.accounts import TransferKind
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.workloads.life import Phase
from tests import builders
from tests.core.kernel.story import Parkade

GPUS = 16
HOLD_MICROS = 2 * GPUS * MICROS * 23 * 60 // 3600
"""Two nodes of 8 GPUs at 2, from the order on for 25 minutes, less the start grace of 2."""

ALL_MICROS = 2 * GPUS * MICROS * 25 * 60 // 3600
"""And with it."""


@dataclass
class Slow:
    """An org whose workload is slow to start."""

    parkade: Parkade
    name: str

    def owed(self) -> int:
        parkade = self.parkade
        workload = parkade.workload(self.name)
        return owed_micros(parkade.world, workload, parkade.now_us)


def given_slow(*, cap: int = 1000, used: bool = True) -> Slow:
    """It was ordered; `used`: the org had its free slow start of the day."""
    parkade = Parkade(fabrics={"a": 3}, gpus=8, buffer_nodes=0, public_floor_micros=2 * MICROS)
    parkade.org("lab")
    if used:
        first = parkade.bid("lab", 2, nodes=1, gpus=8)
        parkade.clear()
        parkade.pass_time(10 * 60)
        parkade.do(commands.Cancel(by=None, workload=first, now=True))
        parkade.ended(first, signal=9)
        assert parkade.workload(first).spent_micros == 16 * MICROS * 2 * 60 // 3600
    parkade._do(commands.SetOrgCap(by=None, org="lab", cap_micros=cap * MICROS))
    name = parkade.bid("lab", 2, nodes=2, gpus=8)
    parkade.clear()
    return Slow(parkade, name)


def test_a_slow_start_is_owed_until_the_run_that_follows_makes_it_free() -> None:
    slow = given_slow()
    slow.parkade.pass_time(2 * 60)
    assert slow.owed() == 0, "the earmark has it"
    slow.parkade.pass_time(23 * 60)
    assert slow.owed() == HOLD_MICROS + 1, "rounded up"
    slow.parkade.started(slow.name)
    assert slow.owed() == pytest.approx(ALL_MICROS, abs=2)
    slow.parkade.pass_time(60 * 60)
    used = 2 * GPUS * MICROS
    posted = slow.parkade.workload(slow.name).spent_micros
    assert slow.owed() + posted - used == pytest.approx(ALL_MICROS * 10 // 25, abs=2)
    slow.parkade.pass_time(40 * 60)
    posted = slow.parkade.workload(slow.name).spent_micros
    assert slow.owed() + posted == pytest.approx(used * 100 // 60, abs=2)


def test_a_cap_is_not_passed_by_a_slow_start() -> None:
    """A cap of 10.00 was charged 12.33."""
    slow = given_slow(cap=10)
    slow.parkade.pass_time(25 * 60)
    stop = slow.parkade.stop(slow.name)
    assert stop.cause == "budget"
    slow.parkade.ended(slow.name, code=85)
    assert 8 * MICROS < slow.parkade.workload(slow.name).spent_micros <= 10 * MICROS
    assert slow.parkade.workload(slow.name).why == "org_cap"


def test_a_slow_start_that_is_the_free_one_of_the_day_is_not_owed() -> None:
    slow = given_slow(cap=10, used=False)
    slow.parkade.pass_time(25 * 60)
    assert slow.parkade.phase(slow.name) is Phase.STARTING
    assert slow.owed() == 0


def test_no_other_bid_starts_on_what_a_slow_start_may_cost() -> None:
    """While it is the only one, it is the free one; another could end first and be that."""
    slow = given_slow(cap=10, used=False)
    slow.parkade.pass_time(22 * 60)
    other = slow.parkade.bid("lab", 2, nodes=1, gpus=8)
    slow.parkade.clear()
    assert slow.parkade.workload(other).why == "org_cap"
    assert slow.parkade.phase(slow.name) is Phase.STARTING
    slow.parkade._do(commands.SetOrgCap(by=None, org="lab", cap_micros=100 * MICROS))
    slow.parkade.clear()
    assert slow.parkade.phase(other) is Phase.STARTING
    assert slow.owed() > 0


def test_the_cap_of_its_user_holds_as_well() -> None:
    slow = given_slow()
    parkade = slow.parkade
    parkade._do(builders.create_user("ann", "lab"))
    parkade._do(commands.SetCap(by=None, user="ann", cap_micros=5 * MICROS))
    spec = parkade.spec(limit=2, nodes=1, gpus=8)
    parkade.do(commands.Submit(by="ann", org="lab", market=None, spec=spec, is_held=False))
    parkade.clear()
    (name,) = (it for it in parkade.world.live if parkade.workload(it).user == "ann")
    parkade.pass_time(25 * 60)
    assert parkade.stop(name).cause == "budget"
    parkade.ended(name, code=85)
    assert parkade.workload(name).spent_micros <= 5 * MICROS


def test_a_hold_keeps_the_prices_of_its_time_when_an_hour_of_use_was_posted() -> None:
    slow = given_slow()
    parkade = slow.parkade
    parkade.do(commands.ChangeBid(by=None, workload=slow.name, limit_price_micros=20 * MICROS))
    parkade.pass_time(25 * 60)
    parkade.started(slow.name)
    parkade.bid("rival", 9, nodes=3, gpus=8)
    parkade.pass_time(60 * 60)
    parkade.saved(slow.name, 1)
    parkade.pass_time(12 * 60)
    workload = parkade.workload(slow.name)
    assert workload.spent_micros > 0, "an hour was posted"
    assert workload.attempt is not None and workload.attempt.rates[-1].price_micros > 8 * MICROS
    before = slow.owed() + workload.spent_micros
    hold_s = 25 * 60 - 72 * 60 // 4
    price = 2 * GPUS * MICROS
    posted = [it for it in parkade.journal if isinstance(it, events.UsePosted)]
    parkade.do(commands.Cancel(by=None, workload=slow.name, now=True))
    parkade.ended(slow.name, signal=9)
    late = [
        transfer.micros
        for event in parkade.journal
        if isinstance(event, events.UsePosted) and event not in posted
        for transfer in event.transfers
        if transfer.kind is TransferKind.LATE_START
    ]
    assert sum(late) == pytest.approx(price * hold_s // 3600, abs=2)
    assert parkade.workload(slow.name).spent_micros == pytest.approx(before, abs=2)
