"""What a dry run says that a submission would do to others."""

from parkade.core.clearing.plan import Plan, plan
from parkade.core.state import commands
from parkade.core.workloads.life import Phase
from tests.core.kernel.story import Parkade


def planned(parkade: Parkade, org: str, limit: float, nodes: int = 1) -> Plan:
    """The plan of a bid."""
    parkade.org(org)
    spec = parkade.spec(limit=limit, nodes=nodes)
    command = commands.Submit(by=None, org=org, market=None, spec=spec, is_held=False)
    made = plan(parkade.world, command, parkade.now_us)
    assert isinstance(made, Plan)
    return made


def one_node() -> Parkade:
    """A market of one node with two GPUs."""
    return Parkade(fabrics={"a": 1}, buffer_nodes=0)


def test_a_promise_that_falls_away_is_no_notice() -> None:
    parkade = one_node()
    w1 = parkade.bid("lab", 9)
    parkade.clear()
    parkade.run(60)
    w2 = parkade.bid("acme", 20)
    parkade.clear()
    assert (parkade.phase(w1), parkade.phase(w2)) == (Phase.PREEMPTING, Phase.PLACED)
    found = planned(parkade, "other", 40)
    assert found.seats and found.displaces == 0


def test_an_attempt_that_is_outbid_is_displaced() -> None:
    parkade = one_node()
    parkade.bid("lab", 9)
    parkade.run(60)
    assert planned(parkade, "acme", 20).displaces == 1


def test_a_bid_that_loses_displaces_none() -> None:
    parkade = one_node()
    parkade.bid("lab", 20)
    parkade.run(60)
    found = planned(parkade, "acme", 9)
    assert not found.seats and found.displaces == 0


def test_what_moves_without_the_bid_is_not_displaced_by_it() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    w1 = parkade.bid("lab", 9)
    parkade.run(60)
    parkade.fail(parkade.attempt(w1).seats[0].node)
    found = planned(parkade, "acme", 20)
    assert found.seats and found.displaces == 0


def test_only_those_are_counted_that_would_have_stayed() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    w1 = parkade.bid("lab", 9, nodes=2)
    parkade.run(60)
    parkade.bid("acme", 12)
    parkade.run(60)
    assert planned(parkade, "other", 40, nodes=3).displaces == 2
    parkade.fail(parkade.attempt(w1).seats[0].node)
    # The gang of two has room no longer, whoever bids.
    assert planned(parkade, "fourth", 40, nodes=2).displaces == 1
