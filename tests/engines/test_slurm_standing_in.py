"""A lent node stands in for each failed node of its owner, and leaves the fence meanwhile."""

from pathlib import Path

import pytest

from parkade.core.fleet.pool import TakenNode
from parkade.engines.slurm import standing_in
from parkade.engines.slurm.fencing import Fencing
from parkade.ports import DesiredState, GivenNodes, OwnerReport
from tests.engines.fake_reservations import SECOND_US, FakeSlurm

NODES = {"n5": 4, "n6": 4}
STANDBY = standing_in.parse("n[1-4]=acme")


@pytest.mark.parametrize(
    ("text", "nodes", "reservation"),
    [
        ("", set(), ""),
        ("n1=acme", {"n1"}, "acme"),
        ("n[1-2],m7=acme@far", {"n1", "n2", "m7"}, "acme@far"),
    ],
)
def test_nodes_and_their_reservation_are_read(text: str, nodes: set[str], reservation: str) -> None:
    found = standing_in.parse(text)
    assert (set(found.nodes), found.reservation) == (nodes, reservation)


@pytest.mark.parametrize("text", ["n1", "=acme", "n1=", "="])
def test_words_that_name_no_nodes_or_no_reservation_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NODES=RESERVATION"):
        standing_in.parse(text)


def test_each_failed_node_asks_for_one_and_others_for_none() -> None:
    unfit = [TakenNode(node=name, job="Slurm: down") for name in ("n3", "n1", "n6", "x9")]
    found = list(standing_in.groups(unfit, STANDBY))
    assert [(it.key, it.asks.nodes, it.asks.reservation) for it in found] == [
        ("for-n1", 1, "acme"),
        ("for-n3", 1, "acme"),
    ]


class Beside:
    """An agent's fencing beside a fake Slurm."""

    def __init__(self, folder: Path) -> None:
        self.slurm = FakeSlurm()
        self.fencing = Fencing("far", NODES, self.slurm, folder, steady=lambda: 5 * SECOND_US,
                               standby=STANDBY)  # fmt: skip

    def look(self, *failed: str, given: tuple[GivenNodes, ...] = ()) -> OwnerReport:
        desired = DesiredState(
            pool="far", epoch=1, installation=None, lineage=None, sequence=1, attempts=(),
            fence_lapse_us=800 * SECOND_US, given=given,
        )  # fmt: skip
        unfit = [TakenNode(node=name, job="Slurm: down") for name in failed]
        return self.fencing.serve(desired, (), (), is_heard=True, unfit=unfit)

    def fenced(self) -> str | None:
        found = self.slurm.reservations.get("parkade_far")
        return None if found is None else found["Nodes"]


def test_the_node_that_is_given_leaves_the_fence_until_the_failed_one_is_back(
    tmp_path: Path,
) -> None:
    beside = Beside(tmp_path)
    beside.look()
    assert beside.look().fence_stands and beside.fenced() == "n5,n6"
    asked = beside.look("n2")
    assert [it.job for it in asked.jobs] == ["for-n2"] and beside.fenced() == "n5,n6"
    given = (GivenNodes(claim="c1", job="for-n2", nodes=("n5",)),)
    told = beside.look("n2", given=given)
    assert told.fence_stands and beside.fenced() == "n6"
    assert beside.look(given=given).jobs == ()
    assert beside.fenced() == "n5,n6", "the failed node is back"


def test_where_all_nodes_stand_in_there_is_no_fence(tmp_path: Path) -> None:
    beside = Beside(tmp_path)
    beside.look()
    given = (
        GivenNodes(claim="c1", job="for-n1", nodes=("n5",)),
        GivenNodes(claim="c2", job="for-n2", nodes=("n6",)),
    )
    assert beside.look("n1", "n2", given=given).fence_stands and beside.fenced() is None
    assert beside.look("n1", "n2", given=given).fence_stands
    beside.look()
    assert beside.fenced() == "n5,n6"
