"""Adaptive concurrency, rate limits, retries: no clock but the one the test holds."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.models.protocol import RateLimits
from parkade.compound.run.limiter import FIRST_LIMIT, Bucket, Limiter, RetryBudget, backoff_us

SECOND = 1_000_000


def played(limits: RateLimits, capacity: int, rounds: int) -> tuple[list[int], int, int]:
    """A server that refuses what is beyond its capacity; a round trip takes 100 ms.

    Gives the calls in flight of each round, the answers and the refusals.
    """
    limiter, now, answered, refused = Limiter(limits), 0, 0, 0
    flown: list[int] = []
    for _ in range(rounds):
        while limiter.has_room():
            limiter.in_flight += 1
        flown.append(limiter.in_flight)
        began, now = now, now + 100_000
        for place in range(flown[-1]):
            limiter.in_flight -= 1
            if place < capacity:
                limiter.answered(100_000, now)
                answered += 1
            else:
                limiter.overloaded(began, now)
                refused += 1
    return flown, answered, refused


def test_it_doubles_from_a_small_start_to_the_most() -> None:
    flown, _, refused = played(RateLimits(concurrency=64), capacity=1_000, rounds=8)
    assert flown[0] == FIRST_LIMIT
    assert flown[:4] == [8, 16, 32, 64]
    assert max(flown) == 64
    assert refused == 0


def test_it_settles_below_the_capacity_and_uses_most_of_it() -> None:
    flown, answered, refused = played(RateLimits(concurrency=512), capacity=40, rounds=300)
    assert answered > 0.7 * 40 * 300
    assert refused < 0.1 * answered
    assert all(20 <= each <= 50 for each in flown[20:])


def test_one_overload_told_by_many_answers_cuts_once() -> None:
    limiter = Limiter(RateLimits(concurrency=100, initial=100))
    for _ in range(50):
        limiter.overloaded(began_at_us=0, now_us=SECOND)
    assert limiter.limit == pytest.approx(60)
    limiter.overloaded(began_at_us=SECOND + 1, now_us=2 * SECOND)
    assert limiter.limit == pytest.approx(36)


def test_it_never_falls_below_one_call() -> None:
    limiter = Limiter(RateLimits(concurrency=3))
    for turn in range(100):
        limiter.overloaded(turn * SECOND + 1, (turn + 1) * SECOND)
    assert limiter.has_room()


def test_rising_latency_cuts_gently() -> None:
    limiter = Limiter(RateLimits(concurrency=50, initial=50))
    for turn in range(500):
        limiter.answered(10_000, turn * 10_000)
    before = limiter.limit
    for turn in range(100):
        limiter.answered(SECOND, 5 * SECOND + (turn + 1) * SECOND)
    assert limiter.limit < before


@given(
    per_minute=st.integers(1, 100_000),
    units=st.lists(st.integers(1, 500), min_size=1, max_size=200),
)
def test_no_minute_holds_more_than_its_limit_and_one_burst(
    per_minute: int, units: list[int]
) -> None:
    bucket, now = Bucket(per_minute), 0
    taken: deque[tuple[int, int]] = deque()
    burst = max(1, per_minute // 60) + max(units)
    for unit in units:
        now += bucket.wait_us(unit, now)
        assert bucket.wait_us(unit, now) == 0
        bucket.take(unit)
        taken.append((now, unit))
        while taken[0][0] <= now - 60 * SECOND:
            taken.popleft()
        assert sum(each for _, each in taken) <= per_minute + burst + 1


def test_without_a_limit_nothing_waits() -> None:
    bucket = Bucket(None)
    for _ in range(1_000):
        assert bucket.wait_us(10**9, 0) == 0
        bucket.take(10**9)


def test_retries_are_bounded_by_a_few_and_a_share_of_what_succeeds() -> None:
    budget = RetryBudget()
    assert sum(budget.take() for _ in range(1_000)) == 100
    for _ in range(40):
        budget.succeeded()
    assert sum(budget.take() for _ in range(1_000)) == 20


@given(st.integers(0, 30), st.text("0123456789abcdef", min_size=32, max_size=32))
def test_back_off_doubles_to_a_minute_and_is_spread(attempt: int, key: str) -> None:
    most = min(60 * SECOND, SECOND // 2 * 2**attempt)
    assert most // 2 <= backoff_us(attempt, key) <= most
