"""The life of a pool's agent: it starts, works, dies at any point, and starts again.

The agent is the shipped one. Its machines and its memory outlive it. It dies by `crash`, or by a
fuse: at the n-th thing that it asks of its engine, its memory or the network from now on. What is
left of a dead agent hears nothing and does nothing any more.
"""

import asyncio
import random
from pathlib import Path

import msgspec

from parkade.agent.agent import run_agent
from parkade.agent.backoff import Backoff
from parkade.agent.control_plane import ControlPlaneError
from parkade.agent.health import HealthWatch
from parkade.agent.memory import Memory
from parkade.agent.place import Pace, Place, Time
from parkade.agent.timer import LoopTimer
from parkade.core.units.time import SECOND_US
from parkade.ports import NodeShape
from parkade.sim.clocks import SimulatedClock
from parkade.sim.engine import SimulatedEngine
from parkade.sim.faults import Weather
from parkade.sim.hardware import Hardware
from parkade.sim.health import Carried, SimulatedRepairs, Unseen, plan_of
from parkade.sim.machines import Machines
from parkade.sim.network import Network
from parkade.sim.queue import Queue
from parkade.sim.server import Server
from parkade.sim.watched import Watched

PACE = Pace(tick_s=60.0, heartbeat_s=20.0)
RESTART_US = 5 * SECOND_US
POLL_S = 20.0


class AgentDied(BaseException):
    """The agent's process is gone."""


class AgentDisk:
    """Implements `agent.memory.MemoryPlace` and `agent.notes.Notes`; what was saved outlives the
    agent."""

    def __init__(self, name: str) -> None:
        self._saved = msgspec.json.encode(Memory(agent=name))
        self._notes: dict[str, bytes] = {}
        self.is_full = False

    def load(self, name: str) -> bytes | None:
        """See `Notes`."""
        return self._notes.get(name)

    def keep(self, name: str, content: bytes) -> None:
        """See `Notes`."""
        if self.is_full:
            raise OSError("simulated: no space left on device")
        self._notes[name] = content

    def named(self) -> Memory:
        """See `MemoryPlace`."""
        return msgspec.json.decode(self._saved, type=Memory)

    def save(self, memory: Memory) -> None:
        """See `MemoryPlace`."""
        if self.is_full:
            raise OSError("simulated: no space left on device")
        self._saved = msgspec.json.encode(memory)


class SimulatedPool:
    """A pool with its machines, and an agent most of the time. `watched` None: its agent has no
    `mars.yaml`, and watches nothing."""

    def __init__(
        self,
        pool: str,
        nodes: tuple[NodeShape, ...],
        server: Server,
        clock: SimulatedClock,
        chance: random.Random,
    ) -> None:
        self.pool = pool
        self.nodes = nodes
        self.machines = Machines(nodes, clock)
        self.weather = Weather(chance=chance)
        self.hardware = Hardware(nodes)
        self.watched: Watched | None = None
        self.queue: Queue | None = None
        """Of jobs that Parkade knows nothing of, where its engine takes such."""

        self.carried: Carried = Unseen()
        self.disk = AgentDisk(f"{chance.getrandbits(64):016x}")
        self.fuse: int | None = None
        """After how many more doings of the agent it dies."""

        self.deaths = 0
        self._server = server
        self._clock = clock
        self._life: _Life | None = None

    @property
    def is_alive(self) -> bool:
        """Whether an agent runs."""
        return self._life is not None

    def start(self) -> None:
        """An agent, where none runs."""
        if self._life is None:
            self._life = _Life(self, self._server, self._clock)

    def crash(self) -> None:
        """The agent dies and is started again after a while; what runs goes on running."""
        self.fuse = None
        if self._life is None:
            return
        life, self._life = self._life, None
        life.end()
        self.deaths += 1
        loop = self._server.loop
        loop.at_us(loop.now_us + RESTART_US, self.start)


class _Life:
    """One agent from its start to its death."""

    def __init__(self, pool: SimulatedPool, server: Server, clock: SimulatedClock) -> None:
        self._pool = pool
        self._loop = server.loop
        self._is_over = False
        weather, name = pool.weather, pool.pool
        self._engine = SimulatedEngine(
            name, pool.machines, clock, weather, self.pass_by, pool.queue
        )
        self._network = Network(name, server, clock, weather, self.pass_by)
        self._clock = clock
        self._task = self._loop.create_task(self._live())

    def end(self) -> None:
        """Nothing of it does anything any more."""
        self._is_over = True
        self._task.cancel()

    async def pass_by(self) -> None:
        """Before each thing that it does: the dead do nothing, and a fuse burns down."""
        if self._is_over or self._is_burnt():
            await self._loop.create_future()

    def save(self, memory: Memory) -> None:
        """Its memory is saved, unless it dies here."""
        if self._is_over or self._is_burnt():
            raise AgentDied
        self._pool.disk.save(memory)

    def named(self) -> Memory:
        """See `MemoryPlace`."""
        return self._pool.disk.named()

    def load(self, name: str) -> bytes | None:
        """See `Notes`."""
        return self._pool.disk.load(name)

    def keep(self, name: str, content: bytes) -> None:
        """A note is kept, unless it dies here; what a dead one goes on with has no effect."""
        if not (self._is_over or self._is_burnt()):
            self._pool.disk.keep(name, content)

    def _is_burnt(self) -> bool:
        pool = self._pool
        if pool.fuse is None:
            return False
        pool.fuse -= 1
        if pool.fuse > 0:
            return False
        self._is_over = True
        self._loop.call_soon(pool.crash)
        return True

    async def _live(self) -> None:
        timer = LoopTimer()
        backoff = Backoff(timer)
        try:
            while True:
                nodes = await self._nodes(Backoff(timer))
                place = Place(
                    pool=self._pool.pool, nodes=nodes, data_folder=Path("simulated"), memory=self
                )
                health = self._health(timer)
                try:
                    await run_agent(
                        self._engine,
                        self._network,
                        place,
                        Time(clock=self._clock, timer=timer),
                        stop=asyncio.Event(),
                        pace=PACE,
                        health=health,
                    )
                except Exception as error:  # noqa: BLE001 - it starts again, as the service does
                    await backoff.wait("the agent failed", error)
                else:
                    backoff.reset()
                finally:
                    if health is not None:
                        await health.close()
        except AgentDied:
            return
        except BaseExceptionGroup as group:
            if group.split(AgentDied)[1] is not None:
                raise

    def _health(self, timer: LoopTimer) -> HealthWatch | None:
        pool = self._pool
        if pool.watched is None:
            return None
        repairs = SimulatedRepairs(
            pool.watched.kinds,
            pool.hardware,
            self._clock,
            pool.weather,
            self.pass_by,
            pool.carried,
        )
        plan = plan_of(
            pool.hardware, self._clock, pool.watched.policy, repairs, pool.watched.surroundings
        )
        return HealthWatch(
            plan, self._network, pool=pool.pool, notes=self, clock=self._clock, timer=timer
        )

    async def _nodes(self, backoff: Backoff) -> tuple[NodeShape, ...]:
        while True:
            try:
                state = await self._network.desired(None, POLL_S)
            except ControlPlaneError as error:
                await backoff.wait("desired state", error)
                continue
            if state is not None:
                return state.nodes
