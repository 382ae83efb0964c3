"""How an agent carries commands beside ranks: each begun once, its bytes once, none for ever."""

import asyncio
from collections.abc import Callable

import pytest

from parkade.agent.control_plane import ControlPlaneError, ReaderGone
from parkade.agent.execs import ExecServer
from parkade.ports import (
    ExecChunk,
    ExecEnd,
    ExecInput,
    ExecOutput,
    ExecRequest,
    ExecSession,
    Flag,
    InvalidSpec,
    Stop,
    Window,
)
from parkade.ports.execs import NOTE
from tests import builders
from tests.waits import PATIENCE_S

pytestmark = pytest.mark.anyio
REQUEST = ExecRequest(
    session="aa",
    attempt="w1.1",
    rank=0,
    words=("cat",),
    window=None,
    term="",
    org="acme",
    since_us=0,
)


@pytest.fixture
def anyio_backend() -> str:
    """The agent's event loop."""
    return "asyncio"


class QuickTimer:
    """Lets no time pass, but others run."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.001))

    async def wait(self, flag: Flag, seconds: float) -> bool:
        await asyncio.sleep(0)
        return flag.is_set()


class Echo:
    """A session that prints what it reads, and ends when its input does."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.size: Window | None = None
        self.is_closed = False

    async def read(self) -> ExecChunk | None:
        content = await self.said.get()
        return None if content is None else ExecChunk(stream="stdout", content=content)

    async def write(self, content: bytes) -> None:
        if content:
            self.said.put_nowait(content)

    async def end_input(self) -> None:
        self.said.put_nowait(None)

    def resize(self, window: Window) -> None:
        self.size = window

    async def ended(self) -> ExecEnd:
        return ExecEnd(code=0)

    def close(self) -> None:
        self.is_closed = True


class Runner:
    """An engine that opens `session`, or refuses."""

    def __init__(self, session: Echo | None) -> None:
        self.session = session
        self.begun = 0

    async def open_exec(self, request: ExecRequest) -> ExecSession:
        self.begun += 1
        if self.session is None:
            raise InvalidSpec("attempt: it does not run here")
        return self.session


class Server:
    """A control plane that asks for one session; every other answer to the agent is lost."""

    def __init__(self, content: bytes, *, is_last: bool = True, loses: bool = True) -> None:
        self.content = content
        self.is_last = is_last
        self.loses = loses
        self.calls = 0
        self.is_gone = False
        self.outputs: dict[int, ExecOutput] = {}
        self.end = asyncio.Event()
        self.noted = asyncio.Event()

    def _lose(self) -> None:
        self.calls += 1
        if self.is_gone:
            raise ReaderGone("gone")
        if self.loses and self.calls % 2:
            raise ControlPlaneError("the answer was lost")

    async def exec_requests(self, wait_s: float) -> list[ExecRequest]:
        return [REQUEST]

    async def exec_input(self, session: str, after: int, windows: int, wait_s: float) -> ExecInput:
        self._lose()
        # As a long poll that ends without news.
        await asyncio.sleep(0.001)
        part = self.content[after : after + 3]
        is_last = self.is_last and after + len(part) == len(self.content)
        window = Window(columns=9, rows=8) if windows == 0 else None
        return ExecInput(
            content=part,
            is_last=is_last and after <= len(self.content),
            window=window,
            windows=1,
        )

    async def exec_output(self, session: str, output: ExecOutput, wait_s: float) -> bool:
        if output.chunk is None and output.end is None:
            if self.is_gone:
                raise ReaderGone("gone")
            return True
        # It is taken, and then the answer is lost.
        self.outputs.setdefault(output.number, output)
        if output.end is not None:
            self.end.set()
        if output.chunk is not None and output.chunk.stream == NOTE:
            self.noted.set()
        self._lose()
        return True


def never(_: str) -> Stop | None:
    return None


async def served(
    runner: Runner,
    server: Server,
    until: Callable[[], object],
    *,
    stop_of: Callable[[str], Stop | None] = never,
) -> None:
    """Runs the agent's part until something is so."""
    made = ExecServer(runner, server, QuickTimer(), stop_of)
    running = asyncio.create_task(made.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not until():  # noqa: ASYNC110  (it looks at fakes that tell nothing)
                await asyncio.sleep(0.001)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_whatever_answers_are_lost_each_byte_comes_once_and_the_end_last() -> None:
    session = Echo()
    runner, server = Runner(session), Server(b"0123456789")
    await served(runner, server, server.end.is_set)
    told = [server.outputs[number] for number in sorted(server.outputs)]
    assert b"".join(it.chunk.content for it in told if it.chunk is not None) == b"0123456789"
    assert told[-1].end == ExecEnd(code=0)
    assert session.size == Window(columns=9, rows=8)


async def test_a_request_that_is_told_again_is_begun_once_and_let_go_at_its_end() -> None:
    session = Echo()
    runner, server = Runner(session), Server(b"a", loses=False)
    await served(runner, server, lambda: session.is_closed)
    assert runner.begun == 1


async def test_one_that_nobody_listens_to_is_let_go() -> None:
    session = Echo()
    runner, server = Runner(session), Server(b"", is_last=False, loses=False)

    def is_over() -> bool:
        server.is_gone = runner.begun > 0
        return session.is_closed

    await served(runner, server, is_over)


async def test_what_the_engine_refuses_is_told() -> None:
    server = Server(b"", loses=False)
    await served(Runner(None), server, server.end.is_set)
    end = server.outputs[0].end
    assert end is not None and "does not run here" in end.why


async def test_a_notice_of_the_workload_is_told_once() -> None:
    session = Echo()
    stop = builders.stop_order(1_000_000, term_s=60, kill_s=90, cause="outbid")
    server = Server(b"", is_last=False, loses=False)
    await served(Runner(session), server, server.noted.is_set, stop_of=lambda _: stop)
    notes = [it.chunk for it in server.outputs.values() if it.chunk is not None]
    assert len(notes) == 1 and b"told to leave by 00:01:01 UTC: outbid" in notes[0].content


async def test_an_agent_that_stops_lets_its_sessions_go() -> None:
    session = Echo()
    runner, server = Runner(session), Server(b"", is_last=False, loses=False)
    await served(runner, server, lambda: runner.begun)
    assert session.is_closed
