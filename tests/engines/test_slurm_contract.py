"""The Slurm engine keeps the contract, on a real cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.contract import EngineContract
from tests.engines.slurm_place import SlurmPlace, place_on
from tests.engines.trial import FOR_EVER, Place, attempt_of, order_in, released, run, until_seen
from tests.slurm_cluster import Slurm, missing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]


@pytest.fixture
def place(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmPlace]:
    with place_on(cluster, tmp_path / "pool") as made:
        yield made


class TestSlurmEngine(EngineContract):
    """Place: a data folder on a cluster of two nodes."""

    lease_s = 8.0

    def test_no_device_is_on_two_nodes_of_a_machine(self, place: Place) -> None:
        """Its nodes are machines of their own: each counts its devices from 0."""

        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(FOR_EVER, nodes=2, gpus=4)
            await engine.launch(attempt)
            seen = await until_seen(engine, attempt, lambda one: bool(one.devices))
            assert seen.devices == (("n0", (0, 1, 2, 3)), ("n1", (0, 1, 2, 3)))
            await engine.stop(attempt.attempt, order_in(0, 0))
            await released(engine, attempt)

        run(body())
