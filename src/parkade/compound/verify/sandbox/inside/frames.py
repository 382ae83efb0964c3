"""Messages over a pipe or socket: four bytes of length, most significant first, then the body.

The reader says how long a body may be and how long it waits: what the other end sends is not
trusted.
"""

import json
import os
from typing import Any

HEADER_BYTES = 4
_encoder = json.JSONEncoder(separators=(",", ":"))


class Ended(Exception):
    """The other end closed, or died, before a whole message came."""


class TooLong(Exception):
    """The message is longer than the reader allows."""


def pack(body: bytes) -> bytes:
    """A message ready to be written."""
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def send(descriptor: int, body: bytes) -> None:
    """Writes a whole message; raises `Ended` if the other end is gone."""
    rest = memoryview(pack(body))
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Ended("the other end is gone") from error


def send_view(descriptor: int, body: memoryview) -> None:
    """As `send`, without a copy of the body in this process's memory."""
    os.write(descriptor, len(body).to_bytes(HEADER_BYTES, "big"))
    while body:
        body = body[os.write(descriptor, body) :]


def receive(descriptor: int, most: int) -> bytes:
    """The body of the next message, at most `most` bytes; `Ended`, or `TooLong`."""
    length = int.from_bytes(receive_exactly(descriptor, HEADER_BYTES), "big")
    if length > most:
        raise TooLong(f"a message of {length} bytes, where at most {most} are read")
    return receive_exactly(descriptor, length)


def receive_exactly(descriptor: int, count: int) -> bytes:
    """`count` bytes; `Ended` if fewer come."""
    parts = []
    while count:
        try:
            part = os.read(descriptor, min(count, 1 << 20))
        except ConnectionResetError as error:
            raise Ended("the other end is gone") from error
        if not part:
            raise Ended("the other end is gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def split(stream: bytes) -> list[bytes]:
    """All whole messages of a stream; a torn last one is left out."""
    found = []
    at = 0
    while at + HEADER_BYTES <= len(stream):
        end = at + HEADER_BYTES + int.from_bytes(stream[at : at + HEADER_BYTES], "big")
        if end > len(stream):
            break
        found.append(stream[at + HEADER_BYTES : end])
        at = end
    return found


def dump(value: Any) -> bytes:
    """JSON without spaces."""
    return _encoder.encode(value).encode()
