"""Deadlines: when each kind is due, and in which order they are taken."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.fleet.market import AnnouncedTerms
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.evolve import evolve
from parkade.core.state import events
from parkade.core.state.agenda import Agenda, Entry
from parkade.core.state.people import Grant, Org
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, SECOND_US, Window
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.workload import Workload
from tests import builders
from tests.core.records import attempt, promise, reservation, seats, stop, workload, world

S, H = SECOND_US, HOUR_US


def taken(made: World, *, until_us: int) -> list[tuple[int, str]]:
    """(second, event) of every deadline up to an instant, as the cycle takes them."""
    found = []
    while (due_us := next_deadline_us(made)) is not None and due_us <= until_us:
        for event in take_deadline(made):
            evolve(made, event)
            found.append((event.at_us // S, type(event).__name__))
    return found


@pytest.mark.parametrize(
    ("first", "second"),
    [(a, b) for a in Entry for b in Entry if a < b],
    ids=lambda kind: kind.name.lower(),
)
def test_of_two_deadlines_at_one_instant_the_kind_decides(first: Entry, second: Entry) -> None:
    agenda = Agenda()
    agenda.add(second, "x")
    agenda.add(first, "y")
    assert agenda.first(lambda kind, key: 5, 1) == (5, first, "y")


def test_the_order_of_kinds_ends_before_it_begins_and_launches_last_of_the_work() -> None:
    assert [kind.name for kind in sorted(Entry)] == [
        "EXPIRY", "RESERVATION", "OVERDUE", "LAUNCH", "FORGET", "GRANT", "TERMS", "LAPSE", "REPAIR",
        "START_LIMIT", "SANITISE", "BUFFER", "DEPENDENCY", "MEMBERS", "DISABLED",
        "USER_CAP", "ORG_CAP", "MAINTENANCE", "FALLBACK",
    ]  # fmt: skip


def test_of_one_kind_at_one_instant_the_key_decides() -> None:
    agenda = Agenda()
    for key in ("w2", "w1"):
        agenda.add(Entry.LAUNCH, key)
    assert agenda.first(lambda kind, key: 5, 1) == (5, Entry.LAUNCH, "w1")


def test_a_deadline_that_moved_or_fell_away_is_passed_over() -> None:
    due: dict[str, int | None] = {"a": 1, "b": 2, "c": 3}
    agenda = Agenda()
    for key in due:
        agenda.add(Entry.LAUNCH, key)
    assert agenda.first(lambda kind, key: due[key], 1) == (1, Entry.LAUNCH, "a")
    due["a"] = None
    due["b"] = 9
    agenda.add(Entry.LAUNCH, "b")
    assert agenda.first(lambda kind, key: due[key], 2) == (3, Entry.LAUNCH, "c")
    due["c"] = None
    assert agenda.first(lambda kind, key: due[key], 3) == (9, Entry.LAUNCH, "b")


def test_a_world_that_stands_where_it_stood_is_not_looked_at_again() -> None:
    looks: list[str] = []

    def due_us(_kind: Entry, key: str) -> int:
        looks.append(key)
        return 5

    agenda = Agenda()
    agenda.add(Entry.LAUNCH, "a")
    first = agenda.first(due_us, 1)
    seen = len(looks)
    assert agenda.first(due_us, 1) == first and len(looks) == seen
    agenda.add(Entry.LAUNCH, "b")
    assert agenda.first(due_us, 1) == first and len(looks) > seen


def test_deadlines_are_taken_by_their_own_time_whatever_the_kind() -> None:
    """A window that closes, a grant, a launch, terms and what is forgotten, after a long pause."""
    grant = Grant(micros=MICROS, every_us=10 * H, next_us=2 * H)
    later = AnnouncedTerms(from_us=4 * H, terms=builders.terms(notice_us=60 * S))
    made = world(
        reservation(window=Window(start_us=0, end_us=3 * H), paid_until_us=3 * H),
        workload("w1", promise=promise(promised_us=H)),
        workload("w2", phase=Phase.SUCCEEDED, why=Why.SUCCEEDED, ended_us=-19 * H),
        markets=[builders.market("market", announced=(later,))],
        orgs={"lab": Org(org="lab", created_us=0, grant=grant)},
    )
    assert taken(made, until_us=5 * H) == [
        (3600, "Launched"),
        (2 * 3600, "MoneyMoved"),
        (2 * 3600, "GrantSet"),
        (3 * 3600 - 35, "ReservationChanged"),
        (3 * 3600, "ReservationChanged"),
        (4 * 3600, "TermsChanged"),
        (5 * 3600, "Forgotten"),
    ]
    assert made.records.markets["market"].terms.notice_us == 60 * S


ENDS_S = 1000


@pytest.mark.parametrize(
    ("changes", "due_s"),
    [
        ({}, ENDS_S),
        # What runs gets its notice (30 s) and kill (5 s) before its end.
        ({"attempt": attempt()}, ENDS_S - 35),
        ({"attempt": attempt(ordered_us=990 * S)}, 990),
        ({"attempt": attempt(stop=stop(Cause.OUTBID)), "phase": Phase.PREEMPTING}, ENDS_S - 35),
        ({"attempt": attempt(stop=stop(Cause.CANCELLED)), "phase": Phase.STOPPING}, None),
        ({"attempt": attempt(stop=stop(Cause.EXPIRED)), "phase": Phase.STOPPING}, None),
        # Ended at 0: only what is forgotten a day later is left.
        ({"phase": Phase.FAILED, "why": Why.FAILED, "ended_us": 0}, 24 * 3600),
        ({"must_end_us": None}, None),
    ],
    ids=[
        "waits", "runs", "ordered late", "preempted", "cancelled", "expired", "ended", "no end",
    ],
)  # fmt: skip
def test_a_workload_that_must_end_gets_its_notice_in_time(
    changes: dict[str, Any], due_s: int | None
) -> None:
    one: Workload = workload(**{"must_end_us": ENDS_S * S} | changes)
    assert next_deadline_us(world(one)) == (None if due_s is None else due_s * S)


def test_what_runs_to_its_end_is_stopped_and_what_waits_expires() -> None:
    runs = workload(must_end_us=ENDS_S * S, attempt=attempt())
    (event,) = take_deadline(world(runs))
    assert isinstance(event, events.StopOrdered) and event.stop.cause is Cause.EXPIRED
    assert event.stop.kill_us == ENDS_S * S
    waits = workload(must_end_us=ENDS_S * S)
    assert take_deadline(world(waits)) == (
        events.PhaseChanged(
            at_us=ENDS_S * S, workload="w1", phase=Phase.EXPIRED, why=Why.MAX_DURATION
        ),
    )


def test_an_end_that_comes_before_the_start_costs_the_promise_its_minimum_charge() -> None:
    displacing = promise(seats=seats(a1=1), displaces=True, busy=1, promised_us=2 * ENDS_S * S)
    made = world(workload(must_end_us=ENDS_S * S, promise=displacing), balances={"org/lab": 10**6})
    charge, change = take_deadline(made)
    assert isinstance(charge, events.WithdrawalCharged) and charge.at_us == ENDS_S * S
    assert isinstance(change, events.PhaseChanged) and change.phase is Phase.EXPIRED


def test_a_grant_comes_again_from_its_own_time_on() -> None:
    grant = Grant(micros=MICROS, every_us=10 * S, next_us=5 * S)
    made = world(orgs={"lab": Org(org="lab", created_us=0, grant=grant)})
    money, again = take_deadline(made)
    assert isinstance(money, events.MoneyMoved) and money.at_us == 5 * S
    assert isinstance(again, events.GrantSet)
    assert again.grant == replace(grant, next_us=15 * S)
