"""The life of the simulated server: it starts, serves, loses power, starts again from its disk.

The plane and its writer are the shipped ones; the writer takes a step whenever something waits or
is due, by the loop's time. What a call of an agent or a person has begun dies with the server.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from parkade.control.beside import Decide, Decision, DecisionFailed
from parkade.control.plane import Plane
from parkade.control.rules import Rules
from parkade.control.settings import PlaneSettings
from parkade.control.writer import Dependencies, Turn
from parkade.core.units.time import MINUTE_US, SECOND_US
from parkade.ports import StoreError
from parkade.sim.clocks import SimulatedClock
from parkade.sim.loop import SimulatedLoop
from parkade.sim.store import Disk, MemoryStore

T = TypeVar("T")

SETTINGS = PlaneSettings(
    snapshot_every_events=60,
    snapshot_every_us=30 * MINUTE_US,
    unreachable_after_us=60 * SECOND_US,
    observation_repeat_us=120 * SECOND_US,
    longest_wait_us=15 * SECOND_US,
    feed_length=100,
    beside_after_us=-1,
)
RESTART_US = 3 * SECOND_US
SEAMS = ("before_commit", "inside_commit", "after_commit", "before_answer", "snapshot")


class PowerLoss(BaseException):
    """Everything in the server's memory is gone."""


class ServerGone(Exception):
    """The server that was asked has died, or none runs; it is not known what it did."""


class Led:
    """Leadership of the only server there is."""

    def acquire(self) -> None:
        """See `ports.Leadership`."""

    def is_held(self) -> bool:
        """See `ports.Leadership`."""
        return True

    def release(self) -> None:
        """See `ports.Leadership`."""


def _nothing() -> None:
    return


class Decided:
    """A decision that is made at once, and of which the server hears later."""

    def __init__(self, decide: Decide) -> None:
        self.has_ended = False
        self._decision: Decision | None = None
        self._failure = ""
        try:
            self._decision = decide()
        except Exception as error:  # noqa: BLE001 - as of a child: a text is all that comes back
            self._failure = repr(error)

    def is_done(self) -> bool:
        """Without waiting."""
        return self.has_ended

    def result(self) -> Decision:
        """Once it is done. DecisionFailed."""
        if self._decision is None:
            raise DecisionFailed(self._failure)
        return self._decision

    def give_up(self) -> None:
        """The result is not wanted any more."""


class Server:
    """One server at a time over one disk. `failed` is told what stopped it, where that is a bug."""

    def __init__(
        self,
        loop: SimulatedLoop,
        clock: SimulatedClock,
        rules: Rules,
        *,
        chance: random.Random,
        failed: Callable[[BaseException], None],
    ) -> None:
        self.loop = loop
        self.disk = Disk()
        self.plane: Plane | None = None
        self.starts = 0
        self.accepts: int | None = None
        """The least epoch of the next start, where an operator accepts agents of a lost journal."""

        self.fuse: tuple[str, int] | None = None
        """The seam at which power is lost, and after how many passes."""

        self.slow_us = 0
        """How long the next commit takes."""

        self.clearings_us = 0
        """How long each clearing is decided beside the server's turns; 0: within a turn."""

        self.decided_beside = 0
        """Clearings so far."""

        self.stepped: Callable[[], None] = _nothing
        """Called after each step, also one that died."""

        self._clock = clock
        self._rules = rules
        self._chance = chance
        self._failed = failed
        self._calls: dict[asyncio.Task[object], None] = {}
        self._turn: Callable[[], Turn] | None = None
        self._timer: asyncio.Handle | None = None
        self._is_stirred = False

    def start(self) -> None:
        """From what the disk holds; nothing where it runs already."""
        if self.plane is not None:
            return
        self.starts += 1
        dependencies = Dependencies(
            store=MemoryStore(self.disk, self._at_seam),
            clock=self._clock,
            rules=self._rules,
            on_fatal=self._failed,
            crash_point=self._at_seam,
            leadership=Led(),
            accepted=self.accepts,
            beside=self._decide_beside,
            draw_name=lambda: f"{self._chance.getrandbits(128):032x}",
        )
        try:
            plane = Plane(dependencies, SETTINGS)
        except PowerLoss:
            self._start_later()
            return
        except StoreError as error:
            if not self.disk.is_full:
                self._failed(error)
            self._start_later()
            return
        self.accepts = None
        self.plane = plane
        self._turn = plane.drive(self._stir)
        self.stepped()
        self._stir()

    def _decide_beside(self, decide: Decide, done: Callable[[], None]) -> Decided | None:
        if not self.clearings_us:
            return None
        self.decided_beside += 1
        deciding = Decided(decide)

        def end() -> None:
            deciding.has_ended = True
            done()

        self.loop.at_us(self.loop.now_us + self.clearings_us, end)
        return deciding

    def crash(self) -> None:
        """Power is lost between two steps; it starts again after a while."""
        self._die()
        self._start_later()

    def _start_later(self) -> None:
        self.loop.at_us(self.loop.now_us + RESTART_US, self.start)

    def _die(self) -> None:
        self.plane = self._turn = None
        if self._timer is not None:
            self._timer.cancel()
        calls, self._calls = self._calls, {}
        for task in calls:
            task.cancel()

    async def call(self, ask: Callable[[Plane], Awaitable[T]]) -> T:
        """What a request gets; ServerGone where the server dies meanwhile."""
        plane = self.plane
        if plane is None:
            raise ServerGone("no server runs")
        task: asyncio.Task[T] = asyncio.ensure_future(ask(plane))
        self._calls[task] = None
        try:
            return await task
        except asyncio.CancelledError:
            if self.plane is plane:
                raise
            raise ServerGone("the server lost power") from None
        finally:
            self._calls.pop(task, None)

    def _stir(self) -> None:
        """Something waits: a step as soon as what is ready now is done."""
        if not self._is_stirred:
            self._is_stirred = True
            self.loop.call_soon(self._step)

    def _step(self) -> None:
        self._is_stirred = False
        if self._timer is not None:
            self._timer.cancel()
        if self._turn is None:
            return
        idle_us = self._take_step(self._turn)
        self.stepped()
        if idle_us is None:
            self.crash()
        else:
            self._timer = self.loop.at_us(self.loop.now_us + max(idle_us, 1), self._step)

    def _take_step(self, turn: Callable[[], Turn]) -> int | None:
        """When the next one is due; None where it died."""
        try:
            return turn().idle_us
        except PowerLoss:
            return None
        except StoreError as error:
            if not self.disk.is_full:
                self._failed(error)
            return None
        except Exception as error:  # noqa: BLE001 - it ends the run
            self._failed(error)
            return None

    def _at_seam(self, seam: str) -> None:
        if seam == "inside_commit" and self.slow_us:
            slow_us, self.slow_us = self.slow_us, 0
            self.loop.pass_us(slow_us)
        if self.fuse is None or self.fuse[0] != seam:
            return
        passes = self.fuse[1] - 1
        self.fuse = (seam, passes) if passes > 0 else None
        if passes <= 0:
            raise PowerLoss
