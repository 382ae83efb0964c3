"""A control plane in memory that can go away, and an engine in memory that can refuse."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import msgspec

from parkade.agent.control_plane import ControlPlaneError, ReaderGone
from parkade.ports import (
    Capabilities,
    DesiredAttempt,
    DesiredState,
    HealthReport,
    LogRequest,
    Observation,
    ObservedAttempt,
    Phase,
    Stop,
)
from tests import builders

T = TypeVar("T")


class FakeControlPlane:
    """Keeps what it was told; `is_down` makes each call fail."""

    def __init__(self) -> None:
        self.state: DesiredState | None = None
        self.is_down = False
        self.last_after: tuple[int, int] | None = None
        self.failures = 0
        self.waits: list[float] = []
        self.turned_away = 0
        self.reports: list[Observation] = []
        self.health: list[HealthReport] = []
        self.asked: deque[LogRequest] = deque()
        self.sent: dict[str, list[bytes]] = {}
        self.ended: set[str] = set()
        self.gone: set[str] = set()

    def desire(self, *attempts: DesiredAttempt, epoch: int = 1, sequence: int) -> None:
        self.state = builders.desired_state("here", *attempts, epoch=epoch, sequence=sequence)

    async def desired(self, after: tuple[int, int] | None, wait_s: float) -> DesiredState | None:
        self.last_after = after
        self._check()
        self.waits.append(wait_s)
        return await self._within(wait_s, lambda: self._newer(after))

    def _newer(self, after: tuple[int, int] | None) -> DesiredState | None:
        state = self.state
        return state if state and (state.epoch, state.sequence) != after else None

    async def _within(self, wait_s: float, look: Callable[[], T]) -> T:
        """What it looks for, as soon as it is there or the time is over; unless it is down."""
        ends_at = time.monotonic() + wait_s
        while not (found := look()) and time.monotonic() < ends_at:
            await asyncio.sleep(0.01)
            self._check()
        return found

    async def report(self, observation: Observation) -> None:
        self._check()
        self.reports.append(observation)

    async def report_health(self, report: HealthReport) -> None:
        self._check()
        self.health.append(report)

    async def log_requests(self, wait_s: float) -> list[LogRequest]:
        self._check()
        is_asked = await self._within(wait_s, lambda: bool(self.asked))
        return [self.asked.popleft()] if is_asked else []

    async def send_log(self, request_id: str, chunk: bytes, is_last: bool) -> None:
        self._check()
        if request_id in self.gone:
            self.turned_away += 1
            raise ReaderGone("gone")
        self.sent.setdefault(request_id, []).append(chunk)
        if is_last:
            self.ended.add(request_id)

    def last(self, attempt: str) -> ObservedAttempt | None:
        """As last reported."""
        found = self.reports[-1].attempts if self.reports else ()
        return next((one for one in found if one.attempt == attempt), None)

    def _check(self) -> None:
        if self.is_down:
            self.failures += 1
            raise ControlPlaneError("down")


class FakeEngine:
    """Attempts run until stopped; `troubles` are raised by the next launches of an attempt."""

    def __init__(self) -> None:
        self.attempts: dict[str, ObservedAttempt] = {}
        self.launches: list[str] = []
        self.orders: list[tuple[str, Stop]] = []
        self.forgotten: list[str] = []
        self.troubles: dict[str, list[Exception]] = {}
        self.is_complete = True
        self.looks = 0

    def capabilities(self) -> Capabilities:
        return Capabilities(
            engine="fake",
            version="1",
            isolates_users=False,
            has_containers=False,
            keeps_memory_limits=False,
        )

    def validate(self, attempt: DesiredAttempt) -> None:
        return

    def render(self, attempt: DesiredAttempt) -> str:
        return attempt.command

    async def launch(self, attempt: DesiredAttempt) -> None:
        self.launches.append(attempt.attempt)
        if self.troubles.get(attempt.attempt):
            raise self.troubles[attempt.attempt].pop(0)
        self.attempts[attempt.attempt] = builders.observed(
            attempt.attempt, generation=attempt.generation
        )

    async def observe(self) -> Observation:
        self.looks += 1
        return Observation(
            pool="here",
            at_us=1,
            is_complete=self.is_complete,
            attempts=tuple(self.attempts.values()),
        )

    async def stop(self, attempt: str, order: Stop) -> None:
        self.orders.append((attempt, order))
        self.attempts[attempt] = msgspec.structs.replace(
            self.attempts[attempt], phase=Phase.RELEASED, released_us=2
        )

    async def signal(self, attempt: str, name: str) -> None:
        raise NotImplementedError

    async def adopt(self) -> Sequence[str]:
        return tuple(self.attempts)

    async def forget(self, attempt: str) -> None:
        self.forgotten.append(attempt)
        del self.attempts[attempt]

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        for chunk in (b"one\n", b"two\n"):
            yield chunk
        if request.follow:
            await asyncio.Event().wait()

    async def close(self) -> None:
        return
