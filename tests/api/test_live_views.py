"""What is said of live work whose ranks join late, or not in time."""

from parkade.api.views import explanations, workloads
from parkade.api.views.clearings import has_ranks
from parkade.cli.workloads import _rank
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_live_starts import LIMIT_S, given_one_that_joins


def why(parkade: Parkade, name: str) -> str:
    known = workloads.known(parkade.world, parkade.workload(name), parkade.now_us)
    return explanations.why(known, standstill=None, sees_all=True).says


def test_a_rank_that_has_not_begun_is_named_with_its_time() -> None:
    parkade, name = given_one_that_joins()
    assert "ranks that join and cost nothing yet: 3 on a4; what has not by 22:24:20 UTC" in why(
        parkade, name
    )
    assert has_ranks(parkade.attempt(name).ranks).endswith("3 on a4 (joining)")
    known = workloads.known(parkade.world, parkade.workload(name), parkade.now_us)
    attempt = workloads.workload(known).attempt
    assert attempt is not None
    assert [it.begun is None for it in attempt.ranks] == [False, False, False, True]
    assert [_rank(it) for it in attempt.ranks][2:] == ["2 on a3", "3 on a4 (joining)"]


def test_what_did_not_begin_is_told_with_when_another_joins() -> None:
    parkade, name = given_one_that_joins()
    parkade.tick(LIMIT_S)
    assert has_ranks(parkade.attempt(name).ranks) == (
        "has the ranks 0 on a1, 1 on a2, 2 on a3; 3 on a4 did not begin in time and leave"
    )
    assert "a rank that joined did not begin in time, so none joins before 22:25:20" in why(
        parkade, name
    )
    parkade.tick(61)
    assert "did not begin" not in why(parkade, name)
