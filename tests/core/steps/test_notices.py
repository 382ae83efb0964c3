"""A notice once given is only ever brought forward: each second notice against a first one."""

import pytest

from parkade.core.steps.notices import notice, order_stop
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.workload import Stop
from tests.core.records import attempt, workload, world

S = SECOND_US


def given(noticed_s: int, deadline_s: int, kill_s: int) -> Stop:
    return Stop(
        noticed_us=noticed_s * S,
        deadline_us=deadline_s * S,
        kill_us=kill_s * S,
        cause=Cause.OUTBID,
    )


@pytest.mark.parametrize(
    ("before", "at_s", "notice_s", "expected"),
    [
        (None, 100, 30, (100, 130, 135)),
        (None, 100, 0, (100, 100, 105)),
        # The first deadline stands where the second would be later.
        ((90, 120, 125), 100, 30, (90, 120, 125)),
        # A shorter notice brings both forward; it was noticed when it was noticed first.
        ((90, 120, 125), 100, 10, (90, 110, 115)),
        ((90, 120, 125), 100, 0, (90, 100, 105)),
        ((90, 120, 125), 119, 0, (90, 119, 124)),
        ((90, 120, 125), 124, 0, (90, 120, 125)),
        # After a change of terms to a longer kill time, the kill of the first notice stands.
        ((90, 120, 121), 100, 18, (90, 118, 121)),
    ],
)
def test_deadline_and_kill_never_move_back(
    before: tuple[int, int, int] | None, at_s: int, notice_s: int, expected: tuple[int, int, int]
) -> None:
    made = attempt(stop=None if before is None else given(*before))
    found = notice(made, Cause.CANCELLED, at_us=at_s * S, notice_us=notice_s * S, kill_us=5 * S)
    times = (found.noticed_us // S, found.deadline_us // S, found.kill_us // S)
    assert times == expected and found.cause is Cause.CANCELLED


@pytest.mark.parametrize(
    ("is_immediate", "deadline_s", "kill_s"), [(False, 130, 135), (True, 100, 105)]
)
def test_a_stop_outside_a_clearing_has_the_markets_notice_unless_it_is_immediate(
    is_immediate: bool, deadline_s: int, kill_s: int
) -> None:
    one = workload(attempt=attempt())
    event = order_stop(world(one), one, Cause.CANCELLED, at_us=100 * S, is_immediate=is_immediate)
    assert (event.stop.deadline_us, event.stop.kill_us) == (deadline_s * S, kill_s * S)
    assert (event.workload, event.phase) == ("w1", Phase.STOPPING)


def test_a_stop_may_let_the_workload_go_on_elsewhere() -> None:
    one = workload(attempt=attempt())
    event = order_stop(world(one), one, Cause.OPERATOR, at_us=0, becomes=Phase.PREEMPTING)
    assert event.phase is Phase.PREEMPTING
