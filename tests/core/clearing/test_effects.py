"""What the effect of a clearing refuses to take in."""

import pytest

from parkade.core.clearing.effects import clear
from parkade.core.state import events, lines
from parkade.core.workloads.workload import Promise, Workload
from tests import builders
from tests.core.records import attempt, promise, rate, workload, world

SPOT = builders.spec(limit_price_micros=7200)


def won(made: Promise) -> events.Cleared:
    """A clearing in which `w1` wins these seats."""
    demand = lines.WorkloadDemand(workload="w1")
    return cleared(won=(lines.Won(demand=demand, promise=made, price_set_by=None),))


def repriced(price_micros: int) -> events.Cleared:
    """A clearing after which `w1` pays another price."""
    line = lines.Repriced(workload="w1", rate=rate(price_micros), price_set_by=None)
    return cleared(repriced=(line,))


def cleared(
    won: tuple[lines.Won, ...] = (), repriced: tuple[lines.Repriced, ...] = ()
) -> events.Cleared:
    """One clearing with these lines."""
    return events.Cleared(
        at_us=1, market="market", left=(), won=won, repriced=repriced, waiting=(), ladder=()
    )


CASES = [
    ("wins", workload(spec=SPOT), won(promise(rates=(rate(7200),)))),
    ("is promised", workload(spec=SPOT, promise=promise()), repriced(7200)),
    ("runs", workload(spec=SPOT, attempt=attempt()), repriced(7200)),
]


@pytest.mark.parametrize(("one", "event"), [it[1:] for it in CASES], ids=[it[0] for it in CASES])
def test_the_limit_itself_is_taken(one: Workload, event: events.Cleared) -> None:
    here = world(one)
    clear(here, event)
    after = here.records.workloads["w1"]
    holds = after.promise or after.attempt
    assert holds is not None and holds.rates[-1].price_micros == 7200


@pytest.mark.parametrize(
    ("one", "event"),
    [
        (workload(spec=SPOT), won(promise(rates=(rate(7201),)))),
        (workload(spec=SPOT, promise=promise()), repriced(7201)),
        (workload(spec=SPOT, attempt=attempt()), repriced(7201)),
        (workload(spec=SPOT, attempt=attempt()), repriced(-1)),
    ],
    ids=["wins", "is promised", "runs", "below zero"],
)
def test_a_price_above_the_limit_stops_the_process(one: Workload, event: events.Cleared) -> None:
    with pytest.raises(AssertionError, match="limit"):
        clear(world(one), event)
