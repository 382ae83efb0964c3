"""What live work pays while a rank of it is not known to run, and for one that is heard of late."""

import pytest

from parkade.core.ledger.accounts import TransferKind
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.spec import Resize
from tests.core.kernel.test_live import audited, given_parkade, gpu_seconds, leaving, live
from tests.core.kernel.test_live_starts import given_one_that_joins, silent


def test_a_rank_that_has_not_begun_lets_no_other_pay_below_the_floor_it_stands_on() -> None:
    """Two ranks run on nodes that are lent at 5; two more joined public nodes, at a floor of 1, and
    have not begun. Those that run still earn acme its floor."""
    parkade = given_parkade(4, start_limit_us=1800 * SECOND_US)
    parkade.lend(parkade.reserve("acme", 2), 5)
    others = parkade.bid("zed", 9, nodes=2)
    parkade.run(60)
    name = live(parkade, 8)
    parkade.run(60)
    assert min(parkade.attempt(name).rates[-1].node_prices) >= 5 * MICROS
    parkade.ended(others, code=0)
    parkade.clear()
    silent(parkade, name, 60)
    rate = parkade.attempt(name).rates[-1]
    assert rate.node_prices == (7 * MICROS, 7 * MICROS)
    assert rate.waiting_prices == (MICROS, MICROS)
    assert dict(rate.shares)["org/acme"] == 2 * 2 * 5 * MICROS
    parkade.begun(name, *(it.rank for it in parkade.attempt(name).ranks))
    assert parkade.attempt(name).rates[-1].node_prices == (
        MICROS, MICROS, 7 * MICROS, 7 * MICROS,
    )  # fmt: skip
    parkade.tick(60)
    parkade.ended(name)
    audited(parkade)


def test_a_rank_that_began_before_its_notice_is_paid_for_though_that_is_heard_later() -> None:
    parkade, name = given_one_that_joins(notice_us=7200 * SECOND_US)
    began_us = parkade.now_us + 2 * SECOND_US
    parkade.tick(300)
    parkade.bid("acme", 19, nodes=1)
    parkade.clear()
    assert leaving(parkade, name) == {3: "a4"}
    parkade.tick(1)
    parkade.begun(name, 3, at_us=began_us)
    parkade.tick(3000)
    parkade.ranks_left(name)
    ran_s = (parkade.now_us - began_us) // SECOND_US
    parkade.ended(name)
    assert gpu_seconds(parkade, name) == 3 * 2 * (60 + 2 + ran_s) + 2 * ran_s
    audited(parkade)


def test_what_a_rank_used_while_its_agent_was_not_heard_is_billed() -> None:
    """Its market was cleared anew meanwhile, at another price."""
    parkade, name = given_one_that_joins()
    joined_us = parkade.now_us
    parkade.tick(60)
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=False))
    for minute in range(300):
        parkade.tick(60)
        if minute == 290:
            parkade.bid("acme", 3, nodes=4)
        parkade.clear()
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=True))
    parkade.begun(name, 3, at_us=joined_us + 2 * SECOND_US)
    ran_s = (parkade.now_us - joined_us) // SECOND_US
    parkade.ended(name)
    assert gpu_seconds(parkade, name) == 3 * 2 * (60 + ran_s) + 2 * (ran_s - 2)
    audited(parkade)


@pytest.mark.parametrize("later_s", [0, 1])
@pytest.mark.parametrize("change", ["joins", "leaves"])
def test_idle_seats_before_the_launch_cost_what_it_was_launched_with(
    change: str, later_s: int
) -> None:
    """Its promise waited ten seconds on all its GPUs for its own org's bid. A rank joins, or loses
    its node, in the instant of the launch, or a second later."""
    parkade = given_parkade(4, regrow_us=24 * 3600 * SECOND_US)
    parkade.reserve("owner", 1)
    parkade.bid("elm", 2, nodes=1)
    third = parkade.bid("zed", 9, nodes=1)
    parkade.run(30)
    name = parkade.bid("elm", 6, nodes=1, most_nodes=4, resize=Resize.LIVE)
    parkade.clear()
    parkade.tick(20)
    parkade.stop_all()
    parkade.start_all()
    assert parkade.attempt(name).waited_us == 10 * SECOND_US
    launched = parkade.attempt(name).rates[0]
    parkade.tick(later_s)
    if change == "joins":
        parkade.ended(third)
        parkade.clear()
        assert len(parkade.attempt(name).seats) == 3
    else:
        parkade.fail(parkade.attempt(name).seats[1].node)
        parkade.ranks_left(name)
        assert len(parkade.attempt(name).seats) == 1
    parkade.start_all()
    assert parkade.attempt(name).rates[0].node_prices == launched.node_prices
    parkade.ended(name)
    idle = [
        (it.use.gpus, it.use.price_micros)
        for event in parkade.journal
        if isinstance(event, events.UsePosted) and event.workload == name
        for it in event.transfers
        if it.kind is TransferKind.LATE_START and it.use is not None
    ]
    assert idle == [(2, it) for it in launched.node_prices]
    audited(parkade)
