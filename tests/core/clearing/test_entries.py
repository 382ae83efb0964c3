"""Lists of capacity: the reservation first, spot where that is full."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.api.views.costs import workload_cost
from parkade.control.origins import origin_of
from parkade.core.clearing.plan import Plan, plan
from parkade.core.state import commands, events, lines
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.deadline import DeadlineTerms
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.spec import Capacity, CapacityKind, Moves
from tests.core.kernel.story import Parkade

SPOT = Capacity(kind=CapacityKind.SPOT)
ON_DEMAND = Capacity(kind=CapacityKind.ON_DEMAND)


def right(name: str) -> Capacity:
    return Capacity(kind=CapacityKind.RESERVATION, reservation=name)


def market(nodes: int = 3, **terms: Any) -> Parkade:
    given: dict[str, Any] = {"fabrics": {"a": nodes}, "buffer_nodes": 0}
    return Parkade(**(given | {"public_floor_micros": MICROS} | terms))


def command(
    parkade: Parkade, *entries: Capacity, limit: float | None = 2, org: str = "acme", **shape: Any
) -> commands.Submit:
    spec = replace(
        parkade.spec(**shape),
        capacity=entries[0],
        entries=entries,
        spot_limit_micros=None if limit is None else round(limit * MICROS),
    )
    return commands.Submit(by=None, org=org, market=None, spec=spec, is_held=False)


def submit(parkade: Parkade, *entries: Capacity, **asked: Any) -> str:
    made = parkade.do(command(parkade, *entries, **asked))
    return next(it.workload.workload for it in made if isinstance(it, events.Submitted))


def asks(parkade: Parkade, name: str) -> str:
    return str(parkade.workload(name).spec.capacity)


def test_the_reservation_is_used_first_and_the_rest_bids_for_spot() -> None:
    parkade = market()
    parkade.reserve("acme", 1)
    first, second = (submit(parkade, right("acme"), SPOT) for _ in range(2))
    parkade.clear()
    assert (asks(parkade, first), asks(parkade, second)) == ("reservation/acme", "spot")
    assert (parkade.price(first), parkade.price(second)) == (0, MICROS)
    assert parkade.workload(second).spec.limit_price_micros == 2 * MICROS
    assert parkade.workload(first).spec.limit_price_micros is None


def test_two_reservations_are_tried_in_the_order_of_the_list() -> None:
    parkade = market(nodes=4)
    parkade.reserve("acme", 1)
    made = parkade.do(
        commands.Reserve(
            by=None, org="acme", market="pool", name="other", nodes=1, start_us=None, end_us=None
        )
    )
    other = next(it.reservation.reservation for it in made if isinstance(it, events.Reserved))
    names = [submit(parkade, right(other), right("acme"), SPOT) for _ in range(3)]
    parkade.clear()
    wanted = [f"reservation/{other}", "reservation/acme", "spot"]
    assert [asks(parkade, it) for it in names] == wanted


def test_what_loses_as_spot_tries_the_reservation_first() -> None:
    parkade = market(nodes=2, minimum_charge_us=HOUR_US)
    parkade.reserve("acme", 1)
    own = parkade.on_reservation("acme", "acme")
    other = parkade.bid("rival", 1.5)
    parkade.run(60)
    name = submit(parkade, right("acme"), SPOT)
    parkade.run(60)
    assert asks(parkade, name) == "spot" and parkade.attempt(name).owes_minimum
    cancel = commands.Cancel(by=None, workload=own, now=True)
    parkade.do(cancel)
    parkade.do(commands.ChangeBid(by=None, workload=other, limit_price_micros=5 * MICROS))
    parkade.run(120)
    assert parkade.phase(other) is Phase.RUNNING
    assert asks(parkade, name) == "reservation/acme" and parkade.attempt(name).generation == 2
    assert parkade.price(name) == 0


def test_it_waits_as_a_bid_where_nothing_has_room() -> None:
    parkade = market(nodes=1)
    parkade.reserve("acme", 1)
    parkade.on_reservation("acme", "acme")
    name = submit(parkade, right("acme"), SPOT)
    parkade.clear()
    assert parkade.phase(name) is Phase.QUEUED and asks(parkade, name) == "spot"
    before = parkade.world.records.sequence
    parkade.clear()
    assert parkade.world.records.sequence == before, "a clearing of an unchanged world is no event"


def test_before_its_window_and_after_its_end_a_reservation_is_passed_over() -> None:
    parkade = market(nodes=2)
    parkade.reserve("acme", 1, hours=1)
    taken = parkade.on_reservation("acme", "acme")
    parkade.clear()
    parkade.start_all()
    name = submit(parkade, right("acme"), SPOT, limit=0.5)
    parkade.clear()
    assert asks(parkade, name) == "spot", "it waits below the floor"
    parkade.do(commands.Cancel(by=None, workload=taken, now=True))
    parkade.run(40)
    assert asks(parkade, name) == "reservation/acme" and parkade.phase(name) is Phase.RUNNING
    parkade.run(3600)
    assert asks(parkade, name) == "spot", "the reservation is over"
    assert parkade.phase(name) is Phase.QUEUED
    assert parkade.workload(name).preemptions == 0 or parkade.workload(name).failures == 0


def test_a_limit_that_changes_is_kept_for_the_next_time() -> None:
    parkade = market(nodes=1)
    parkade.reserve("acme", 1)
    own = parkade.on_reservation("acme", "acme")
    name = submit(parkade, right("acme"), SPOT)
    parkade.clear()
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=3 * MICROS))
    spec = parkade.workload(name).spec
    assert spec.limit_price_micros == spec.spot_limit_micros == 3 * MICROS
    parkade.do(commands.Cancel(by=None, workload=own, now=True))
    parkade.clear()
    spec = parkade.workload(name).spec
    assert (spec.limit_price_micros, spec.spot_limit_micros) == (None, 3 * MICROS)
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=MICROS))
    spec = parkade.workload(name).spec
    assert (spec.limit_price_micros, spec.spot_limit_micros) == (None, MICROS), "for later"


@pytest.mark.parametrize("taken", [0, 1])
def test_plan_is_what_the_next_clearing_gives(taken: int) -> None:
    parkade = market()
    parkade.reserve("acme", 1)
    for _ in range(taken):
        parkade.on_reservation("acme", "acme")
    asked = command(parkade, right("acme"), SPOT)
    planned = plan(parkade.world, asked, parkade.now_us)
    assert isinstance(planned, Plan)
    name = submit(parkade, right("acme"), SPOT)
    parkade.clear()
    assert planned.workload.spec.capacity == parkade.workload(name).spec.capacity
    assert planned.price_micros == parkade.price(name) == taken * MICROS


def test_a_swarm_of_lists_gets_no_more_of_a_reservation_than_its_shape() -> None:
    parkade = market(nodes=4)
    parkade.reserve("acme", 2)
    parkade.bid("rival", 3)
    names = [submit(parkade, right("acme"), SPOT) for _ in range(8)]
    parkade.clear()
    on_right = [it for it in names if asks(parkade, it) == "reservation/acme"]
    seated = [it for it in names if parkade.nodes_of(it)]
    assert len(on_right) == 2 and len(seated) == 3, "and one rival"


def test_a_list_pays_for_its_spot_seats_what_a_bid_alone_would() -> None:
    """It comes before nobody by its list, and pays its rival's limit."""
    prices = []
    for has_list in (True, False):
        parkade = market(nodes=2)
        parkade.reserve("acme", 1)
        parkade.on_reservation("acme", "acme")
        parkade.bid("rival", 1.5)
        if has_list:
            name = submit(parkade, right("acme"), SPOT)
        else:
            name = parkade.bid("acme", 2)
        parkade.clear()
        won = [each for it in parkade.journal if isinstance(it, events.Cleared) for each in it.won]
        mine = next(it for it in won if it.demand == lines.WorkloadDemand(workload=name))
        prices.append(mine.promise.rates[0].price_micros)
    assert prices[0] == prices[1] == 1.5 * MICROS


def test_who_displaces_as_spot_owes_though_its_reservation_gets_room() -> None:
    """To move to the reservation is no way out of the minimum: it stays where it was promised."""
    parkade = market(nodes=2, minimum_charge_us=HOUR_US)
    parkade.reserve("acme", 1)
    own = parkade.on_reservation("acme", "acme")
    parkade.bid("rival", 1.5)
    parkade.clear()
    parkade.start_all()
    name = submit(parkade, right("acme"), SPOT, limit=5)
    parkade.clear()
    promise = parkade.workload(name).promise
    assert promise is not None and promise.displaces
    parkade.do(commands.Cancel(by=None, workload=own, now=True))
    parkade.clear()
    promise = parkade.workload(name).promise
    assert promise is not None and promise.displaces and asks(parkade, name) == "spot"


def refused(parkade: Parkade, asked: commands.Submit) -> Refusal:
    return parkade.refused(asked)


def test_lists_that_are_no_lists_are_refused_by_name() -> None:
    parkade = market()
    parkade.reserve("acme", 1)
    parkade.reserve("lab", 1)
    acme = right("acme")
    for entries, reason in (
        ((right("lab"), SPOT), Reason.NOT_FOUND),
        ((acme, right("lab"), SPOT), Reason.NOT_FOUND),
        ((ON_DEMAND, acme), Reason.INVALID),
        ((ON_DEMAND, SPOT), Reason.INVALID),
        ((SPOT, SPOT), Reason.INVALID),
        ((SPOT, acme), Reason.INVALID),
        ((acme, acme, SPOT), Reason.INVALID),
    ):
        assert refused(parkade, command(parkade, *entries)).reason is reason, entries
    no_limit = command(parkade, acme, SPOT, limit=None)
    assert refused(parkade, no_limit).reason is Reason.LIMIT_REQUIRED
    asked = command(parkade, acme, SPOT)
    due = DeadlineTerms(by_us=parkade.now_us + 9 * HOUR_US, duration_us=HOUR_US)
    for spec in (
        replace(asked.spec, moves=Moves.CHEAPER),
        replace(asked.spec, deadline=due),
        command(parkade, acme, SPOT, most_nodes=3).spec,
    ):
        found = refused(parkade, replace(asked, spec=spec))
        assert found.reason in (Reason.INVALID, Reason.UNSUPPORTED)


def test_no_list_ends_with_a_reservation_that_is_given_up() -> None:
    parkade = market(nodes=2)
    parkade.reserve("acme", 1, hours=1)
    name = submit(parkade, right("acme"), SPOT)
    parkade.run(60)
    assert asks(parkade, name) == "reservation/acme" and parkade.phase(name) is Phase.RUNNING
    parkade.run(3600)
    stops = [it.stop.cause for it in parkade.journal if isinstance(it, events.StopOrdered)]
    assert stops == [Cause.MOVED]
    assert asks(parkade, name) == "spot" and parkade.phase(name) is Phase.RUNNING
    assert parkade.price(name) == MICROS


def test_it_is_submitted_again_with_its_whole_list_and_another_limit() -> None:
    parkade = market(nodes=2)
    parkade.reserve("acme", 1)
    parkade.on_reservation("acme", "acme")
    name = submit(parkade, right("acme"), SPOT)
    parkade.run(60)
    parkade.ended(name, code=1)
    assert parkade.phase(name) is Phase.FAILED and asks(parkade, name) == "spot"
    made = parkade.do(commands.Resubmit(by=None, workload=name, limit_price_micros=3 * MICROS))
    again = next(it.workload for it in made if isinstance(it, events.Resubmitted)).spec
    assert again.capacity == right("acme") and again.spot_limit_micros == 3 * MICROS
    parkade.run(60)
    assert asks(parkade, name) == "spot" and parkade.phase(name) is Phase.RUNNING


def test_its_answer_says_what_its_dearest_entry_costs() -> None:
    parkade = market()
    parkade.reserve("acme", 1)
    spec = parkade.workload(submit(parkade, right("acme"), SPOT, limit=5)).spec
    assert spec.limit_price_micros is None
    assert workload_cost(spec, None, None).price_per_gpu_hour == 5


def test_its_charges_are_exported_as_those_of_spot() -> None:
    parkade = market()
    parkade.reserve("acme", 1)
    workload = parkade.workload(submit(parkade, right("acme"), SPOT))
    assert origin_of(workload).capacity is CapacityKind.SPOT


def test_what_is_short_of_its_reservation_is_credited_until_it_bids() -> None:
    """A node of the reservation fails; when its notice is over, the list asks for spot."""
    parkade = market(nodes=1)
    parkade.reserve("acme", 1)
    name = submit(parkade, right("acme"), SPOT)
    parkade.run(60)
    assert asks(parkade, name) == "reservation/acme"
    parkade.fail("a1")
    parkade.run(120)
    assert asks(parkade, name) == "spot" and parkade.workload(name).short_us is None
    settled = [it for it in parkade.journal if isinstance(it, events.ReservationSettled)]
    short = [gpus for it in settled for who, gpus in it.short if who == name]
    assert short == [2, 0]
    credited = [it.micros for one in settled for it in one.transfers]
    assert sum(credited) == credited[-1] > 0
