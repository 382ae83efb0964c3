"""Output on its way from an agent to a reader."""

import asyncio

import pytest

from parkade.control.answers import LogsUnavailable
from parkade.control.logs import Relay
from parkade.ports import LogRequest


def relay(*, answer_timeout_s: float = 20, chunks_held: int = 2) -> Relay:
    return Relay(prefix="logs-1", chunks_held=chunks_held, answer_timeout_s=answer_timeout_s)


async def collected(made: Relay, *, follow: bool = False, is_heard: bool = True) -> list[bytes]:
    chunks = made.read("m", "w.1", 0, offset=3, follow=follow, is_heard=lambda: is_heard)
    return [chunk async for chunk in chunks]


async def test_a_request_reaches_the_agent_of_its_pool_and_chunks_the_reader() -> None:
    made = relay()
    reading = asyncio.create_task(collected(made))
    (request,) = await made.requests("m", wait_s=20)
    assert request == LogRequest(request="logs-1-1", attempt="w.1", rank=0, offset=3, follow=False)
    assert await made.requests("n", wait_s=0) == []
    for chunk in (b"a", b"b", b"c", b"d"):
        assert await made.chunk("m", request.request, chunk, is_last=False)
    assert await made.requests("m", wait_s=0) == []
    await made.chunk("m", request.request, b"e", is_last=True)
    assert await reading == [b"a", b"b", b"c", b"d", b"e"]
    assert not await made.chunk("m", request.request, b"f", is_last=False)


async def test_an_agent_is_held_back_by_a_slow_reader() -> None:
    made = relay(chunks_held=1)
    reader = made.read("m", "w.1", 0, offset=0, follow=True, is_heard=lambda: True)
    first = asyncio.ensure_future(anext(reader))
    (request,) = await made.requests("m", wait_s=20)
    await made.chunk("m", request.request, b"a", is_last=False)
    assert await first == b"a"
    await made.chunk("m", request.request, b"b", is_last=False)
    held = asyncio.create_task(made.chunk("m", request.request, b"c", is_last=False))
    done, _ = await asyncio.wait({held}, timeout=0.05)
    assert not done
    assert [await anext(reader), await anext(reader)] == [b"b", b"c"]
    assert await held


async def test_an_agent_is_told_when_the_reader_has_left() -> None:
    made = relay()
    reading = asyncio.create_task(collected(made, follow=True))
    (request,) = await made.requests("m", wait_s=20)
    reading.cancel()
    await asyncio.wait({reading})
    assert not await made.chunk("m", request.request, b"a", is_last=False)


async def test_a_reader_whose_agent_does_not_answer_is_told() -> None:
    made = relay(answer_timeout_s=0.01)
    with pytest.raises(LogsUnavailable, match="does not answer"):
        await collected(made)
    assert await made.requests("m", wait_s=0) == []


async def test_an_answer_that_is_lost_loses_no_request() -> None:
    made = relay()
    reading = asyncio.create_task(collected(made))
    lost = await made.requests("m", wait_s=20)
    (request,) = await made.requests("m", wait_s=20)
    assert [request] == lost
    await made.chunk("m", request.request, b"", is_last=False)
    assert await made.requests("m", wait_s=0) == []
    await made.chunk("m", request.request, b"a", is_last=True)
    assert await reading == [b"a"]


async def test_a_follower_of_a_silent_program_waits_as_long_as_its_agent_sends() -> None:
    made = relay(answer_timeout_s=1)
    reading = asyncio.create_task(collected(made, follow=True))
    (request,) = await made.requests("m", wait_s=20)
    for _ in range(4):
        assert await made.chunk("m", request.request, b"", is_last=False)
        done, _ = await asyncio.wait({reading}, timeout=0.4)
        assert not done
    await made.chunk("m", request.request, b"at last", is_last=True)
    assert await reading == [b"at last"]


async def test_a_follower_whose_agent_was_lost_gets_an_error() -> None:
    made = relay(answer_timeout_s=0.01)
    reading = asyncio.create_task(collected(made, follow=True))
    (request,) = await made.requests("m", wait_s=20)
    assert await made.chunk("m", request.request, b"a", is_last=False)
    with pytest.raises(LogsUnavailable, match="does not answer"):
        await reading
