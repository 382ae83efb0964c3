"""Live elastic workloads: ranks come and go while it runs, and each seat is billed for its time."""

from typing import Any

import pytest

from parkade.core.billing.commitments import committed_micros
from parkade.core.ledger.accounts import TransferKind, Use
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event, encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.ranks import ranks_of
from parkade.core.workloads.spec import Resize
from parkade.sim.auditor import audit
from parkade.sim.auditor.seats import SeatAuditor
from tests.core.kernel.story import Parkade


def given_parkade(nodes: int = 4, **terms: Any) -> Parkade:
    """Nodes of two GPUs in one fabric, at a floor of 1 per GPU-hour."""
    terms = {"buffer_nodes": 0, "public_floor_micros": MICROS} | terms
    return Parkade(fabrics={"a": nodes}, **terms)


def live(parkade: Parkade, limit: float = 5, *, org: str = "lab", least: int = 1) -> str:
    """A live bid for at least so many nodes."""
    return parkade.bid(org, limit, nodes=least, most_nodes=8, resize=Resize.LIVE)


def ranks(parkade: Parkade, name: str) -> dict[int, str]:
    """By number, the node of each rank that stays."""
    return {it.rank: it.seat.node for it in ranks_of(parkade.attempt(name)) if it.leaving is None}


def leaving(parkade: Parkade, name: str) -> dict[int, str]:
    return {it.rank: it.seat.node for it in parkade.attempt(name).ranks if it.leaving is not None}


def audited(parkade: Parkade) -> None:
    """Both auditors agree with the journal, and a replay of it gives the same world."""
    assert parkade.replayed() == encode_snapshot(parkade.world)
    seats = SeatAuditor()
    for event in parkade.journal:
        seats.read(event)
    audit(encode_event(it) for it in parkade.journal)


def uses(parkade: Parkade, name: str) -> list[Use]:
    return [
        transfer.use
        for event in parkade.journal
        if isinstance(event, events.UsePosted) and event.workload == name
        for transfer in event.transfers
        if transfer.kind is TransferKind.USAGE and transfer.use is not None
    ]


def gpu_seconds(parkade: Parkade, name: str) -> int:
    return sum(it.gpus * (it.end_us - it.start_us) for it in uses(parkade, name)) // SECOND_US


def test_it_shrinks_with_the_notice_of_the_nodes_that_leave_and_stays_the_same_attempt() -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.run(60)
    gang = parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    attempt = parkade.attempt(name)
    assert attempt.stop is None and parkade.phase(name) is Phase.RUNNING
    assert ranks(parkade, name) == {0: "a1", 1: "a2"}
    assert leaving(parkade, name) == {2: "a3", 3: "a4"}
    stops = {it.leaving.stop for it in attempt.ranks if it.leaving is not None}
    (stop,) = stops
    notice_us = parkade.world.records.markets["pool"].terms.notice_us
    assert (stop.cause, stop.deadline_us - stop.noticed_us) == (Cause.OUTBID, notice_us)
    assert parkade.nodes_of(gang) == ("a3", "a4") and parkade.phase(gang) is Phase.PLACED
    parkade.ranks_left(name)
    parkade.run(60)
    assert parkade.phase(gang) is Phase.RUNNING
    assert parkade.attempt(name).generation == 1 and parkade.workload(name).preemptions == 0
    assert ranks(parkade, name) == {0: "a1", 1: "a2"} and not leaving(parkade, name)
    audited(parkade)


def test_it_grows_at_once_and_a_new_rank_has_the_lowest_free_number() -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.run(60)
    one = parkade.bid("acme", 9, nodes=1)
    parkade.run(30)
    two = parkade.bid("acme", 9, nodes=1)
    parkade.run(60)
    assert ranks(parkade, name) == {0: "a1", 1: "a2"}
    parkade.ended(two)
    assert ranks(parkade, name) == {0: "a1", 1: "a2", 2: "a3"}
    parkade.ended(one)
    assert ranks(parkade, name) == {0: "a1", 1: "a2", 2: "a3", 3: "a4"}
    assert parkade.attempt(name).generation == 1
    audited(parkade)


def test_each_seat_is_billed_from_when_it_joins_until_it_has_left() -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.clear()
    parkade.started(name)
    parkade.tick(60)
    parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    parkade.tick(10)
    parkade.ranks_left(name)
    parkade.tick(50)
    parkade.ended(name)
    # 4 nodes for 70 s, then 2 for 50 s, of 2 GPUs each.
    assert gpu_seconds(parkade, name) == 4 * 2 * 70 + 2 * 2 * 50
    audited(parkade)


@pytest.mark.parametrize("early_s", [1, 30, 60])
@pytest.mark.parametrize("is_lost", [False, True], ids=["outbid", "its node failed"])
def test_a_rank_that_is_dated_before_its_notice_left_with_it(early_s: int, is_lost: bool) -> None:
    """The clock of its machine is behind, or it had ended before."""
    parkade = given_parkade()
    name = live(parkade)
    parkade.clear()
    parkade.started(name)
    parkade.tick(20)
    parkade.bid("birch", 3, nodes=2)
    parkade.clear()
    parkade.tick(40)
    if is_lost:
        parkade.fail("a4")
    else:
        parkade.bid("acme", 9, nodes=1)
        parkade.clear()
    noticed_us = parkade.now_us
    assert leaving(parkade, name) == {3: "a4"}
    parkade.tick(10)
    parkade.ranks_left(name, at_us=noticed_us - early_s * SECOND_US)
    assert not leaving(parkade, name)
    parkade.tick(10)
    parkade.ended(name)
    assert gpu_seconds(parkade, name) == 4 * 2 * 60 + 3 * 2 * 20
    audited(parkade)


def test_nothing_of_a_rank_is_billed_after_its_kill_however_late_it_is_seen_gone() -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.clear()
    parkade.started(name)
    parkade.tick(60)
    parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    parkade.tick(100)
    terms = parkade.world.records.markets["pool"].terms
    parkade.ranks_left(name)
    parkade.ended(name)
    billed = 60 + (terms.notice_us + terms.kill_us) // SECOND_US
    assert gpu_seconds(parkade, name) == 2 * 2 * 160 + 2 * 2 * billed
    audited(parkade)


@pytest.mark.parametrize("left_s", [-1000, -61, 55, 60, 65, 68, 70, 71, 5000])
@pytest.mark.parametrize("fails", [None, "a2", "a3"])
def test_whenever_a_rank_is_said_to_have_left_the_books_agree(
    left_s: int, fails: str | None
) -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.clear()
    parkade.started(name)
    began_us = parkade.now_us
    parkade.tick(55)
    parkade.bid("rival", 3, nodes=3)
    parkade.clear()
    parkade.tick(5)
    parkade.bid("acme", 9, nodes=1)
    parkade.clear()
    parkade.tick(10)
    if fails is not None:
        parkade.fail(fails)
    parkade.tick(1)
    parkade.ranks_left(name, at_us=began_us + left_s * SECOND_US)
    assert not leaving(parkade, name)
    parkade.tick(60)
    parkade.ended(name)
    audited(parkade)


def test_ranks_that_leave_as_the_whole_ends_are_billed_to_their_kill_at_most() -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.clear()
    parkade.started(name)
    parkade.tick(60)
    parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    parkade.tick(1000)
    parkade.ended(name)
    terms = parkade.world.records.markets["pool"].terms
    billed = 60 + (terms.notice_us + terms.kill_us) // SECOND_US
    assert gpu_seconds(parkade, name) == 2 * 2 * 1060 + 2 * 2 * billed
    audited(parkade)


def test_what_is_told_to_leave_as_it_ends_is_billed_once() -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.clear()
    parkade.started(name)
    parkade.tick(60)
    ended_us = parkade.now_us
    parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    parkade.tick(10)
    parkade.ended(name, at_us=ended_us)
    assert gpu_seconds(parkade, name) == 4 * 2 * 60
    audited(parkade)


def test_a_lost_node_takes_its_rank_alone_and_costs_nothing_from_then_on() -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.clear()
    parkade.started(name)
    parkade.tick(60)
    parkade.fail("a2")
    assert parkade.phase(name) is Phase.RUNNING and parkade.attempt(name).broken_us is None
    assert leaving(parkade, name) == {1: "a2"}
    parkade.tick(60)
    parkade.ranks_left(name)
    assert ranks(parkade, name) == {0: "a1", 2: "a3", 3: "a4"}
    parkade.ended(name)
    assert gpu_seconds(parkade, name) == 2 * (4 * 60 + 3 * 60)
    audited(parkade)


def test_the_node_of_rank_0_and_the_last_that_it_needs_break_all_of_it() -> None:
    for least, node in ((1, "a1"), (4, "a2")):
        parkade = given_parkade()
        name = live(parkade, least=least)
        parkade.run(60)
        parkade.fail(node)
        assert parkade.attempt(name).broken_us is not None
        parkade.ended(name, code=None)
        audited(parkade)


def test_below_its_least_all_of_it_leaves() -> None:
    parkade = given_parkade()
    name = live(parkade, least=3)
    parkade.run(60)
    parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    assert parkade.stop(name).cause is Cause.OUTBID
    assert not leaving(parkade, name)
    audited(parkade)


def given_a_rival(**terms: Any) -> tuple[Parkade, str, str]:
    """A live bid on two nodes, now at 9, beside one of two nodes at 2; and that one."""
    parkade = given_parkade(**terms)
    other = parkade.bid("acme", 2, nodes=2)
    parkade.run(30)
    name = live(parkade, 1.5)
    parkade.run(60)
    assert len(parkade.nodes_of(name)) == 2
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=9 * MICROS))
    return parkade, name, other


def test_while_it_runs_it_grows_by_free_nodes_alone() -> None:
    parkade, name, other = given_a_rival()
    parkade.run(3600)
    assert parkade.phase(other) is Phase.RUNNING and parkade.workload(name).promise is None
    assert ranks(parkade, name) == {0: "a3", 1: "a4"}
    parkade.ended(other, code=0)
    parkade.run(1)
    assert len(ranks(parkade, name)) == 4 and parkade.attempt(name).generation == 1
    audited(parkade)


def test_for_nodes_that_others_have_it_restarts_once_it_may_regrow() -> None:
    parkade, name, other = given_a_rival(regrow_us=600 * SECOND_US)
    parkade.run(60)
    assert parkade.phase(other) is Phase.RUNNING
    parkade.run(660)
    stops = [
        it.cause
        for event in parkade.journal
        if isinstance(event, events.Cleared)
        for it in (left.stop for left in event.left)
        if it is not None
    ]
    assert stops == [Cause.OUTBID, Cause.RESIZED] or stops == [Cause.RESIZED, Cause.OUTBID]
    assert len(parkade.nodes_of(name)) == 4 and parkade.attempt(name).generation == 2
    audited(parkade)


def test_a_rank_takes_over_what_is_owed_for_its_node() -> None:
    parkade = given_parkade(minimum_charge_us=3600 * SECOND_US)
    one, _ = parkade.bid("one", 2, nodes=1), parkade.bid("other", 2, nodes=1)
    parkade.run(30)
    name = live(parkade, 1.5)
    parkade.run(60)
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=4 * MICROS))
    parkade.run(60)
    gang = parkade.bid("acme", 5, nodes=2)
    parkade.clear()
    parkade.ended(one, code=85)
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=9 * MICROS))
    parkade.clear()
    assert parkade.phase(gang) is Phase.QUEUED
    assert [it.owed is not None for it in ranks_of(parkade.attempt(name))] == [False, False, True]
    audited(parkade)


def test_the_node_of_rank_0_may_fail_while_others_have_their_notice() -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.run(60)
    gang = parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    parkade.fail("a1")
    parkade.clear()
    parkade.run(30)
    parkade.ended(name, code=None)
    parkade.run(60)
    assert parkade.phase(gang) is Phase.RUNNING
    audited(parkade)


def test_money_for_ranks_that_leave_is_set_aside_until_their_kill() -> None:
    parkade = given_parkade(notice_us=3600 * SECOND_US)
    name = live(parkade)
    parkade.run(60)
    workload = parkade.workload(name)
    before = committed_micros(parkade.world, workload, parkade.now_us)
    parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    going = [it for it in parkade.attempt(name).ranks if it.leaving is not None]
    costs = sum(it.leaving.price_micros * it.seat.gpus for it in going if it.leaving is not None)
    after = committed_micros(parkade.world, parkade.workload(name), parkade.now_us)
    # Two of four nodes stay, at the same limit; the others cost for an hour of notice and the kill.
    assert after > before // 2 + costs
    audited(parkade)


def test_a_clearing_that_gives_one_price_for_all_nodes_still_charges_for_each() -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.clear()
    parkade.started(name)
    parkade.tick(60)
    cordon = commands.CordonNode(by=None, node="a4", reason="test")
    parkade.do(cordon)
    parkade.clear()
    parkade.tick(60)
    parkade.ended(name)
    assert gpu_seconds(parkade, name) == 4 * 2 * 120
    audited(parkade)
