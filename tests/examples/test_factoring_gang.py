"""Two ranks: they agree on every bit and every step, and neither waits for a dead one."""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.factoring.frames import Frame, GangBroken, Kind, Peer
from tests.examples.programs import free_port, gang, training

QUICK_SECONDS = 5.0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a gang nobody touched."""
    with gang(tmp_path_factory.mktemp("gang")) as (first, second):
        digest = first.digest()
        assert second.digest() == digest
    return digest


@pytest.mark.parametrize("told", [(0,), (1,), (0, 1)])
def test_a_notice_to_any_rank_stops_all_at_one_step(
    told: tuple[int, ...], tmp_path: Path, undisturbed: str
) -> None:
    with gang(tmp_path, "--pace", "3600") as ranks:
        ranks[0].read_until("step 1/")
        for rank in told:
            ranks[rank].process.send_signal(signal.SIGUSR1)
        assert [rank.finish() for rank in ranks] == [85, 85]
    steps = {rank.read_until(r"leaves at step \d+") for rank in ranks}
    assert len(steps) == 1, "ranks left at different steps"
    with gang(tmp_path) as (first, second):
        assert first.digest() == undisturbed
        assert second.digest() == undisturbed
    assert "resumed from step" in first.output


@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_rank_is_killed_the_other_says_so_at_once_and_nothing_is_lost(
    killed: int, tmp_path: Path, undisturbed: str
) -> None:
    with gang(tmp_path, "--pace", "0.5", "--checkpoint-every", "1") as ranks:
        ranks[0].read_until("step 2/")
        ranks[killed].process.kill()
        began = time.monotonic()
        survivor = ranks[1 - killed]
        assert survivor.finish() == 1
        assert time.monotonic() - began < QUICK_SECONDS
    assert f"rank {killed} is gone" in survivor.output
    with gang(tmp_path) as (first, second):
        assert first.digest() == undisturbed
        assert second.digest() == undisturbed
    assert "resumed from step" in first.output


def test_a_pace_that_some_steps_miss_stalls_nobody(tmp_path: Path) -> None:
    with gang(tmp_path, "--steps", "120", "--pace", "0.002") as (first, second):
        assert first.digest() == second.digest()


def test_a_stale_rank_is_refused_and_the_right_one_still_joins(
    tmp_path: Path, undisturbed: str
) -> None:
    shared = {"PARKADE_NODES": "2", "MASTER_PORT": str(free_port())}
    stale = shared | {"PARKADE_NODE_RANK": "1", "PARKADE_ATTEMPT": "a1"}
    fresh = shared | {"PARKADE_NODE_RANK": "1", "PARKADE_ATTEMPT": "a2"}
    leads = shared | {"PARKADE_NODE_RANK": "0", "PARKADE_ATTEMPT": "a2"}
    with training(tmp_path, **leads) as leader:
        with training(tmp_path, **stale) as refused:
            assert refused.finish() == 1
        assert "of attempt a1, this is attempt a2" in refused.output
        with training(tmp_path, **fresh) as follower:
            assert follower.digest() == undisturbed
        assert leader.digest() == undisturbed
    assert "refused a caller" in leader.output


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_rank_whose_peers_never_come_gives_up_in_time(rank: str, tmp_path: Path) -> None:
    seat = {"PARKADE_NODES": "2", "PARKADE_NODE_RANK": rank, "MASTER_PORT": str(free_port())}
    with training(tmp_path, "--join-timeout", "0.2", **seat) as lonely:
        assert lonely.finish() == 1
    assert "gave up waiting" in lonely.output


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_notice_before_the_ranks_have_met_exits_85(rank: str, tmp_path: Path) -> None:
    seat = {"PARKADE_NODES": "2", "PARKADE_NODE_RANK": rank, "MASTER_PORT": str(free_port())}
    with training(tmp_path, **seat) as lonely:
        lonely.read_until("pid")
        lonely.process.send_signal(signal.SIGUSR1)
        assert lonely.finish() == 85


@pytest.fixture
def line() -> Iterator[tuple[Peer, socket.socket]]:
    """A peer, and the other end of its line."""
    near, far = socket.socketpair()
    with near, far:
        yield _peer(near), far


def _peer(door: socket.socket) -> Peer:
    return Peer(door, "rank 1", 0.05)


@pytest.mark.parametrize(
    ("said", "hangs_up", "complaint"),
    [
        (b"", False, "said nothing"),
        (b"", True, "closed the connection"),
        (b"fct1\x04", True, "closed the connection"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", False, "no rank of this program"),
        (b"fct1\x04" + b"\0" * 9 + b"\xff" * 4, False, "no rank of this program"),
        (b"fct1\x63" + b"\0" * 13, False, "no rank of this program"),
    ],
)
def test_a_peer_that_is_silent_gone_or_strange_is_named(
    said: bytes, hangs_up: bool, complaint: str, line: tuple[Peer, socket.socket]
) -> None:
    peer, far = line
    far.sendall(said)
    if hangs_up:
        far.close()
    with pytest.raises(GangBroken, match=f"rank 1.*{complaint}"):
        peer.receive()
    peer.close()


def test_frames_arrive_as_sent_and_calls_to_go_are_passed(
    line: tuple[Peer, socket.socket],
) -> None:
    peer, far = line
    other = _peer(far)
    other.send(Frame(Kind.GO))
    other.send(Frame(Kind.SUM, 7, True, b"bits"))
    assert peer.expect(Kind.SUM, 7) == Frame(Kind.SUM, 7, True, b"bits")
    other.send(Frame(Kind.SUM, 8))
    with pytest.raises(GangBroken, match="SUM of step 8 instead of SUM of step 9"):
        peer.expect(Kind.SUM, 9)
    other.close()
    peer.close()
