"""Live work on engines that cannot change it while it runs, or of which that is not known yet."""

from parkade.api.views import explanations, workloads
from parkade.core.state import commands
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause, Phase
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_live import audited, given_parkade, live, ranks


def tells(parkade: Parkade, *, resizes_live: bool) -> None:
    """Its agent is heard, and says what its engine can."""
    parkade.do(
        commands.ReportReachability(
            by=None, pool="pool", is_reachable=True, resizes_live=resizes_live
        )
    )


def given_a_silent_agent() -> tuple[Parkade, str]:
    parkade = given_parkade(is_engine_known=False)
    name = live(parkade)
    parkade.clear()
    return parkade, name


def why(parkade: Parkade, name: str) -> str:
    known = workloads.known(parkade.world, parkade.workload(name), parkade.now_us)
    return explanations.why(known, standstill=None, sees_all=True).says


def test_live_work_waits_until_its_agent_has_said_what_the_engine_can() -> None:
    parkade, name = given_a_silent_agent()
    other = parkade.bid("acme", 1, nodes=1)
    parkade.tick(300)
    assert parkade.phase(name) is Phase.PLACED
    assert "has not said whether its engine changes work that runs" in why(parkade, name)
    tells(parkade, resizes_live=True)
    assert parkade.phase(name) is Phase.STARTING and parkade.attempt(name).can_resize
    assert "said" not in why(parkade, name)
    parkade.started(name)
    parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    assert parkade.phase(name) is Phase.RUNNING and ranks(parkade, name) == {0: "a1", 1: "a2"}
    assert parkade.phase(other) is Phase.QUEUED
    audited(parkade)


def test_where_the_engine_cannot_it_is_restarted_where_its_number_changes() -> None:
    parkade, name = given_a_silent_agent()
    tells(parkade, resizes_live=False)
    assert parkade.phase(name) is Phase.STARTING and not parkade.attempt(name).can_resize
    parkade.started(name)
    assert "its engine changes nothing that runs, so it restarts" in why(parkade, name)
    parkade.tick(60)
    parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    assert parkade.stop(name).cause is Cause.OUTBID
    assert not parkade.attempt(name).ranks
    parkade.ended(name, code=85)
    parkade.run(60)
    assert parkade.attempt(name).generation == 2 and len(parkade.nodes_of(name)) == 2
    parkade.fail(parkade.nodes_of(name)[1])
    assert parkade.attempt(name).broken_us is not None
    audited(parkade)


def test_what_began_so_goes_on_so_and_the_next_attempt_is_live() -> None:
    parkade, name = given_a_silent_agent()
    tells(parkade, resizes_live=False)
    parkade.started(name)
    tells(parkade, resizes_live=True)
    assert not parkade.attempt(name).can_resize
    parkade.tick(3600)
    parkade.saved(name, 1)
    parkade.ended(name, code=85)
    parkade.run(90)
    assert parkade.attempt(name).can_resize
    audited(parkade)


def test_where_its_agent_says_nothing_it_is_started_as_work_that_restarts() -> None:
    parkade = given_parkade(is_engine_known=False, start_limit_us=600 * SECOND_US)
    name = live(parkade)
    parkade.clear()
    parkade.tick(599)
    assert parkade.phase(name) is Phase.PLACED
    assert "until 22:23:20 UTC" in why(parkade, name)
    parkade.tick(1)
    assert parkade.phase(name) is Phase.STARTING and not parkade.attempt(name).can_resize
    parkade.started(name)
    audited(parkade)


def test_an_agent_that_never_speaks_keeps_the_nodes_of_live_work_from_others_no_longer() -> None:
    parkade = given_parkade(is_engine_known=False, start_limit_us=600 * SECOND_US)
    name = live(parkade)
    other = parkade.bid("acme", 2, nodes=4)
    parkade.clear()
    parkade.tick(1200)
    assert parkade.stop(name).cause is Cause.NOT_STARTED
    assert "not started" in why(parkade, name)
    parkade.ended(name)
    parkade.clear()
    assert parkade.phase(other) is Phase.STARTING
    audited(parkade)


def test_the_same_word_again_is_no_event() -> None:
    parkade, _ = given_a_silent_agent()
    tells(parkade, resizes_live=True)
    before = len(parkade.journal)
    tells(parkade, resizes_live=True)
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=True))
    assert len(parkade.journal) == before
    assert parkade.world.records.pools["pool"].resizes_live is True


def test_work_that_is_not_live_waits_for_no_word() -> None:
    parkade = given_parkade(is_engine_known=False)
    name = parkade.bid("acme", 5, nodes=1, most_nodes=3)
    parkade.clear()
    assert parkade.phase(name) is Phase.STARTING
