"""Seats of a promise that are idle while work of its own org leaves the others count as held."""

import pytest
from msgspec.structs import replace

from parkade.core.billing.commitments import owed_micros
from parkade.core.ledger.accounts import TransferKind
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event, encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from parkade.core.workloads.spec import Moves
from parkade.core.workloads.workload import OwnWait
from tests.auditor import audit
from tests.core.kernel.story import Parkade

MINUTE = 60


def given_parkade(nodes: int = 8) -> Parkade:
    """Nodes of 4 GPUs at 1 per GPU-hour, and a notice of 10 minutes."""
    return Parkade(
        fabrics={"a": nodes},
        gpus=4,
        buffer_nodes=0,
        public_floor_micros=MICROS,
        notice_us=10 * MINUTE * SECOND_US,
        minimum_charge_us=10 * MINUTE * SECOND_US,
    )


def given_a_gang(org: str = "lab") -> tuple[Parkade, str, str]:
    """w1 runs on a1 and is cancelled; w2 is promised all nodes, of which 7 are idle."""
    parkade = given_parkade()
    small = parkade.bid("lab", 9, nodes=1, gpus=4)
    parkade.clear()
    parkade.start_all()
    parkade.do(commands.Cancel(by=None, workload=small, now=False))
    gang = parkade.bid(org, 8, nodes=8, gpus=4)
    parkade.clear()
    assert parkade.phase(gang) is Phase.PLACED
    return parkade, small, gang


def wait_of(parkade: Parkade, name: str) -> OwnWait | None:
    promise = parkade.workload(name).promise
    assert promise is not None
    return promise.own_wait


def spent(parkade: Parkade, name: str) -> int:
    """What it was charged; the auditor and a replay agree."""
    audit(encode_event(event) for event in parkade.journal)
    assert parkade.replayed() == encode_snapshot(parkade.world)
    return parkade.workload(name).spent_micros


def node_minutes(nodes: float) -> int:
    """What so many nodes cost for a minute."""
    return int(4 * nodes * MICROS / 60)


def give_up(parkade: Parkade, name: str) -> None:
    parkade.do(commands.Cancel(by=None, workload=name, now=True))


def test_idle_seats_count_until_the_last_of_its_own_org_has_left() -> None:
    parkade, small, gang = given_a_gang()
    wait = wait_of(parkade, gang)
    assert wait is not None
    assert (wait.names, wait.gpus) == ((small,), 28)
    parkade.pass_time(8 * MINUTE)
    owed = owed_micros(parkade.world, parkade.workload(gang), parkade.now_us)
    assert owed == pytest.approx(node_minutes(7 * 8), abs=2)
    parkade.ended(small, code=85)
    assert parkade.attempt(gang).waited_us == 7 * MINUTE * SECOND_US, "on all of its 8 nodes"


@pytest.mark.parametrize("way", [commands.Cancel, commands.Hold])
def test_a_promise_that_is_given_up_pays_for_its_idle_seats(way: type) -> None:
    parkade, _, gang = given_a_gang()
    parkade.pass_time(9 * MINUTE)
    command = (
        commands.Hold(by=None, workload=gang)
        if way is commands.Hold
        else commands.Cancel(by=None, workload=gang, now=True)
    )
    made = parkade.do(command)
    (charge,) = (it for it in made if isinstance(it, events.WithdrawalCharged))
    assert charge.transfers[0].kind is TransferKind.LATE_START
    assert spent(parkade, gang) == pytest.approx(node_minutes(7 * 9), abs=8)


def test_a_run_of_four_times_its_length_makes_the_wait_free() -> None:
    parkade, small, gang = given_a_gang()
    parkade.pass_time(8 * MINUTE)
    parkade.ended(small, code=85)
    parkade.started(gang)
    parkade.pass_time(28 * MINUTE)
    parkade.ended(gang)
    assert spent(parkade, gang) == pytest.approx(node_minutes(8 * 28), abs=8)


def test_a_run_that_ends_at_once_pays_for_the_wait() -> None:
    parkade, small, gang = given_a_gang()
    parkade.pass_time(8 * MINUTE)
    parkade.ended(small, code=85)
    parkade.pass_time(1 * MINUTE)
    parkade.started(gang)
    parkade.pass_time(4 * MINUTE)
    parkade.ended(gang)
    # 7 minutes of waiting and 1 of starting, less a quarter of the run.
    assert spent(parkade, gang) == pytest.approx(node_minutes(8 * (7 + 4)), abs=8)


def test_what_waits_for_another_org_pays_nothing_for_idle_seats() -> None:
    parkade, _, gang = given_a_gang("other")
    assert wait_of(parkade, gang) is None
    parkade.pass_time(9 * MINUTE)
    give_up(parkade, gang)
    assert spent(parkade, gang) == 0


def test_each_that_leaves_makes_its_node_idle_too() -> None:
    parkade = given_parkade(nodes=4)
    small = [parkade.bid("lab", 9, nodes=1, gpus=4) for _ in range(2)]
    parkade.clear()
    parkade.start_all()
    for name in small:
        parkade.do(commands.Cancel(by=None, workload=name, now=False))
    gang = parkade.bid("lab", 8, nodes=4, gpus=4)
    parkade.clear()
    parkade.pass_time(4 * MINUTE)
    parkade.ended(small[0], code=85)
    wait = wait_of(parkade, gang)
    assert wait is not None
    assert (wait.names, wait.gpus) == ((small[1],), 12)
    parkade.pass_time(4 * MINUTE)
    parkade.ended(small[1], code=85)
    waited_us = parkade.attempt(gang).waited_us
    assert waited_us == (2 * 4 + 3 * 4) * MINUTE * SECOND_US // 4
    parkade.ended(gang)
    assert spent(parkade, gang) == pytest.approx(node_minutes(20), abs=8)


def test_a_bid_that_outbids_its_own_run_pays_once_for_what_it_gives_up() -> None:
    """The minimum charge is on all of its nodes for as long as the notice, no less than that."""
    parkade = given_parkade(nodes=4)
    small = parkade.bid("lab", 2, nodes=1, gpus=4)
    parkade.clear()
    parkade.start_all()
    gang = parkade.bid("lab", 8, nodes=4, gpus=4)
    parkade.clear()
    assert parkade.stop(small).cause == "outbid"
    wait = wait_of(parkade, gang)
    assert wait is not None
    assert wait.names == (small,)
    parkade.pass_time(5 * MINUTE)
    give_up(parkade, gang)
    promised = spent(parkade, gang)
    assert promised == pytest.approx(node_minutes(4 * 10) * 2 / 1.05, rel=0.06)


def test_a_bid_is_not_lowered_to_lose_its_idle_seats_for_nothing() -> None:
    parkade, small, gang = given_a_gang()
    parkade.pass_time(5 * MINUTE)
    lower = commands.ChangeBid(by=None, workload=gang, limit_price_micros=MICROS)
    assert small in parkade.refused(lower).detail


def test_a_promise_that_another_orgs_bid_takes_pays_nothing() -> None:
    parkade, small, gang = given_a_gang()
    parkade.pass_time(5 * MINUTE)
    parkade.bid("rich", 20, nodes=8, gpus=4)
    parkade.clear()
    assert parkade.phase(gang) is Phase.QUEUED
    parkade.ended(small, code=85)
    assert spent(parkade, gang) == 0


def test_a_promise_that_its_own_orgs_bid_takes_is_paid() -> None:
    parkade, small, gang = given_a_gang()
    parkade.pass_time(5 * MINUTE)
    parkade.bid("lab", 20, nodes=8, gpus=4)
    parkade.clear()
    assert parkade.phase(gang) is Phase.QUEUED
    parkade.ended(small, code=85)
    assert spent(parkade, gang) == pytest.approx(node_minutes(7 * 5), abs=8)


def given_two_floors(moves: Moves) -> tuple[Parkade, str]:
    """A gang of two nodes runs at the floor of 9; another lender has two nodes."""
    parkade = Parkade(
        fabrics={"amber": 2, "birch": 2}, gpus=4, buffer_nodes=0, public_floor_micros=9 * MICROS
    )
    parkade.org("lab")
    for name, org, floor in (("amber", "acme", 5), ("birch", "bolt", 6)):
        del name
        parkade.lend(parkade.reserve(org, 2), floor)
    spec = replace(parkade.spec(limit=20, nodes=2, gpus=4), moves=moves)
    made = parkade.do(commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False))
    job = next(it.workload.workload for it in made if isinstance(it, events.Submitted))
    parkade.run(60)
    return parkade, job


def test_what_leaves_for_a_lower_floor_holds_its_new_seats_meanwhile() -> None:
    parkade, job = given_two_floors(Moves.CHEAPER)
    parkade.lend(next(it for it in parkade.world.records.reservations if "bolt" in it), 3)
    parkade.clear()
    wait = wait_of(parkade, job)
    assert wait is not None
    assert (wait.names, wait.gpus) == ((job,), 8)
    assert parkade.attempt(job).is_lost_to_own
    parkade.tick(30)
    parkade.ended(job, code=85)
    assert parkade.attempt(job).waited_us == 30 * SECOND_US
    audit(encode_event(event) for event in parkade.journal)


def test_what_another_org_moves_holds_its_new_seats_for_nothing() -> None:
    parkade, job = given_two_floors(Moves.NEEDED)
    reservation = next(it for it in parkade.world.records.reservations if "acme" in it)
    parkade.claim(reservation, 2)
    parkade.clear()
    assert parkade.stop(job).cause == "moved"
    assert wait_of(parkade, job) is None
    assert not parkade.attempt(job).is_lost_to_own
    audit(encode_event(event) for event in parkade.journal)
