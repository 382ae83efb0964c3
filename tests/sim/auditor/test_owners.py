"""The auditor of owners: who gave up counts, and a right is that of a reservation as a whole."""

import pytest

from parkade.core.state import commands
from parkade.core.units.time import SECOND_US
from parkade.sim.auditor.owners import OwnersAudit, OwnersAuditor
from tests.core.kernel.story import Parkade

NOTICE, KILL = 120, 30


def given_owner(nodes: int = 1) -> tuple[Parkade, str]:
    """An owner of nodes that it lends, and a guest on each."""
    parkade = Parkade(
        fabrics={"a": nodes},
        buffer_nodes=0,
        notice_us=NOTICE * SECOND_US,
        kill_us=KILL * SECOND_US,
        turnaround_us=0,
    )
    right = parkade.reserve("acme", nodes)
    parkade.lend(right, 1)
    for _ in range(nodes):
        parkade.bid("lab", 9)
    parkade.clear()
    parkade.start_all()
    return parkade, right


def audited(parkade: Parkade) -> OwnersAudit:
    auditor = OwnersAuditor()
    for event in parkade.journal:
        auditor.read(event)
    return auditor.close(parkade.now_us)


@pytest.mark.parametrize("kind", ["claim", "workload"])
@pytest.mark.parametrize(("seconds", "over"), [(NOTICE + KILL, 0), (NOTICE + KILL + 1, 1)])
def test_an_owner_that_gives_up_has_waited_as_long_as_it_did(
    kind: str, seconds: int, over: int
) -> None:
    """Its guest does not leave, and it gives up before the node is suspect."""
    parkade, right = given_owner()
    if kind == "claim":
        name = parkade.claim(right, 1)
        gives_up: commands.AnyCommand = commands.Unclaim(by=None, claim=name)
    else:
        name = parkade.on_reservation("acme", right)
        gives_up = commands.Cancel(by=None, workload=name, now=False)
    parkade.tick(seconds)
    parkade.do(gives_up)
    audit = audited(parkade)
    assert (audit.over_bound, sum(audit.gave_up.values())) == (over, over)
    assert audit.waits_us == [seconds * SECOND_US] * over
    assert len(audit.breaches) == over


def test_work_that_is_held_by_its_user_waits_for_no_seats() -> None:
    parkade, right = given_owner()
    name = parkade.on_reservation("acme", right)
    parkade.do(commands.Hold(by=None, workload=name))
    parkade.tick(3600)
    parkade.do(commands.Cancel(by=None, workload=name, now=False))
    audit = audited(parkade)
    assert (audit.over_bound, audit.gave_up, audit.waits_us) == (0, {}, [])


def test_who_asks_for_more_than_it_reserved_waits_for_its_own_org() -> None:
    parkade, right = given_owner()
    parkade.claim(right, 1)
    parkade.stop_all()
    more = parkade.on_reservation("acme", right)
    parkade.tick(3600)
    parkade.do(commands.Cancel(by=None, workload=more, now=False))
    audit = audited(parkade)
    assert audit.gave_up == {"reservation_full": 1}
    assert audit.waits_us == [0]
    assert audit.breaches == []
