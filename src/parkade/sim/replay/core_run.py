"""The production core over simulated time: its markets, and actions at instants to come.

Commands go to `decide`, events to `evolve`, what is due by itself to the deadlines;
`urgent_markets` and `Schedule` say when a clearing is due, as in the control plane.

Theory of operation. Time goes from one instant at which something is due to the next: an action, a
deadline, a clearing. At an instant deadlines come first, then the actions in the order in which
they were asked for, then at most one clearing, as in a turn of the writer. `follow` learns of each
event right after it was evolved.

A clearing that changed nothing is not repeated until an event happens, or until time alone may
change its answer (a back-off ends, money is used up, another day of use begins: at the latest
`QUIET_US` later). It then goes on at the instants at which it would be had none been left out. That
a clearing of an unchanged world makes no event is an invariant of the core, and a test holds that
replays with and without this give the same events.
"""

import hashlib
import heapq
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from parkade.control.schedule import Schedule
from parkade.control.uncollected import uncollected
from parkade.core.clearing.linking import linked_with
from parkade.core.clearing.urgency import urgent_markets
from parkade.core.kernel.check import check
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event
from parkade.core.state.world import Records, World
from parkade.core.units.money import ceil_div
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import MINUTE_US

QUIET_US = 10 * MINUTE_US
CLEARING_PART = 4


class Listener(Protocol):
    """What is told of a run as it happens, beside `follow`; it changes nothing."""

    def passed(self) -> None:
        """Everything at this instant has happened."""
        ...

    def cleared(self, cpu_s: float, /) -> None:
        """A clearing was decided in so much processor time; its events, if any, come next."""
        ...

    def refused(self, command: commands.AnyCommand, refusal: Refusal, /) -> None:
        """A command was refused."""
        ...


class CoreRun:
    """The core from `start_us` on. `market`: the only one that is cleared; None: all are. `follow`
    is told each event, `listener` what else happens. `check_every`: the world's invariants are
    asserted after so many events; None: never."""

    def __init__(
        self,
        market: str | None,
        *,
        start_us: int,
        follow: Callable[[events.AnyEvent], None],
        check_every: int | None,
        is_every_clearing_run: bool,
        listener: Listener | None = None,
    ) -> None:
        self.world = World(Records(balances={"external": 0}))
        self.now_us = start_us
        self.events = self.clearings = 0
        self.clearing_cpu_s = 0.0
        self._market = market
        self._follow = follow
        self._listener = listener
        self._check_every = check_every
        self._unchecked = 0
        self._is_every_clearing_run = is_every_clearing_run
        self._schedule = Schedule(part=CLEARING_PART)
        self._cleared_us: dict[str, int] = {}
        self._quiet_until_us: dict[str, int] = {}
        self._actions: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Of all events so far; the same for the same commands at the same instants."""
        return self._digest.hexdigest()

    def open(self, opening: Iterable[commands.AnyCommand]) -> None:
        """The commands that open the market; none of them may be refused."""
        for command in opening:
            assert self.do(command) is not None, f"{command} was refused"
            self._take_deadlines()

    def at(self, at_us: int, action: Callable[[], object]) -> None:
        """Something to do at an instant, after what was asked for the same instant before."""
        self._count += 1
        heapq.heappush(self._actions, (at_us, self._count, action))

    def do(self, command: commands.AnyCommand) -> tuple[events.AnyEvent, ...] | None:
        """Decides and evolves; None where it is refused."""
        made = decide(self.world, command, max(self.now_us, self.world.records.now_us))
        if isinstance(made, Refusal):
            if self._listener is not None:
                self._listener.refused(command, made)
            return None
        self._happen(made)
        return made

    def run_until(self, end_us: int) -> None:
        """Everything before an instant, and what is due by itself then."""
        self._run_through(end_us - 1)
        self.now_us = end_us
        self._take_deadlines()

    def run_through(self, last_us: int) -> None:
        """Everything up to an instant, and at it."""
        self._run_through(last_us)
        self.now_us = last_us

    def _run_through(self, last_us: int) -> None:
        while (at_us := self._next_us()) is not None and at_us <= last_us:
            self.now_us = max(self.now_us, at_us)
            self._take_deadlines()
            while self._actions and self._actions[0][0] <= self.now_us:
                heapq.heappop(self._actions)[2]()
            market = self._next_market()
            if market is not None and self._clearing_due_us(market) <= self.now_us:
                self._clear(market)
            if self._listener is not None:
                self._listener.passed()

    def _next_us(self) -> int | None:
        market = self._next_market()
        times = [] if market is None else [self._clearing_due_us(market)]
        if self._actions:
            times.append(self._actions[0][0])
        due_us = next_deadline_us(self.world)
        if due_us is not None:
            times.append(due_us)
        return min(times, default=None)

    def _next_market(self) -> str | None:
        """The one whose clearing is due first; None where there is none, or the clock is doubted,
        which stops clearing."""
        if self._market is not None:
            return self._market
        if self.world.records.is_clock_doubted:
            return None
        return min(self.world.records.markets, key=self._clearing_due_us, default=None)

    def _clearing_due_us(self, market: str) -> int:
        due_us = self._schedule.due_us(self.world.records.markets[market])
        return max(due_us, self._quiet_until_us.get(market, 0))

    def _happen(self, made: tuple[events.AnyEvent, ...]) -> None:
        for event in made:
            evolve(self.world, event)
            self._digest.update(encode_event(event))
            self._follow(event)
        if made and self._quiet_until_us:
            self._wake()
        self._schedule.ask(urgent_markets(self.world, made))
        self.events += len(made)
        self._unchecked += len(made)
        if self._check_every is not None and self._unchecked >= self._check_every:
            self._unchecked = 0
            check(self.world)

    def _take_deadlines(self) -> None:
        while (due_us := next_deadline_us(self.world)) is not None and due_us <= self.now_us:
            self._happen(take_deadline(self.world))

    def _clear(self, market: str) -> None:
        begun_s = time.thread_time()
        with uncollected():
            made = decide(self.world, commands.RunClearing(by=None, market=market), self.now_us)
        cpu_s = time.thread_time() - begun_s
        self.clearing_cpu_s += cpu_s
        assert not isinstance(made, Refusal), made
        self.clearings += 1
        linked = linked_with(self.world, market)
        self._schedule.begins(linked)
        for each in linked:
            self._cleared_us[each] = self.now_us
            self._quiet_until_us.pop(each, None)
            self._schedule.cleared((each,), now_us=self.now_us, is_apart=False)
        if self._listener is not None:
            self._listener.cleared(cpu_s)
        before = self.events
        self._happen(made)
        self._take_deadlines()
        if self.events == before and not self._is_every_clearing_run:
            self._quiet_until_us[market] = self._wakes_us(market)

    def _wake(self) -> None:
        """Clearings go on at the instants at which they would be had none been left out."""
        for market in self._quiet_until_us:
            if market not in self.world.records.markets:
                continue
            cleared_us, interval_us = self._cleared_us[market], self._interval_us(market)
            left_out = (self.now_us - cleared_us - 1) // interval_us
            if left_out > 0:
                at_us = cleared_us + left_out * interval_us
                self._schedule.begins((market,))
                self._schedule.cleared((market,), now_us=at_us, is_apart=False)
        self._quiet_until_us.clear()

    def _wakes_us(self, market: str) -> int:
        """The first interval's end at which time alone may have changed something."""
        workloads = (self.world.records.workloads[name] for name in self.world.live)
        waits = [it.not_before_us for it in workloads if it.not_before_us > self.now_us]
        wait_us = min([QUIET_US, *(until_us - self.now_us for until_us in waits)])
        interval_us = self._interval_us(market)
        return self.now_us + ceil_div(wait_us, interval_us) * interval_us

    def _interval_us(self, market: str) -> int:
        return self.world.records.markets[market].terms.clearing_interval_us
