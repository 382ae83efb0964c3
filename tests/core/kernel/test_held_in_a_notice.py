"""A bid that makes others leave pays for seats that these leave before their notice ends."""

import pytest

from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event, encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from tests.auditor import audit
from tests.core.kernel.story import Parkade

MINUTE = 60
NOTICE = 10 * MINUTE
PRICE_MICROS = 3 * MICROS * 100 // 105
"""What the rival bids, less the switching credit: the price of seats that it is pushed from."""


def given_parkade() -> Parkade:
    """Four nodes of 4 GPUs. The free slow start of a day is used up."""
    parkade = Parkade(
        fabrics={"a": 4},
        gpus=4,
        buffer_nodes=0,
        public_floor_micros=MICROS,
        notice_us=NOTICE * SECOND_US,
        minimum_charge_us=NOTICE * SECOND_US,
        turnaround_us=0,
        start_limit_us=40 * MINUTE * SECOND_US,
    )
    first = parkade.bid("cheat", 1, nodes=4, gpus=4)
    parkade.clear()
    parkade.pass_time(5 * MINUTE)
    give_up(parkade, first)
    return parkade


def displaced_by(parkade: Parkade, rivals: int) -> tuple[str, list[str]]:
    """Bids of one node each run; then a bid for all nodes makes them leave."""
    guests = [parkade.bid("rival", 3, nodes=1, gpus=4) for _ in range(rivals)]
    parkade.clear()
    parkade.start_all()
    gang = parkade.bid("cheat", 9, nodes=4, gpus=4)
    parkade.clear()
    for _ in range(4):
        parkade.bid("other", 3, nodes=1, gpus=4)
    parkade.clear()
    assert parkade.phase(gang) is Phase.PLACED
    return gang, guests


def give_up(parkade: Parkade, name: str) -> None:
    parkade.do(commands.Cancel(by=None, workload=name, now=True))
    if parkade.workload(name).attempt is not None:
        parkade.ended(name)


def spent(parkade: Parkade, name: str) -> int:
    """What it was charged; the auditor and a replay agree."""
    audit(encode_event(event) for event in parkade.journal)
    assert parkade.replayed() == encode_snapshot(parkade.world)
    return parkade.workload(name).spent_micros


def minutes(count: float) -> int:
    """What all 16 GPUs cost for so long."""
    return int(16 * PRICE_MICROS * count / 60)


def test_seats_that_others_left_at_once_are_not_held_for_half_their_price() -> None:
    """They leave at once, and the bid is cancelled one notice after the end of theirs. It paid one
    notice for two."""
    parkade = given_parkade()
    gang, guests = displaced_by(parkade, 4)
    for name in guests:
        parkade.ended(name, code=85)
    parkade.pass_time(2 * NOTICE)
    assert parkade.phase(gang) is Phase.STARTING
    give_up(parkade, gang)
    assert spent(parkade, gang) == pytest.approx(minutes(20), rel=0.001)


@pytest.mark.parametrize(
    ("starts_after", "runs", "paid"),
    [
        pytest.param(NOTICE, 8 * MINUTE, 10 + 8 - 2, id="a quarter of a short run is free"),
        pytest.param(NOTICE, 4 * NOTICE, 40, id="a run of four notices pays for itself"),
        pytest.param(0, 2 * MINUTE, 10, id="a start at once pays the minimum, as before"),
    ],
)
def test_the_notice_of_guests_that_left_at_once_is_held_but_for_a_quarter_of_the_run(
    starts_after: int, runs: int, paid: int
) -> None:
    parkade = given_parkade()
    gang, guests = displaced_by(parkade, 4)
    for name in guests:
        parkade.ended(name, code=85)
    parkade.pass_time(starts_after)
    parkade.started(gang)
    parkade.pass_time(runs)
    parkade.ended(gang)
    assert spent(parkade, gang) == pytest.approx(minutes(paid), rel=0.001)


def test_nodes_that_are_idle_while_one_guest_uses_its_notice_count_as_held() -> None:
    """One node of four is left at the end of the notice; the bid is cancelled 8 minutes later."""
    parkade = given_parkade()
    gang, (guest,) = displaced_by(parkade, 1)
    parkade.pass_time(NOTICE)
    parkade.ended(guest, code=85)
    assert parkade.attempt(gang).waited_us == NOTICE * 3 // 4 * SECOND_US, "on all of its 4 nodes"
    parkade.pass_time(8 * MINUTE)
    give_up(parkade, gang)
    assert spent(parkade, gang) == pytest.approx(minutes(7.5 + 8), rel=0.001)


def test_a_promise_that_is_given_up_pays_no_more_than_the_minimum() -> None:
    parkade = given_parkade()
    gang, _ = displaced_by(parkade, 1)
    parkade.pass_time(9 * MINUTE)
    give_up(parkade, gang)
    assert spent(parkade, gang) == pytest.approx(minutes(10), rel=0.001)


def test_what_another_org_outbids_meanwhile_pays_nothing() -> None:
    parkade = given_parkade()
    gang, _ = displaced_by(parkade, 1)
    parkade.pass_time(5 * MINUTE)
    parkade.bid("rich", 20, nodes=4, gpus=4)
    parkade.clear()
    assert parkade.phase(gang) is Phase.QUEUED
    charged = [it for it in parkade.journal if isinstance(it, events.WithdrawalCharged)]
    assert not charged
    assert spent(parkade, gang) == 0
