"""Two fleets of one node each owner: small enough to be followed by hand."""

from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.sim.replay.resale import setup_of
from parkade.sim.replay.shared_pool import SharedPool
from parkade.sim.replay.tally import Level, Outcome, Tally
from parkade.sim.replay.traces import Trace
from tests.sim.replay.replays import demand, scenario, trace


def run(given: Trace, *, owners_first: bool) -> Tally:
    return SharedPool(setup_of(scenario()), demand(given), owners_first=owners_first).run()


def full_then_claimed(minutes: int = 40) -> Trace:
    """Guests fill both nodes from minute 0 on; at minute 20 acme needs its node."""
    busy = [0] * 20 + [8] * (minutes - 20)
    return trace(acme=(8, busy, [0] * minutes), birch=(8, [0] * minutes, [16] * minutes))


def test_first_come_first_served_lets_an_owner_wait_for_guests() -> None:
    tally = run(full_then_claimed(), owners_first=False)
    (reclaim,) = tally.reclaims
    assert reclaim.wait_us == 20 * MINUTE_US
    assert (tally.stops, tally.lost_us) == (0, 0)


def test_an_owner_that_kills_waits_for_the_turnaround_only() -> None:
    tally = run(full_then_claimed(), owners_first=True)
    (reclaim,) = tally.reclaims
    assert reclaim.wait_us == 30 * SECOND_US
    assert reclaim.outcome is Outcome.RESTARTED
    # It started 5 s after minute 0, so that its last checkpoint is 4:55 old.
    assert tally.stops == 1 and tally.lost_us == 8 * (4 * 60 + 55) * SECOND_US


def test_a_killed_guest_moves_where_there_is_room() -> None:
    minutes = 40
    given = trace(
        acme=(8, [0] * 20 + [8] * 20, [0] * minutes),
        birch=(16, [0] * minutes, [16] * minutes),
    )
    tally = run(given, owners_first=True)
    (reclaim,) = tally.reclaims
    # A free node is taken before a guest is stopped.
    assert (reclaim.outcome, reclaim.wait_us, tally.stops) == (Outcome.UNTOUCHED, 0, 0)


def test_guests_of_one_org_share_a_node_and_orgs_never_do() -> None:
    minutes = 30
    alone = trace(acme=(8, [0] * minutes, [4] * minutes), birch=(8, [0] * minutes, [4] * minutes))
    both = run(alone, owners_first=True).gpu_hours(Level.GUESTS)
    assert abs(both - 8 * (minutes * 60 - 5) / 3600) < 1e-6
    crowded = trace(acme=(8, [0] * minutes, [4] * minutes), birch=(8, [8] * minutes, [4] * minutes))
    assert run(crowded, owners_first=True).gpu_hours(Level.GUESTS) < 4 * minutes / 60


def test_a_guest_that_leaves_the_queue_loses_nothing() -> None:
    given = trace(acme=(8, [0] * 30, [8] * 20 + [0] * 10))
    tally = run(given, owners_first=True)
    assert (tally.stops, tally.lost_us) == (0, 0)
    assert abs(tally.gpu_hours(Level.GUESTS) * HOUR_US - 8 * (20 * 60 - 5) * SECOND_US) < 1
