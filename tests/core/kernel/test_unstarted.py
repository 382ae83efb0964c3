"""Seats held before a first process: free as far as a run follows; what is beyond the start grace
also once a day."""

import pytest
from msgspec.structs import replace

from parkade.core.running.observations import NEVER_RAN
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankExit
from tests import builders
from tests.auditor import audit
from tests.core.kernel.story import Parkade

MINUTE = 60
LIMIT_MIN = 30


def given_parkade(nodes: int = 2) -> Parkade:
    """Nodes of 2 GPUs at 8 per GPU-hour: 16 an hour for a node. The start grace is 2 minutes."""
    return Parkade(
        fabrics={"a": nodes},
        buffer_nodes=0,
        start_grace_us=2 * MINUTE * SECOND_US,
        start_limit_us=LIMIT_MIN * MINUTE * SECOND_US,
    )


def holding(parkade: Parkade, org: str = "lab", failures: int = 0) -> str:
    """Work that has its seats and whose first process does not come."""
    name = parkade.bid(org, 9, failures=failures)
    parkade.clear()
    assert parkade.phase(name) is Phase.STARTING
    return name


def give_up(parkade: Parkade, name: str) -> None:
    """Cancelled before its first process, and gone at once."""
    parkade.do(commands.Cancel(by=None, workload=name, now=True))
    gone(parkade, name)


def gone(parkade: Parkade, name: str, **changes: object) -> None:
    """Its seats are seen free; none of its ranks ever ran."""
    (seen,) = _all_gone(parkade, [name])
    report = replace(seen, **changes)
    parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(report,)))


def _all_gone(parkade: Parkade, names: list[str]) -> tuple[ObservedAttempt, ...]:
    return tuple(
        builders.observed(
            attempt.attempt,
            generation=attempt.generation,
            phase=EnginePhase.RELEASED,
            started_us=None,
            released_us=parkade.now_us,
            exits=(),
            engine_state="released",
        )
        for attempt in map(parkade.attempt, names)
    )


def hold_once(parkade: Parkade, org: str = "lab") -> None:
    """The one attempt of a day that pays for the start grace alone."""
    name = holding(parkade, org)
    parkade.run(10 * MINUTE, obey=False)
    give_up(parkade, name)
    assert parkade.world.records.unstarted[org].workload == name


def paid(parkade: Parkade, org: str = "lab") -> int:
    """What the org has paid, and the auditor agrees."""
    audit(encode_event(event) for event in parkade.journal)
    return 1_000_000 * MICROS - parkade.balance(f"org/{org}")


def minutes_of_a_node(minutes: int) -> int:
    return 16 * MICROS * minutes // 60


GRACE_MICROS = minutes_of_a_node(2)


def test_an_org_that_holds_seats_and_resubmits_pays_from_the_second_time_on() -> None:
    parkade = given_parkade()
    first = holding(parkade)
    parkade.run(20 * MINUTE, obey=False)
    give_up(parkade, first)
    assert paid(parkade) == GRACE_MICROS
    for times in (1, 2):
        again = holding(parkade)
        parkade.run(22 * MINUTE, obey=False)
        give_up(parkade, again)
        assert is_worth(paid(parkade), 2 + times * 22)


def test_it_pays_as_well_where_the_start_limit_ends_each() -> None:
    parkade = given_parkade()
    for _ in range(2):
        name = holding(parkade)
        parkade.run(LIMIT_MIN * MINUTE, obey=False)
        gone(parkade, name)
        assert parkade.phase(name) is Phase.FAILED
    assert is_worth(paid(parkade), 2 + LIMIT_MIN)


def test_work_that_is_pulled_slowly_and_runs_pays_nothing_for_the_pull() -> None:
    parkade = given_parkade()
    first = holding(parkade)
    parkade.run(20 * MINUTE, obey=False)
    give_up(parkade, first)
    slow = holding(parkade)
    parkade.run(25 * MINUTE, obey=False)
    parkade.started(slow)
    parkade.run(100 * MINUTE, obey=False)
    parkade.ended(slow)
    assert is_worth(paid(parkade), 2 + 100)


def test_only_the_first_that_ends_in_a_day_is_free() -> None:
    """What was launched beside it held other seats for as long, and so do its own retries."""
    parkade = given_parkade()
    first, beside = holding(parkade), holding(parkade)
    parkade.run(10 * MINUTE, obey=False)
    give_up(parkade, first)
    parkade.run(5 * MINUTE, obey=False)
    give_up(parkade, beside)
    assert is_worth(paid(parkade), 2 + 15)
    other = given_parkade()
    retried = holding(other, failures=3)
    for _ in range(2):
        other.run(LIMIT_MIN * MINUTE, obey=False)
        gone(other, retried)
        other.run(2 * 3600, obey=False)
        other.clear()
    # Billed until it is killed, 5 seconds after the limit.
    seconds = 2 * MINUTE + LIMIT_MIN * MINUTE + 5
    assert 0 <= 16 * MICROS * seconds // 3600 - paid(other) <= 2


def is_worth(micros: int, minutes: int) -> bool:
    """Whether that is what so many minutes of a node cost, each attempt rounded down."""
    return 0 <= minutes_of_a_node(minutes) - micros <= 3


def start_late_and_run(parkade: Parkade, start_min: int, run_min: int, code: int = 0) -> None:
    name = holding(parkade)
    parkade.run(start_min * MINUTE, obey=False)
    parkade.started(name)
    parkade.run(run_min * MINUTE, obey=False)
    parkade.ended(name, code=code)


@pytest.mark.parametrize("code", [0, 1])
def test_a_first_process_just_before_the_limit_does_not_make_the_hold_free(code: int) -> None:
    parkade = given_parkade()
    start_late_and_run(parkade, 28, 4, code)
    assert is_worth(paid(parkade), 4 + 2), "the first of a day is free but for the grace"
    start_late_and_run(parkade, 28, 4, code)
    # 28 minutes less a quarter of the run.
    assert is_worth(paid(parkade), 6 + 4 + 27)


def test_a_slow_start_before_a_run_of_four_times_its_length_is_free_each_time() -> None:
    parkade = given_parkade()
    for times in (1, 2, 3):
        start_late_and_run(parkade, 12, 48)
        assert paid(parkade) == times * minutes_of_a_node(48)
    assert parkade.world.records.unstarted == {}


def test_a_start_within_the_grace_is_free_for_a_quarter_of_the_run_as_well() -> None:
    """Submitted again each time, work that ends with its first process held seats for nothing."""
    parkade = given_parkade()
    for _ in range(3):
        start_late_and_run(parkade, 2, 0)
    assert is_worth(paid(parkade), 3 * 2)
    start_late_and_run(parkade, 2, 4)
    assert is_worth(paid(parkade), 6 + 1 + 4)
    start_late_and_run(parkade, 2, 8)
    assert is_worth(paid(parkade), 11 + 8)
    assert parkade.world.records.unstarted == {}


def test_an_org_has_at_most_a_fifth_of_its_time_on_seats_for_nothing() -> None:
    parkade = given_parkade()
    hold_once(parkade)
    for start, run in ((28, 10), (20, 72), (5, 3), (29, 200), (12, 1)):
        before = paid(parkade)
        start_late_and_run(parkade, start, run)
        billed = paid(parkade) - before
        assert billed >= minutes_of_a_node((start + run) * 4 // 5) - MICROS // 1000


def test_a_slow_start_that_others_end_is_free() -> None:
    parkade = given_parkade(nodes=1)
    hold_once(parkade)
    name = holding(parkade)
    parkade.run(25 * MINUTE, obey=False)
    parkade.started(name)
    parkade.run(1 * MINUTE, obey=False)
    parkade.bid("rich", 20)
    parkade.clear()
    assert parkade.phase(name) is Phase.PREEMPTING
    parkade.ended(name, code=85)
    assert is_worth(paid(parkade), 2 + 1), "and 2 of the one before"


def test_a_silent_agent_makes_no_start_late() -> None:
    parkade = given_parkade()
    hold_once(parkade)
    name = holding(parkade)
    for is_reachable in (False, True):
        parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=is_reachable))
        parkade.tick(0 if is_reachable else 20 * MINUTE)
    parkade.started(name)
    parkade.ended(name)
    assert paid(parkade) == GRACE_MICROS, "of the one before"


def test_a_day_later_the_first_is_free_again() -> None:
    parkade = given_parkade()
    hold_once(parkade)
    parkade.pass_time(24 * 3600)
    late = holding(parkade)
    parkade.run(20 * MINUTE, obey=False)
    give_up(parkade, late)
    assert paid(parkade) == 2 * GRACE_MICROS
    again = holding(parkade)
    parkade.run(12 * MINUTE, obey=False)
    give_up(parkade, again)
    assert is_worth(paid(parkade), 4 + 12)


def test_of_all_that_ends_in_one_report_one_attempt_is_free() -> None:
    parkade = given_parkade(nodes=3)
    names = [holding(parkade) for _ in range(3)]
    parkade.run(LIMIT_MIN * MINUTE, obey=False)
    parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=_all_gone(parkade, names)))
    assert [parkade.phase(name) for name in names] == [Phase.FAILED] * 3
    assert is_worth(paid(parkade), 2 + 2 * LIMIT_MIN)


def test_what_was_given_up_within_the_grace_is_not_the_one_of_the_day() -> None:
    parkade = given_parkade()
    give_up(parkade, holding(parkade))
    assert parkade.world.records.unstarted == {}
    slow = holding(parkade)
    parkade.run(20 * MINUTE, obey=False)
    give_up(parkade, slow)
    assert paid(parkade) == GRACE_MICROS


def test_another_org_is_not_billed_for_it() -> None:
    parkade = given_parkade()
    hold_once(parkade)
    other = holding(parkade, "studio")
    parkade.run(20 * MINUTE, obey=False)
    give_up(parkade, other)
    assert paid(parkade, "studio") == GRACE_MICROS


def test_what_a_broken_node_or_an_owner_ended_is_not_held_against_the_org() -> None:
    parkade = given_parkade(nodes=1)
    room = parkade.reserve("acme", 1)
    parkade.lend(room, 1)
    guest = holding(parkade)
    parkade.on_reservation("acme", room)
    parkade.clear()
    gone(parkade, guest)
    assert parkade.world.records.unstarted == {}
    broken = given_parkade()
    name = holding(broken)
    broken.fail("a1")
    broken.clear()
    gone(broken, name)
    assert broken.world.records.unstarted == {}


def test_a_launch_that_fails_costs_the_seconds_in_which_it_had_its_seats() -> None:
    parkade = given_parkade()
    for _ in range(3):
        name = holding(parkade)
        parkade.run(5, obey=False)
        gone(parkade, name, launch_error="env_file line 1 is not KEY=VALUE")
        assert parkade.phase(name) is Phase.FAILED
    assert 0 <= 16 * MICROS * 15 // 3600 - paid(parkade) <= 2


def test_a_start_that_the_engine_refuses_costs_nothing_and_is_not_the_one_of_the_day() -> None:
    parkade = given_parkade()
    for _ in range(2):
        name = holding(parkade)
        parkade.run(20 * MINUTE, obey=False)
        gone(parkade, name, launch_error="it ended here before", is_refused=True)
        assert parkade.phase(name) is Phase.FAILED
    assert paid(parkade) == 0
    assert parkade.world.records.unstarted == {}
    audit(encode_event(event) for event in parkade.journal)


def test_a_refused_start_that_made_others_leave_owes_no_minimum() -> None:
    parkade = given_parkade(nodes=1)
    guest = parkade.bid("rich", 9)
    parkade.clear()
    parkade.started(guest)
    name = parkade.bid("lab", 20)
    parkade.clear()
    parkade.ended(guest, code=85)
    parkade.run(10 * MINUTE, obey=False)
    assert parkade.phase(name) is Phase.STARTING
    gone(parkade, name, launch_error="it ended here before", is_refused=True)
    assert paid(parkade) == 0
    audit(encode_event(event) for event in parkade.journal)


@pytest.mark.parametrize("cause", [True, False])
def test_a_refused_start_costs_nothing_also_if_it_is_cancelled_before_that_is_heard(
    cause: bool,
) -> None:
    parkade = given_parkade()
    name = holding(parkade)
    parkade.run(20 * MINUTE, obey=False)
    parkade.do(commands.Cancel(by=None, workload=name, now=cause))
    gone(parkade, name, launch_error="it ended here before", is_refused=True)
    assert (parkade.phase(name), paid(parkade)) == (Phase.CANCELLED, 0)


@pytest.mark.parametrize("had_process", [True, False])
def test_what_had_a_process_or_did_not_fail_at_its_launch_was_not_refused(
    had_process: bool,
) -> None:
    parkade = given_parkade()
    name = holding(parkade)
    parkade.run(20 * MINUTE, obey=False)
    if had_process:
        parkade.started(name)
        parkade.run(1 * MINUTE, obey=False)
    error = "it ended here before" if had_process else None
    exits = (RankExit(rank=0, code=1, signal=None),)
    gone(parkade, name, launch_error=error, is_refused=True, exits=exits)
    assert paid(parkade) >= GRACE_MICROS
    ended = [it for it in parkade.journal if isinstance(it, events.Ended)]
    assert [it.is_refused for it in ended] == [False]


def test_a_bid_is_not_lowered_to_be_outbid_while_it_starts() -> None:
    parkade = given_parkade()
    name = holding(parkade)
    lower = commands.ChangeBid(by=None, workload=name, limit_price_micros=MICROS)
    assert "once it runs" in parkade.refused(lower).detail
    parkade.started(name)
    parkade.do(lower)


def test_an_org_that_cannot_pay_a_longer_hold_is_with_notice_and_pays_what_it_held() -> None:
    parkade = given_parkade()
    parkade.org("poor", deposit=3)
    hold_once(parkade, "poor")
    again = holding(parkade, "poor")
    parkade.run(29 * MINUTE, obey=False)
    assert parkade.stop(again).cause == "budget"
    give_up(parkade, again)
    audit(encode_event(event) for event in parkade.journal)
    assert 0 < parkade.balance("org/poor") < 1 * MICROS


def test_an_org_whose_own_bid_takes_the_seats_pays_for_them_from_the_second_time_on() -> None:
    parkade = given_parkade(nodes=4)
    hold_once(parkade)
    gang = parkade.bid("lab", 9, nodes=4)
    parkade.clear()
    parkade.run(20 * MINUTE, obey=False)
    other = parkade.bid("lab", 20)
    parkade.clear()
    assert parkade.phase(gang) is Phase.PREEMPTING
    gone(parkade, gang, launch_error="stopped before it was launched")
    give_up(parkade, other)
    assert paid(parkade) >= 4 * minutes_of_a_node(20)


@pytest.mark.parametrize("exits", [(), (RankExit(rank=0, code=None, signal=None),)])
def test_work_that_made_others_leave_owes_the_minimum_though_it_never_had_a_process(
    exits: tuple[RankExit, ...],
) -> None:
    """It was told to leave before its first process: nothing of its end is unknown."""
    parkade = given_parkade(nodes=1)
    guest = parkade.bid("rich", 9)
    parkade.clear()
    parkade.started(guest)
    name = parkade.bid("lab", 20)
    parkade.clear()
    parkade.ended(guest, code=85)
    parkade.run(1 * MINUTE, obey=False)
    assert parkade.phase(name) is Phase.STARTING
    parkade.do(commands.Cancel(by=None, workload=name, now=True))
    gone(parkade, name, exits=exits)
    workload = parkade.world.records.workloads[name]
    assert (workload.phase, workload.exit_summary) == (Phase.CANCELLED, NEVER_RAN)
    assert paid(parkade) > 0


def test_another_orgs_bid_that_takes_the_seats_costs_nothing() -> None:
    parkade = given_parkade(nodes=4)
    hold_once(parkade)
    gang = parkade.bid("lab", 9, nodes=4)
    parkade.clear()
    parkade.run(20 * MINUTE, obey=False)
    parkade.bid("rich", 20)
    parkade.clear()
    assert parkade.phase(gang) is Phase.PREEMPTING
    gone(parkade, gang, launch_error="stopped before it was launched")
    assert paid(parkade) == GRACE_MICROS, "of the one before"
