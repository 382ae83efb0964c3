"""Promised seats: when they are free, when a leaver is overdue, what giving them up costs."""

from typing import Any

import pytest

from parkade.core.billing.charges import Postings
from parkade.core.fleet.node import Cordon, Health, Node
from parkade.core.reservations.reservation import Replacement
from parkade.core.running.overdue import OVERDUE
from parkade.core.running.promises import (
    attempt_of,
    has_room,
    launch,
    launch_due_us,
    overdue_due_us,
    suspect,
    withdrawal_charge,
)
from parkade.core.state import events
from parkade.core.units.time import SECOND_US, Window
from parkade.core.workloads.life import Phase
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Workload
from tests import builders
from tests.core.records import (
    attempt,
    claim,
    node,
    promise,
    rate,
    reservation,
    seats,
    stop,
    workload,
    world,
)

S = SECOND_US
CORDON = Cordon(holder="ann", reason="r", at_us=0)
PLACED = workload(promise=promise(promised_us=10 * S))
TERMS = builders.terms(turnaround_us=20 * S, release_grace_us=60 * S)
MARKETS = [builders.market("market", terms=TERMS)]


def guest(org: str, gpus: int, **changes: Any) -> Workload:
    """A workload of an org that runs on some GPUs of `a1`."""
    made = attempt(attempt="w2.1", seats=seats(a1=gpus), **changes)
    phase = Phase.RUNNING if changes.get("stop") is None else Phase.PREEMPTING
    return workload("w2", org=org, attempt=made, phase=phase)


@pytest.mark.parametrize(
    ("a1", "due_s"),
    [
        # Promised at 10 s: free at once where no other org sat there last.
        (node("a1"), 10),
        (node("a1", last_org="lab", vacated_us=50 * S), 10),
        # Another org left at 50 s: 20 s of turnaround.
        (node("a1", last_org="acme", vacated_us=50 * S), 70),
        (node("a1", last_org="acme", vacated_us=-50 * S), 10),
        # A node that takes no work.
        (node("a1", cordons=(CORDON,)), None),
        (node("a1", draining_us=5), None),
        (node("a1", health=Health.SUSPECT), None),
        (node("a1", health=Health.FAILED), None),
    ],
)
def test_a_launch_is_due_when_the_seats_are_free_clean_and_open(
    a1: Node, due_s: int | None
) -> None:
    made = world(PLACED, nodes=[a1], markets=MARKETS)
    assert launch_due_us(made, "w1") == (None if due_s is None else due_s * S)


@pytest.mark.parametrize(
    ("org", "gpus", "due_s"),
    [("lab", 3, 10), ("lab", 4, None), ("acme", 1, None), ("acme", 4, None)],
)
def test_a_launch_waits_for_gpus_that_others_hold_and_for_the_last_of_another_org(
    org: str, gpus: int, due_s: int | None
) -> None:
    made = world(PLACED, guest(org, gpus), markets=MARKETS)
    assert launch_due_us(made, "w1") == (None if due_s is None else due_s * S)


def test_a_gang_is_launched_when_its_last_seat_is_free() -> None:
    nodes = [
        node("a1", last_org="acme", vacated_us=50 * S),
        node("a2", last_org="acme", vacated_us=90 * S),
    ]
    gang = workload(promise=promise(seats=seats(a1=4, a2=4)))
    assert launch_due_us(world(gang, nodes=nodes, markets=MARKETS), "w1") == 110 * S


@pytest.mark.parametrize(
    "one",
    [
        workload(),
        workload(attempt=attempt()),
        workload(attempt=attempt(stop=stop()), phase=Phase.PREEMPTING, promise=promise()),
    ],
    ids=["waits", "runs", "still runs elsewhere"],
)
def test_nothing_is_launched_without_a_promise_or_beside_an_attempt(one: Workload) -> None:
    assert launch_due_us(world(one), "w1") is None
    assert launch_due_us(world(one), "w9") is None


def test_nothing_is_launched_in_an_unreachable_pool() -> None:
    made = world(PLACED, pools=[builders.pool("pool", is_reachable=False)])
    assert launch_due_us(made, "w1") is None


def test_a_workload_of_a_reservation_is_not_launched_before_the_window() -> None:
    spec = builders.spec(
        capacity=Capacity(kind=CapacityKind.RESERVATION, reservation="lab"), limit_price_micros=None
    )
    one = workload(promise=promise(promised_us=10 * S), spec=spec)
    window = Window(start_us=300 * S, end_us=None)
    made = world(one, reservation("lab", window=window), balances={"org/lab": 1})
    assert launch_due_us(made, "w1") == 300 * S


@pytest.mark.parametrize(
    ("changes", "due_s"),
    [
        ({}, None),
        ({"seats": seats(a1=4), "promised_us": 10 * S}, 10),
        ({"seats": seats(a1=4), "promised_us": 10 * S, "seated_us": 10 * S}, None),
    ],
    ids=["waits", "promised", "seated"],
)
def test_a_claims_seats_are_handed_over_like_a_workloads(
    changes: dict[str, Any], due_s: int | None
) -> None:
    made = world(reservation(), claim(**changes))
    assert launch_due_us(made, "c1") == (None if due_s is None else due_s * S)
    if due_s is not None:
        assert launch(made, "c1", due_s * S) == (events.ClaimSeated(at_us=due_s * S, claim="c1"),)


def test_of_a_claims_replacements_those_are_handed_over_that_are_due() -> None:
    """a2 was promised at 10 s and is free; a3 is free from 70 s on, after its turnaround; on a4
    runs a guest."""
    replacements = tuple(
        Replacement(seat=seat, promised_us=10 * S, is_busy=False)
        for seat in seats(a2=4, a3=4, a4=4)
    )
    held = claim(seats=seats(a1=4), promised_us=0, seated_us=0, replacements=replacements)
    nodes = [node("a1"), node("a2"), node("a3", last_org="lab", vacated_us=50 * S), node("a4")]
    runs = attempt(attempt="w2.1", seats=seats(a4=4))
    other = workload("w2", org="lab", attempt=runs, phase=Phase.RUNNING)
    made = world(reservation(), held, other, nodes=nodes, markets=MARKETS)
    assert launch_due_us(made, "c1") == 10 * S
    for at_s, given in ((10, ("a2",)), (69, ("a2",)), (70, ("a2", "a3"))):
        (event,) = launch(made, "c1", at_s * S)
        assert event == events.ClaimSeated(at_us=at_s * S, claim="c1", nodes=given)


def test_a_launch_taken_late_is_ordered_no_earlier_than_the_present() -> None:
    made = world(PLACED, now_us=99 * S, sequence=7)
    (event,) = launch(made, "w1", 10 * S)
    assert isinstance(event, events.Launched) and event.at_us == 99 * S
    assert event.attempt.ordered_us == 99 * S and event.attempt.launch_sequence == 8


def test_an_attempt_begins_with_the_rate_in_force_and_the_next_generation() -> None:
    made = promise(displaces=True, rates=(rate(1), rate(2, 5)))
    first = attempt_of(workload(generation=4), made, 8, 60)
    assert (first.attempt, first.generation) == ("w1.5", 5)
    assert first.rates == (rate(2, 60),) and first.displaced
    assert (first.ordered_us, first.charged_until_us, first.posted_us) == (60, 60, 60)


@pytest.mark.parametrize(
    ("org", "gpus", "besides", "fits"),
    [
        ("lab", 3, "", True),
        ("lab", 4, "", False),
        ("lab", 4, "w2", True),
        ("acme", 1, "", False),
        ("acme", 1, "w2", True),
    ],
)
def test_a_seat_has_room_beside_its_own_org_alone(
    org: str, gpus: int, besides: str, fits: bool
) -> None:
    (seat,) = seats(a1=1)
    assert has_room(world(guest(org, gpus)), "lab", seat, is_spot=True, besides=besides) == fits


@pytest.mark.parametrize(
    ("kill_s", "health", "due_s"),
    [(None, Health.HEALTHY, None), (35, Health.HEALTHY, 95), (35, Health.SUSPECT, None)],
    ids=["no notice", "noticed", "suspect already"],
)
def test_a_leaver_is_overdue_a_release_grace_after_its_kill(
    kill_s: int | None, health: Health, due_s: int | None
) -> None:
    leaver = guest("acme", 4, stop=None if kill_s is None else stop(kill_us=kill_s * S))
    made = world(PLACED, leaver, nodes=[node("a1", health=health)], markets=MARKETS)
    assert overdue_due_us(made, "w1") == (None if due_s is None else due_s * S)


def test_only_the_nodes_that_are_overdue_by_then_become_suspect() -> None:
    first = guest("acme", 4, stop=stop(kill_us=35 * S))
    later = workload(
        "w3",
        org="acme",
        attempt=attempt(attempt="w3.1", seats=seats(a2=4), stop=stop(kill_us=50 * S)),
        phase=Phase.PREEMPTING,
    )
    gang = workload(promise=promise(seats=seats(a1=4, a2=4)))
    made = world(gang, first, later, markets=MARKETS)
    assert overdue_due_us(made, "w1") == 95 * S
    found = suspect(made, "w1", 95 * S)
    assert found == (
        events.NodeHealthSet(at_us=95 * S, node="a1", health=Health.SUSPECT, reason=OVERDUE),
    )
    assert len(suspect(made, "w1", 110 * S)) == 2


def test_nothing_is_overdue_where_nothing_is_promised() -> None:
    made = world(guest("acme", 4, stop=stop()), reservation(), claim())
    assert overdue_due_us(made, "w2") is None
    assert overdue_due_us(made, "c1") is None
    assert overdue_due_us(made, "gone") is None


DISPLACING = promise(seats=seats(a2=2), displaces=True, busy=1)


@pytest.mark.parametrize(
    ("one", "micros"),
    [
        (workload(), None),
        (workload(promise=promise()), None),
        # 30 s of two GPUs at one micro-unit a second.
        (workload(promise=DISPLACING), 60),
        (
            workload(attempt=attempt(stop=stop()), phase=Phase.PREEMPTING, promise=DISPLACING),
            60,
        ),
        (
            workload(
                attempt=attempt(stop=stop(), broken_us=5), phase=Phase.HEALING, promise=DISPLACING
            ),
            None,
        ),
        (workload(promise=promise(displaces=True, busy=1, rates=(rate(0),))), None),
    ],
    ids=["no promise", "displaces none", "placed", "still leaves", "healed", "pays nothing"],
)
def test_a_promise_for_which_others_leave_is_given_up_for_the_minimum_charge(
    one: Workload, micros: int | None
) -> None:
    made = world(one, balances={"org/lab": 1000})
    found = withdrawal_charge(made, one, Postings(made), 5 * S)
    assert [it.micros for event in found for it in event.transfers] == (
        [] if micros is None else [micros]
    )
