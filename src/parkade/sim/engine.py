"""The engine of a simulated pool: the door that an agent has to its machines.

It behaves as `ports.Engine` demands. What it refuses, loses, delays or sees in part is asked of the
pool's weather; the machines behind it always know the truth.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from parkade.agent.timer import LoopTimer
from parkade.core.units.time import SECOND_US
from parkade.ports import (
    Capabilities,
    Conflict,
    DesiredAttempt,
    DesiredState,
    InvalidSpec,
    LogRequest,
    Misconfigured,
    Observation,
    OwnerReport,
    Stop,
    Transient,
    Unreachable,
)
from parkade.sim.clocks import SimulatedClock
from parkade.sim.faults import PassBy, Weather
from parkade.sim.machines import Machines
from parkade.sim.queue import Queue

LAUNCH_S = 0.4
CAPABILITIES = Capabilities(
    engine="simulated",
    version="1",
    isolates_users=True,
    has_containers=False,
    keeps_memory_limits=True,
)


class SimulatedEngine:
    """Implements `ports.Engine`, and tells changes and keeps leases as the local engine does.
    `pass_by` is awaited before whatever the agent does here: it may die there."""

    def __init__(
        self,
        pool: str,
        machines: Machines,
        clock: SimulatedClock,
        weather: Weather,
        pass_by: PassBy,
        queue: Queue | None = None,
    ) -> None:
        self._pool = pool
        self._machines = machines
        self._clock = clock
        self._weather = weather
        self._pass_by = pass_by
        self._queue = queue
        self._timer = LoopTimer()
        self._changed = asyncio.Event()
        machines.listener = self._changed.set

    def capabilities(self) -> Capabilities:
        """See `ports.Engine`."""
        return CAPABILITIES

    def validate(self, attempt: DesiredAttempt) -> None:
        """See `ports.Engine`."""

    def render(self, attempt: DesiredAttempt) -> str:
        """See `ports.Engine`."""
        return attempt.command

    async def launch(self, attempt: DesiredAttempt) -> None:
        """See `ports.Engine`; Transient while the GPUs are held, or its lease would have lapsed."""
        await self._pass_by()
        now_us = self._clock.steady_us()
        weather, machines = self._weather, self._machines
        if weather.is_so(weather.refuses_until_us, now_us, 300):
            if weather.chance.randrange(2):
                raise Misconfigured("nodes: simulated, they are none of this pool")
            raise InvalidSpec("workdir: simulated, it is not there")
        if weather.is_so(weather.engine_until_us, now_us, 300):
            raise Transient("simulated: the engine is busy")
        await self._timer.sleep(LAUNCH_S)
        machines.advance()
        self._check_lease(attempt)
        if attempt.attempt in machines.ended:
            raise Conflict(f"attempt {attempt.attempt} ended here before")
        known = machines.runs.get(attempt.attempt)
        if known is not None:
            seen = (known.desired.generation, known.desired.ordered_us, known.desired.ranks)
            if seen != (attempt.generation, attempt.ordered_us, attempt.ranks):
                raise Conflict(f"attempt {attempt.attempt} is known as another launch")
            return
        if self._queue is not None and self._queue.is_shut_out(attempt.org):
            machines.refuse(attempt)
            return
        for node in {seat.node: None for seat in attempt.ranks}:
            needed = sum(seat.gpus for seat in attempt.ranks if seat.node == node)
            if self._queue is not None and self._queue.holds(node):
                raise Transient(f"attempt {attempt.attempt}: a job runs on {node}")
            if machines.free_gpus(node) < needed:
                raise Transient(f"attempt {attempt.attempt}: GPUs of {node} are still held")
        machines.launch(attempt)
        if attempt.stop is not None:
            machines.stop(attempt.attempt, attempt.stop)
        await self._pass_by()

    async def observe(self) -> Observation:
        """See `ports.Engine`."""
        await self._pass_by()
        now_us, weather = self._clock.steady_us(), self._weather
        if weather.is_so(weather.engine_until_us, now_us, 150):
            raise Unreachable("simulated: the engine does not answer")
        if weather.is_so(weather.engine_until_us, now_us, 200):
            await self._timer.sleep(weather.chance.randint(1, 20))
        self._machines.advance()
        found = tuple(self._machines.observed())
        is_complete = not weather.is_so(weather.engine_until_us, now_us, 300)
        if not is_complete:
            found = tuple(one for one in found if weather.chance.random() < 0.5)
        return Observation(
            pool=self._pool,
            at_us=self._clock.now_us(),
            is_complete=is_complete,
            attempts=found,
        )

    async def stop(self, attempt: str, order: Stop) -> None:
        """See `ports.Engine`; nothing for what has ended."""
        await self._pass_by()
        machines = self._machines
        machines.advance()
        run = machines.runs.get(attempt)
        if run is None or run.end is not None:
            return
        machines.stop(attempt, order)

    async def signal(self, attempt: str, name: str) -> None:
        """See `ports.Engine`; the agent sends none by itself."""

    async def adopt(self) -> Sequence[str]:
        """See `ports.Engine`."""
        return tuple(self._machines.runs)

    async def forget(self, attempt: str) -> None:
        """See `ports.Engine`."""
        await self._pass_by()
        run = self._machines.runs.get(attempt)
        if run is None:
            return
        if run.end is None:
            raise Conflict(f"attempt {attempt} still runs")
        self._machines.forget(attempt)

    async def wait_changed(self, timeout_s: float) -> None:
        """Returns at the next thing that happens on the machines, or after the time given."""
        self._machines.advance()
        next_us = self._machines.next_us()
        if next_us is not None:
            timeout_s = min(timeout_s, (next_us - self._clock.steady_us()) / SECOND_US)
        await self._timer.wait(self._changed, max(timeout_s, 0.0))
        self._changed.clear()

    async def renew_leases(self) -> None:
        """The control plane was heard: no lease lapses before its span from now."""
        self._machines.renew()

    async def serve_owners(self, desired: DesiredState) -> OwnerReport | None:
        """See `agent.optional.ServesOwners`; None where it has no queue of its own."""
        if self._queue is None:
            return None
        await self._pass_by()
        return self._queue.look(desired)

    async def close(self) -> None:
        """See `ports.Engine`."""

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        """See `ports.Engine`; simulated programs write nothing."""
        if request.offset < 0:
            yield b""

    def _check_lease(self, attempt: DesiredAttempt) -> None:
        machines = self._machines
        if attempt.lease is None:
            return
        if machines.heard_us is None:
            machines.renew()
            return
        if self._clock.steady_us() - machines.heard_us >= attempt.lease.silence_us:
            raise Transient(f"attempt {attempt.attempt}: the control plane was not heard")
