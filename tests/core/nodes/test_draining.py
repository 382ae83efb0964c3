"""Which notices a draining node gives, and when it is drained: each case by hand."""

from typing import Any

import pytest

from parkade.core.kernel.decide import decide
from parkade.core.nodes.decisions import is_drained
from parkade.core.state import commands, events
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.workload import Workload
from tests.core.records import attempt, claim, node, promise, reservation, seats, stop, workload
from tests.core.records import world as world_of

S = SECOND_US


def runs(name: str, **changes: Any) -> Workload:
    made = attempt(attempt=f"{name}.1", seats=seats(a1=1), **changes)
    phase = Phase.RUNNING if changes.get("stop") is None else Phase.PREEMPTING
    return workload(name, attempt=made, phase=phase)


def test_draining_gives_the_markets_notice_to_each_workload_that_has_none_yet() -> None:
    seated = claim(seats=seats(a1=1), promised_us=0, seated_us=0)
    elsewhere = workload("w3", attempt=attempt(attempt="w3.1", seats=seats(a2=1)))
    made = world_of(
        reservation(), seated, runs("w1"), runs("w2", stop=stop(Cause.OUTBID)), elsewhere
    )
    found = decide(made, commands.DrainNode(by=None, node="a1", reason="fan"), 1000 * S)
    assert not isinstance(found, Refusal)
    drained, order = found
    assert drained == events.NodeDraining(at_us=1000 * S, node="a1", reason="fan")
    assert isinstance(order, events.StopOrdered) and order.workload == "w1"
    assert (order.stop.cause, order.phase) == (Cause.OPERATOR, Phase.PREEMPTING)
    assert order.stop.deadline_us == 1030 * S and order.stop.kill_us == 1035 * S


@pytest.mark.parametrize(
    ("draining_us", "records", "is_empty"),
    [
        (None, (), False),
        (5, (), True),
        (5, (runs("w1"),), False),
        (5, (workload(promise=promise()),), False),
    ],
    ids=["in use", "empty", "held", "promised"],
)
def test_draining_is_not_drained(
    draining_us: int | None, records: tuple[Workload, ...], is_empty: bool
) -> None:
    a1 = node("a1", draining_us=draining_us)
    made = world_of(*records, nodes=[a1, node("a2")])
    assert is_drained(made, a1) == is_empty
    outcome = decide(made, commands.RemoveNode(by=None, node="a1"), 10)
    if is_empty:
        assert outcome == (events.NodeRemoved(at_us=10, node="a1", pool="pool"),)
    else:
        assert isinstance(outcome, Refusal) and outcome.reason is Reason.CONFLICT
