"""The network between a pool's agent and the control plane, and the routes behind it.

Each call is what the HTTP routes for agents do with the plane, without HTTP. A call may be cut off,
delayed, answered into the void, or arrive twice; the weather of the pool says so.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from parkade.agent.control_plane import ControlPlaneError, ReaderGone
from parkade.agent.timer import LoopTimer
from parkade.control.admission import AskingAgent, PoolAgent
from parkade.control.answers import PlaneStopped
from parkade.control.plane import Plane
from parkade.core.units.time import SECOND_US
from parkade.ports import DesiredState, HealthReport, LogRequest, Obeyed, Observation
from parkade.sim.clocks import SimulatedClock
from parkade.sim.faults import PassBy, Weather
from parkade.sim.server import Server, ServerGone

T = TypeVar("T")

CUT_S = 5.0
"""How long a call waits for an answer that does not come."""


class Network:
    """Implements `agent.control_plane.ControlPlane` for one agent of a pool. `pass_by` is awaited
    before each call and each answer: the agent may die there."""

    def __init__(
        self,
        pool: str,
        server: Server,
        clock: SimulatedClock,
        weather: Weather,
        pass_by: PassBy,
    ) -> None:
        self._pool = pool
        self._server = server
        self._clock = clock
        self._weather = weather
        self._pass_by = pass_by
        self._timer = LoopTimer()
        self._obeyed: Obeyed | None = None
        self._agent: PoolAgent | None = None

    def is_asked_by(self, agent: str, folder: Path) -> None:
        """See `KnowsAgents`."""
        self._agent = PoolAgent(agent=agent, place=str(folder))

    def obeys(self, obeyed: Obeyed | None) -> None:
        """See `ChecksJournals`."""
        self._obeyed = obeyed

    async def desired(self, after: tuple[int, int] | None, wait_s: float) -> DesiredState | None:
        """See `ControlPlane`."""
        check = self._checks()

        async def ask(plane: Plane) -> DesiredState | None:
            await check(plane)
            return await plane.desired(self._pool, after=after, wait_s=wait_s)

        await self._on_the_way()
        answer = await self._call(ask)
        await self._on_the_way(is_back=True)
        return answer

    async def report(self, observation: Observation) -> None:
        """See `ControlPlane`."""
        check = self._checks()

        async def observe(plane: Plane) -> None:
            await check(plane)
            await plane.observe(self._pool, observation)

        await self._on_the_way()
        weather = self._weather
        if weather.is_so(weather.repeats_until_us, self._clock.steady_us(), 500):
            self._server.loop.create_task(self._again(observation, check))
        await self._call(observe)
        await self._on_the_way(is_back=True)

    async def report_health(self, report: HealthReport) -> None:
        """See `ControlPlane`."""
        check = self._checks()

        async def take(plane: Plane) -> None:
            await check(plane)
            await plane.take_health(report)

        await self._on_the_way()
        await self._call(take)
        await self._on_the_way(is_back=True)

    async def log_requests(self, wait_s: float) -> list[LogRequest]:
        """See `ControlPlane`; no reader asks here."""
        await self._timer.sleep(max(wait_s, 600.0))
        return []

    async def send_log(self, request_id: str, chunk: bytes, is_last: bool) -> None:
        """See `ControlPlane`; no reader asks here."""
        raise ReaderGone(f"{request_id}: {len(chunk)} bytes, {is_last}")

    def _checks(self) -> Callable[[Plane], Awaitable[None]]:
        """What the routes check before anything else, of the agent as it is now."""
        asking = AskingAgent(pool=self._pool, agent=self._agent, obeyed=self._obeyed)

        async def check(plane: Plane) -> None:
            if not plane.has_pool(asking.pool):
                raise ControlPlaneError(f"there is no pool {asking.pool}")
            refusal = await plane.refuse_agent(asking)
            if refusal is not None:
                raise ControlPlaneError(refusal.detail)

        return check

    async def _call(self, ask: Callable[[Plane], Awaitable[T]]) -> T:
        try:
            return await self._server.call(ask)
        except (ServerGone, PlaneStopped) as error:
            raise ControlPlaneError(f"the server is gone: {error}") from error

    async def _on_the_way(self, *, is_back: bool = False) -> None:
        await self._pass_by()
        weather, now_us = self._weather, self._clock.steady_us()
        if now_us < weather.delayed_until_us:
            await self._timer.sleep(weather.chance.randrange(weather.delay_us) / SECOND_US)
            now_us = self._clock.steady_us()
        is_lost = now_us < weather.cut_until_us
        if is_lost or (is_back and now_us < weather.deaf_until_us):
            await self._timer.sleep(CUT_S)
            raise ControlPlaneError("simulated: the network is cut")

    async def _again(
        self, observation: Observation, check: Callable[[Plane], Awaitable[None]]
    ) -> None:
        """The same report once more, later: behind newer ones, as a straggler."""

        async def observe(plane: Plane) -> None:
            await check(plane)
            await plane.observe(self._pool, observation)

        await self._timer.sleep(self._weather.chance.randint(0, 90))
        try:
            await self._call(observe)
        except ControlPlaneError:
            return
