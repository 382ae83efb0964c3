"""How ranks find each other: rank 0 listens, the others call, each says who it is.

A hello names attempt, rank and settings. Who belongs to another attempt, comes twice or would
train something else is refused, and told why. Every wait is bounded and ends at a notice.
"""

import json
import socket
import sys
import time

from examples.factoring.frames import Frame, GangBroken, Kind, Peer
from examples.factoring.gang import Follower, Gang, Leader
from examples.factoring.notice import Notice, NoticeGiven
from examples.factoring.seat import Seat

HELLO_SECONDS = 2.0
RETRY_SECONDS = 0.05


def meet(
    seat: Seat, settings: str, notice: Notice, *, join_seconds: float, silence_seconds: float
) -> Gang:
    """All ranks of this attempt; GangBroken if they have not met in time."""
    if seat.ranks == 1:
        return Leader((), notice)
    deadline = time.monotonic() + join_seconds
    if not seat.is_first:
        leader = _join(seat, settings, notice, deadline)
        leader.listen_for(join_seconds)
        return Follower(leader, notice, silence_seconds)
    peers: dict[int, Peer] = {}
    try:
        _gather(seat, settings, notice, deadline, peers)
    except NoticeGiven:
        for peer in peers.values():
            peer.send(Frame(Kind.LEAVE))
        raise
    for peer in peers.values():
        peer.listen_for(silence_seconds)
    return Leader([peers[rank] for rank in sorted(peers)], notice)


def _gather(
    seat: Seat, settings: str, notice: Notice, deadline: float, peers: dict[int, Peer]
) -> None:
    """Fill `peers` with everyone else, by rank."""
    with _listen(seat, notice, deadline) as listener:
        while len(peers) < seat.ranks - 1:
            missing = sorted(set(range(1, seat.ranks)) - peers.keys())
            _keep_waiting(notice, deadline, f"ranks {missing} did not join")
            try:
                door, _ = listener.accept()
            except (BlockingIOError, ConnectionError):
                notice.pause(min(1.0, deadline - time.monotonic()), [listener])
                continue
            _welcome(_peer(door, "a caller"), seat, settings, peers)


def _listen(seat: Seat, notice: Notice, deadline: float) -> socket.socket:
    while True:
        try:
            listener = socket.create_server((seat.address, seat.port), backlog=seat.ranks)
        except OSError as error:
            reason = f"cannot listen on {seat.address}:{seat.port}: {error}"
            _keep_waiting(notice, deadline, reason)
            notice.pause(RETRY_SECONDS)
        else:
            listener.setblocking(False)
            return listener


def _welcome(caller: Peer, seat: Seat, settings: str, peers: dict[int, Peer]) -> None:
    """Add the caller to the peers, or tell it and the log why not."""
    try:
        hello = caller.expect(Kind.HELLO, 0)
        rank, refusal = _judge(hello.payload, seat, settings, peers)
        if refusal is None:
            caller.name = f"rank {rank}"
            peers[rank] = caller
            return
        caller.send(Frame(Kind.REFUSED, payload=refusal.encode()))
    except GangBroken as error:
        refusal = str(error)
    caller.close()
    print(f"refused a caller: {refusal}", file=sys.stderr, flush=True)


def _judge(
    content: bytes, seat: Seat, settings: str, peers: dict[int, Peer]
) -> tuple[int, str | None]:
    """The caller's rank and why it is refused, None if it is not."""
    try:
        hello = json.loads(content)
        attempt, rank = str(hello["attempt"]), int(hello["rank"])
        same_run = hello["settings"] == settings and hello["ranks"] == seat.ranks
    except (ValueError, KeyError, TypeError):
        return -1, "its hello cannot be read"
    if attempt != seat.attempt:
        return rank, f"rank {rank} is of attempt {attempt}, this is attempt {seat.attempt}"
    if not same_run:
        return rank, f"rank {rank} was started with other settings or another number of ranks"
    if rank in peers or not 0 < rank < seat.ranks:
        return rank, f"rank {rank} is taken or not one of {seat.ranks}"
    return rank, None


def _join(seat: Seat, settings: str, notice: Notice, deadline: float) -> Peer:
    while True:
        try:
            door = socket.create_connection((seat.address, seat.port), timeout=HELLO_SECONDS)
        except OSError as error:
            reason = f"cannot reach rank 0 at {seat.address}:{seat.port}: {error}"
            _keep_waiting(notice, deadline, reason)
            notice.pause(RETRY_SECONDS)
        else:
            break
    leader = _peer(door, "rank 0")
    hello = {
        "attempt": seat.attempt,
        "rank": seat.rank,
        "ranks": seat.ranks,
        "settings": settings,
    }
    leader.send(Frame(Kind.HELLO, payload=json.dumps(hello).encode()))
    return leader


def _peer(door: socket.socket, name: str) -> Peer:
    # Frames are small and answered at once: waiting to fill a packet would cost 40 ms a step.
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Peer(door, name, HELLO_SECONDS)


def _keep_waiting(notice: Notice, deadline: float, reason: str) -> None:
    if notice.given():
        raise NoticeGiven(reason)
    if time.monotonic() >= deadline:
        raise GangBroken(f"gave up waiting for the others: {reason}")
