"""A clearing may go on without the cycle collector, because it makes no cycle."""

import gc

import pytest

from benchmarks.clearing import draw_market, replaced, seated
from parkade.control.uncollected import set_apart, uncollected
from parkade.core.market.clear import clear
from parkade.core.units.time import HOUR_US
from parkade.sim.dynamics.day import Day
from parkade.sim.dynamics.demand import Mix, draw_demand
from parkade.sim.dynamics.opening import opening


@pytest.mark.parametrize("below", [0.0, 0.4])
def test_a_clearing_leaves_nothing_to_the_collector(below: float) -> None:
    new = draw_market(60, 100, below=below)
    running = seated(new)
    states = (new, running, replaced(running, 0.1, below=below))
    gc.collect()
    with uncollected():
        for state in states:
            clear(state)
        assert gc.collect() == 0


def test_hours_of_decisions_and_clearings_leave_nothing_to_the_collector() -> None:
    demand = draw_demand(5, HOUR_US, Mix())
    day = Day(demand, (), opens=opening(), check_every=None)
    gc.collect()
    with uncollected():
        day.run(HOUR_US)
        assert gc.collect() == 0


def test_the_collector_is_as_it_was_also_after_an_error() -> None:
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), uncollected():
        divmod(gc.isenabled(), 0)
    assert gc.isenabled()
    with uncollected(), uncollected():
        pass
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_was_set_apart_is_walked_no_more() -> None:
    before = gc.get_freeze_count()
    kept: list[list[object]] = [[]]
    set_apart()
    try:
        assert gc.get_freeze_count() > before
        assert not any(it is kept for it in gc.get_objects())
        later: list[object] = []
        later.append(later)
        del later
        assert gc.collect() > 0
    finally:
        gc.unfreeze()
