"""Owners' jobs in an engine's own queue: claims come, follow and go with them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.kernel.check import check
from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.state import commands, events
from tests.core.kernel.story import Parkade


def given_lender(nodes: int = 2) -> Parkade:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.reserve("acme", nodes)
    parkade.lend("acme", 5)
    return parkade


def job(name: str, nodes: int = 1, *, least: int | None = None, of: str = "acme") -> OwnerJob:
    return OwnerJob(job=name, reservation=of, nodes=nodes, least=nodes if least is None else least)


def say(parkade: Parkade, *jobs: OwnerJob, pool: str = "pool") -> list[events.AnyEvent]:
    return list(parkade.do(commands.ReportOwnerJobs(by=None, pool=pool, jobs=jobs)))


def claims(parkade: Parkade) -> dict[str | None, int]:
    """Nodes by the source of their claims."""
    found: dict[str | None, int] = {}
    for claim in parkade.world.records.claims.values():
        found[claim.source] = found.get(claim.source, 0) + claim.nodes
    return found


def test_a_job_claims_its_nodes_gets_them_after_the_notice_and_gives_them_back() -> None:
    parkade = given_lender()
    guest = parkade.bid("lab", 9, nodes=3)
    parkade.run(60)
    say(parkade, job("17", 2))
    assert claims(parkade) == {"pool/17": 2}
    parkade.run(120)
    (claim,) = parkade.world.records.claims.values()
    assert len(claim.held) == 2
    assert parkade.workload(guest).attempt is None
    assert say(parkade, job("17", 2)) == []
    say(parkade)
    parkade.run(600)
    assert claims(parkade) == {} and parkade.workload(guest).attempt is not None


def test_a_job_beyond_the_right_waits_and_gets_what_the_one_before_it_leaves_at_once() -> None:
    parkade = given_lender(2)
    say(parkade, job("1", 2), job("2"))
    assert claims(parkade) == {"pool/1": 2}
    first, second = say(parkade, job("2"))
    assert isinstance(first, events.Unclaimed) and isinstance(second, events.Claimed)
    assert claims(parkade) == {"pool/2": 1}


def test_an_array_claims_what_is_left_and_a_gang_all_or_nothing() -> None:
    parkade = given_lender(2)
    say(parkade, job("1"), job("array", 9, least=1), job("gang", 2))
    assert claims(parkade) == {"pool/1": 1, "pool/array": 1}


def test_an_array_grows_by_whole_tasks_while_its_owner_has_room_and_keeps_what_it_has() -> None:
    parkade = given_lender(3)
    say(parkade, job("1"), job("array", 9, least=1))
    assert claims(parkade) == {"pool/1": 1, "pool/array": 2}
    parkade.run(60)
    _, grown = say(parkade, job("array", 9, least=1))
    assert isinstance(grown, events.Claimed) and grown.claim.nodes == 1
    assert claims(parkade) == {"pool/array": 3}
    parkade.run(60)
    held = [seat.node for it in parkade.world.records.claims.values() for seat in it.held]
    assert len(set(held)) == len(held) == 3
    assert say(parkade, job("array", 1, least=1)) == []
    assert {type(it) for it in say(parkade)} == {events.Unclaimed}
    assert claims(parkade) == {}


def test_an_array_of_gangs_takes_no_part_of_one() -> None:
    parkade = given_lender(3)
    say(parkade, job("array", 8, least=2))
    assert claims(parkade) == {"pool/array": 2}
    assert say(parkade, job("array", 8, least=2)) == []


def test_a_gang_that_has_its_claim_gets_no_second_one() -> None:
    parkade = given_lender(3)
    say(parkade, job("gang", 1))
    assert say(parkade, job("gang", 2)) == []


def test_jobs_of_unknown_reservations_and_other_pools_claim_nothing() -> None:
    parkade = given_lender()
    assert say(parkade, job("1", of="nobodys"), job("2", 0)) == []
    refusal = parkade.refused(commands.ReportOwnerJobs(by=None, pool="there", jobs=(job("1"),)))
    assert refusal.reason == "not_found"


def test_a_claim_that_an_owner_made_itself_does_not_end_with_a_job() -> None:
    parkade = given_lender()
    parkade.claim("acme", 1)
    say(parkade, job("1"))
    say(parkade)
    assert claims(parkade) == {None: 1}


@settings(max_examples=15)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abcde"), st.integers(0, 4), st.integers(0, 3)),
            unique_by=lambda it: it[0],
            max_size=5,
        ),
        max_size=6,
    )
)
def test_no_more_is_ever_claimed_than_is_reserved(
    reports: list[list[tuple[str, int, int]]],
) -> None:
    parkade = given_lender(3)
    for report in reports:
        jobs = [job(name, nodes, least=least) for name, nodes, least in report]
        say(parkade, *jobs)
        check(parkade.world)
        known = claims(parkade)
        assert sum(known.values()) <= 3
        assert known.keys() <= {f"pool/{one.job}" for one in jobs}
        assert say(parkade, *jobs) == []
