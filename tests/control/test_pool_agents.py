"""One agent runs a pool at a time."""

from parkade.control.pool_agents import PoolAgent, PoolAgents

FIRST = PoolAgent(agent="1", place="a:/data")
SECOND = PoolAgent(agent="2", place="b:/data")


def test_a_second_agent_is_refused_while_the_first_is_heard_and_follows_it_in_silence() -> None:
    found = PoolAgents(silence_us=15)
    assert found.hear("box", FIRST, 100) is None
    assert found.hear("box", SECOND, 110) == FIRST
    assert found.hear("lab", SECOND, 110) is None
    assert found.hear("box", FIRST, 114) is None
    assert found.hear("box", SECOND, 128) == FIRST
    assert found.hear("box", SECOND, 129) is None
    assert found.hear("box", FIRST, 130) == SECOND
