"""A pool that only observes: its fence leaves out the nodes that guests have left."""

import pytest

from parkade.control.outbox import Outbox
from parkade.core.fleet.node import MARS, OBSERVED, OTHERS, Cordon
from parkade.core.fleet.pool import TakenNode
from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.state import commands, events
from tests import builders
from tests.core.kernel.story import Parkade

NODES = ("a1", "a2", "a3")


class Observed:
    """A fenced Slurm pool, of which acme reserved two nodes of three; what its agent is told."""

    def __init__(self) -> None:
        self.parkade = Parkade(fabrics={"a": 3}, engine="slurm", buffer_nodes=0)
        self.seen = len(self.parkade.journal)
        self.outbox = Outbox(self.parkade.world, sequence=self.seen)
        self.parkade.do(commands.SetFence(by=None, pool="pool", is_on=True))
        self.parkade.do(commands.ReportFence(by=None, pool="pool", stands=True))
        self.parkade.reserve("acme", 2)
        self.parkade.lend("acme", 5)
        self.parkade.org("lab")
        self.parkade.do(builders.create_user("eve", "lab"))

    def guest(self) -> str:
        """A bid for a node."""
        spec = self.parkade.spec(limit=9)
        bid = commands.Submit(by="eve", org="lab", market=None, spec=spec, is_held=False)
        made = self.parkade.do(bid)
        return next(it.workload.workload for it in made if isinstance(it, events.Submitted))

    def unfenced(self) -> tuple[str, ...]:
        """After each batch as after a restart."""
        journal = self.parkade.journal
        committed = tuple(enumerate(journal[self.seen :], start=self.seen + 1))
        self.seen = len(journal)
        if committed:
            self.outbox.follow(self.parkade.world, committed)
        state = self.outbox.state("pool")
        again = Outbox(self.parkade.world, sequence=self.seen).state("pool")
        assert state is not None and again is not None
        assert state.unfenced == again.unfenced
        return state.unfenced

    def drain(self, *nodes: str, reason: str = OBSERVED) -> None:
        for node in nodes:
            self.parkade.do(commands.DrainNode(by=None, node=node, reason=reason))

    def lend(self) -> None:
        for node in NODES:
            self.parkade.do(commands.UndrainNode(by=None, node=node))

    def report(self, *jobs: OwnerJob) -> None:
        """As an agent does: of jobs, and of what those take that run."""
        self.parkade.do(commands.ReportOwnerJobs(by=None, pool="pool", jobs=jobs))
        nodes = tuple(
            TakenNode(node=node, job=f"job {job.job}", reservation=job.reservation)
            for job in jobs
            for node in job.runs_on
        )
        self.parkade.do(commands.ReportTakenNodes(by=None, pool="pool", nodes=nodes))


@pytest.fixture
def observed() -> Observed:
    return Observed()


def job(name: str, nodes: int, *runs_on: str) -> OwnerJob:
    return OwnerJob(job=name, reservation="acme", nodes=nodes, least=nodes, runs_on=runs_on)


def test_the_fence_leaves_out_observed_nodes_until_the_pool_lends_again(observed: Observed) -> None:
    assert observed.unfenced() == ()
    observed.drain(*NODES)
    assert observed.unfenced() == NODES
    observed.lend()
    assert observed.unfenced() == ()


def test_a_node_with_a_guest_leaves_the_fence_once_the_guest_left(observed: Observed) -> None:
    guest = observed.guest()
    observed.parkade.run(60)
    (taken,) = observed.parkade.nodes_of(guest)
    observed.drain(*NODES)
    assert observed.unfenced() == tuple(it for it in NODES if it != taken)
    observed.parkade.run(300)
    assert observed.unfenced() == NODES


def test_a_pool_without_a_fence_has_none_to_leave() -> None:
    plain = Parkade(fabrics={"a": 1}, engine="slurm", buffer_nodes=0)
    plain.do(commands.DrainNode(by=None, node="a1", reason=OBSERVED))
    state = Outbox(plain.world, sequence=1).state("pool")
    assert state is not None and state.unfenced == ()


def test_a_fence_of_a_pool_that_observes_already_leaves_them_out() -> None:
    parkade = Parkade(fabrics={"a": 2}, engine="slurm", buffer_nodes=0)
    outbox = Outbox(parkade.world, sequence=0)
    for node in ("a1", "a2"):
        parkade.do(commands.DrainNode(by=None, node=node, reason=OBSERVED))
    parkade.do(commands.SetFence(by=None, pool="pool", is_on=True))
    outbox.follow(parkade.world, tuple(enumerate(parkade.journal, start=1)))
    state = outbox.state("pool")
    assert state is not None and state.unfenced == ("a1", "a2")


@pytest.mark.parametrize(("holder", "is_left_out"), [(MARS, False), ("ann", False), (OTHERS, True)])
def test_a_node_that_a_person_or_mars_closes_stays_fenced(
    observed: Observed, holder: str, is_left_out: bool
) -> None:
    observed.drain(*NODES)
    cordon = Cordon(holder=holder, reason="fan", at_us=observed.parkade.now_us)
    observed.parkade.happen(
        (events.NodeCordoned(at_us=observed.parkade.now_us, node="a2", cordon=cordon),)
    )
    assert ("a2" in observed.unfenced()) is is_left_out


def test_a_node_that_is_drained_for_another_reason_or_broke_stays_fenced(
    observed: Observed,
) -> None:
    observed.drain("a1", reason="it goes back to its vendor")
    observed.drain("a2", "a3")
    observed.parkade.fail("a3")
    assert observed.unfenced() == ("a2",)


def test_a_node_of_a_claim_stays_fenced_while_the_claim_is_by_hand_or_its_job_is_let_in(
    observed: Observed,
) -> None:
    observed.parkade.claim("acme", 1)
    observed.report(job("42", 1))
    observed.parkade.run(60)
    held = {it.node for one in observed.parkade.world.records.claims.values() for it in one.held}
    assert len(held) == 2
    observed.drain(*NODES)
    assert observed.unfenced() == tuple(it for it in NODES if it not in held)
    observed.report()
    assert len(observed.unfenced()) == 2, "job 42 is over"


def test_a_job_that_slurm_starts_meanwhile_is_a_claim_there_and_counts_when_the_pool_lends_again(
    observed: Observed,
) -> None:
    observed.drain(*NODES)
    observed.report(job("42", 2))
    observed.parkade.run(60)
    (claim,) = observed.parkade.world.records.claims.values()
    assert not claim.seats, "no clearing gives a node that is drained"
    assert observed.unfenced() == NODES
    observed.report(job("42", 2, "a1", "a2"))
    (claim,) = observed.parkade.world.records.claims.values()
    assert [it.node for it in claim.held] == ["a1", "a2"]
    assert observed.unfenced() == NODES
    observed.lend()
    assert observed.unfenced() == ()
    guest = observed.guest()
    observed.parkade.run(300)
    assert observed.parkade.nodes_of(guest) == ("a3",)
    observed.report(job("42", 2, "a1", "a2"), job("43", 1))
    (claim,) = observed.parkade.world.records.claims.values()
    assert [it.node for it in claim.held] == ["a1", "a2"], "no more than acme reserved"
    observed.report()
    assert not observed.parkade.world.records.claims


def test_a_claim_that_waits_for_guests_to_leave_has_no_promise_left_and_slurm_starts_its_job(
    observed: Observed,
) -> None:
    for _ in range(3):
        observed.guest()
    observed.parkade.run(60)
    observed.report(job("42", 2))
    observed.drain(*NODES)
    assert observed.unfenced() == ()
    observed.parkade.run(300)
    (claim,) = observed.parkade.world.records.claims.values()
    assert not claim.seats and observed.unfenced() == NODES
