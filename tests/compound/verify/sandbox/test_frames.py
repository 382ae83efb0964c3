import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.verify.sandbox.inside import frames


@given(st.lists(st.binary(max_size=200)), st.integers(0, 10))
def test_whole_messages_are_found_and_a_torn_one_is_left_out(
    bodies: list[bytes], torn: int
) -> None:
    stream = b"".join(map(frames.pack, bodies))
    tail = frames.pack(b"0123456789")[: 4 + torn] if torn < 10 else b""
    assert frames.split(stream + tail) == bodies


def test_a_message_is_received_as_it_was_sent() -> None:
    one, other = socket.socketpair()
    with one, other:
        frames.send(one.fileno(), b"hello")
        assert frames.receive(other.fileno(), 5) == b"hello"


def test_a_message_beyond_the_bound_is_refused_before_it_is_read() -> None:
    hear, say = os.pipe()
    os.write(say, b"\xff\xff\xff\xff")
    with pytest.raises(frames.TooLong, match="4294967295"):
        frames.receive(hear, 1 << 20)
    os.close(hear)
    os.close(say)


def test_the_end_of_the_other_side_is_told() -> None:
    hear, say = os.pipe()
    os.write(say, b"\0\0\0\5he")
    os.close(say)
    with pytest.raises(frames.Ended):
        frames.receive(hear, 100)
    os.close(hear)
    one, other = socket.socketpair()
    other.close()
    with one, pytest.raises(frames.Ended):
        frames.send(one.fileno(), bytes(1 << 20))
