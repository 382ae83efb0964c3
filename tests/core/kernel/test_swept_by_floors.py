"""Who makes others leave pays for it wherever it sits, and what only stands beside owes nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.clearing.sweeps import Sweeps
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.workloads.life import Cause
from tests.core.kernel.evictions import ROUNDED_MICROS
from tests.core.kernel.story import Parkade
from tests.core.kernel.sweeps import Swept, sweep
from tests.core.kernel.test_eviction_debts import MINIMUM_S, audited, cancel, charges

FOUND = (18, 22, 52, 66, 70, 99, 104, 151, 197, 216, 296)
"""Markets in which guests left for nothing: outbid by floors, moved by them, or by on-demand."""


def given_a_guest(*, dear_nodes: int) -> Parkade:
    """A guest with a limit of 3 on the three nodes that it can afford; those beside cost 7."""
    parkade = Parkade(fabrics={"a": 3 + dear_nodes}, buffer_nodes=0, public_floor_micros=MICROS)
    if dear_nodes:
        reservation = parkade.reserve("acme", dear_nodes, hours=1000)
    parkade.bid("guest", 3, nodes=3)
    parkade.clear()
    parkade.start_all()
    parkade.run(60)
    if dear_nodes:
        parkade.lend(reservation, 5)
        parkade.run(60)
    return parkade


def test_a_sweep_costs_as_much_beside_free_nodes_as_without() -> None:
    """It was free beside them: at most what a second of a slow start costs."""
    paid = []
    for dear_nodes in (0, 3):
        parkade = given_a_guest(dear_nodes=dear_nodes)
        sweeper = parkade.bid("rich", 9, nodes=3)
        parkade.clear()
        assert parkade.stop("w1").cause is Cause.OUTBID
        assert parkade.nodes_of(sweeper) != parkade.nodes_of("w1") or not dear_nodes
        cancel(parkade, sweeper)
        parkade.run(30)
        paid.append(sum(micros for _, micros in charges(parkade, "rich")))
        audited(parkade)
    assert paid == [3_150_000 * 6 * MINIMUM_S // 3600] * 2


def test_a_bid_that_runs_on_beside_whom_it_swept_pays_for_its_use_alone() -> None:
    parkade = given_a_guest(dear_nodes=3)
    sweeper = parkade.bid("rich", 9, nodes=3)
    parkade.clear()
    assert parkade.workload(sweeper).attempt is not None, "its nodes were free"
    parkade.start_all()
    parkade.run(600)
    cancel(parkade, sweeper)
    parkade.stop_all()
    assert {kind for kind, _ in charges(parkade, "rich")} == {"usage"}
    audited(parkade)


def holds(found: Swept) -> None:
    """What one org's acts came to is what it owes."""
    if found.made_leave:
        assert found.owes, found.says
        assert found.paid_micros + ROUNDED_MICROS >= found.least_micros, found.says
        assert Cause.BELOW_FLOOR not in found.causes, found.says
    if not found.is_any_told:
        assert not found.owes and not found.paid_micros, found.says


@pytest.mark.parametrize("seed", FOUND)
def test_a_market_in_which_guests_left_for_nothing_is_paid_for(seed: int) -> None:
    found = sweep(seed)
    assert found is not None and found.made_leave
    holds(found)


@settings(max_examples=max(30, settings().max_examples // 4))
@given(st.integers(min_value=3_000, max_value=1_000_000))
def test_what_makes_others_leave_pays_and_what_makes_none_leave_owes_nothing(seed: int) -> None:
    found = sweep(seed)
    if found is not None:
        holds(found)


def test_the_random_markets_find_a_sweep_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sweeps, "pushers_of", lambda *_: ())
    found = [it for seed in FOUND if (it := sweep(seed)) is not None]
    assert len(found) == len(FOUND)
    assert not any(it.owes for it in found)


def test_a_swarm_is_told_apart_within_bounds_and_each_of_it_owes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twelve low nodes are the guest's; of twelve bids of one node each, one is enough. Where
    there is no question left, all of them count."""
    for most, owing in ((16, 1), (1, 12)):
        monkeypatch.setattr("parkade.core.clearing.sweeps.MOST_ASKED", most)
        parkade = Parkade(fabrics={"a": 24}, buffer_nodes=0, public_floor_micros=MICROS)
        reservation = parkade.reserve("acme", 12, hours=1000)
        parkade.bid("guest", 3, nodes=12)
        parkade.clear()
        parkade.start_all()
        parkade.lend(reservation, 5)
        parkade.run(60)
        parkade.org("rich")
        spec = parkade.spec(limit=9)
        for _ in range(12):
            parkade._do(commands.Submit(by=None, org="rich", market=None, spec=spec, is_held=False))
        before = len(parkade.journal)
        parkade.clear()
        (cleared,) = (it for it in parkade.journal[before:] if isinstance(it, events.Cleared))
        assert parkade.stop("w1").cause is Cause.OUTBID
        assert sum(it.promise.displaces for it in cleared.won) == owing
