"""What-if on work of every shape: arrays, lists, live and submitted again."""

import pytest
from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.workloads.spec import Capacity, CapacityKind, Resize
from tests.core.kernel.story import Parkade
from tests.sim.whatif.journals import what_if


def test_each_member_of_an_array_is_a_workload_that_waits_from_when_its_array_lets_it() -> None:
    """Two members at a time, each for 20 minutes, on one node of two GPUs: the second pair is
    opened as the first one ends."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.org("lab")
    array = parkade.bid("lab", 9, gpus=1, spread=False, array="0-3%2")
    for pair in ((0, 1), (2, 3)):
        parkade.run(1200)
        for index in pair:
            parkade.ended(f"{array}_{index}")
    parkade.run(300)
    parkade.org("late")
    recorded, same, more = what_if(parkade.journal, "public_floor=10").runs
    assert (recorded.workloads, recorded.started, recorded.succeeded) == (4, 4, 4)
    assert (same.workloads, same.started, same.succeeded) == (4, 4, 4)
    assert recorded.wait_max_s < 60, "not from the array's submission on"
    assert recorded.gpu_hours["spot"] == pytest.approx(4 / 3, rel=0.1)
    assert recorded.paid > 0 and same.paid == pytest.approx(recorded.paid, rel=0.1)
    assert (more.started, more.paid) == (0, 0)


def test_a_member_that_is_opened_in_one_run_alone_is_lost_in_the_other() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.org("lab")
    array = parkade.bid("lab", 9, array="0-1%1")
    parkade.run(1200)
    parkade.ended(f"{array}_0")
    parkade.run(600)
    report = what_if(parkade.journal, "public_floor=10")
    assert (report.won, report.lost) == (0, 2)
    found = {it.workload: (it.wait_s[1], it.phase) for it in report.workloads}
    never = (None, ("succeeded", "queued")), (None, ("running", "queued"))
    assert found == {f"{array}_0": never[0], f"{array}_1": never[1]}


def test_a_member_that_is_retried_runs_once_more() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.org("lab")
    array = parkade.bid("lab", 9, array="0-1")
    parkade.run(600)
    parkade.ended(f"{array}_0", code=1)
    parkade.run(600)
    parkade.ended(f"{array}_1")
    parkade.do(commands.Retry(by=None, workload=array, members=None))
    parkade.run(1800)
    parkade.ended(f"{array}_0")
    recorded, same, _ = what_if(parkade.journal).runs
    assert (recorded.succeeded, same.succeeded) == (2, 2)
    assert recorded.gpu_hours["spot"] == pytest.approx(2 * 50 / 60, rel=0.05)
    assert same.gpu_hours["spot"] == pytest.approx(recorded.gpu_hours["spot"], rel=0.05)


def test_what_was_submitted_again_runs_once_more() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.org("lab")
    name = parkade.bid("lab", 9)
    parkade.run(600)
    parkade.ended(name)
    nothing = commands.NewBound(value=None)
    parkade.do(
        commands.Resubmit(
            by=None,
            workload=name,
            limit_price_micros=None,
            max_spend_micros=nothing,
            max_duration_us=nothing,
        )
    )
    parkade.run(1800)
    parkade.ended(name)
    for run in what_if(parkade.journal).runs:
        assert (run.workloads, run.succeeded) == (1, 1)
        assert run.gpu_hours["spot"] == pytest.approx(2 * 40 / 60, rel=0.05)


def test_ranks_that_join_and_leave_are_counted_and_paid_while_they_are_there() -> None:
    """Live work has 3 nodes for 20 min, 2 for an hour beside a rival, 3 for 20 min again: 240
    node-minutes of 2 GPUs, for the floor. With a node more it is done after 80 minutes."""
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    for org in ("lab", "rich"):
        parkade.org(org)
    live = parkade.bid("lab", 9, nodes=1, most_nodes=3, resize=Resize.LIVE)
    parkade.run(1200)
    rival = parkade.bid("rich", 20)
    parkade.run(3600)
    assert len(parkade.attempt(live).kept_seats) == 2
    parkade.ended(rival)
    parkade.run(1200)
    assert len(parkade.attempt(live).kept_seats) == 3
    parkade.ended(live)
    report = what_if(parkade.journal, "nodes=+1")
    recorded, same, more = report.runs
    assert set(report.facts) == set()
    assert recorded.gpu_hours["spot"] == pytest.approx(2 * (4 + 1), rel=0.05)
    assert recorded.notices == same.notices == {"outbid": 1}
    assert recorded.paid == pytest.approx(8 * recorded.gpu_hours["spot"], rel=0.05)
    assert same.gpu_hours["spot"] == pytest.approx(recorded.gpu_hours["spot"], rel=0.05)
    assert same.paid == pytest.approx(recorded.paid, rel=0.05)
    assert (more.succeeded, more.notices) == (same.succeeded, {})
    assert more.gpu_hours["spot"] == pytest.approx(same.gpu_hours["spot"], rel=0.05)


def test_hours_of_a_list_are_of_the_capacity_that_it_has() -> None:
    """It runs as spot for an hour, beside other work on its reservation, and then as its owner's
    for another, on the seats that it has."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 1)
    own = parkade.on_reservation("acme", "acme")
    right = Capacity(kind=CapacityKind.RESERVATION, reservation="acme")
    spec = replace(
        parkade.spec(),
        capacity=right,
        entries=(right, Capacity(kind=CapacityKind.SPOT)),
        spot_limit_micros=9 * MICROS,
    )
    submit = commands.Submit(by=None, org="acme", market=None, spec=spec, is_held=False)
    made = parkade.do(submit)
    name = next(it.workload.workload for it in made if isinstance(it, events.Submitted))
    parkade.run(3600)
    assert parkade.workload(name).spec.capacity.kind is CapacityKind.SPOT
    parkade.ended(own)
    parkade.run(3600)
    assert parkade.workload(name).spec.capacity == right
    parkade.ended(name)
    for run in what_if(parkade.journal).runs:
        assert run.gpu_hours["spot"] == pytest.approx(2, rel=0.05)
        assert run.gpu_hours["reservation"] == pytest.approx(2 + 2, rel=0.05)
        assert run.price == pytest.approx(8, rel=0.001), "hours on its reservation are not sold"


def test_what_has_another_name_there_is_found_by_what_waits_for_it() -> None:
    """The first submission needs a node more than there is, so all that follow have other names:
    an array, its members, and what waits for it."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    for org in ("lab", "rich"):
        parkade.org(org)
    large = parkade.bid("rich", 9, nodes=2)
    parkade.run(600)
    parkade.ended(large)
    array = parkade.bid("lab", 9, array="0-1%1")
    then = parkade.bid("lab", 9, after=(("after_ok", array),))
    for name in (f"{array}_0", f"{array}_1", then):
        parkade.run(600)
        parkade.ended(name)
    parkade.run(300)
    parkade.org("late")
    report = what_if(parkade.journal, "nodes=-1")
    _, same, fewer = report.runs
    assert (same.workloads, same.succeeded) == (4, 4)
    assert (fewer.workloads, fewer.succeeded) == (3, 3)
    assert report.skipped == {"Submit": 1}
    assert {it.workload for it in report.workloads} <= {f"{array}_0", f"{array}_1", then}
