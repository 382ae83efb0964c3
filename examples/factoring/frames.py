"""Messages between ranks: a kind, a step, a flag and a payload of announced length.

Whatever goes wrong on the way (the peer died, fell silent, or speaks something else) is one
exception, `GangBroken`, which names the peer.
"""

import enum
import socket
import struct
from typing import NamedTuple

from examples.factoring.notice import NoticeGiven

HEADER = struct.Struct("!4sBQBI")
MAGIC = b"fct1"
MOST_PAYLOAD_BYTES = 1 << 24


class GangBroken(Exception):
    """The ranks cannot go on together; end this attempt and run the workload again."""


class Kind(enum.IntEnum):
    """What a frame says."""

    HELLO = 1
    REFUSED = 2
    STATE = 3
    GRADIENT = 4
    SUM = 5
    GO = 6
    SAVED = 7
    LEAVE = 8


class Frame(NamedTuple):
    """`flag` asks (from a rank) or orders (from rank 0) to stop after this step."""

    kind: Kind
    step: int = 0
    flag: bool = False
    payload: bytes = b""


class Peer:
    """A connection to another rank, with its name for messages."""

    def __init__(self, door: socket.socket, name: str, silence_seconds: float) -> None:
        """Take over an open connection; `silence_seconds` bounds each wait for bytes."""
        self.door = door
        self.name = name
        self.listen_for(silence_seconds)

    def listen_for(self, silence_seconds: float) -> None:
        """Change how long the peer may be silent."""
        self.silence_seconds = silence_seconds
        self.door.settimeout(silence_seconds)

    def send(self, frame: Frame) -> None:
        """Send all of it, or raise `GangBroken`."""
        head = HEADER.pack(MAGIC, frame.kind, frame.step, frame.flag, len(frame.payload))
        try:
            self.door.sendall(head + frame.payload)
        except OSError as error:
            raise GangBroken(f"{self.name} is gone: {error}") from error

    def receive(self) -> Frame:
        """The next frame, whatever it is."""
        magic, kind, step, flag, size = HEADER.unpack(self._exactly(HEADER.size))
        if magic != MAGIC or size > MOST_PAYLOAD_BYTES or kind not in set(Kind):
            raise GangBroken(f"{self.name} is no rank of this program")
        return Frame(Kind(kind), step, bool(flag), self._exactly(size))

    def expect(self, kind: Kind, step: int) -> Frame:
        """The frame that must come now; calls to end a pause, which may precede it, are passed."""
        frame = self.receive()
        while frame.kind is Kind.GO and kind is not Kind.GO:
            frame = self.receive()
        if frame.kind is Kind.REFUSED:
            raise GangBroken(f"{self.name} refused this rank: {frame.payload.decode()}")
        if frame.kind is Kind.LEAVE:
            raise NoticeGiven(f"{self.name} was given notice before the ranks had met")
        if (frame.kind, frame.step) != (kind, step):
            said = f"{frame.kind.name} of step {frame.step}"
            raise GangBroken(f"{self.name} said {said} instead of {kind.name} of step {step}")
        return frame

    def _exactly(self, size: int) -> bytes:
        whole = bytearray(size)
        rest = memoryview(whole)
        while rest:
            try:
                count = self.door.recv_into(rest)
            except TimeoutError as error:
                silence = f"{self.name} said nothing for {self.silence_seconds:g} s"
                raise GangBroken(silence) from error
            except OSError as error:
                raise GangBroken(f"{self.name} is gone: {error}") from error
            if count == 0:
                raise GangBroken(f"{self.name} is gone: it closed the connection")
            rest = rest[count:]
        return bytes(whole)

    def close(self) -> None:
        """Hang up."""
        self.door.close()
