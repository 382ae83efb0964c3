"""What members of arrays, elastic growth and deadlines could sweep and give back is paid for, and a
deadline is no better bid before its moment."""

import pytest

from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.life import Phase
from tests.core.clearing.test_linking import one_node_each
from tests.core.kernel.story import Parkade
from tests.core.running.test_falling_back import UNTIL_IT_RUNS_S, fell_back, market, submit

GUEST, CREDIT = 2 * MICROS, 1.05


def paid_by(parkade: Parkade, org: str) -> int:
    """All that it paid to others so far, in micro-units."""
    return sum(
        transfer.micros
        for event in parkade.journal
        for transfer in getattr(event, "transfers", ())
        if transfer.debit == f"org/{org}"
    )


@pytest.mark.parametrize("way", ["lowered", "cancelled", "cancelled at once"])
def test_growth_that_sweeps_and_then_shrinks_pays_the_minimum_for_what_left(way: str) -> None:
    """Two nodes of a guest at 2; a minimum charge of an hour."""
    parkade = Parkade(
        fabrics={"a": 4},
        buffer_nodes=0,
        public_floor_micros=MICROS,
        regrow_us=600 * SECOND_US,
        minimum_charge_us=HOUR_US,
    )
    parkade.bid("acme", 2, nodes=2, max_duration_us=60 * MINUTE_US)
    parkade.run(30)
    name = parkade.bid("lab", 1.5, nodes=1, most_nodes=8)
    parkade.run(60)
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=9 * MICROS))
    parkade.run(660)
    assert len(parkade.nodes_of(name)) == 4 and parkade.attempt(name).displaced
    assert parkade.phase(name) is Phase.RUNNING
    if way == "lowered":
        parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=1_500_000))
    else:
        is_at_once = way == "cancelled at once"
        parkade.do(commands.Cancel(by=None, workload=name, now=is_at_once))
    parkade.run(300)
    least = 2 * 2 * GUEST / CREDIT
    assert paid_by(parkade, "lab") >= least - 5, "an hour of the guest's four GPUs, at its bid"


def test_a_deadline_that_pushes_a_guest_out_and_is_cancelled_pays_the_minimum_on_demand() -> None:
    parkade = market(fabrics={"a": 1}, minimum_charge_us=HOUR_US)
    parkade.org("lab")
    parkade.bid("guest", 9)
    parkade.run(60)
    name = submit(parkade, hours=1, due=1 + (UNTIL_IT_RUNS_S + 10) / 3600)
    parkade.run(30, obey=False)
    assert fell_back(parkade)
    assert [it for it in parkade.journal if isinstance(it, events.Cleared) and it.left]
    parkade.do(commands.Cancel(by=None, workload=name, now=True))
    price = parkade.world.records.markets["pool"].terms.pay_as_you_go_micros
    assert paid_by(parkade, "lab") >= 2 * price - 5, "as on-demand that is cancelled does"


def test_a_deadline_is_no_better_bid_until_it_falls_back() -> None:
    parkade = market(fabrics={"a": 1})
    parkade.org("lab")
    due = submit(parkade, hours=1, due=3, limit=2)
    later = parkade.bid("rival", 2.5)
    parkade.clear()
    assert parkade.workload(due).why == "outbid" and parkade.nodes_of(later) == ("a1",)
    parkade.run(600)
    assert not fell_back(parkade) and parkade.phase(later) is Phase.RUNNING


def test_members_that_sweep_two_markets_pay_the_minimum_in_each() -> None:
    parkade = one_node_each(minimum_charge_us=HOUR_US)
    for place in ("pool", "other"):
        parkade.in_market(f"guest-{place}", place, 2)
    parkade.run(60)
    array = parkade.bid_in("lab", {"pool": 9, "other": 8}, array="0-1")
    parkade.clear()
    assert {parkade.stands(f"{array}_{it}") for it in range(2)} == {"pool", "other"}
    made = parkade.do(commands.Cancel(by=None, workload=array, now=True))
    charged = {it.workload for it in made if isinstance(it, events.WithdrawalCharged)}
    assert charged == {f"{array}_0", f"{array}_1"}
    assert paid_by(parkade, "lab") >= 2 * 2 * GUEST / CREDIT - 5
