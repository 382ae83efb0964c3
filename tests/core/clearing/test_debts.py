"""Who owes for making others leave, in clearings that are written out by hand."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.clearing.debts import Debts, debt_of
from parkade.core.clearing.demands import TIERS
from parkade.core.market.market_state import Demand, MarketState
from parkade.core.market.outcome import Change, Clearing, ClearingLine
from parkade.core.reservations.reservation import Lending
from parkade.core.state import lines
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Debt, Promise, Workload
from tests import builders
from tests.core.market.story import terms
from tests.core.records import attempt, node, promise, reservation, seats, stop, workload, world

S = SECOND_US
NOW_US = 1000 * S
ENDS_US = NOW_US + 30 * S
NODES = ("a1", "a2", "a3", "a4")


def on(*nodes: str) -> dict[str, int]:
    """Whole nodes of four GPUs."""
    return dict.fromkeys(nodes, 4)


def job(name: str, org: str, *, nodes: int = 1, **changes: Any) -> Workload:
    """A bid for whole nodes."""
    kind = changes.pop("kind", CapacityKind.SPOT)
    spec = builders.spec(nodes=nodes, gpus=4, capacity=Capacity(kind=kind))
    return workload(name, org=org, spec=spec, **changes)


def runner(name: str, *nodes: str) -> Workload:
    """A guest that runs on these nodes."""
    run = attempt(attempt=f"{name}.1", seats=seats(**on(*nodes)))
    return job(name, "guest", nodes=len(nodes), attempt=run, phase=Phase.RUNNING)


def line(name: str, change: Change, *nodes: str) -> ClearingLine:
    return ClearingLine(
        demand=name,
        change=change,
        seats=seats(**on(*nodes)),
        price_micros=1,
        floor_micros=0,
        price_set_by=None,
        shares=(),
        reason=None,
        price_to_win_micros=None,
    )


def demand(record: Workload) -> Demand:
    return Demand(
        demand=record.workload,
        org=record.org,
        tier=TIERS[record.spec.capacity.kind],
        nodes=record.spec.nodes,
        gpus=4,
        any_fabric=False,
        reservation=None,
        priority=0,
        limit_micros=1,
        use_7_days=0,
        submitted_us=0,
        seats=(),
    )


def debts(made: World, outcome: tuple[ClearingLine, ...]) -> Debts:
    clearing = Clearing(lines=outcome, reservations=(), ladder=(), used_fallback_seating=False)
    demands = {name: demand(record) for name, record in made.records.workloads.items()}
    asked = MarketState(gpus_per_node=4, terms=terms(), nodes=(), reservations=(), demands=())
    return Debts(made, made.records.markets["market"], demands, clearing, NOW_US, asked=asked)


def won(name: str, *nodes: str) -> lines.Won:
    return lines.Won(
        demand=lines.WorkloadDemand(workload=name),
        promise=promise(seats=seats(**on(*nodes)), promised_us=NOW_US),
        price_set_by=None,
    )


def left(name: str, cause: Cause | None, why: str = "outbid") -> lines.Leaving:
    notice = None if cause is None else stop(cause, at_us=NOW_US, kill_us=ENDS_US + 5 * S)
    if notice is not None:
        notice = replace(notice, deadline_us=ENDS_US)
    return lines.Leaving(
        demand=lines.WorkloadDemand(workload=name),
        stop=notice,
        phase=Phase.QUEUED if cause is None else Phase.PREEMPTING,
        why=why,
        price_to_win_micros=None,
    )


def given(*records: Workload) -> World:
    return world(*records, nodes=[node(name) for name in NODES])


def owed(marked: tuple[lines.Won, ...]) -> dict[str, tuple[str, ...]]:
    """The nodes for which each winner owes."""
    return {
        lines.name_of(each.demand): each.promise.debt.nodes
        for each in marked
        if each.promise.displaces
        and each.promise.debt is not None
        and not each.promise.debt.is_paid
    }


def displacing(*nodes: str) -> Promise:
    """A promise for which others were told to leave those nodes."""
    debt = Debt(nodes=nodes, notice_ends_us=ENDS_US)
    return promise(seats=seats(**on(*nodes)), displaces=True, busy=1, debt=debt)


def test_the_one_that_outbids_owes_and_the_one_that_fills_up_the_rest_does_not() -> None:
    made = given(runner("w1", "a1", "a2"), job("w2", "rich"), job("w3", "small"))
    outcome = (
        line("w2", Change.START, "a1"),
        line("w1", Change.PREEMPT),
        line("w3", Change.START, "a2"),
    )
    found = debts(made, outcome).marked(
        [won("w2", "a1"), won("w3", "a2")], [left("w1", Cause.OUTBID)]
    )
    assert owed(found) == {"w2": ("a1",)}
    debt = found[0].promise.debt
    assert debt is not None and debt.notice_ends_us == ENDS_US


@pytest.mark.parametrize(("org", "is_due"), [("other", False), ("rich", True)])
def test_a_debt_passes_to_another_org_and_is_due_where_the_own_org_takes_over(
    org: str, is_due: bool
) -> None:
    holder = job("w2", "rich", promise=displacing("a1"), phase=Phase.PLACED)
    made = given(holder, job("w4", org))
    found = debts(made, (line("w4", Change.START, "a1"), line("w2", Change.PREEMPT)))
    assert found.is_due(holder) == is_due
    marked = found.marked([won("w4", "a1")], [left("w2", None)])
    assert owed(marked) == ({} if is_due else {"w4": ("a1",)})
    debt = marked[0].promise.debt
    assert debt is not None and debt.is_paid == is_due, "its start may still be late"


def test_a_debt_that_was_paid_for_want_of_money_is_not_inherited() -> None:
    made = given(job("w2", "rich", promise=displacing("a1"), phase=Phase.PLACED), job("w4", "x"))
    found = debts(made, (line("w4", Change.START, "a1"),))
    assert owed(found.marked([won("w4", "a1")], [left("w2", None, Why.USER_CAP)])) == {}


def test_what_the_clearing_moves_owes_nothing_and_the_arrival_for_which_it_moves_does() -> None:
    made = given(runner("w1", "a1"), runner("w2", "a2"), job("w3", "rich"))
    outcome = (
        line("w1", Change.MOVE, "a2"),
        line("w2", Change.MOVE, "a3"),
        line("w3", Change.START, "a1"),
    )
    found = debts(made, outcome).marked(
        [won("w1", "a2"), won("w2", "a3"), won("w3", "a1")],
        [left("w1", Cause.MOVED), left("w2", Cause.MOVED)],
    )
    assert owed(found) == {"w3": ("a1",)}


def test_an_arrival_of_the_own_org_that_makes_another_move_here_makes_the_debt_due() -> None:
    holder = job("w2", "cheat", promise=displacing("a1"), phase=Phase.PLACED)
    made = given(runner("w1", "a2"), holder, job("w3", "cheat"))
    found = debts(
        made,
        (
            line("w3", Change.START, "a2"),
            line("w1", Change.MOVE, "a1"),
            line("w2", Change.PREEMPT),
        ),
    )
    assert found.is_due(holder)


def test_an_owner_that_comes_back_owes_nothing() -> None:
    owner = job("w3", "acme", kind=CapacityKind.RESERVATION)
    holder = job("w2", "rich", promise=displacing("a2"), phase=Phase.PLACED)
    made = given(runner("w1", "a1"), holder, owner)
    outcome = (
        line("w3", Change.START, "a1", "a2"),
        line("w1", Change.PREEMPT),
        line("w2", Change.PREEMPT),
    )
    found = debts(made, outcome)
    assert not found.is_due(holder)
    gone = [left("w1", Cause.RECLAIMED), left("w2", None)]
    assert owed(found.marked([won("w3", "a1", "a2")], gone)) == {}


def test_on_demand_owes_for_the_guests_that_it_makes_leave() -> None:
    made = given(runner("w1", "a1"), job("w3", "acme", kind=CapacityKind.ON_DEMAND))
    outcome = (line("w3", Change.START, "a1"), line("w1", Change.PREEMPT))
    found = debts(made, outcome).marked([won("w3", "a1")], [left("w1", Cause.RECLAIMED)])
    assert owed(found) == {"w3": ("a1",)}


def test_a_promise_that_is_chosen_anew_keeps_its_debt() -> None:
    holder = job("w2", "rich", promise=displacing("a1"), phase=Phase.PLACED)
    found = debts(given(holder), (line("w2", Change.MOVE, "a3"),))
    assert owed(found.marked([won("w2", "a3")], [])) == {"w2": ("a3",)}


@pytest.mark.parametrize(("started_s", "is_kept"), [(None, True), (990, True), (960, False)])
def test_what_is_moved_before_it_used_the_minimum_takes_its_debt_along(
    started_s: int | None, is_kept: bool
) -> None:
    """The minimum charge is 30 s, the present 1000 s. What it would still owe in all for those that
    it outbid is excused once it has run for so long: others move it, and it waits anew."""
    one = runner("w2", "a1")
    assert one.attempt is not None
    run = replace(
        one.attempt,
        displaced=True,
        debt=Debt(nodes=("a1",), notice_ends_us=NOW_US, outbid_micros=(9 * MICROS,)),
        ordered_us=900 * S,
        started_us=None if started_s is None else started_s * S,
    )
    made = given(replace(one, attempt=run))
    found = debts(made, (line("w2", Change.MOVE, "a3"),))
    marked = found.marked([won("w2", "a3")], [left("w2", Cause.MOVED)])
    assert owed(marked) == ({"w2": ("a3",)} if is_kept else {})


def test_a_debt_of_an_older_journal_is_of_all_seats() -> None:
    before = promise(seats=seats(**on("a1", "a2")), displaces=True, busy=1, promised_us=7)
    assert debt_of(before) == Debt(nodes=("a1", "a2"), notice_ends_us=7)


@pytest.mark.parametrize(
    ("org", "lends_at", "fabric", "is_due"),
    [
        ("lab", None, "a", True),
        ("other", None, "a", False),
        ("lab", None, "b", False),
        ("lab", 1, "a", False),
        ("lab", 99, "a", True),
    ],
    ids=["own", "of another org", "elsewhere", "lent below its limit", "lent above its limit"],
)
def test_a_debt_is_due_where_the_own_org_keeps_idle_nodes_from_its_holder(
    org: str, lends_at: int | None, fabric: str, is_due: bool
) -> None:
    holder = job("w2", "lab", promise=displacing("a1"), phase=Phase.PLACED)
    lending = None if lends_at is None else Lending(floor_micros=lends_at * MICROS, keep=0)
    kept = reservation("kept", org=org, shape=((fabric, 2),), lending=lending)
    made = world(holder, kept, nodes=[node(name) for name in NODES])
    assert debts(made, (line("w2", Change.WAIT),)).is_due(holder) is is_due


@pytest.mark.parametrize(("grows", "owes"), [(True, ("a2",)), (False, ())])
def test_what_grows_owes_for_its_further_nodes_and_what_is_moved_owes_nothing(
    grows: bool, owes: tuple[str, ...]
) -> None:
    one = job("w1", "lab", attempt=attempt(seats=seats(**on("a1"))), phase=Phase.RUNNING)
    made = given(one, runner("w2", "a2"))
    change = Change.RESIZE if grows else Change.MOVE
    outcome = (line("w1", change, "a1", "a2"), line("w2", Change.PREEMPT))
    marked = debts(made, outcome).marked([won("w1", "a1", "a2")], [left("w2", Cause.OUTBID)])
    assert owed(marked).get("w1", ()) == owes


@pytest.mark.parametrize("is_broken", [True, False])
def test_what_leaves_and_wins_anew_owes_unless_its_node_broke(is_broken: bool) -> None:
    """A broken gang is healed: the clearing itself gives it other seats, though it leaves."""
    leaves = attempt(seats=seats(**on("a1")), stop=stop(), broken_us=5 if is_broken else None)
    one = job("w1", "lab", attempt=leaves, phase=Phase.PREEMPTING)
    made = given(one, runner("w2", "a2"))
    outcome = (line("w1", Change.START, "a2"), line("w2", Change.PREEMPT))
    marked = debts(made, outcome).marked([won("w1", "a2")], [left("w2", Cause.OUTBID)])
    assert owed(marked) == ({} if is_broken else {"w1": ("a2",)})
