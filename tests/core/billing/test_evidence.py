"""A credit for missing nodes names them: which, since when, why."""

from parkade.core.fleet.node import Health
from parkade.core.ledger.accounts import TransferKind
from parkade.core.reservations.missing import MissingNode
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.time import SECOND_US
from tests.core.repairing.sick import Sick


def credited(it: Sick) -> list[tuple[MissingNode, ...]]:
    """The evidence of each settlement that credited something, in order."""
    return [
        event.missing
        for event in it.journal
        if isinstance(event, events.ReservationSettled)
        and any(each.kind is TransferKind.CREDIT for each in event.transfers)
    ]


def owner_on_two() -> tuple[Sick, str]:
    """An owner of both nodes whose gang of two runs."""
    it = Sick(fabrics={"a": 2, "b": 1}, buffer_nodes=0)
    it.reserve("acme", 2)
    own = it.on_reservation("acme", "acme", nodes=2)
    it.clear()
    it.started(own)
    it.bid("lab", 30)
    it.run(30)
    return it, own


def test_a_credit_names_the_node_its_incident_and_since_when() -> None:
    it, own = owner_on_two()
    began_us = it.now_us
    it.verdict("a1")
    it.tick(10)
    it.ended(own, code=85)
    it.run(300)
    it.healed("a1")
    it.run(60)
    found = credited(it)
    assert found, "the owner was short and is credited"
    (node,) = found[-1]
    assert (node.node, node.since_us) == ("a1", began_us)
    assert node.incident == "incident-1" and "xid/79" in node.why
    assert it.world.records.missing == {}, "nothing is short any more"
    assert it.replayed() == encode_snapshot(it.world)


def test_a_credit_that_is_paid_when_the_node_is_back_still_names_it() -> None:
    it, own = owner_on_two()
    it.fail("a1")
    it.tick(10)
    it.ended(own, code=85)
    it.run(120)
    it.do(commands.RestoreNode(by=None, node="a1"))
    it.healed("a1")
    it.run(60)
    assert all([each.node for each in missing] == ["a1"] for missing in credited(it))
    assert credited(it)[-1][0].health is Health.FAILED or credited(it)[-1][0].why


def test_a_draining_a_cordoned_and_a_silent_node_say_so() -> None:
    it = Sick(fabrics={"a": 3}, buffer_nodes=0)
    it.reserve("acme", 3)
    it.do(commands.CordonNode(by=None, node="a1", reason="look"))
    it.do(commands.DrainNode(by=None, node="a2", reason="sold"))
    it.do(commands.ReportReachability(by=None, pool="pool", is_reachable=False))
    it.claim("acme", 3)
    it.run(30)
    (missing,) = it.world.records.missing.values()
    why = {each.node: each.why for each in missing}
    assert why == {
        "a1": "cordoned by server: look",
        "a2": "draining: sold",
        "a3": "its pool's agent is silent",
    }
    assert all(each.since_us <= it.now_us - 30 * SECOND_US for each in missing)


def test_without_a_shortage_nothing_is_kept() -> None:
    it, _ = owner_on_two()
    it.fail("b1")
    it.run(300)
    assert credited(it) == [] and it.world.records.missing == {}
