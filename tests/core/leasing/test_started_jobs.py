"""Owners' jobs that the engine started by itself: claims where they run, and what others lose."""

from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.fleet.node import OTHERS
from parkade.core.fleet.pool import TakenNode
from parkade.core.kernel.check import check
from parkade.core.kernel.decide import decide
from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.life import Phase
from parkade.sim.auditor.mars import MarsAuditor
from parkade.sim.auditor.owners import OwnersAuditor
from parkade.sim.auditor.seats import SeatAuditor
from tests.core.kernel.story import Parkade

NODES = ("a1", "a2", "a3", "a4")


def given_two_owners() -> Parkade:
    """Four nodes, two of acme's and two of birch's, lent."""
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0)
    for org in ("acme", "birch"):
        parkade.reserve(org, 2)
        parkade.lend(org, 9)
    return parkade


def job(
    name: str, nodes: int, *runs_on: str, of: str = "acme", least: int | None = None
) -> OwnerJob:
    least = nodes if least is None else least
    return OwnerJob(job=name, reservation=of, nodes=nodes, least=least, runs_on=runs_on)


def say(parkade: Parkade, *jobs: OwnerJob) -> list[events.AnyEvent]:
    """The report of an agent: of jobs, and of what those take that run."""
    made = list(parkade.do(commands.ReportOwnerJobs(by=None, pool="pool", jobs=jobs)))
    taken = {
        node: TakenNode(node=node, job=f"job {one.job}", reservation=one.reservation)
        for one in jobs
        for node in one.runs_on
    }
    nodes = tuple(taken.values())
    return [*made, *parkade.do(commands.ReportTakenNodes(by=None, pool="pool", nodes=nodes))]


def held(parkade: Parkade) -> dict[str, tuple[str, ...]]:
    """What claims hold, by their source."""
    found: dict[str, tuple[str, ...]] = {}
    for claim in parkade.world.records.claims.values():
        nodes = tuple(seat.node for seat in claim.held)
        found[claim.source or ""] = (*found.get(claim.source or "", ()), *nodes)
    return found


def audited(parkade: Parkade) -> None:
    """The second opinions hear the same events, and the journal gives the same world."""
    auditors = (SeatAuditor(), OwnersAuditor(), MarsAuditor())
    for event in parkade.journal:
        for auditor in auditors:
            auditor.read(event)
    assert parkade.replayed() == encode_snapshot(parkade.world)


def taken(parkade: Parkade) -> list[str]:
    nodes = parkade.world.records.nodes.values()
    return [it.node for it in nodes if any(one.holder == OTHERS for one in it.cordons)]


def node_of(parkade: Parkade, workload: str) -> str:
    attempt = parkade.workload(workload).attempt
    assert attempt is not None
    return attempt.seats[0].node


def test_a_job_that_runs_has_its_claim_where_it_runs_and_the_other_owner_gets_the_rest() -> None:
    parkade = given_two_owners()
    say(parkade, job("42", 2, "a1", "a2"))
    assert held(parkade) == {"pool/42": ("a1", "a2")} and taken(parkade) == []
    waiting = (job("42", 2, "a1", "a2"), job("43", 2), job("50", 2, of="birch"))
    say(parkade, *waiting)
    parkade.run(120)
    assert held(parkade) == {"pool/42": ("a1", "a2"), "pool/50": ("a3", "a4")}
    assert say(parkade, *waiting) == []
    say(parkade, *waiting[1:])
    parkade.run(120)
    assert held(parkade) == {"pool/43": ("a1", "a2"), "pool/50": ("a3", "a4")}


def test_nodes_are_lent_again_when_the_job_is_over() -> None:
    parkade = given_two_owners()
    say(parkade, job("42", 2, "a1", "a2"))
    guests = [parkade.bid("lab", 99) for _ in range(4)]
    parkade.run(120)
    assert [parkade.workload(it).phase for it in guests].count(Phase.RUNNING) == 2
    say(parkade)
    parkade.run(600)
    assert [parkade.workload(it).phase for it in guests].count(Phase.RUNNING) == 4


def test_guests_elsewhere_keep_their_seats_and_the_one_there_leaves_with_its_notice() -> None:
    parkade = given_two_owners()
    guests = [parkade.bid("lab", limit) for limit in (99, 98, 50)]
    parkade.run(120)
    nodes = {node_of(parkade, it): it for it in guests}
    free = next(node for node in NODES if node not in nodes)
    busy = node_of(parkade, guests[-1])
    told = job("42", 2, busy, free)
    say(parkade, told)
    assert held(parkade) == {"pool/42": (free,)}
    assert say(parkade, told) == []
    others = {node: it for node, it in nodes.items() if node != busy}
    for _ in range(4):
        parkade.run(60)
        say(parkade, told)
    assert set(held(parkade)["pool/42"]) == {busy, free}
    assert all(node_of(parkade, it) == node for node, it in others.items())
    assert parkade.workload(nodes[busy]).attempt is None
    assert taken(parkade) == []


def test_what_is_beyond_the_reservation_is_taken_until_there_is_room() -> None:
    parkade = given_two_owners()
    first, second = job("42", 2, "a1", "a2"), job("44", 1, "a3")
    say(parkade, first, second)
    assert held(parkade) == {"pool/42": ("a1", "a2")} and taken(parkade) == ["a3"]
    assert say(parkade, first, second) == []
    say(parkade, second)
    assert held(parkade) == {"pool/44": ("a3",)} and taken(parkade) == []


def test_a_job_of_more_nodes_than_are_reserved_has_what_is_reserved() -> None:
    parkade = given_two_owners()
    say(parkade, job("42", 3, "a1", "a2", "a3"))
    assert held(parkade) == {"pool/42": ("a1", "a2")} and taken(parkade) == ["a3"]


def test_claims_that_wait_make_room_for_what_runs() -> None:
    parkade = given_two_owners()
    for _ in range(4):
        parkade.bid("lab", 99)
    parkade.run(120)
    say(parkade, job("41", 2))
    (claim,) = parkade.world.records.claims.values()
    assert claim.promised and not claim.held
    say(parkade, job("41", 2), job("42", 1, "a1"))
    assert held(parkade) == {"pool/42": ()}
    parkade.run(120)
    say(parkade, job("41", 2), job("42", 1, "a1"))
    assert held(parkade) == {"pool/42": ("a1",)}


def test_a_claim_that_waited_for_the_very_job_stands_where_it_was_started() -> None:
    parkade = given_two_owners()
    say(parkade, job("42", 2))
    parkade.run(60)
    assert len(held(parkade)["pool/42"]) == 2
    free = [it for it in NODES if not parkade.world.held_on[it]]
    say(parkade, job("42", 2, *free))
    assert held(parkade) == {"pool/42": tuple(free)}
    parkade.run(300)
    assert held(parkade) == {"pool/42": tuple(free)}


def test_another_owner_that_was_promised_the_nodes_gets_others() -> None:
    parkade = given_two_owners()
    say(parkade, job("50", 2, of="birch"))
    parkade.run(1)
    theirs = held(parkade)["pool/50"]
    assert len(theirs) == 2
    told = (job("50", 2, of="birch"), job("42", 2, *theirs))
    for _ in range(3):
        say(parkade, *told)
        parkade.run(60)
    rest = tuple(it for it in NODES if it not in theirs)
    assert held(parkade) == {"pool/42": theirs, "pool/50": rest}
    assert taken(parkade) == []
    audited(parkade)


def test_what_an_owner_claimed_by_hand_stays_its_own_and_the_job_there_is_beyond_its_right() -> (
    None
):
    parkade = given_two_owners()
    parkade.claim("birch", 2)
    parkade.run(60)
    theirs = held(parkade)[""]
    say(parkade, job("42", 2, *theirs), job("43", 1))
    parkade.run(60)
    assert held(parkade)[""] == theirs
    assert set(taken(parkade)) == set(theirs)
    assert "pool/43" not in held(parkade), "what it uses already counts"


def test_a_job_far_from_its_fabric_uses_its_right_and_the_other_owner_gets_what_is_left() -> None:
    parkade = Parkade(fabrics={"a": 2, "b": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    parkade.reserve("birch", 2)
    (home, _), (theirs, _) = (
        parkade.world.records.reservations[it].shape[0] for it in ("acme", "birch")
    )
    assert home != theirs
    there = tuple(f"{theirs}{at}" for at in (1, 2))
    told = (job("42", 2, *there), job("50", 2, of="birch"))
    say(parkade, *told)
    parkade.run(60)
    here = tuple(f"{home}{at}" for at in (1, 2))
    assert held(parkade) == {"pool/42": there, "pool/50": here}


def test_an_arrays_tasks_that_run_are_claimed_where_they_are_and_the_rest_wherever() -> None:
    parkade = given_two_owners()
    say(parkade, job("9", 5, "a4", least=1))
    parkade.run(60)
    assert set(held(parkade)["pool/9"]) > {"a4"} and len(held(parkade)["pool/9"]) == 2


def test_a_job_that_is_let_in_again_later_has_an_ordinary_claim() -> None:
    parkade = given_two_owners()
    say(parkade, job("42", 2, "a3", "a4"))
    say(parkade, job("42", 2))
    (claim,) = parkade.world.records.claims.values()
    assert not claim.runs_on
    parkade.run(60)
    assert len(held(parkade)["pool/42"]) == 2


def test_a_job_counts_where_it_was_started_on_drained_nodes_and_when_they_are_lent_again() -> None:
    parkade = given_two_owners()
    for node in NODES:
        parkade.do(commands.DrainNode(by=None, node=node, reason="observed"))
    say(parkade, job("42", 2))
    parkade.run(60)
    assert held(parkade) == {"pool/42": ()}
    told = (job("42", 2, "a1", "a2"), job("50", 2, "a3", of="birch"))
    say(parkade, *told)
    assert held(parkade) == {"pool/42": ("a1", "a2"), "pool/50": ("a3",)}
    parkade.run(300)
    for node in NODES:
        parkade.do(commands.UndrainNode(by=None, node=node))
    guest = parkade.bid("lab", 99)
    parkade.run(60)
    say(parkade, *told)
    assert held(parkade) == {"pool/42": ("a1", "a2"), "pool/50": ("a3",)}
    assert taken(parkade) == [] and node_of(parkade, guest) == "a4"
    say(parkade, told[1])
    assert held(parkade) == {"pool/50": ("a3",)}
    audited(parkade)


def test_a_job_of_no_reservation_of_the_market_takes_its_nodes() -> None:
    parkade = given_two_owners()
    say(parkade, job("7", 1, "a1", of="nobodys"))
    assert held(parkade) == {} and taken(parkade) == ["a1"]


REPORTS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from("uvwxyz"),
            st.sampled_from(["acme", "birch"]),
            st.integers(1, 3),
            st.lists(st.sampled_from(NODES), unique=True, max_size=3),
        ),
        unique_by=lambda it: it[0],
        max_size=5,
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=15)
@given(REPORTS, st.integers(0, 4))
def test_whatever_is_told_no_more_is_claimed_than_reserved_and_each_node_once(
    reports: list[list[tuple[str, str, int, list[str]]]], guests: int
) -> None:
    parkade = given_two_owners()
    for _ in range(guests):
        parkade.bid("lab", 99)
    parkade.run(60)
    for report in reports:
        told = [
            job(name, max(nodes, len(runs_on)), *runs_on, of=owner, least=least)
            for at, (name, owner, nodes, runs_on) in enumerate(report)
            for least in [1 if at % 2 else max(nodes, len(runs_on))]
        ]
        for _ in range(2):
            say(parkade, *told)
            parkade.run(100)
        assert say(parkade, *told) == [], "what stands is told without effect"
        for owner in ("acme", "birch"):
            records = parkade.world.records
            known = [it for it in records.claims.values() if it.reservation == owner]
            assert sum(it.nodes for it in known) <= 2
        nodes = [it for one in parkade.world.records.claims.values() for it in one.runs_on]
        assert len(nodes) == len(set(nodes))
        check(parkade.world)
    audited(parkade)


def test_own_work_and_claims_keep_their_nodes_beside_a_job_that_runs() -> None:
    """Here the market took the claim's node, as the youngest of three where two are reserved."""
    parkade = given_two_owners()
    own = parkade.on_reservation("acme", "acme")
    parkade.run(60)
    (seat,) = parkade.attempt(own).seats
    say(parkade, job("41", 1))
    parkade.run(60)
    (given,) = held(parkade)["pool/41"]
    free = [node for node in NODES if node not in (seat.node, given)]
    waiting = (job("41", 1), job("42", 1, free[0]))
    for _ in range(3):
        say(parkade, *waiting)
        parkade.run(120)
    assert parkade.phase(own) is Phase.RUNNING
    assert held(parkade) == {"pool/41": (given,)} and taken(parkade) == [free[0]]
    assert breaches(parkade) == []
    parkade.do(commands.Cancel(by=None, workload=own, now=True))
    parkade.run(120)
    say(parkade, *waiting)
    assert held(parkade) == {"pool/41": (given,), "pool/42": (free[0],)} and taken(parkade) == []


def test_what_was_promised_a_node_that_a_job_takes_lost_it_as_if_it_broke() -> None:
    parkade = given_two_owners()
    for _ in range(4):
        parkade.bid("lab", 99)
    parkade.run(120)
    claim = parkade.claim("acme", 1)
    parkade.clear()
    (seat,) = parkade.world.records.claims[claim].promised
    say(parkade, job("42", 1, seat.node, of="birch"))
    parkade.run(600)
    assert seat.node not in [it.node for it in parkade.world.records.claims[claim].held]
    assert breaches(parkade) == []


def breaches(parkade: Parkade) -> list[str]:
    """What the auditor of owners says."""
    auditor = OwnersAuditor()
    for event in parkade.journal:
        auditor.read(event)
    return auditor.close(parkade.now_us).breaches


def test_a_claim_is_not_given_up_while_its_job_is_in_the_queue() -> None:
    """Else a guest could be launched on its node before the next report claims that anew."""
    parkade = given_two_owners()
    say(parkade, job("42", 1, "a1"), job("43", 1))
    for claim, name in zip(parkade.world.records.claims, ("42", "43"), strict=True):
        command = commands.Unclaim(by=None, claim=claim)
        refusal = decide(parkade.world, command, parkade.now_us)
        assert isinstance(refusal, Refusal) and refusal.reason is Reason.CONFLICT
        assert f"scancel {name}" in refusal.detail
    assert held(parkade)["pool/42"] == ("a1",)


def test_a_claim_is_given_up_where_no_agent_says_that_its_job_is_over() -> None:
    parkade = given_two_owners()
    say(parkade, job("42", 1, "a1"))
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=False))
    (claim,) = parkade.world.records.claims
    parkade.do(commands.Unclaim(by=None, claim=claim))
    assert held(parkade) == {}
    guests = [parkade.bid("lab", 99) for _ in range(4)]
    parkade.run(120)
    assert all(parkade.workload(it).attempt is None for it in guests), "nothing starts there"
    audited(parkade)
