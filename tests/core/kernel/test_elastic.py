"""Elastic workloads, from the submission to the last charge: they shrink, grow, and pay by node."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.ledger.accounts import TransferKind, Use
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.units.time import MINUTE_US, SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.moves import Healed
from parkade.core.workloads.spec import Capacity, CapacityKind, Moves
from tests.core.kernel.story import Parkade

REGROW_S = 600


def given_parkade(nodes: int = 4, **terms: Any) -> Parkade:
    """Nodes of two GPUs in one fabric, at a floor of 1 per GPU-hour."""
    terms = {
        "buffer_nodes": 0,
        "public_floor_micros": MICROS,
        "regrow_us": REGROW_S * SECOND_US,
    } | terms
    return Parkade(fabrics={"a": nodes}, **terms)


def charges(parkade: Parkade, name: str) -> list[Use]:
    found = [
        transfer.use
        for event in parkade.journal
        if isinstance(event, events.UsePosted) and event.workload == name
        for transfer in event.transfers
        if transfer.kind is TransferKind.USAGE
    ]
    return [it for it in found if it is not None]


def test_it_starts_on_all_that_is_free_and_shrinks_to_what_a_higher_bid_leaves() -> None:
    parkade = given_parkade()
    name = parkade.bid("lab", 5, nodes=1, most_nodes=8)
    parkade.run(60)
    assert parkade.nodes_of(name) == ("a1", "a2", "a3", "a4")
    gang = parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    stop = parkade.stop(name)
    assert stop.cause is Cause.OUTBID
    assert (
        stop.deadline_us - stop.noticed_us == parkade.world.records.markets["pool"].terms.notice_us
    )
    assert parkade.nodes_of(name) == ("a1", "a2")
    parkade.run(60)
    assert parkade.attempt(name).generation == 2 and parkade.phase(name) is Phase.RUNNING
    assert parkade.nodes_of(gang) == ("a3", "a4") and parkade.phase(gang) is Phase.RUNNING
    assert (parkade.workload(name).preemptions, parkade.workload(name).failures) == (1, 0)
    parkade.replayed()


def test_one_that_shrinks_again_and_again_goes_on_without_a_wait() -> None:
    parkade = given_parkade()
    name = parkade.bid("lab", 5, nodes=1, most_nodes=8)
    for number in (3, 2, 1):
        parkade.run(30)
        parkade.bid("acme", 9)
        parkade.clear()
        assert parkade.stop(name).cause is Cause.OUTBID
        assert len(parkade.nodes_of(name)) == number
        parkade.ended(name, code=85)
        assert parkade.workload(name).not_before_us == 0
    parkade.run(30)
    assert parkade.phase(name) is Phase.RUNNING


def test_it_grows_back_once_it_has_run_for_regrow_and_not_before() -> None:
    parkade = given_parkade()
    gang = parkade.bid("acme", 9, nodes=2)
    parkade.run(30)
    name = parkade.bid("lab", 5, nodes=1, most_nodes=8)
    parkade.run(60)
    parkade.ended(gang)
    parkade.run(REGROW_S - 90)
    assert len(parkade.nodes_of(name)) == 2 and parkade.attempt(name).generation == 1
    parkade.run(90)
    assert parkade.attempt(name).generation == 2
    assert len(parkade.nodes_of(name)) == 4
    grown = [
        it.stop.cause
        for event in parkade.journal
        if isinstance(event, events.Cleared)
        for it in event.left
        if it.stop is not None
    ]
    assert grown == [Cause.RESIZED]
    assert parkade.workload(name).preemptions == 1


def test_where_a_market_has_no_regrow_it_never_grows() -> None:
    parkade = given_parkade(regrow_us=None)
    gang = parkade.bid("acme", 9, nodes=2)
    parkade.run(30)
    name = parkade.bid("lab", 5, nodes=1, most_nodes=8)
    parkade.run(60)
    parkade.ended(gang)
    parkade.run(3 * REGROW_S)
    assert len(parkade.nodes_of(name)) == 2


def test_each_node_is_charged_at_its_price_and_the_shares_arrive() -> None:
    parkade = given_parkade()
    name = parkade.bid("lab", 5, nodes=1, most_nodes=8)
    parkade.bid("acme", 2, nodes=2)
    parkade.clear()
    rate = parkade.attempt(name).rates[-1]
    assert rate.node_prices == tuple(it * MICROS for it in (1, 1, 2, 2))
    assert rate.price_micros == 1_500_000
    parkade.started(name)
    before = parkade.balance("org/lab")
    for _ in range(120):
        parkade.tick(30)
        parkade.heard()
    parkade.ended(name)
    assert before - parkade.balance("org/lab") == 12 * MICROS
    assert {(it.gpus, it.price_micros) for it in charges(parkade, name)} == {
        (4, MICROS),
        (4, 2 * MICROS),
    }
    assert parkade.balance("operator") == 12 * MICROS
    assert parkade.workload(name).spent_micros == 12 * MICROS


def test_it_takes_no_more_nodes_than_its_org_can_set_aside_for() -> None:
    parkade = given_parkade()
    parkade.org("poor", deposit=1)
    name = parkade.bid("poor", 5, nodes=1, most_nodes=8)
    parkade.clear()
    nodes = len(parkade.nodes_of(name))
    assert 1 <= nodes < 4
    more = given_parkade()
    more.org("poor", deposit=2)
    name = more.bid("poor", 5, nodes=1, most_nodes=8)
    more.clear()
    assert len(more.nodes_of(name)) > nodes


def test_growth_never_takes_the_earmark_of_what_its_org_runs() -> None:
    parkade = given_parkade(8)
    parkade.org("lab", deposit=3)
    first = parkade.bid("lab", 5, nodes=1, most_nodes=8)
    second = parkade.bid("lab", 4)
    parkade.run(120)
    assert parkade.phase(first) is Phase.RUNNING and parkade.phase(second) is Phase.RUNNING


def test_one_that_grows_into_seats_of_others_owes_for_it() -> None:
    parkade = given_parkade()
    parkade.bid("acme", 2, nodes=2, max_duration_us=60 * MINUTE_US)
    parkade.run(30)
    name = parkade.bid("lab", 1.5, nodes=1, most_nodes=8)
    parkade.run(60)
    assert len(parkade.nodes_of(name)) == 2
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=9 * MICROS))
    parkade.run(REGROW_S + 60)
    assert len(parkade.nodes_of(name)) == 4
    assert parkade.attempt(name).displaced
    debt = parkade.attempt(name).debt
    assert debt is not None and set(debt.nodes) == {"a1", "a2"}


@pytest.mark.parametrize("nodes", [4, 5])
def test_one_whose_promised_node_breaks_is_promised_what_is_left_and_starts(nodes: int) -> None:
    """Its promise kept the broken node for ever, and it waited in `placed`."""
    parkade = given_parkade(nodes)
    parkade.bid("acme", 2, nodes=4)
    parkade.run(30)
    name = parkade.bid("lab", 9, nodes=2, most_nodes=4)
    parkade.clear()
    promised = parkade.nodes_of(name)
    assert len(promised) == 4
    parkade.do(commands.FailNode(by=None, node=promised[1], reason="broken"))
    parkade.clear()
    after = parkade.nodes_of(name)
    assert promised[1] not in after and len(after) == nodes - 1
    assert set(promised) - {promised[1]} <= set(after)
    promise = parkade.workload(name).promise
    assert promise is not None and len(promise.rates[-1].node_prices) == len(after)
    won = [it for event in parkade.journal if isinstance(event, events.Cleared) for it in event.won]
    assert won[-1].moved == Healed()
    parkade.run(120)
    assert parkade.phase(name) is Phase.RUNNING
    parkade.replayed()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"gpus": 1}, "gpus"),
        ({"most_nodes": 1}, "nodes"),
        ({"moves": Moves.CHEAPER}, "nodes"),
        ({"capacity": Capacity(kind=CapacityKind.ON_DEMAND), "limit_price_micros": None}, "nodes"),
    ],
)
def test_what_cannot_be_elastic_is_refused(changes: dict[str, Any], field: str) -> None:
    parkade = given_parkade()
    parkade.org("lab")
    spec = replace(parkade.spec(limit=5, nodes=2, most_nodes=4), **changes)
    refusal = parkade.refused(
        commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)
    )
    assert refusal.field == field
    assert refusal.reason in (Reason.UNSUPPORTED, Reason.INVALID)
