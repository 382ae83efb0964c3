"""Dates on their way between a writer that is ahead of the wall clock and its agents."""

from msgspec.structs import replace

from parkade.control import skew
from parkade.core.workloads.life import Cause
from parkade.core.workloads.observed import Checkpoint
from parkade.core.workloads.workload import Stop
from parkade.ports import Observation
from tests import builders

STOP = Stop(noticed_us=5_000, deadline_us=6_000, kill_us=7_000, cause=Cause.OUTBID)


def test_an_agent_is_told_deadlines_of_its_own_clock_and_the_same_identities() -> None:
    runs = builders.desired("w1.1", ordered_us=4_000)
    leaves = replace(runs, attempt="w2.1", stop=STOP)
    state = builders.desired_state("m", runs, leaves)
    told = skew.for_agents(state, 1_000)
    assert told.attempts[0] == runs
    stop = told.attempts[1].stop
    assert stop == replace(STOP, noticed_us=4_000, deadline_us=5_000, kill_us=6_000)
    assert told.attempts[1].ordered_us == 4_000
    assert skew.for_agents(state, 0) is state


def test_what_an_agent_saw_is_dated_in_the_writers_present() -> None:
    attempt = builders.observed("w1.1", started_us=100)
    attempt = replace(attempt, checkpoint=Checkpoint(step=3, at_us=150), ordered_us=90)
    seen = skew.from_agents(
        Observation(pool="m", at_us=200, is_complete=True, attempts=(attempt,)), 1_000
    )
    assert seen.at_us == 1_200
    (one,) = seen.attempts
    assert (one.started_us, one.released_us, one.ordered_us) == (1_100, None, 90)
    assert one.checkpoint == Checkpoint(step=3, at_us=1_150)
