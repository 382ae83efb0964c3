"""Work of a user of whom the engine takes no job: no seat, no price, no charge, tried again."""

from msgspec.structs import replace

from parkade.core.running.unadmitted import CAUTIOUS_US, FIRST_US, MOST_DOUBLINGS
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event, encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.units.time import DAY_US, SECOND_US
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.observed import EnginePhase
from parkade.sim.auditor.seats import SeatAuditor
from tests import builders
from tests.auditor import audit
from tests.core.kernel.story import Parkade

FIRST_S = FIRST_US // SECOND_US
SAYS = "sbatch: Invalid account; an administrator adds its user"


def given_parkade(nodes: int = 1) -> Parkade:
    return Parkade(fabrics={"a": nodes}, buffer_nodes=0, turnaround_us=0)


def refuse(parkade: Parkade, *names: str) -> None:
    """The engine takes no job of the users of these."""
    seen = [
        builders.observed(
            attempt.attempt,
            generation=attempt.generation,
            phase=EnginePhase.RELEASED,
            started_us=None,
            released_us=parkade.now_us,
            exits=(),
            launch_error=SAYS,
            is_unadmitted=True,
        )
        for attempt in map(parkade.attempt, names)
    ]
    parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=tuple(seen)))


def spent(parkade: Parkade, name: str) -> int:
    return parkade.workload(name).spent_micros


def is_seated(parkade: Parkade, name: str) -> bool:
    return parkade.workload(name).attempt is not None


def refused_until_s(parkade: Parkade) -> int:
    (known,) = parkade.world.records.unadmitted.values()
    return (known.until_us - parkade.now_us) // SECOND_US


def audited(parkade: Parkade) -> None:
    audit([encode_event(event) for event in parkade.journal])
    seats = SeatAuditor()
    for event in parkade.journal:
        seats.read(event)
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_it_leaves_its_seat_to_a_lower_bid_at_once_and_costs_nothing() -> None:
    parkade = given_parkade()
    high = parkade.bid("lab", 99)
    parkade.clear()
    parkade.run(60, obey=False)
    low = parkade.bid("acme", 9)
    parkade.run(60, obey=False)
    assert is_seated(parkade, high) and not is_seated(parkade, low)
    refuse(parkade, high)
    parkade.run(20)
    assert (parkade.phase(high), parkade.workload(high).why) == (Phase.QUEUED, Why.NOT_ADMITTED)
    assert parkade.phase(low) is Phase.RUNNING
    assert parkade.price(low) == 8_000_000, "the public floor: it sets no price"
    assert (spent(parkade, high), parkade.workload(high).failures) == (0, 0)
    audited(parkade)


def test_it_is_tried_again_after_longer_and_longer_spans_and_runs_once_its_user_is_let_in() -> None:
    parkade = given_parkade()
    name = parkade.bid("lab", 9)
    parkade.clear()
    spans = []
    for _ in range(MOST_DOUBLINGS + 2):
        refuse(parkade, name)
        spans.append(refused_until_s(parkade))
        parkade.run(spans[-1] - 5, obey=False)
        assert not is_seated(parkade, name)
        parkade.run(60, obey=False)
        assert is_seated(parkade, name)
    doubled = [FIRST_S << min(at, MOST_DOUBLINGS) for at in range(MOST_DOUBLINGS + 2)]
    assert spans == doubled and spans[-1] == 16 * 60
    parkade.run(60)
    assert parkade.phase(name) is Phase.RUNNING and spent(parkade, name) == 0
    audited(parkade)


def test_nothing_leaves_for_a_user_who_is_tried_again_until_it_waited_long() -> None:
    parkade = given_parkade()
    guest = parkade.bid("acme", 9)
    parkade.run(60)
    name = parkade.bid("lab", 99)
    parkade.run(120, obey=False)
    parkade.stop_all()
    parkade.run(60, obey=False)
    assert is_seated(parkade, name), "it is not known yet that its user is refused"
    refuse(parkade, name)
    parkade.run(60)
    assert parkade.phase(guest) is Phase.RUNNING
    preempted = parkade.workload(guest).preemptions
    parkade.run(CAUTIOUS_US // SECOND_US - 60)
    assert parkade.phase(guest) is Phase.RUNNING
    assert parkade.workload(guest).preemptions == preempted
    known = parkade.workload(name)
    assert (known.why, known.price_to_win_micros) == (Why.NOT_ADMITTED, None)
    assert parkade.price(guest) == 8_000_000, "it sets no price"
    parkade.run(600)
    assert parkade.phase(name) is Phase.RUNNING, "one that was let in starts on a full market too"
    audited(parkade)


def test_one_outbid_before_it_was_refused_is_billed_nothing() -> None:
    parkade = given_parkade()
    name = parkade.bid("lab", 9)
    parkade.clear()
    parkade.run(300, obey=False)
    parkade.bid("acme", 50)
    parkade.tick(1)
    parkade.clear()
    assert parkade.attempt(name).stop is not None
    parkade.tick(5)
    refuse(parkade, name)
    assert spent(parkade, name) == 0
    assert parkade.workload(name).why == Why.NOT_ADMITTED
    assert parkade.workload(name).preemptions == 0
    audited(parkade)


def test_others_of_the_user_wait_too_and_one_alone_is_tried() -> None:
    parkade = given_parkade(3)
    names = [parkade.bid("lab", 9) for _ in range(3)]
    parkade.clear()
    refuse(parkade, *names)
    assert refused_until_s(parkade) == FIRST_S, "three refusals of one moment are one"
    later = parkade.bid("lab", 50)
    parkade.run(FIRST_S - 5, obey=False)
    assert parkade.workload(later).why == Why.NOT_ADMITTED
    parkade.run(90, obey=False)
    tried = [it for it in (*names, later) if is_seated(parkade, it)]
    assert len(tried) == 1
    parkade.run(60)
    assert all(is_seated(parkade, it) or it not in tried for it in names)
    running = [it for it in (*names, later) if parkade.phase(it) is Phase.RUNNING]
    assert len(running) == 3


def test_one_that_cannot_win_keeps_the_others_of_its_user_waiting_for_a_turn_alone() -> None:
    parkade = given_parkade(2)
    names = [parkade.bid("lab", 9, nodes=2), parkade.bid("lab", 9)]
    parkade.clear()
    refuse(parkade, names[0])
    parkade.bid("acme", 99)
    parkade.run(600)
    assert parkade.phase(names[1]) is Phase.RUNNING


def test_what_is_held_takes_no_turn_of_what_waits() -> None:
    parkade = given_parkade()
    name = parkade.bid("lab", 9)
    parkade.clear()
    for other in [parkade.bid("lab", 9) for _ in range(9)]:
        parkade.do(commands.Hold(by=None, workload=other))
    refuse(parkade, name)
    parkade.run(FIRST_S + 60, obey=False)
    assert is_seated(parkade, name)


def test_who_is_let_in_and_refused_in_turn_waits_longer_each_time_for_a_day() -> None:
    parkade = given_parkade()
    for expected in (1, 2, 4):
        name = parkade.bid("lab", 9)
        parkade.run(90, obey=False)
        refuse(parkade, name)
        assert refused_until_s(parkade) == expected * FIRST_S
        parkade.run(refused_until_s(parkade) + 60)
        assert parkade.phase(name) is Phase.RUNNING
        parkade.do(commands.Cancel(by=None, workload=name, now=True))
        parkade.stop_all()
    parkade.run(DAY_US // SECOND_US)
    name = parkade.bid("lab", 9)
    parkade.run(60, obey=False)
    refuse(parkade, name)
    assert refused_until_s(parkade) == FIRST_S


def test_users_of_the_same_org_that_are_let_in_go_on() -> None:
    parkade = given_parkade(2)
    name = parkade.bid("lab", 9)
    parkade.clear()
    refuse(parkade, name)
    (key,) = parkade.world.records.unadmitted
    assert key == f"pool/lab/{parkade.workload(name).user}"
    parkade.do(builders.create_user("zoe", "lab", unix_name=None))
    spec = replace(parkade.workload(name).spec, name="other")
    made = parkade.do(commands.Submit(by="zoe", org="lab", market=None, spec=spec, is_held=False))
    other = next(it.workload.workload for it in made if isinstance(it, events.Submitted))
    parkade.run(20)
    assert parkade.phase(other) is Phase.RUNNING and not is_seated(parkade, name)


def test_what_had_a_process_was_admitted() -> None:
    parkade = given_parkade()
    name = parkade.bid("lab", 9)
    parkade.run(60)
    assert parkade.phase(name) is Phase.RUNNING
    refuse(parkade, name)
    assert parkade.world.records.unadmitted == {}


def test_a_cautious_try_takes_no_protection_of_what_comes_after_it() -> None:
    parkade = Parkade(
        fabrics={"a": 2}, buffer_nodes=0, turnaround_us=0, min_runtime_us=3600 * SECOND_US
    )
    early = parkade.bid("acme", 8)
    parkade.run(30)
    refused = parkade.bid("lab", 9)
    parkade.clear()
    refuse(parkade, refused)
    parkade.do(commands.Cancel(by=None, workload=refused, now=True))
    name = parkade.bid("lab", 99, nodes=2)
    parkade.run(FIRST_S + 60)
    late = parkade.bid("birch", 8)
    parkade.run(60)
    assert {parkade.phase(it) for it in (early, late)} == {Phase.RUNNING}
    assert parkade.workload(name).why == Why.NOT_ADMITTED, "a try that took free room only"
    attempt = parkade.attempt(late)
    assert attempt.keeps_seats_until_us(8 * MICROS, parkade.now_us) is not None
    audited(parkade)
