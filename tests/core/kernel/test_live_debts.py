"""What ranks owe for those that left for their nodes, and what is set aside for it."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.api.views import workloads
from parkade.core.billing.commitments import committed_micros
from parkade.core.billing.metering import accrued_micros
from parkade.core.ledger.accounts import TransferKind
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.life import Cause
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_live import audited, given_parkade, leaving, live

MINIMUM_S = 3600


def given_one_that_owes(*, reserved: int = 0, **terms: Any) -> tuple[Parkade, str]:
    """Live work of lab whose rank 2 joined a node that another had to leave for a promise, which
    it took over."""
    parkade = given_parkade(minimum_charge_us=MINIMUM_S * SECOND_US, **terms)
    if reserved:
        parkade.lend(parkade.reserve("lab", reserved), 1)
    one, _ = parkade.bid("one", 2, nodes=1), parkade.bid("other", 2, nodes=1)
    parkade.run(30)
    name = live(parkade, 1.5, least=2)
    parkade.run(60)
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=4 * MICROS))
    parkade.run(60)
    parkade.bid("acme", 5, nodes=2)
    parkade.clear()
    parkade.ended(one, code=85)
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=9 * MICROS))
    parkade.clear()
    parkade.started(name)
    assert [it.owed is not None for it in parkade.attempt(name).ranks] == [False, False, True]
    return parkade, name


def minima(parkade: Parkade, name: str) -> int:
    """What was charged to the minimum apart from use."""
    return sum(
        it.micros
        for event in parkade.journal
        if isinstance(event, events.WithdrawalCharged) and event.workload == name
        for it in event.transfers
        if it.kind is TransferKind.MINIMUM_CHARGE
    )


def owed(parkade: Parkade, name: str) -> int:
    """What the rank owes in an hour."""
    found = next(it.owed for it in parkade.attempt(name).ranks if it.owed is not None)
    return found.price_micros * 2


def test_what_a_rank_owes_is_set_aside_until_its_use_has_paid_it() -> None:
    parkade, name = given_one_that_owes()
    rate = owed(parkade, name)
    before = committed_micros(parkade.world, parkade.workload(name), parkade.now_us)
    record = parkade.workload(name)
    free_ranks = tuple(replace(it, owed=None) for it in parkade.attempt(name).ranks)
    free = replace(record, attempt=replace(parkade.attempt(name), ranks=free_ranks))
    without = committed_micros(parkade.world, free, parkade.now_us)
    assert 0.9 * rate < before - without <= rate
    known = workloads.known(parkade.world, record, parkade.now_us)
    assert rate * 0.99 < known.debt_micros <= rate
    parkade.run(2 * MINIMUM_S)
    known = workloads.known(parkade.world, parkade.workload(name), parkade.now_us)
    paid = parkade.attempt(name).rates[-1].node_prices[0] / (rate / 2)
    assert known.debt_micros <= max(0.0, rate * (1 - 2 * paid)) + 1000


def test_a_right_of_its_own_org_that_makes_all_of_it_leave_excuses_nothing() -> None:
    parkade, name = given_one_that_owes(reserved=3)
    rate = owed(parkade, name)
    parkade.tick(30)
    parkade.claim(next(iter(parkade.world.records.reservations)), 3)
    parkade.clear()
    assert parkade.stop(name).cause is Cause.RECLAIMED
    workload = parkade.workload(name)
    assert committed_micros(parkade.world, workload, parkade.now_us) > rate * 0.9
    parkade.tick(10)
    parkade.ended(name, code=85)
    assert rate * 0.9 < minima(parkade, name) <= rate
    audited(parkade)


def test_a_right_of_another_org_excuses_it() -> None:
    parkade, name = given_one_that_owes()
    parkade.on_demand("zed", nodes=3)
    parkade.clear()
    stop = parkade.attempt(name).stop
    assert stop is not None and stop.cause is Cause.RECLAIMED
    parkade.tick(10)
    parkade.ended(name, code=85)
    assert minima(parkade, name) == 0
    audited(parkade)


def causes_of(parkade: Parkade, name: str) -> dict[str, Cause]:
    """By node, of what is told to leave, single ranks or all."""
    attempt = parkade.attempt(name)
    if attempt.stop is not None:
        return dict.fromkeys((it.node for it in attempt.seats), attempt.stop.cause)
    left = [it for it in attempt.ranks if it.leaving is not None]
    return {it.seat.node: it.leaving.stop.cause for it in left if it.leaving is not None}


def test_each_rank_leaves_for_what_takes_its_node() -> None:
    """An owner takes one node back and a higher bid the other, in one clearing."""
    parkade = given_parkade(3)
    right = parkade.reserve("acme", 1)
    parkade.lend(right, 1)
    name = live(parkade, 5)
    parkade.run(60)
    rival = parkade.bid("zed", 9)
    claim = parkade.claim(right, 1)
    parkade.clear()
    (of_rival,) = parkade.nodes_of(rival)
    (of_owner,) = (it.node for it in parkade.world.records.claims[claim].seats)
    assert causes_of(parkade, name) == {of_rival: Cause.OUTBID, of_owner: Cause.RECLAIMED}
    audited(parkade)


@pytest.mark.parametrize("has_rival", [False, True])
@pytest.mark.parametrize("is_live", [False, True])
def test_after_a_lowered_limit_a_rival_outbids_only_what_would_have_stayed(
    is_live: bool, has_rival: bool
) -> None:
    """One of three nodes costs more than the limit now: a gang leaves whole without a rival, too,
    and live work keeps two."""
    parkade = given_parkade(3)
    parkade.lend(parkade.reserve("acme", 1), 3)
    name = live(parkade, 9) if is_live else parkade.bid("lab", 9, nodes=3)
    parkade.run(60)
    if has_rival:
        parkade.bid("zed", 4)
        parkade.clear()
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=2 * MICROS))
    parkade.clear()
    expected = Cause.OUTBID if has_rival and is_live else Cause.BELOW_FLOOR
    assert set(causes_of(parkade, name).values()) == {expected}
    audited(parkade)


@pytest.mark.parametrize("late_s", [0, 600])
def test_a_rank_that_leaves_accrues_to_its_kill_at_most(late_s: int) -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.clear()
    parkade.started(name)
    parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    terms = parkade.world.records.markets["pool"].terms
    leave_s = (terms.notice_us + terms.kill_us) // SECOND_US
    parkade.tick(leave_s + late_s)
    assert list(leaving(parkade, name)) == [2, 3]
    prices = parkade.attempt(name).rates[-1].node_prices
    assert prices == (MICROS,) * 4
    cost = 2 * MICROS * (2 * (leave_s + late_s) + 2 * leave_s) * SECOND_US // HOUR_US
    found = accrued_micros(parkade.world, parkade.workload(name), parkade.now_us)
    assert cost <= found <= cost + 1
