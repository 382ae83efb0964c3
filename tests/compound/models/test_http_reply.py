"""Responses in pieces: the same reply however it is cut, and no cost beyond its bytes."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.compound.models import http_reply
from parkade.compound.models.exchange import HttpReply
from parkade.compound.models.http_reply import BadReply, ReplyReader

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


def fed(pieces: list[bytes]) -> tuple[list[HttpReply], ReplyReader]:
    reader = ReplyReader()
    found = [reply for piece in pieces if (reply := reader.feed(piece)) is not None]
    return found, reader


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[place : place + size] for place in range(0, len(body), size)]
    framed = b"".join(b"%X ;a=b\r\n%b\r\n" % (len(part), part) for part in parts)
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\nTrailer: x\r\n\r\n"


def with_length(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@settings(max_examples=60, deadline=None)
@given(
    body=st.binary(max_size=60),
    size=st.integers(1, 70),
    is_chunked=st.booleans(),
    cuts=st.lists(st.integers(0, 400), max_size=12),
)
def test_however_it_is_cut_the_reply_is_the_same_and_another_may_follow(
    body: bytes, size: int, is_chunked: bool, cuts: list[int]
) -> None:
    whole = chunked(body, size) if is_chunked else with_length(body)
    places = sorted({0, *(cut % len(whole) for cut in cuts), len(whole)})
    pieces = [whole[one:other] for one, other in pairwise(places)]
    found, reader = fed(pieces)
    assert [reply.body for reply in found] == [body]
    assert reader.keeps
    assert not reader.has_begun
    second = reader.feed(with_length(b"next"))
    assert second is not None
    assert second.body == b"next"


def test_a_body_of_many_tiny_chunks_is_read_in_time_that_grows_with_it() -> None:
    """Quadratic, this would take minutes."""
    body = b"x" * 100_000
    whole = chunked(body, 1)
    found, _ = fed([whole[place : place + 65_536] for place in range(0, len(whole), 65_536)])
    assert found[0].body == body


def test_one_large_chunk_and_one_large_body_are_whole() -> None:
    body = b"y" * 20_000_000
    for whole in (chunked(body, len(body)), with_length(body)):
        found, _ = fed([whole[place : place + 65_536] for place in range(0, len(whole), 65_536)])
        assert found[0].body == body


def test_a_reply_beyond_the_largest_is_refused_while_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_reply, "MAX_REPLY_BYTES", 1_000)
    for whole in (
        HEAD + b"\r\n" + b"z" * 1_001,
        HEAD + b"Content-Length: 1001\r\n\r\n",
        chunked(b"z" * 1_001, 10),
        chunked(b"z" * 1_001, 1_001),
    ):
        with pytest.raises(BadReply):
            fed([whole])


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 " + b"2" * 5_000 + b" OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1_0\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 2_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 20_000,
        b"x" * 70_000,
    ],
    ids=range(8),
)
def test_what_is_no_http_is_a_bad_reply(nonsense: bytes) -> None:
    with pytest.raises(BadReply):
        fed([nonsense])


def test_more_than_was_announced_ends_the_connection() -> None:
    for more in (with_length(b"body") + b"HTTP/1.1 200 OK", chunked(b"body", 4) + b"x"):
        found, reader = fed([more])
        assert found[0].body == b"body"
        assert not reader.keeps


def test_a_body_until_the_end_is_whole_at_the_end_only() -> None:
    reader = ReplyReader()
    assert reader.feed(HEAD + b"\r\nhel") is None
    assert reader.feed(b"lo") is None
    reply = reader.end()
    assert reply is not None
    assert reply.body == b"hello"
    assert not reader.keeps
    cut = ReplyReader()
    assert cut.feed(HEAD + b"Content-Length: 9\r\n\r\nhel") is None
    assert cut.end() is None
