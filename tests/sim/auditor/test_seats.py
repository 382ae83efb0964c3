"""The auditor of seats: what was stopped for not starting has failed only if it never started, and
what follows a bid that waits for protected room follows one."""

import pytest
from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.state.lines import name_of
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.life import Cause
from parkade.sim.auditor.seats import SeatAuditor
from parkade.sim.findings import Breach
from tests.core.kernel.story import Parkade

MINUTE = 60


def given_stopped_start() -> tuple[Parkade, str]:
    """Work that is stopped because no first process was seen within 10 minutes."""
    parkade = Parkade(
        start_limit_us=10 * MINUTE * SECOND_US, agent_lease_us=10 * MINUTE * SECOND_US
    )
    name = parkade.bid("lab", 9, failures=3)
    parkade.clear()
    parkade.run(10 * MINUTE, obey=False)
    assert parkade.stop(name).cause is Cause.NOT_STARTED
    return parkade, name


def fall_silent_until_it_lapsed(parkade: Parkade, name: str) -> events.Ended:
    silent = commands.ReportReachability(by=None, pool="pool", is_reachable=False)
    parkade.do(silent)
    parkade.tick(3600)
    ended = parkade.journal[-1]
    assert isinstance(ended, events.Ended)
    assert (ended.workload, ended.cause) == (name, Cause.NOT_STARTED)
    return ended


def audit(parkade: Parkade) -> None:
    auditor = SeatAuditor()
    for event in parkade.journal:
        auditor.read(event)


def test_a_start_that_never_came_has_failed_also_where_its_end_was_not_seen() -> None:
    parkade, name = given_stopped_start()
    assert fall_silent_until_it_lapsed(parkade, name).failures == 1
    audit(parkade)


def test_a_start_that_was_seen_late_and_lapsed_has_not_failed() -> None:
    parkade, name = given_stopped_start()
    parkade.started(name)
    ended = fall_silent_until_it_lapsed(parkade, name)
    assert ended.failures == 0
    audit(parkade)
    parkade.journal[-1] = replace(ended, failures=1)
    with pytest.raises(Breach, match="counts as failed"):
        audit(parkade)


def test_what_was_not_started_on_a_node_that_broke_has_not_failed() -> None:
    parkade, name = given_stopped_start()
    parkade.fail(parkade.nodes_of(name)[0])
    ended = fall_silent_until_it_lapsed(parkade, name)
    assert ended.failures == 0
    parkade.journal[-1] = replace(ended, failures=1)
    with pytest.raises(Breach, match="counts as failed"):
        audit(parkade)


def given_bid_that_lost_to_a_right_beside_protected_work() -> tuple[Parkade, str]:
    """Fabric b holds protected work; an owner takes all of a, on which a stronger bid of two nodes
    ran, and a weaker newcomer gets the node of c."""
    parkade = Parkade(
        fabrics={"a": 3, "b": 2, "c": 1},
        buffer_nodes=0,
        turnaround_us=0,
        public_floor_micros=MICROS,
        min_runtime_us=HOUR_US,
    )
    parkade.bid("quiet", 5, nodes=2)
    parkade.clear()
    parkade.start_all()
    stronger = parkade.bid("lab", 4, nodes=2)
    parkade.clear()
    parkade.start_all()
    parkade.claim(parkade.reserve("acme", 3), 3)
    weaker = parkade.bid("lab", 2)
    parkade.clear()
    assert parkade.stop(stronger).cause is Cause.RECLAIMED
    return parkade, weaker


def test_what_leaves_may_wait_for_protected_room_from_then_on() -> None:
    parkade, weaker = given_bid_that_lost_to_a_right_beside_protected_work()
    won = [it for event in parkade.journal if isinstance(event, events.Cleared) for it in event.won]
    follows = [name_of(it.demand) for it in won if it.promise.follows_protected]
    assert follows == [weaker]
    audit(parkade)
    first = next(it for it in parkade.journal if isinstance(it, events.Cleared) and it.won)
    promise = replace(first.won[0].promise, follows_protected=True)
    forged = replace(first, won=(replace(first.won[0], promise=promise),))
    parkade.journal = [forged if it is first else it for it in parkade.journal]
    with pytest.raises(Breach, match="follows a bid that waits for protected room, and none does"):
        audit(parkade)
