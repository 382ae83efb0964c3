"""Bytes of commands beside ranks: nothing lost on the way, nothing doubled, all within bounds."""

import asyncio

import pytest

from parkade.control import execs
from parkade.control.execs import MOST_HELD_BYTES, Exec, Execs, Lost
from parkade.core.units.refusal import Reason
from parkade.ports import ExecChunk, ExecEnd, ExecOutput, ExecRequest, Window

WAIT_S = 20.0


def request(session: str = "aa") -> ExecRequest:
    return ExecRequest(
        session=session,
        attempt="w1.1",
        rank=0,
        words=("cat",),
        window=Window(columns=80, rows=24),
        term="xterm",
        org="acme",
        since_us=1,
    )


class Token:
    """Whether it is good."""

    is_good = True


def opened(
    made: Execs,
    session: str = "aa",
    *,
    user: str = "ann",
    org: str = "acme",
    token: Token | None = None,
) -> Exec:
    held = token or Token()
    one = Exec(
        request(session),
        pool="m",
        token=f"t-{user}",
        user=user,
        org=org,
        is_good=lambda: held.is_good,
    )
    made.open(one)
    return one


def exchange(*, most: int = 64, most_per_user: int = 8, idle_s: float = 1000) -> Execs:
    return Execs(most=most, most_per_user=most_per_user, idle_s=idle_s)


def chunk(number: int, content: bytes = b"x") -> ExecOutput:
    return ExecOutput(number=number, chunk=ExecChunk(stream="stdout", content=content))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not heard is given up at once."""
    monkeypatch.setattr(execs, "GONE_S", 0.05)
    monkeypatch.setattr(execs, "LOOK_S", 0.01)


async def test_a_request_is_its_pools_until_the_agent_took_it() -> None:
    made = exchange()
    asking = asyncio.create_task(made.requests("m", wait_s=WAIT_S))
    one = opened(made)
    assert await asking == [one.request] == await made.requests("m", wait_s=0)
    assert await made.requests("n", wait_s=0) == []
    one.agent_asks(1)
    assert await made.requests("m", wait_s=0) == []


async def test_a_forged_name_another_token_and_another_pool_find_nothing() -> None:
    made = exchange()
    one = opened(made)
    assert made.of_token("aa", "t-ann") is one is made.of_pool("aa", "m")
    assert made.of_token("ab", "t-ann") is None
    assert made.of_token("aa", "t-bob") is None
    assert made.of_pool("aa", "n") is None


async def test_input_that_is_sent_or_asked_for_twice_comes_once() -> None:
    one = opened(exchange())
    assert await one.put_input(0, b"abc", is_last=False, wait_s=0) == 3
    assert await one.put_input(0, b"abc", is_last=False, wait_s=0) == 3
    assert await one.put_input(2, b"cd", is_last=True, wait_s=0) == 4
    for _ in range(2):
        part = await one.take_input(0, 0, wait_s=0)
        assert (part.content, part.is_last) == (b"abcd", True)
    part = await one.take_input(2, 0, wait_s=0)
    assert (part.content, part.is_last) == (b"cd", True)
    # Its end is told until it was heard.
    assert (await one.take_input(4, 0, wait_s=0)).is_last
    part = await one.take_input(5, 0, wait_s=0)
    assert (part.content, part.is_last) == (b"", False)
    # Nothing follows the end.
    assert await one.put_input(4, b"e", is_last=False, wait_s=0) == 4


async def test_output_that_is_sent_or_asked_for_twice_comes_once() -> None:
    one = opened(exchange())
    for number in (0, 1, 0, 1):
        assert await one.put_output(chunk(number, b"%d" % number), wait_s=0)
    for _ in range(2):
        chunks, end = await one.take_output(0, wait_s=0)
        assert [it.content for it in chunks] == [b"0", b"1"] and end is None
    chunks, _ = await one.take_output(1, wait_s=0)
    assert [it.content for it in chunks] == [b"1"]
    assert await one.put_output(ExecOutput(number=2, end=ExecEnd(code=3)), wait_s=0)
    assert await one.take_output(2, wait_s=0) == ((), ExecEnd(code=3))


async def test_what_was_lost_on_the_way_is_never_passed_over() -> None:
    one = opened(exchange())
    with pytest.raises(Lost):
        await one.put_input(1, b"b", is_last=False, wait_s=0)
    with pytest.raises(Lost):
        await one.take_input(1, 0, wait_s=0)
    with pytest.raises(Lost):
        await one.put_output(chunk(1), wait_s=0)
    with pytest.raises(Lost):
        await one.take_output(1, wait_s=0)
    await one.put_input(0, b"abcd", is_last=False, wait_s=0)
    await one.take_input(3, 0, wait_s=0)
    with pytest.raises(Lost):
        await one.take_input(2, 0, wait_s=0)


async def test_a_slow_reader_holds_the_command_up() -> None:
    one = opened(exchange())
    part = b"x" * (MOST_HELD_BYTES // 2)
    assert await one.put_output(chunk(0, part), wait_s=0)
    assert await one.put_output(chunk(1, part), wait_s=0)
    assert not await one.put_output(chunk(2, part), wait_s=0.01)
    waiting = asyncio.create_task(one.put_output(chunk(2, part), wait_s=WAIT_S))
    chunks, _ = await one.take_output(0, wait_s=0)
    assert len(chunks) == 2
    await one.take_output(1, wait_s=0)
    assert await waiting


async def test_an_operator_chooses_how_many_bytes_wait_and_may_allow_no_session() -> None:
    small = Execs(most=64, most_per_user=8, idle_s=1000, most_held=4)
    held = Exec(
        request("aa"),
        pool="m",
        token="t",
        user="ann",
        org="acme",
        is_good=lambda: True,
        most_held=small.most_held,
    )
    small.open(held)
    assert await held.put_input(0, b"abcd", is_last=False, wait_s=0) == 4
    assert await held.put_input(4, b"e", is_last=False, wait_s=0.01) == 4
    refused = exchange(most=0).refuse_more("ann", "acme")
    assert refused is not None and "exec_sessions" in refused.detail


async def test_a_command_that_does_not_read_holds_its_user_up() -> None:
    one = opened(exchange())
    part = b"x" * MOST_HELD_BYTES
    assert await one.put_input(0, part, is_last=False, wait_s=0) == len(part)
    assert await one.put_input(len(part), b"y", is_last=False, wait_s=0.01) == len(part)
    waiting = asyncio.create_task(one.put_input(len(part), b"y", is_last=True, wait_s=WAIT_S))
    taken = 0
    while taken <= len(part):
        taken += len((await one.take_input(taken, 0, wait_s=WAIT_S)).content)
    assert await waiting == len(part) + 1 == taken


async def test_the_agent_hears_of_another_size_once() -> None:
    one = opened(exchange())
    waiting = asyncio.create_task(one.take_input(0, 0, wait_s=WAIT_S))
    one.resize(Window(columns=100, rows=30))
    part = await waiting
    assert (part.window, part.windows) == (Window(columns=100, rows=30), 1)
    assert (await one.take_input(0, 1, wait_s=0)).window is None


async def test_each_user_has_so_many_and_all_together_so_many() -> None:
    made = exchange(most=3, most_per_user=2)
    first = opened(made, "a1")
    opened(made, "a2")
    with made.asking("bob", "acme"):
        refusal = made.refuse_more("cat", "acme")
        assert refusal is not None and refusal.reason is Reason.BUSY, "one is being let in"
        made.let_go(first)
        assert made.refuse_more("bob", "acme") is None
        with made.asking("bob", "acme"):
            refusal = made.refuse_more("bob", "acme")
            assert refusal is not None and refusal.reason is Reason.TOO_MANY
    first = opened(made, "a3")
    refusal = made.refuse_more("ann", "acme")
    assert refusal is not None and refusal.reason is Reason.TOO_MANY
    assert made.refuse_more("bob", "acme") is None
    opened(made, "b1", user="bob")
    refusal = made.refuse_more("bob", "acme")
    assert refusal is not None and refusal.reason is Reason.BUSY
    made.let_go(first)
    assert made.refuse_more("ann", "acme") is None


async def test_no_org_keeps_another_from_its_sessions() -> None:
    made = exchange(most=6, most_per_user=2)
    for number in range(6):
        opened(made, f"m{number}", user=f"u{number // 2}", org="many")
    refusal = made.refuse_more("u9", "many")
    assert refusal is not None and refusal.reason is Reason.BUSY
    for number in range(3):
        user = f"f{number}"
        assert made.refuse_more(user, "few") is None
        with made.asking(user, "few"):
            pass
        opened(made, f"f{number}", user=user, org="few")
    ended = [name for name in ("m0", "m1", "m2", "m3") if made.of_pool(name, "m") is None]
    assert ended == ["m0", "m1", "m2"], "the oldest of the org with the most, to half"
    refusal = made.refuse_more("f9", "few")
    assert refusal is not None and refusal.reason is Reason.BUSY, "an equal takes none"
    taken = made.of_token("m0", "t-u0")
    assert taken is not None and taken.end is not None
    assert "another org needed its place" in (taken.end.why or "")


async def test_who_asked_for_it_and_is_not_heard_has_let_go(hasty: None) -> None:
    made = exchange()
    one = opened(made)
    one.agent_asks(1)
    waiting = asyncio.create_task(one.take_input(0, 0, wait_s=WAIT_S))
    await waiting
    assert one.end is not None and made.of_pool("aa", "m") is None


async def test_an_agent_that_is_not_heard_ends_it_with_a_word(hasty: None) -> None:
    made = exchange()
    one = opened(made)
    one.user_asks(1)
    _, end = await one.take_output(0, wait_s=WAIT_S)
    assert end is not None and "does not answer" in end.why


async def test_one_that_is_idle_ends_with_a_word(hasty: None) -> None:
    made = exchange(idle_s=0.05)
    one = opened(made)
    one.user_asks(1)
    one.agent_asks(1)

    async def beat() -> None:
        while one.end is None:
            await one.put_output(ExecOutput(number=0), wait_s=0)
            await asyncio.sleep(0.01)

    beating = asyncio.create_task(beat())
    _, end = await one.take_output(0, wait_s=WAIT_S)
    await beating
    assert end is not None and "nothing came" in end.why


async def test_a_token_that_is_revoked_ends_what_it_asked_for(hasty: None) -> None:
    made, token = exchange(), Token()
    one = opened(made, token=token)
    one.user_asks(1)
    one.agent_asks(1)
    waiting = asyncio.create_task(one.take_input(0, 0, wait_s=WAIT_S))
    token.is_good = False
    await waiting
    assert made.of_token("aa", "t-ann") is None


async def test_a_server_that_stops_says_so_and_takes_no_more() -> None:
    made = exchange()
    one = opened(made)
    asking = asyncio.create_task(made.requests("n", wait_s=WAIT_S))
    await asyncio.sleep(0)
    made.close()
    assert await asking == []
    _, end = await one.take_output(0, wait_s=0)
    assert end == ExecEnd(why="the server stopped")
    refusal = made.refuse_more("bob", "acme")
    assert refusal is not None and refusal.reason is Reason.BUSY
