"""Reports of the ranks of live work that are lost, doubled, late or out of order, and a server that
restarts between them."""

from itertools import permutations

import pytest

from parkade.core.state import commands
from parkade.core.state.codec import decode_snapshot, encode_snapshot
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankBegun, RankLeft
from tests import builders
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_live import audited, gpu_seconds, leaving, ranks
from tests.core.kernel.test_live_starts import LIMIT_S, given_one_that_joins, silent


def observed(
    parkade: Parkade, name: str, *, begun: tuple[RankBegun, ...], left: tuple[RankLeft, ...] = ()
) -> ObservedAttempt:
    """What the agent saw of it at this instant."""
    attempt = parkade.attempt(name)
    return builders.observed(
        attempt.attempt,
        phase=EnginePhase.RUNNING,
        started_us=attempt.started_us,
        resizes=attempt.resizes,
        begun=begun,
        left=left,
    )


def reports(parkade: Parkade, seen: ObservedAttempt) -> None:
    parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(seen,)))


def given_three_reports() -> tuple[Parkade, str, list[ObservedAttempt]]:
    """Rank 3 has joined and not begun; it begins, is outbid, and leaves. The server hears nothing
    of it meanwhile."""
    parkade, name = given_one_that_joins()
    rank = next(it for it in parkade.attempt(name).ranks if it.rank == 3)
    began = RankBegun(rank=3, since=rank.since, begun_us=parkade.now_us + 2 * SECOND_US)
    parkade.tick(1)
    found = [observed(parkade, name, begun=())]
    parkade.tick(9)
    found.append(observed(parkade, name, begun=(began,)))
    parkade.bid("acme", 9, nodes=1)
    parkade.clear()
    assert leaving(parkade, name) == {3: "a4"}
    parkade.tick(20)
    left = RankLeft(rank=3, since=rank.since, left_us=parkade.now_us)
    found.append(observed(parkade, name, begun=(began,), left=(left,)))
    return parkade, name, found


@pytest.mark.parametrize("order", [*permutations(range(3)), (2,), (2, 2), (1, 1, 2), (0, 2, 0, 1)])
def test_in_whichever_order_and_however_often_reports_come_it_pays_the_same(
    order: tuple[int, ...],
) -> None:
    parkade, name, seen = given_three_reports()
    for number in order:
        reports(parkade, seen[number])
    assert ranks(parkade, name) == {0: "a1", 1: "a2", 2: "a3"} and not leaving(parkade, name)
    parkade.tick(10)
    parkade.ended(name)
    assert gpu_seconds(parkade, name) == 3 * 2 * (60 + 40) + 2 * 28
    audited(parkade)


def test_what_was_reported_before_a_number_was_given_again_is_of_the_rank_before() -> None:
    parkade, name, seen = given_three_reports()
    reports(parkade, seen[2])
    parkade.run(60)
    for each in list(parkade.world.live):
        if each != name:
            parkade.ended(each)
    parkade.clear()
    assert ranks(parkade, name)[3] == "a4"
    before = len(parkade.journal)
    for it in seen:
        reports(parkade, it)
    assert len(parkade.journal) == before
    assert not parkade.attempt(name).ranks[3].has_begun
    audited(parkade)


def test_a_server_that_restarts_still_waits_after_a_rank_that_did_not_begin() -> None:
    parkade, name = given_one_that_joins()
    silent(parkade, name, LIMIT_S)
    parkade.ranks_left(name, begun=())
    parkade.world = decode_snapshot(encode_snapshot(parkade.world))
    silent(parkade, name, 30)
    assert 3 not in ranks(parkade, name)
    silent(parkade, name, 30)
    assert 3 in ranks(parkade, name)
    assert parkade.attempt(name).unbegun == 1
