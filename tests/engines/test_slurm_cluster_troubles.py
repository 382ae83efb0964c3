"""A real cluster in trouble: a key that is another one, a spool that is full, a reservation
of root; and gangs of up to 16 nodes that go on elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from parkade.ports import Phase, Seat
from tests.engines.slurm_place import GPUS, SlurmPlace, place_on
from tests.engines.trial import FOR_EVER, attempt_of, order_in, released, run, until, until_seen
from tests.slurm_cluster import Slurm, missing, slurm
from tests.slurm_cluster.strangers import stranger_to_the_key

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]

NODES = tuple(f"n{number}" for number in range(32))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Thirty-two nodes, for all tests of the module."""
    folder = tmp_path_factory.mktemp("slurm") / "c"
    with slurm(folder, nodes=NODES, gpus=GPUS) as made:
        yield made


@contextmanager
def full_spool(cluster: Slurm, node: str) -> Iterator[None]:
    """Nothing can be written below the node's spool: a file system of its own without room."""
    spool = cluster.folder / "spool" / node
    cluster.run("mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "none", str(spool))
    try:
        yield
    finally:
        cluster.run("umount", "--lazy", str(spool))


def whole(nodes: Sequence[str]) -> tuple[Seat, ...]:
    return tuple(Seat(node=node, gpus=GPUS) for node in nodes)


@pytest.fixture
def place(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmPlace]:
    with place_on(cluster, tmp_path / "pool", timeout_s=20) as made:
        yield made


@pytest.mark.parametrize("nodes", [1, 2, 16])
def test_a_gang_saves_and_goes_on_with_its_checkpoint_on_other_nodes(
    place: SlurmPlace, nodes: int
) -> None:
    saves = (
        'if [ -n "$PARKADE_RESUME_STEP" ]; then exit 0; fi; '
        "report() { [ $PARKADE_NODE_RANK = 0 ] || return 0; d=$PARKADE_CHECKPOINT_DIR;"
        ' echo "{\\"step\\": 7, \\"at\\": \\"$(date -u +%FT%TZ)\\"}" > $d/new;'
        " mv $d/new $d/.parkade.json; }; trap 'report; exit 85' TERM; "
    )

    async def body() -> None:
        engine = place.engine()
        first = attempt_of(saves + FOR_EVER, ranks=whole(NODES[:nodes]))
        await engine.launch(first)
        folder = place.checkpoints(first)
        await until(lambda: len(list(folder.glob("up.*"))) == nodes)
        await engine.stop(first.attempt, order_in(30, 60))
        seen = await released(engine, first)
        assert [one.code for one in seen.exits] == [85] * nodes
        name = f"{first.workload}.2"
        again = attempt_of(
            saves + FOR_EVER, ranks=whole(NODES[nodes : 2 * nodes]), workload=first.workload,
            attempt=name, generation=2,
        )  # fmt: skip
        await engine.launch(again)
        assert [one.code for one in (await released(engine, again)).exits] == [0] * nodes

    run(body())


def test_a_job_waits_for_a_node_that_is_a_stranger_to_the_key_and_runs_once_it_has_it(
    cluster: Slurm, place: SlurmPlace
) -> None:
    """What the node's daemon is sent and says is believed by neither side meanwhile."""

    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of("exit 0", ranks=(Seat(node="n0", gpus=1),))
        with stranger_to_the_key(cluster, "n0"):
            await until(lambda: cluster.state("n0").startswith("down"))
            await engine.launch(attempt)
            seen = await until_seen(engine, attempt, lambda one: "PENDING" in one.engine_state)
            assert seen.phase is Phase.STARTING and seen.exits == ()
        done = await released(engine, attempt)
        assert [one.code for one in done.exits] == [0]

    run(body())


def test_a_node_whose_spool_is_full_interrupts_a_job_and_serves_the_next_once_it_has_room(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of("exit 3", ranks=(Seat(node="n1", gpus=1),))
        with full_spool(cluster, "n1"):
            await engine.launch(attempt)
            seen = await released(engine, attempt)
        assert all(one.code is None and one.signal is None for one in seen.exits)
        assert seen.launch_error is None
        cluster.resume("n1")
        await until(lambda: cluster.state("n1") == "idle")
        again = attempt_of("exit 0", ranks=(Seat(node="n1", gpus=1),))
        await engine.launch(again)
        assert [one.code for one in (await released(engine, again)).exits] == [0]

    run(body())


def test_a_reservation_of_root_over_a_nodes_guest_breaks_nothing(
    cluster: Slurm, place: SlurmPlace
) -> None:
    """Who runs there stays; who comes waits in Slurm, and runs once the reservation is gone."""

    async def body() -> None:
        engine = place.engine()
        runs = attempt_of(FOR_EVER, ranks=(Seat(node="n2", gpus=1),))
        await engine.launch(runs)
        await until_seen(engine, runs, lambda one: one.phase is Phase.RUNNING)
        cluster.run(
            "scontrol", "create", "reservation", "ReservationName=upkeep", "StartTime=now",
            "Duration=60", "Nodes=n2,n3", "Users=nobody", "Flags=IGNORE_JOBS,MAINT,OVERLAP",
        )  # fmt: skip
        comes = attempt_of("exit 0", ranks=(Seat(node="n3", gpus=1),))
        try:
            await engine.launch(comes)
            seen = await until_seen(engine, comes, lambda one: "PENDING" in one.engine_state)
            assert seen.phase is Phase.STARTING
            still = await until_seen(engine, runs, lambda one: one.phase is Phase.RUNNING)
            assert still.exits == ()
        finally:
            cluster.run("scontrol", "delete", "ReservationName=upkeep")
        assert [one.code for one in (await released(engine, comes)).exits] == [0]
        await engine.stop(runs.attempt, order_in(0, 0))
        await released(engine, runs)

    run(body())
