"""The pace of calls to a server that refuses what comes too fast: no clock but the test's."""

import heapq
from collections.abc import Iterator

import pytest

from parkade.compound.models.local import LocalModel
from parkade.compound.models.protocol import Failure, FailureKind, RateLimits
from parkade.compound.network import Generate
from parkade.compound.network.binding import bind
from parkade.compound.run.budget import Amounts
from parkade.compound.run.lane import Flight, Lane
from parkade.compound.run.machine import Machine
from parkade.compound.run.orders import Ask
from parkade.compound.run.pacing import FREE, Pace
from parkade.compound.run.progressing import Progressing
from parkade.compound.run.steps import steps_of
from tests.compound.building import answers, ask, names

SECOND = 1_000_000
LATENCY = 100_000


class Server:
    """Allows so many calls a second and so many at once; says when to come again, if it does."""

    def __init__(self, rate: float, burst: float, again_us: int | None) -> None:
        self.rate, self.burst, self.again_us = rate, burst, again_us
        self._held, self._at = burst, 0
        self.answered: list[int] = []
        self.refused: list[int] = []

    def answer(self, now_us: int) -> Failure | None:
        gained = (now_us - self._at) / 1e6 * self.rate
        self._held, self._at = min(self.burst, self._held + gained), now_us
        if self._held >= 1:
            self._held -= 1
            self.answered.append(now_us)
            return None
        self.refused.append(now_us)
        return Failure(kind=FailureKind.RATE_LIMITED, message="429", retry_after_us=self.again_us)


def flights() -> Iterator[Flight]:
    """Calls without end."""
    model = answers("x")
    machine = Machine(bind(Generate("m"), names({"m": model})), ask(), steps_of, 1)
    machine.start()
    (order,) = machine.orders
    assert isinstance(order, Ask)
    owner = Progressing(machine, 0.0)
    while True:
        yield Flight(order, Amounts(0, 1, 1), owner)


def play(server: Server, seconds: int, calls_per_minute: int | None = None) -> Server:
    """A lane that never lacks calls, against a server, for so long."""
    limits = RateLimits(calls_per_minute=calls_per_minute)
    lane = Lane(LocalModel("m", lambda call: "x", limits=limits))
    fresh = flights()
    flying: list[tuple[int, int, Flight]] = []
    now = count = 0
    while now < seconds * SECOND:
        while len(lane.queue) < 64:
            lane.queue.append(next(fresh))
        begun, wait = lane.start(now, lambda flight: True)
        for flight in begun:
            count += 1
            heapq.heappush(flying, (now + LATENCY, count, flight))
        nexts = [at for at, _, _ in flying[:1]] + ([now + wait] if wait else [])
        now = max(now + 1, min(nexts))
        while flying and flying[0][0] <= now:
            _, _, flight = heapq.heappop(flying)
            failure = server.answer(now)
            lane.came_back(now)
            if failure is None:
                lane.answered(flight, now)
            else:
                lane.failed(flight, failure, now)
                lane.later(flight, now + SECOND // 2)
    return server


@pytest.mark.parametrize(
    ("rate", "burst", "again_us", "share"),
    [
        (50, 20, SECOND, 0.9),
        (50, 1, SECOND, 0.75),
        (50, 20, 3 * SECOND, 0.75),
        (50, 20, None, 0.95),
        (5, 20, SECOND, 0.95),
        (400, 20, SECOND, 0.8),
    ],
)
def test_most_of_what_a_server_allows_is_used(
    rate: float, burst: float, again_us: int | None, share: float
) -> None:
    server = play(Server(rate, burst, again_us), 120)
    late = [at for at in server.answered if at > 20 * SECOND]
    assert len(late) > share * rate * 100
    assert len(server.refused) < 0.15 * len(server.answered)


def test_calls_per_minute_just_below_a_server_s_limit_meet_no_refusal() -> None:
    server = play(Server(50, 20, SECOND), 60, calls_per_minute=2_900)
    assert not server.refused
    assert len(server.answered) > 2_800


def test_a_limit_that_is_gone_is_soon_forgotten() -> None:
    pace = Pace()
    for _ in range(50):
        pace.answered()
    pace.asked_to_wait(0, SECOND, SECOND)
    assert pace.rate(SECOND) * 1e6 == pytest.approx(47.5)
    assert pace.rate(61 * SECOND) * 1e6 > 1_000
    assert pace.rate(10**9 * SECOND) <= pace.rate(SECOND) * 1.1 * 2**FREE


def test_what_began_before_a_refusal_slows_nothing_more() -> None:
    pace = Pace()
    for _ in range(50):
        pace.answered()
    for _ in range(20):
        pace.asked_to_wait(SECOND // 2, SECOND, SECOND)
    assert pace.rate(SECOND) * 1e6 == pytest.approx(47.5)
    pace.asked_to_wait(SECOND + 1, 2 * SECOND, SECOND)
    assert pace.rate(2 * SECOND) * 1e6 == pytest.approx(47.5 * 1.01 / 2)


def test_a_server_that_has_answered_nothing_has_no_pace() -> None:
    pace = Pace()
    pace.asked_to_wait(0, SECOND, SECOND)
    pace.take(2 * SECOND)
    assert pace.wait_us(2 * SECOND) == 0


def test_idle_time_before_the_first_refusal_counts_for_nothing() -> None:
    pace = Pace()
    pace.answered()
    pace.began_anew(1_000 * SECOND)
    for _ in range(10):
        pace.answered()
    pace.asked_to_wait(1_000 * SECOND, 1_001 * SECOND, SECOND)
    assert pace.rate(1_001 * SECOND) * 1e6 == pytest.approx(9.5)
