"""Commands beside ranks, on their way between a user's program and the agent that runs them.

Theory of operation
-------------------
Both sides ask, and the server never does: the user's program puts input in and asks for output, the
agent asks for input and puts output in, each by a call of its own that waits where there is
nothing or no room. So an agent opens no port, and what is lost on the way is asked for again:

    input     is counted in bytes. Each part says at which byte it begins; what was heard before is
              left out. The agent asks from the byte on that it has not got; what lies before goes.
    output    is counted in chunks, likewise: the agent numbers them, and the user asks from one on.

A part that begins after what is known tells of a loss, and ends the session. Both ways hold a
bounded part; where it is full, the call waits, and then says that nothing was taken: so a reader
that is slow holds the command up, and a command that does not read holds its user up.

A session ends by the agent's word, and that is told once all output was asked for. It also ends
where its token is good no more, where either side was not heard for GONE_S or no byte came either
way for the idle time, and with the server. Then it is forgotten: the agent, which asks for input
all the time, hears that it is gone, and ends what runs there. All is kept in memory, for a session
outlives no server.

Where all places are taken, an org with fewer sessions than another takes the oldest of the org with
the most, as for streams: that one ends with a word. So no org keeps the others out, however many
users it has.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from parkade.control.bell import Bell
from parkade.core.units.refusal import Reason, Refusal
from parkade.ports import ExecChunk, ExecEnd, ExecInput, ExecOutput, ExecRequest, Window
from parkade.ports.execs import MOST_CHUNK_BYTES

MOST_HELD_BYTES = 4 * MOST_CHUNK_BYTES
"""Each way, unless the settings say otherwise; one more chunk may come on top."""
GONE_S = 30.0
LOOK_S = 1.0
ENDED_KEPT_S = 30.0
"""How long the end of one waits for its user."""

_log = structlog.get_logger(__name__)


class Lost(Exception):
    """A part begins after what is known: what lies between was lost."""


class Exec:
    """One session. `token`: whose it is, of that user and org; `is_good`: whether that token may
    go on. `most_held`: the bytes that wait each way."""

    def __init__(
        self,
        request: ExecRequest,
        *,
        pool: str,
        token: str,
        user: str,
        org: str,
        is_good: Callable[[], bool],
        most_held: int = MOST_HELD_BYTES,
    ) -> None:
        self._most_held = most_held
        now = asyncio.get_running_loop().time()
        self.request = request
        self.pool = pool
        self.token = token
        self.user = user
        self.org = org
        self.is_good = is_good
        self.is_taken = False
        self.end: ExecEnd | None = None
        self.window = request.window
        self.window_changes = 0
        self.user_heard = self.agent_heard = self.moved = now
        self.user_waits = self.agent_waits = 0
        self.bell = Bell()
        self._sent = 0
        self._input = bytearray()
        self._input_ends = self._input_end_heard = False
        self._first = 0
        self._output: deque[ExecChunk] = deque()
        self._held = 0

    @property
    def next_input(self) -> int:
        """The byte that the next part begins at."""
        return self._sent + len(self._input)

    @property
    def next_output(self) -> int:
        """The number of the next chunk."""
        return self._first + len(self._output)

    def user_asks(self, change: int) -> None:
        """A question of its user begins (1) or ends (-1)."""
        self.user_waits += change
        self.user_heard = asyncio.get_running_loop().time()

    def agent_asks(self, change: int) -> None:
        """The same of its agent, which has taken it by that."""
        self.is_taken = True
        self.agent_waits += change
        self.agent_heard = asyncio.get_running_loop().time()

    async def put_input(self, at: int, content: bytes, *, is_last: bool, wait_s: float) -> int:
        """Takes a part as soon as there is room; the byte that is wanted next."""
        if at > self.next_input:
            raise Lost("input was lost on the way")

        def has_room() -> bool:
            # What is empty only ends the input.
            return not content or len(self._input) < self._most_held

        await self.bell.wait_until(lambda: self.end is not None or has_room(), timeout_s=wait_s)
        if has_room() and self.end is None and not self._input_ends:
            new = content[max(0, self.next_input - at) :]
            self._input += new
            self._input_ends = is_last and at + len(content) == self.next_input
            self._note_moved(bool(new) or is_last)
        return self.next_input

    async def take_input(self, after: int, windows: int, *, wait_s: float) -> ExecInput:
        """For the agent: what follows the byte that it has got until, once there is anything.
        `windows`: how many changes of the size it knows. It has heard the end where it asks for one
        byte more."""
        self._input_end_heard |= self._input_ends and after == self.next_input + 1
        after -= self._input_end_heard
        if not self._sent <= after <= self.next_input:
            raise Lost("the agent asks for input that is not there")
        del self._input[: after - self._sent]
        self._sent = after
        self.bell.ring()

        def is_due() -> bool:
            return (
                bool(self._input)
                or (self._input_ends and not self._input_end_heard)
                or self.window_changes != windows
                or self.end is not None
            )

        await self.bell.wait_until(is_due, timeout_s=wait_s)
        content = bytes(self._input[:MOST_CHUNK_BYTES])
        is_whole = len(content) == len(self._input)
        is_last = self._input_ends and is_whole and not self._input_end_heard
        window = self.window if self.window_changes != windows else None
        return ExecInput(
            content=content, is_last=is_last, window=window, windows=self.window_changes
        )

    async def put_output(self, output: ExecOutput, *, wait_s: float) -> bool:
        """Takes a chunk as soon as there is room; false where there was none in time."""
        if output.number > self.next_output:
            raise Lost("output was lost on the way")
        if output.number < self.next_output:
            return True
        if output.chunk is not None:
            has_room = await self.bell.wait_until(
                lambda: self.end is not None or self._held < self._most_held, timeout_s=wait_s
            )
            if output.number < self.next_output:
                return True
            if not has_room:
                return False
            self._output.append(output.chunk)
            self._held += len(output.chunk.content)
        if output.end is not None and self.end is None:
            self.end = output.end
        self._note_moved(output.chunk is not None or output.end is not None)
        return True

    async def take_output(
        self, after: int, *, wait_s: float
    ) -> tuple[tuple[ExecChunk, ...], ExecEnd | None]:
        """For its user: chunks from that number on, once there are any; how it ended, after the
        last."""
        if not self._first <= after <= self.next_output:
            raise Lost("that output was taken before")
        while self._first < after:
            self._first += 1
            self._held -= len(self._output.popleft().content)
        self.bell.ring()
        await self.bell.wait_until(
            lambda: bool(self._output) or self.end is not None, timeout_s=wait_s
        )
        chunks = tuple(self._output)
        return chunks, self.end

    def resize(self, window: Window) -> None:
        """The terminal has another size from now on."""
        self.window = window
        self.window_changes += 1
        self._note_moved(True)

    def finish(self, why: str) -> None:
        """It ends by the server's doing, unless it ended before."""
        if self.end is None:
            self.end = ExecEnd(why=why)
        self.bell.ring()

    def _note_moved(self, has_moved: bool) -> None:
        if has_moved:
            self.moved = asyncio.get_running_loop().time()
        self.bell.ring()


class Execs:
    """The sessions by name, and the requests of each pool. Used inside one event loop only.
    `most_held`: the bytes that wait each way in one of them."""

    def __init__(
        self, *, most: int, most_per_user: int, idle_s: float, most_held: int = MOST_HELD_BYTES
    ) -> None:
        self.most_held = most_held
        self._most = most
        self._most_per_user = most_per_user
        self._idle_s = idle_s
        self._open: dict[str, Exec] = {}
        self._asked: Counter[tuple[str, str]] = Counter()
        self._bell = Bell()
        self._is_closed = False
        self._watching: asyncio.Task[None] | None = None

    def refuse_more(self, user: str, org: str) -> Refusal | None:
        """Why one more of that user, of that org, has no place now."""
        if self._most == 0:
            says = "this server runs no commands beside workloads: its operator set exec_sessions=0"
            return Refusal(reason=Reason.UNSUPPORTED, detail=says)
        live = self._live()
        if sum(it.user == user for it in live) + self._asked[user, org] >= self._most_per_user:
            says = f"{user} has {self._most_per_user} sessions open already; end one first"
            return Refusal(reason=Reason.TOO_MANY, detail=says)
        is_full = len(live) + self._asked.total() >= self._most
        if self._is_closed or (is_full and self._oldest_of_most(org) is None):
            says = f"{len(live)} sessions are open already; try again later"
            return Refusal(reason=Reason.BUSY, detail=says)
        return None

    @contextmanager
    def asking(self, user: str, org: str) -> Iterator[None]:
        """While it is decided whether one is let in, which counts as open meanwhile."""
        self._asked[user, org] += 1
        try:
            yield
        finally:
            self._asked[user, org] -= 1

    def open(self, made: Exec) -> None:
        """From here on its agent finds it."""
        assert made.request.session not in self._open, "its name is random"
        if len(self._live()) >= self._most and (taken := self._oldest_of_most(made.org)):
            _log.info("exec_taken_away", session=taken.request.session, user=taken.user)
            taken.finish("another org needed its place: the server runs no more commands at once")
        self._open[made.request.session] = made
        self._bell.ring()
        if self._watching is None or self._watching.done():
            self._watching = asyncio.ensure_future(self._watch())

    def _live(self) -> list[Exec]:
        return [it for it in self._open.values() if it.end is None]

    def _oldest_of_most(self, org: str) -> Exec | None:
        """The session that ends for one of that org; None where no org has two more than it, so
        that two orgs do not take places from each other in turn."""
        live = self._live()
        counts = Counter(it.org for it in live)
        own = counts[org] + sum(number for (_, of), number in self._asked.items() if of == org)
        most = max(counts, key=lambda name: counts[name], default=org)
        if counts[most] <= own + 1:
            return None
        return next(it for it in live if it.org == most)

    def of_token(self, session: str, token: str) -> Exec | None:
        """The session, where that token opened it."""
        found = self._open.get(session)
        return found if found is not None and found.token == token else None

    def of_pool(self, session: str, pool: str) -> Exec | None:
        """The session, where it is one of that pool's and not over."""
        found = self._open.get(session)
        if found is None or found.pool != pool:
            return None
        return found if found.end is None else None

    async def requests(self, pool: str, *, wait_s: float) -> list[ExecRequest]:
        """What the pool's agent shall begin; waits where there is nothing. A request is in every
        answer until its agent takes it: the agent begins each once."""

        def wanted() -> list[ExecRequest]:
            return [
                it.request
                for it in self._open.values()
                if it.pool == pool and not it.is_taken and it.end is None
            ]

        await self._bell.wait_until(lambda: self._is_closed or bool(wanted()), timeout_s=wait_s)
        return wanted()

    def let_go(self, made: Exec) -> None:
        """Its user has left: the agent hears it with its next question."""
        made.finish("it was let go")
        self._open.pop(made.request.session, None)

    def close(self) -> None:
        """Ends all: the server stops."""
        self._is_closed = True
        self._bell.ring()
        for each in self._open.values():
            each.finish("the server stopped")

    async def _watch(self) -> None:
        """Ends the sessions without a listener, while any is open."""
        while self._open:
            await asyncio.sleep(LOOK_S)
            now = asyncio.get_running_loop().time()
            for name, each in list(self._open.items()):
                user_silent = 0 if each.user_waits else now - each.user_heard
                if each.end is not None and user_silent > ENDED_KEPT_S:
                    self._open.pop(name, None)
                elif user_silent > GONE_S or not each.is_good():
                    _log.info("exec_let_go", session=name, user=each.user)
                    self.let_go(each)
                elif each.end is None:
                    self._judge(each, now)

    def _judge(self, each: Exec, now: float) -> None:
        if not each.agent_waits and now - each.agent_heard > GONE_S:
            each.finish(f"the agent of pool {each.pool} does not answer")
        elif now - each.moved > self._idle_s:
            each.finish(f"nothing came either way for {self._idle_s:g} s")
