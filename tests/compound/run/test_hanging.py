"""A server that says nothing is told of."""

from parkade.compound.run.hanging import Hanging
from parkade.compound.run.lane import Lane
from tests.compound.building import answers

SECOND = 1_000_000


def test_a_silence_is_told_after_30_s_and_each_time_that_it_doubles() -> None:
    lane = Lane(answers("x"))
    lane.heard_us, lane.limiter.in_flight = 100 * SECOND, 32
    hanging = Hanging()
    told = {
        second: texts
        for second in range(100, 300)
        if (texts := hanging.notices({"m": lane}, second * SECOND))
    }
    assert list(told) == [130, 160, 220]
    assert told[130] == ["model 'm': 32 calls wait, no answer for 30 s"]


def test_an_answer_ends_a_silence_and_an_idle_model_has_none() -> None:
    lane = Lane(answers("x"))
    lane.limiter.in_flight = 2
    hanging = Hanging()
    assert hanging.notices({"m": lane}, 40 * SECOND)
    lane.came_back(50 * SECOND)
    assert not hanging.notices({"m": lane}, 79 * SECOND)
    assert hanging.notices({"m": lane}, 80 * SECOND) == [
        "model 'm': 1 call waits, no answer for 30 s"
    ]
    lane.came_back(81 * SECOND)
    assert not hanging.notices({"m": lane}, 999 * SECOND)
