"""When the seats of an attempt became free, where that was seen late."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.engines.local.records import VERSION, State
from parkade.engines.slurm import freed
from parkade.engines.slurm.answers import Job, jobs
from parkade.ports import Phase, Transient

NOW_US = 1_000


def job(ended_us: int, state: str = "COMPLETED") -> Job:
    return Job(
        number=7, leader=7, states=frozenset({state}), reason="", uid=0, comment="",
        nodes=("n0",), devices=((0,),), ended_us=ended_us,
    )  # fmt: skip


def member(released_us: int | None) -> State:
    return State(
        version=VERSION, attempt="w1.1", generation=1,
        phase=Phase.RUNNING if released_us is None else Phase.RELEASED, keeper_pid=0,
        keeper_start_ticks=0, ranks=(), started_us=1, released_us=released_us, checkpoint=None,
        is_noticed=False, launch_error=None, engine_state="", written_us=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "members", "live_us", "recorded_us", "expected"),
    [
        ((900,), (600,), 500, None, 600),  # the controller was down
        ((900,), (100,), 500, None, 500),  # forged
        ((900,), (600,), None, None, 900),  # the agent was down: Slurm's word alone
        ((900,), (600, None), 500, None, 900),  # one member is silent
        ((900,), (), 500, None, 900),
        ((0,), (None,), 500, None, 1_000),  # Slurm does not say
        ((300, 900), (None,), None, None, 900),  # the last part of several
        ((), (100,), None, 700, 700),  # the controller forgot it, the accounting did not
        ((), (100,), None, None, 1_000),
        ((5_000,), (5_000,), 500, None, 1_000),  # a clock that is ahead
    ],
)
def test_seats_are_free_from_when_slurm_says_and_members_say_within_what_was_not_seen(
    ends: Sequence[int],
    members: Sequence[int | None],
    live_us: int | None,
    recorded_us: int | None,
    expected: int,
) -> None:
    found = freed.freed_us(
        tuple(job(one) for one in ends),
        tuple(member(one) for one in members),
        live_us=live_us,
        recorded_us=recorded_us,
        now_us=NOW_US,
    )
    assert found == expected


@given(st.integers(0, 2_000), st.integers(0, 2_000), st.integers(0, NOW_US))
def test_no_word_of_a_member_ends_a_bill_before_the_attempt_was_last_seen(
    ended_us: int, forged_us: int, live_us: int
) -> None:
    for seen_us in (live_us, None):
        found, honest = (
            freed.freed_us(
                (job(ended_us),), (one,), live_us=seen_us, recorded_us=None, now_us=NOW_US
            )
            for one in (member(forged_us), member(None))
        )
        assert found <= honest <= NOW_US
        assert found == honest or (seen_us is not None and found >= seen_us)


MINUTE_US = 60_000_000


@pytest.mark.parametrize(
    ("states", "live_us", "back_us", "looked_us", "expected"),
    [
        (("RUNNING",), 5, None, 10, True),
        (("RUNNING",), 5, 9, 9 + MINUTE_US - 1, False),  # Slurm may not have heard of its end yet
        (("RUNNING",), 5, 9, 9 + MINUTE_US, True),
        (("COMPLETING",), 5, 9, 9 + 10 * MINUTE_US, False),  # Slurm cleans up, however long
        (("COMPLETING",), None, 9, 9 + 10 * MINUTE_US, False),
        (("COMPLETING", "RUNNING"), 5, 9, 9 + MINUTE_US, True),  # a part of it runs
        (("COMPLETING",), 10, 9, 9 + 10 * MINUTE_US, True),  # it lived after Slurm was back
        (("COMPLETING",), 5, None, 10, True),  # Slurm was never away
    ],
)
def test_a_job_whose_members_are_gone_is_not_seen_live_by_what_slurm_does_after_an_outage(
    states: Sequence[str], live_us: int | None, back_us: int | None, looked_us: int, expected: bool
) -> None:
    parts = tuple(job(0, state) for state in states)
    found = freed.is_seen_live(
        parts, is_silent=False, live_us=live_us, back_us=back_us, looked_us=looked_us
    )
    assert found is expected
    assert freed.is_seen_live(
        parts, is_silent=True, live_us=live_us, back_us=back_us, looked_us=looked_us
    ), "a member that has not said that all is gone lives"


class Accounting:
    def __init__(self, answer: str | None) -> None:
        self.answer = answer

    def run(self, *words: str, **_: Any) -> bytes:
        assert words == ("sacct", "-X", "-n", "-P", "-j", "7", "-o", "end")
        if self.answer is None:
            raise Transient("sacct: Slurm accounting storage is disabled")
        return self.answer.encode()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("1970-01-01T00:16:40\n", 1_000_000_000), ("Unknown\n", None), ("", None), (None, None)],
)
def test_the_accounting_tells_the_end_of_a_job_that_the_controller_forgot(
    answer: str | None, expected: int | None
) -> None:
    assert freed.recorded_us(Accounting(answer), 7) == expected


@pytest.mark.parametrize("end", [b"1000", b'{"set": true, "number": 1000}'])
def test_the_end_of_a_job_is_read_in_both_forms(end: bytes) -> None:
    answer = b'{"errors": [], "jobs": [{"job_id": 7, "job_state": "COMPLETED", "user_id": 1,'
    (found,) = jobs(answer + b'"end_time": ' + end + b"}]}")
    assert found.ended_us == 1_000_000_000
