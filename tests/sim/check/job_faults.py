"""Faults of jobs that engines start by themselves and of users who are not let in, and the small
world in which they are found."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.clearing import input as clearing_input
from parkade.core.leasing import owners, started
from parkade.core.running import unadmitted
from parkade.sim.check.scenarios import GUEST, Asks, Scenario, fleet, lent, reserved, submission
from tests.sim.check.faults import Fault

ONE_JOB = Scenario(
    name="a job that runs by itself",
    says="2 nodes, both reserved and lent by acme, whose jobs run where they want",
    setup=(*fleet({"a": 2}, gpus=1, orgs=("acme", GUEST)), reserved("acme", 2), lent("acme", 2)),
    submissions=(submission(GUEST, limit=3),),
    most_live=1,
    bids=(),
    asks=Asks.JOBS,
)
NOT_LET_IN = Scenario(
    name="a user who is not let in",
    says="2 nodes, and two bids of a user of whom the engine takes no job",
    setup=fleet({"a": 2}, gpus=1, orgs=(GUEST,)),
    submissions=(submission(GUEST, limit=3), submission(GUEST, nodes=2, limit=5)),
    most_live=2,
    bids=(),
    asks=Asks.ADMISSION,
)


def _hands_over_beside_a_guest(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(started, "_is_left", lambda *_: True)


def _lends_where_a_job_runs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(clearing_input, "started_nodes", lambda *_: frozenset())


def _claims_more_than_is_reserved(patch: pytest.MonkeyPatch) -> None:
    """What is beyond the right is counted as within it."""
    left_of = owners._Following._left

    def more(self: Any) -> dict[str, int]:
        return {name: nodes + 1 for name, nodes in left_of(self).items()}

    patch.setattr(owners._Following, "_left", more)


def _claims_one_node_twice(patch: pytest.MonkeyPatch) -> None:
    """The claims that stand are not looked at."""
    uncovered = started.uncovered
    patch.setattr(
        owners, "uncovered", lambda world, job, _claims, pool: uncovered(world, job, (), pool)
    )


def _tries_all_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(unadmitted, "kept_out", lambda *_: frozenset())


IN_JOBS = (
    Fault(name="a job's node is its claim's while a guest is there",
          plant=_hands_over_beside_a_guest, scenario=ONE_JOB, invariants=(0, 2, 3)),
    Fault(name="a node on which a job runs is lent",
          plant=_lends_where_a_job_runs, scenario=ONE_JOB, invariants=(0, 2, 3, 16)),
    Fault(name="more is claimed for jobs than is reserved",
          plant=_claims_more_than_is_reserved, scenario=replace(ONE_JOB, name="a job too many",
          setup=(*fleet({"a": 2}, gpus=1, orgs=("acme", GUEST)), reserved("acme", 1))),
          invariants=(44,)),
    Fault(name="a node is claimed for two jobs",
          plant=_claims_one_node_twice, scenario=ONE_JOB, invariants=(0, 2, 6, 44)),
    Fault(name="all work of a user who is not let in is tried at once",
          plant=_tries_all_at_once, scenario=NOT_LET_IN, invariants=(45,)),
)  # fmt: skip
