"""Every move has a recorded cause, which says for whom."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from parkade.core.clearing.move_causes import move_cause, moved
from parkade.core.fleet.node import Cordon, Health
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.market.outcome import Change, ClearingLine, MovedForFloor
from parkade.core.state import commands, events, lines
from parkade.core.state.codec import decode_event, encode_event
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.moves import Cheaper, Drained, ForFloors, ForWorkload, Healed, MoveCause
from parkade.core.workloads.spec import Moves
from parkade.core.workloads.workload import Workload
from tests import builders
from tests.core import records
from tests.core.records import attempt, node, promise, rate, seats, stop, workload

NOW_US = 1000 * SECOND_US


def bid(name: str, limit: int, *, org: str, nodes: int = 1, on: tuple[str, ...] = ()) -> Workload:
    spec = builders.spec(nodes=nodes, gpus=4, limit_price_micros=limit * MICROS)
    made = workload(name, org=org, user=org, spec=spec)
    if not on:
        return made
    held = attempt(
        attempt=f"{name}.1",
        seats=seats(**dict.fromkeys(on, 4)),
        rates=(replace(rate(MICROS, operator=4 * nodes * MICROS), floor_micros=MICROS),),
    )
    return replace(made, phase=Phase.RUNNING, why="", generation=1, attempt=held)


def world_of(*workloads: Workload) -> World:
    """Fabric a with three nodes, b with one; a bid of another org wants two of a."""
    nodes = tuple(replace(node(name), fabric=name[0]) for name in ("a1", "a2", "a3", "b1"))
    balances = {f"org/{it.org}": 10**10 for it in workloads}
    return records.world(*workloads, nodes=nodes, balances=balances)


def cleared(world: World) -> events.Cleared:
    made = decide(world, commands.RunClearing(by=None, market="market"), NOW_US)
    assert not isinstance(made, Refusal)
    return next(event for event in made if isinstance(event, events.Cleared))


def test_whoever_gives_way_is_told_for_whom_in_the_event_and_afterwards() -> None:
    world = world_of(
        bid("w1", 9, org="lab", on=("a1",)),
        bid("w2", 8, org="lab", on=("a2",)),
        bid("w3", 20, org="rich", nodes=2),
    )
    event = cleared(world)
    cause = ForWorkload(workload="w3", org="rich")
    (left,) = event.left
    assert (lines.name_of(left.demand), left.moved) == ("w2", cause)
    assert {lines.name_of(it.demand): it.moved for it in event.won} == {"w2": cause, "w3": None}
    assert decode_event(encode_event(event)) == event
    evolve(world, event)
    assert world.records.workloads["w2"].moved == cause
    assert world.records.workloads["w3"].moved is None


CLOSED = {
    "suspect": ({"health": Health.SUSPECT}, Healed()),
    "cordoned": ({"cordons": (Cordon(holder="ann", reason="x", at_us=0),)}, Healed()),
    "failed": ({"health": Health.FAILED}, Healed()),
    "drained": ({"draining_us": 1, "drain_reason": "x"}, Drained()),
}


@pytest.mark.parametrize(("changes", "cause"), CLOSED.values(), ids=CLOSED)
@pytest.mark.parametrize("leaves", [False, True])
def test_a_promise_whose_nodes_all_closed_is_chosen_anew_with_its_cause(
    changes: dict[str, Any], cause: MoveCause, leaves: bool
) -> None:
    one = bid("w1", 9, org="lab")
    given = promise(seats=seats(a1=4), rates=(replace(rate(MICROS, operator=4 * MICROS)),))
    one = replace(one, phase=Phase.PLACED, why=Why.PLACED, promise=given)
    if leaves:
        held = attempt(attempt="w1.1", seats=seats(b1=4), stop=stop(kill_us=NOW_US + SECOND_US))
        one = replace(one, phase=Phase.PREEMPTING, generation=1, attempt=held)
    nodes = (node("a1", **changes), node("a2"), replace(node("b1"), fabric="b"))
    made = records.world(one, nodes=nodes, balances={"org/lab": 10**10})
    event = cleared(made)
    (won,) = event.won
    assert [seat.node for seat in won.promise.seats] != ["a1"]
    assert won.moved == cause
    evolve(made, event)
    assert made.records.workloads["w1"].moved == cause


def test_what_runs_on_one_node_that_failed_is_moved_with_its_cause() -> None:
    one = bid("w1", 9, org="lab", on=("a1",))
    assert one.attempt is not None
    one = replace(one, phase=Phase.DEGRADED, attempt=replace(one.attempt, broken_us=1))
    nodes = (node("a1", health=Health.FAILED), node("a2"))
    event = cleared(records.world(one, nodes=nodes, balances={"org/lab": 10**10}))
    assert [(it.moved, it.phase) for it in event.left] == [(Healed(), Phase.HEALING)]
    assert [it.moved for it in event.won] == [Healed()]


def test_a_workload_that_was_outbid_and_wins_again_was_not_moved() -> None:
    one = bid("w1", 9, org="lab", on=("a1",))
    assert one.attempt is not None
    leaving = replace(one.attempt, stop=stop(kill_us=NOW_US + SECOND_US))
    one = replace(one, phase=Phase.PREEMPTING, attempt=leaving)
    event = cleared(world_of(one))
    assert [it.moved for it in event.won] == [None]


def test_a_line_of_a_journal_that_said_no_cause_is_still_read() -> None:
    old = (
        b'{"demand":{"kind":"workload","workload":"w1"},"stop":null,"phase":"queued",'
        b'"why":"outbid","price_to_win_micros":null}'
    )
    assert msgspec.json.decode(old, type=lines.Leaving).moved is None


@pytest.mark.parametrize(
    ("moves", "cause"), [(Moves.NEEDED, ForFloors()), (Moves.CHEAPER, Cheaper())]
)
def test_a_move_for_a_floor_is_told_as_chosen_only_of_what_wants_cheaper_seats(
    moves: Moves, cause: MoveCause
) -> None:
    made = bid("w1", 9, org="lab", on=("a1",))
    world = world_of(replace(made, spec=replace(made.spec, moves=moves)))
    assert move_cause(world, "w1", MovedForFloor()) == cause


def test_a_bid_of_a_dry_run_is_not_moved_when_it_starts() -> None:
    """The world does not know it, so it had no seats."""
    line = ClearingLine(
        demand="draft",
        change=Change.START,
        seats=seats(a1=4),
        price_micros=1,
        floor_micros=0,
        price_set_by=None,
        shares=(),
        reason=None,
        price_to_win_micros=None,
    )
    assert moved(world_of(bid("w1", 9, org="lab", on=("a2",))), line, ()) is None
