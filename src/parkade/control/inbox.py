"""What waits for the writer: commands to be decided, views to be looked at. Bounded and
fair between orgs."""

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import msgspec

from parkade.control.cycle import Asked
from parkade.core.state.world import World

_W = TypeVar("_W", bound="Waiting")


class Waiting(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A waiter in an event loop, and the value that it waits for. `org`: whose request it is; None:
    the server's own."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    org: str | None = None


class WaitingCommand(Waiting, frozen=True, kw_only=True, eq=False):
    """Waits for a command's outcome."""

    asked: Asked


class WaitingView(Waiting, frozen=True, kw_only=True, eq=False):
    """Waits for what a view sees. `is_plan`: it may take as long as a clearing."""

    view: Callable[[World, int], Any]
    is_plan: bool = False


class _Queues(Generic[_W]):
    """One queue for each org that has something waiting, in the order of their turns."""

    def __init__(self, limit: int, org_limit: int) -> None:
        self._limit = limit
        self._org_limit = org_limit
        self._by_org: OrderedDict[str | None, deque[_W]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, waiting: _W) -> _W | None:
        """See `Inbox.put`. Cost grows with the orgs that wait, where the limit is reached."""
        queue = self._by_org.setdefault(waiting.org, deque())
        queue.append(waiting)
        self._count += 1
        if waiting.org is not None and len(queue) > self._org_limit:
            return self._drop(waiting.org)
        if self._count > self._limit:
            # Of the largest queues the one that is just sent to, so that an equal displaces none.
            most = max(self._by_org, key=lambda org: (len(self._by_org[org]), org == waiting.org))
            return self._drop(most)
        return None

    def _drop(self, org: str | None) -> _W:
        queue = self._by_org[org]
        newest = queue.pop()
        if not queue:
            del self._by_org[org]
        self._count -= 1
        return newest

    def take(self, limit: int, only: Callable[[_W], bool] | None = None) -> list[_W]:
        """At most so many, one of each org in turn, where its next is as `only` says."""
        taken: list[_W] = []
        kept: list[tuple[str | None, deque[_W]]] = []
        while self._by_org and len(taken) < limit:
            org, queue = self._by_org.popitem(last=False)
            if only is not None and not only(queue[0]):
                kept.append((org, queue))
                continue
            taken.append(queue.popleft())
            if queue:
                self._by_org[org] = queue
        for org, queue in reversed(kept):
            self._by_org[org] = queue
            self._by_org.move_to_end(org, last=False)
        self._count -= len(taken)
        return taken


class Inbox:
    """`limit` bounds commands and views each, `org_limit` those of one org; `plans_limit` and
    `org_plans_limit` the plans, which wait in a queue of their own.

    What waits is taken in turn, one of each org that has something waiting, and an org's own in the
    order in which it came. So however many commands an org has sent, another org's next is taken
    within one of each org's. Where `limit` is reached, the org with the most gives up its newest
    for one with fewer. The server's own, of no org, wait in a queue of their own that has no bound
    but `limit`.
    """

    def __init__(
        self, *, limit: int, org_limit: int, plans_limit: int, org_plans_limit: int
    ) -> None:
        self._commands: _Queues[WaitingCommand] = _Queues(limit, org_limit)
        self._views: _Queues[WaitingView] = _Queues(limit, org_limit)
        self._plans: _Queues[WaitingView] = _Queues(plans_limit, org_plans_limit)
        self._changed = threading.Condition()
        self._is_nudged = False
        self._is_closed = False
        self._entered = 0
        self._listener: Callable[[], None] | None = None

    def listen(self, listener: Callable[[], None]) -> None:
        """`listener` is called whenever there is something to do, for what drives the writer
        without a thread."""
        self._listener = listener

    @property
    def entered(self) -> int:
        """Commands and views that were ever taken in."""
        return self._entered

    def __len__(self) -> int:
        return len(self._commands)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for the next turn."""
        return not (len(self._commands) or len(self._views) or len(self._plans))

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken in any more."""
        return self._is_closed

    def put(self, waiting: WaitingCommand | WaitingView) -> Waiting | None:
        """None where there is room; else the one that is turned away, this or another."""
        with self._changed:
            if self._is_closed:
                return waiting
            away: Waiting | None
            if isinstance(waiting, WaitingCommand):
                away = self._commands.put(waiting)
            else:
                away = (self._plans if waiting.is_plan else self._views).put(waiting)
            if away is not waiting:
                self._entered += 1
                self._changed.notify()
        self._tell_listener()
        return away

    def take_commands(
        self, limit: int, only: Callable[[Asked], bool] | None = None
    ) -> list[WaitingCommand]:
        """Those whose turn it is, less those whose asker has gone. `only`: an org's next that is
        another waits, and what that org sent later with it."""
        fits = None if only is None else lambda waiting: only(waiting.asked)
        with self._changed:
            taken = self._commands.take(limit, fits)
        return [one for one in taken if not one.future.cancelled()]

    def take_view(self) -> WaitingView | None:
        """The next view that is no plan; None where none waits."""
        return self._next(self._views)

    def take_plan(self) -> WaitingView | None:
        """The next plan; None where none waits."""
        return self._next(self._plans)

    def _next(self, queues: _Queues[WaitingView]) -> WaitingView | None:
        """The one whose turn it is; those whose asker has gone lose theirs."""
        with self._changed:
            while taken := queues.take(1):
                if not taken[0].future.cancelled():
                    return taken[0]
        return None

    def nudge(self) -> None:
        """Ends the writer's present wait."""
        with self._changed:
            self._is_nudged = True
            self._changed.notify()
        self._tell_listener()

    def _tell_listener(self) -> None:
        if self._listener is not None:
            self._listener()

    def wait(self, timeout_us: int, *, seen: int | None = None) -> None:
        """Returns at once when something waits, or was nudged, and after the timeout. `seen`: only
        what came after so many were taken in counts."""
        with self._changed:
            is_new = not self.is_empty if seen is None else self._entered > seen
            if not (is_new or self._is_nudged or self._is_closed):
                self._changed.wait(max(timeout_us, 0) / 1e6)
            self._is_nudged = False

    def close(self) -> list[Waiting]:
        """Takes nothing in any more; who still waits is handed back."""
        with self._changed:
            self._is_closed = True
            left: list[Waiting] = [
                *self._commands.take(len(self._commands)),
                *self._views.take(len(self._views)),
                *self._plans.take(len(self._plans)),
            ]
            self._changed.notify()
            return left


def resolve(answers: Iterable[tuple[Waiting, Any]]) -> None:
    """Hands each its value, an exception raised; each loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for waiting, value in answers:
        by_loop.setdefault(waiting.loop, []).append((waiting.future, value))
    for loop, pairs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve_here, pairs)
        except RuntimeError:
            continue  # That loop was closed with its waiters.


def _resolve_here(pairs: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, value in pairs:
        if future.done():
            continue
        if isinstance(value, BaseException):
            future.set_exception(value)
        else:
            future.set_result(value)
