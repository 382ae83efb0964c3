"""A node in a network of its own that is cut off: it lives on, and nobody hears it.

The two nodes and the controller stand on either side of one cable. The file system stays shared,
unless a test also stops what reads it there.
"""

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.engines.slurm import standing
from parkade.ports import Phase, RankExit, Seat
from tests.engines.slurm_place import GPUS, SlurmPlace, place_on
from tests.engines.trial import FOR_EVER, attempt_of, of, released, run, until, until_seen
from tests.namespaces import Cable, cable, lacking
from tests.slurm_cluster import Slurm, missing, slurm

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        bool(missing() or lacking()), reason=f"lacking: {', '.join(missing() or lacking())}"
    ),
]

QUICK = {"SlurmdTimeout": "4", "MessageTimeout": "5", "TCPTimeout": "1", "ReturnToService": "1"}


@pytest.fixture(scope="module")
def wire() -> Iterator[Cable]:
    with cable(f"pk{secrets.token_hex(3)}") as made:
        yield made


@pytest.fixture(scope="module")
def cluster(wire: Cable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """`n0` on the controller's side, `n1` on the other."""
    folder = tmp_path_factory.mktemp("slurm") / "c"
    beyond = {"n1": wire}
    with slurm(folder, nodes=("n0", "n1"), gpus=GPUS, settings=QUICK, beyond=beyond) as made:
        yield made


@pytest.fixture
def place(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmPlace]:
    with place_on(cluster, tmp_path / "pool") as made:
        yield made


def test_a_gang_with_a_node_cut_off_is_over_once_nothing_of_it_runs_and_has_not_failed(
    cluster: Slurm, wire: Cable, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER, nodes=2)
        await engine.launch(attempt)
        await until((place.checkpoints(attempt) / "up.1").exists)
        wire.cut()
        try:
            seen = await released(engine, attempt)
            assert not any("sleep" in words for words in place.ours().values()), "no rank runs"
            assert seen.exits == tuple(RankExit(rank=it, code=None, signal=None) for it in range(2))
            assert not seen.is_keeper_lost and seen.launch_error is None
            await until(lambda: cluster.state("n1").startswith("down"))
        finally:
            wire.mend()
        await until(cluster.is_idle)
        again = attempt_of("exit 0", nodes=2)
        await engine.launch(again)
        assert [one.code for one in (await released(engine, again)).exits] == [0, 0]

    run(body())


def test_a_node_that_hears_neither_network_nor_file_system_keeps_its_seat_out_of_other_hands(
    cluster: Slurm, wire: Cable, place: SlurmPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs there is stopped in its tracks, which is how a host without its file system looks:
    the attempt is over after the grace, and Slurm gives the node to no job before it is back and
    clean."""

    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(FOR_EVER, ranks=(Seat(node="n1", gpus=GPUS),))
        await engine.launch(attempt)
        await until((place.checkpoints(attempt) / "up.0").exists)
        held = [pid for pid in place.ours() if wire.has(pid)]
        for pid in held:
            os.kill(pid, signal.SIGSTOP)
        wire.cut()
        try:
            await until(lambda: cluster.state("n1").startswith("down"))
            seen = await released(engine, attempt)
            assert seen.exits == (RankExit(rank=0, code=None, signal=None),)
            assert not seen.is_keeper_lost
            next_one = attempt_of("exit 0", ranks=(Seat(node="n1", gpus=GPUS),))
            await engine.launch(next_one)
            seen_next = await until_seen(
                engine, next_one, lambda one: "PENDING" in one.engine_state
            )
            assert seen_next.phase is Phase.STARTING, "it waits for the node"
        finally:
            wire.mend()
            for pid in held:
                os.kill(pid, signal.SIGCONT)
        done = await released(engine, next_one)
        assert [one.code for one in done.exits] == [0]
        assert of(await engine.observe(), attempt) is not None
        await until(lambda: not any(wire.has(pid) for pid in place.ours()))

    monkeypatch.setattr(standing, "GRACE_US", 4_000_000)
    run(body())
