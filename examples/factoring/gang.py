"""Ranks that learn as one: they start from rank 0's state, add gradients, and stop together.

Rank 0 adds in order of rank and hands every rank the same bytes, so a run of so many ranks gives
the same bits each time. It also keeps the pace and decides at which step all of them stop. How
the ranks find each other is `meeting.py`.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from examples.factoring.frames import Frame, Kind, Peer
from examples.factoring.notice import Notice

Array = npt.NDArray[Any]


class Gang(Protocol):
    """What training asks of the ranks together."""

    def share(self, state: bytes | None) -> bytes:
        """Rank 0's state, which the others pass as None, on every rank."""

    def add(self, step: int, vector: Array, asks_to_stop: bool) -> tuple[Array, bool]:
        """The sum over ranks, and whether all stop after this step since one asked to."""

    def pace(self, seconds: float) -> None:
        """Wait between steps, until rank 0's time is over or anyone has something to say."""

    def part(self, step: int) -> None:
        """The last call: the others leave only once rank 0 has saved everything."""

    def close(self) -> None:
        """Hang up on everyone."""


class Leader:
    """Rank 0, also when it is alone."""

    def __init__(self, peers: Sequence[Peer], notice: Notice) -> None:
        """`peers` are ranks 1, 2, … in order."""
        self._peers = tuple(peers)
        self._notice = notice

    def share(self, state: bytes | None) -> bytes:
        """Hand out the state."""
        assert state is not None, "rank 0 brings the state"
        self._tell(Frame(Kind.STATE, payload=state))
        return state

    def add(self, step: int, vector: Array, asks_to_stop: bool) -> tuple[Array, bool]:
        """Add up in order of rank, then tell everyone sum and decision."""
        total, must_stop = vector.copy(), asks_to_stop
        for peer in self._peers:
            frame = peer.expect(Kind.GRADIENT, step)
            total += np.frombuffer(frame.payload, vector.dtype)
            must_stop = must_stop or frame.flag
        self._tell(Frame(Kind.SUM, step, must_stop, total.tobytes() if self._peers else b""))
        return total, must_stop

    def pace(self, seconds: float) -> None:
        """Wait; a peer that speaks meanwhile has been given notice, or died: go and see."""
        self._notice.pause(seconds, [peer.door for peer in self._peers])
        self._tell(Frame(Kind.GO))

    def part(self, step: int) -> None:
        """Tell everyone that all is saved."""
        self._tell(Frame(Kind.SAVED, step))

    def close(self) -> None:
        """Hang up on everyone."""
        for peer in self._peers:
            peer.close()

    def _tell(self, frame: Frame) -> None:
        for peer in self._peers:
            peer.send(frame)


class Follower:
    """Any rank but 0: it talks to rank 0 alone."""

    def __init__(self, leader: Peer, notice: Notice, silence_seconds: float) -> None:
        """`leader` may yet refuse; `silence_seconds` bounds each wait once it has not."""
        self._leader = leader
        self._notice = notice
        self._silence_seconds = silence_seconds

    def share(self, state: bytes | None) -> bytes:
        """Take the state over, once all ranks are there."""
        assert state is None, "rank 0 alone brings a state"
        content = self._leader.expect(Kind.STATE, 0).payload
        self._leader.listen_for(self._silence_seconds)
        return content

    def add(self, step: int, vector: Array, asks_to_stop: bool) -> tuple[Array, bool]:
        """Send what this rank found, and take what all found."""
        self._leader.send(Frame(Kind.GRADIENT, step, asks_to_stop, vector.tobytes()))
        frame = self._leader.expect(Kind.SUM, step)
        return np.frombuffer(frame.payload, vector.dtype), frame.flag

    def pace(self, seconds: float) -> None:
        """Wait for rank 0, which keeps the time; a notice of this rank's own ends the wait."""
        self._notice.pause(max(0.0, seconds) + self._silence_seconds, [self._leader.door])

    def part(self, step: int) -> None:
        """Wait until all is saved."""
        self._leader.expect(Kind.SAVED, step)

    def close(self) -> None:
        """Hang up."""
        self._leader.close()
