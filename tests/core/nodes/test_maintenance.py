"""Maintenance windows: what may be taken, who leaves when, and that nodes come back."""

from parkade.core.fleet.node import Health
from parkade.core.state import commands, events
from parkade.core.steps.capacity import begins_us
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.life import Cause, Phase
from tests.core.kernel.story import Parkade

LEAD_S = 35
"""Notice and kill of the tests' terms."""


def command(
    parkade: Parkade, *nodes: str, start: float | None = 1, end: float = 2, force: bool = False
) -> commands.ScheduleMaintenance:
    """A window from so many hours from now to so many."""
    start_us = None if start is None else parkade.now_us + round(start * HOUR_US)
    return commands.ScheduleMaintenance(
        by=None,
        nodes=nodes,
        start_us=start_us,
        end_us=parkade.now_us + round(end * HOUR_US),
        reason="firmware",
        is_forced=force,
    )


def change(
    parkade: Parkade, *, start: float | None = None, end: float | None = None
) -> commands.ChangeMaintenance:
    return commands.ChangeMaintenance(
        by=None,
        maintenance="m1",
        start_us=None if start is None else parkade.now_us + round(start * HOUR_US),
        end_us=None if end is None else parkade.now_us + round(end * HOUR_US),
        is_forced=False,
    )


def reserve(parkade: Parkade, nodes: int, start: float, end: float) -> commands.Reserve:
    return commands.Reserve(
        by=None,
        org="acme",
        market=None,
        name=None,
        nodes=nodes,
        start_us=parkade.now_us + round(start * HOUR_US),
        end_us=parkade.now_us + round(end * HOUR_US),
    )


def is_open(parkade: Parkade, node: str) -> bool:
    return parkade.world.records.nodes[node].is_open


def test_the_example_of_the_module() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    refusal = parkade.refused(command(parkade, "a1", "a2"))
    assert refusal.reason is Reason.CONFLICT and "acme" in refusal.detail
    parkade.do(command(parkade, "a1", start=2, end=4))
    assert parkade.refused(reserve(parkade, 1, 1, 3)).reason is Reason.NO_CAPACITY
    assert parkade.refused(reserve(parkade, 1, 3, 6)).reason is Reason.NO_CAPACITY
    parkade.do(reserve(parkade, 1, 4, 6))
    parkade.tick(2 * 3600 - LEAD_S - 1)
    assert is_open(parkade, "a1")
    parkade.tick(1)
    assert not is_open(parkade, "a1")


def test_work_has_its_notice_in_time_and_nodes_come_back_by_themselves() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.org("lab")
    first, second = parkade.bid("lab", 9), parkade.bid("lab", 9)
    parkade.run(30)
    gone, stays = sorted((first, second), key=parkade.nodes_of)
    start_us = parkade.now_us + HOUR_US
    parkade.do(command(parkade, "a1"))
    parkade.run(3600 - LEAD_S - 1)
    assert parkade.phase(gone) is Phase.RUNNING
    parkade.tick(1)
    stop = parkade.stop(gone)
    assert stop.cause is Cause.OPERATOR and stop.kill_us == start_us
    assert parkade.attempt(stays).stop is None
    parkade.run(LEAD_S)
    assert not parkade.world.held_on["a1"] and parkade.phase(gone) is Phase.QUEUED
    parkade.run(3600 + 60)
    assert is_open(parkade, "a1") and parkade.nodes_of(gone) == ("a1",)
    assert not parkade.world.records.maintenance
    ended = [it for it in parkade.journal if isinstance(it, events.MaintenanceEnded)]
    assert [it.is_cancelled for it in ended] == [False]
    assert ended[0].at_us == start_us + HOUR_US


def test_a_gang_on_two_of_its_nodes_has_one_notice_and_moves_where_there_is_room() -> None:
    parkade = Parkade(fabrics={"a": 2, "b": 2}, buffer_nodes=0)
    gang = parkade.bid("lab", 9, nodes=2)
    parkade.run(30)
    fabric = parkade.nodes_of(gang)[0][0]
    parkade.do(command(parkade, f"{fabric}1", f"{fabric}2", start=None))
    stops = [it for it in parkade.journal if isinstance(it, events.StopOrdered)]
    assert [it.workload for it in stops] == [gang]
    parkade.run(120)
    assert parkade.phase(gang) is Phase.RUNNING
    assert {node[0] for node in parkade.nodes_of(gang)} == {"ab".replace(fabric, "")}


def test_the_buffer_may_be_maintained_and_what_is_sold_later_leaves_the_window_out() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=1)
    parkade.reserve("acme", 2)
    parkade.do(command(parkade, "a3"))
    refusal = parkade.refused(command(parkade, "a2", start=1.5, end=3))
    assert refusal.reason is Reason.CONFLICT and "maintenance" in refusal.detail
    assert parkade.do(command(parkade, "a2", start=2.5, end=3))


def test_a_refusal_counts_each_window_once_and_names_whose_nodes_would_be_short() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=1)
    parkade.reserve("acme", 2)
    parkade.do(command(parkade, "a3"))
    refusal = parkade.refused(command(parkade, "a2", start=1.5, end=3))
    assert refusal.detail.startswith(
        "up to 3 nodes of fabric 'a' are sold or in maintenance in this time, to acme"
    )
    assert "and 2 would be left: " in refusal.detail


def test_a_window_that_has_begun_keeps_when_its_nodes_had_their_notice() -> None:
    parkade = Parkade()
    parkade.do(command(parkade, "a1"))
    parkade.tick(3600 - LEAD_S + 60)
    before = notice_at_us(parkade)
    assert before == parkade.now_us - 60 * SECOND_US
    parkade.do(change(parkade, end=3))
    assert notice_at_us(parkade) == before
    longer = commands.TermsChange(notice_us=600 * SECOND_US)
    parkade.do(commands.ChangeTerms(by=None, market="pool", change=longer, from_us=None))
    assert notice_at_us(parkade) == before


def notice_at_us(parkade: Parkade) -> int:
    return begins_us(parkade.world, parkade.world.records.maintenance["m1"])


def test_an_owner_that_is_short_by_force_is_credited() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, reservation_rate_micros=4 * MICROS)
    name = parkade.reserve("acme", 2)
    jobs = [parkade.on_reservation("acme", name) for _ in range(2)]
    parkade.run(30)
    parkade.do(command(parkade, "a1", start=None, end=0.5, force=True))
    parkade.run(3600)
    assert all(parkade.phase(job) is Phase.RUNNING for job in jobs)
    settled = [it for it in parkade.journal if isinstance(it, events.ReservationSettled)]
    assert any("maintenance:m1" in missing.why for it in settled for missing in it.missing)


def test_one_node_is_in_one_window_at_a_time() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.do(command(parkade, "a1", "a2"))
    refusal = parkade.refused(command(parkade, "a2", "a3", start=1.5, end=3))
    assert refusal.reason is Reason.CONFLICT and "a2" in refusal.detail and "m1" in refusal.detail
    assert parkade.do(command(parkade, "a2", start=2.5, end=3))


def test_windows_without_sense_are_refused() -> None:
    parkade = Parkade()
    for bad, field in (
        (command(parkade), "nodes"),
        (command(parkade, "a1", start=-1), "start"),
        (command(parkade, "a1", start=3, end=2), "end"),
        (command(parkade, "a1", start=None, end=-1), "end"),
    ):
        refusal = parkade.refused(bad)
        assert (refusal.reason, refusal.field) == (Reason.INVALID, field)
    assert parkade.refused(command(parkade, "z9")).reason is Reason.NOT_FOUND
    assert parkade.refused(change(parkade, end=3)).reason is Reason.NOT_FOUND
    cancel = commands.CancelMaintenance(by=None, maintenance="m1")
    assert parkade.refused(cancel).reason is Reason.NOT_FOUND


def test_a_window_that_moves_begins_and_ends_at_its_new_time() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.do(command(parkade, "a1"))
    parkade.do(change(parkade, start=3, end=4))
    parkade.tick(2 * 3600)
    assert is_open(parkade, "a1")
    parkade.tick(3600)
    assert not is_open(parkade, "a1")
    assert parkade.refused(change(parkade, start=1)).reason is Reason.CONFLICT
    parkade.do(change(parkade, end=0.5))
    parkade.tick(1799)
    assert not is_open(parkade, "a1")
    parkade.tick(1)
    assert is_open(parkade, "a1")


def test_a_window_that_would_move_onto_sold_nodes_stays() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.org("acme")
    parkade.do(command(parkade, "a1"))
    parkade.do(reserve(parkade, 1, 2, 3))
    assert parkade.refused(change(parkade, end=2.5)).reason is Reason.CONFLICT
    assert parkade.do(change(parkade, end=1.5))


def test_a_cancelled_window_gives_its_nodes_back_at_once() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.do(command(parkade, "a1", start=None))
    assert not is_open(parkade, "a1")
    parkade.do(commands.CancelMaintenance(by=None, maintenance="m1"))
    assert is_open(parkade, "a1") and not parkade.world.records.maintenance
    parkade.tick(3 * 3600)
    assert parkade.world.records.counters["maintenance"] == 1


def test_a_persons_cordon_and_a_failure_outlast_the_window() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.do(command(parkade, "a1", "a2", start=None))
    parkade.do(commands.CordonNode(by=None, node="a1", reason="look"))
    parkade.fail("a2")
    parkade.tick(2 * 3600)
    a1, a2 = (parkade.world.records.nodes[name] for name in ("a1", "a2"))
    assert [it.holder for it in a1.cordons] == ["server"]
    assert a2.health is Health.FAILED and not a2.cordons


def test_only_the_window_lifts_its_cordon() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.do(command(parkade, "a1", start=None))
    refusal = parkade.refused(commands.UncordonNode(by=None, node="a1"))
    assert refusal.reason is Reason.CORDONED_BY_ANOTHER and "maintenance:m1" in refusal.detail


def test_a_longer_notice_leaves_what_was_sold_before_a_window() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.do(command(parkade, "a1"))
    sold = commands.Reserve(
        by=None,
        org=parkade.org("acme"),
        market=None,
        name=None,
        nodes=1,
        start_us=None,
        end_us=parkade.now_us + HOUR_US - LEAD_S * SECOND_US,
    )
    parkade.do(sold)
    longer = commands.TermsChange(notice_us=600 * SECOND_US)
    parkade.do(commands.ChangeTerms(by=None, market="pool", change=longer, from_us=None))
    parkade.tick(3600 - LEAD_S - 1)
    assert is_open(parkade, "a1")
    parkade.tick(1)
    assert not is_open(parkade, "a1")


def test_a_window_that_is_changed_has_the_notice_that_is_then_in_force() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.do(command(parkade, "a1"))
    longer = commands.TermsChange(notice_us=600 * SECOND_US)
    parkade.do(commands.ChangeTerms(by=None, market="pool", change=longer, from_us=None))
    parkade.do(change(parkade, start=1))
    parkade.tick(3600 - 605 - 1)
    assert is_open(parkade, "a1")
    parkade.tick(1)
    assert not is_open(parkade, "a1")


def test_a_notice_has_its_whole_time_however_near_the_window_is_moved() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    job = parkade.bid("lab", 9)
    parkade.run(60)
    parkade.do(command(parkade, "a1"))
    parkade.run(60)
    parkade.do(change(parkade, start=0.001))
    stop = parkade.stop(job)
    assert (stop.noticed_us, stop.deadline_us) == (parkade.now_us, parkade.now_us + 30 * SECOND_US)


def test_a_node_that_leaves_its_pool_leaves_its_windows() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.do(command(parkade, "a1", "a2"))
    parkade.do(command(parkade, "a3", start=None))
    for node in ("a2", "a3"):
        parkade.do(commands.DrainNode(by=None, node=node, reason="gone"))
        parkade.do(commands.RemoveNode(by=None, node=node))
    assert {it.nodes for it in parkade.world.records.maintenance.values()} == {("a1",)}
    parkade.tick(3 * 3600)
    assert not parkade.world.records.maintenance and is_open(parkade, "a1")


def test_a_claim_stays_until_its_owner_gives_it_up() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    name = parkade.reserve("acme", 1)
    claim = parkade.claim(name, 1)
    parkade.run(30)
    (seat,) = parkade.world.records.claims[claim].seats
    parkade.do(command(parkade, seat.node, start=None))
    parkade.run(120)
    assert parkade.world.held_on[seat.node] == {claim: 2}
    parkade.do(commands.Unclaim(by=None, claim=claim))
    parkade.run(30)
    assert not parkade.world.held_on[seat.node]
    again = parkade.claim(name, 1)
    parkade.run(60)
    assert parkade.world.records.claims[again].seats[0].node != seat.node


def test_on_demand_keeps_its_window_and_a_node_is_found_in_any_case() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.on_demand("studio", hours=4, nodes=2)
    assert "w1" in parkade.refused(command(parkade, "A1")).detail
