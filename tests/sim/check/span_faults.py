"""Faults in spans that are promised: kept windows, maintenance, terms, and what may run on.

The first three were there once: each sold a node twice (decision record 178).
"""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.nodes import maintenance
from parkade.core.running import effects as running_effects
from parkade.core.running import falling_back
from parkade.core.state import commands
from parkade.core.state import world as worlds_of
from parkade.core.steps import capacity, fallbacks
from parkade.core.workloads.workload import Attempt
from parkade.sim.check.acts import report
from parkade.sim.check.scenarios import (
    GUEST,
    MARKET,
    SHORT_TERMS,
    START_US,
    TICK_US,
    Asks,
    Scenario,
    due,
    fleet,
    submission,
)
from parkade.sim.check.windows import due_from
from tests.sim.check.faults import Fault, runs

ORGS = ("birch", GUEST)


def _one_node(name: str, asks: Asks, *offers: commands.Submit, **terms: Any) -> Scenario:
    return Scenario(
        name=name,
        says="1 node; cedar's work is due by a deadline",
        setup=fleet({"a": 1}, gpus=1, orgs=ORGS, **(SHORT_TERMS | terms)),
        submissions=offers,
        most_live=2,
        bids=(),
        asks=asks,
    )


DUE, SOON = due(limit=3), submission("birch", lasts_ticks=1)

BESIDE = _one_node("beside", Asks.AFTERWARDS | Asks.TERMS, DUE, SOON)
"""A window that is kept, on demand before it, and a reservation from its end on."""
LATE = _one_node("late", Asks(0), DUE, SOON)
"""On demand before a window that is kept."""
SAVES = _one_node("saves", Asks(0), submission("birch", limit=6))
SAVES = replace(
    SAVES,
    says="1 node; cedar's work runs there and is due by a deadline, and birch may outbid it",
    setup=(
        *SAVES.setup,
        due_from(due(limit=3, by_ticks=20), START_US),
        commands.RunClearing(by=None, market=MARKET),
        report(runs("w1.1")),
    ),
)
SERVED = _one_node(
    "served",
    Asks.AFTERWARDS | Asks.TERMS | Asks.MAINTENANCE,
    SOON,
    submission("birch", limit=6),
)
"""A node that goes into maintenance, and is sold before it."""
MAY_RUN = _one_node("may-run", Asks(0), submission("birch", limit=6), min_runtime_us=3 * TICK_US)
MAY_RUN = replace(
    MAY_RUN,
    says="1 node; cedar runs there, where what started may run for 30 s, and birch bids more",
    setup=(
        *MAY_RUN.setup,
        submission(GUEST, limit=3),
        commands.RunClearing(by=None, market=MARKET),
        report(runs("w1.1")),
    ),
)


def _keeps_windows_on_the_terms_in_force(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fallbacks, "_terms", lambda market, _: fallbacks.terms_now(market))


def _forgets_a_checkpoint_for_its_notice(patch: pytest.MonkeyPatch) -> None:
    saved_us = running_effects._saved_us

    def by_its_notice(world: Any, workload: Any, event: Any) -> Any:
        attempt = workload.attempt
        if not event.is_saved or attempt is None or attempt.stop is None:
            return saved_us(world, workload, event)
        market = world.records.markets[workload.market]
        return fallbacks.saved_until_us(market, workload, attempt.stop.noticed_us)

    patch.setattr(running_effects, "_saved_us", by_its_notice)


def _dates_a_window_from_its_submission(patch: pytest.MonkeyPatch) -> None:
    fall_back = running_effects.fall_back

    def undated(world: Any, event: Any) -> None:
        fall_back(world, event)
        workload = world.records.workloads[event.workload]
        world.put_workload(replace(workload, window_from_us=None))

    patch.setattr(running_effects, "fall_back", undated)


def _falls_back_a_tick_late(patch: pytest.MonkeyPatch) -> None:
    due_us = falling_back.fallback_due_us

    def late(world: Any, workload: Any) -> Any:
        at_us = due_us(world, workload)
        return None if at_us is None else at_us + TICK_US

    patch.setattr("parkade.core.kernel.deadlines.fallback_due_us", late)


def _leaves_what_is_due_by_old_terms(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(worlds_of.World, "wake_all", lambda self: None)


def _empties_nodes_by_the_terms_in_force(patch: pytest.MonkeyPatch) -> None:
    def by_now_us(world: Any, window: Any) -> Any:
        return window.window.start_us - capacity.lead_now_us(world, window.nodes)

    patch.setattr(capacity, "empties_us", by_now_us)
    patch.setattr(maintenance, "empties_us", by_now_us)


def _sells_nodes_in_maintenance(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(capacity, "maintained", lambda *_, **__: ())


def _tells_none_in_maintenance(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(maintenance, "_notices", lambda *_: ())


def _lets_bids_take_what_may_run(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Attempt, "keeps_seats_until_us", lambda *_: None)


IN_SPANS = (
    Fault(name="a window is kept on the terms in force",
          plant=_keeps_windows_on_the_terms_in_force, scenario=BESIDE, invariants=(9, 40)),
    Fault(name="a checkpoint during a notice is forgotten at its end",
          plant=_forgets_a_checkpoint_for_its_notice, scenario=SAVES, invariants=(40,)),
    Fault(name="the window of what fell back begins with its submission",
          plant=_dates_a_window_from_its_submission, scenario=LATE, invariants=(9,)),
    Fault(name="work falls back a tick after its last moment",
          plant=_falls_back_a_tick_late, scenario=LATE, invariants=(40,)),
    Fault(name="new terms leave what is due as it was",
          plant=_leaves_what_is_due_by_old_terms, scenario=BESIDE, invariants=(15,)),
    Fault(name="a longer notice empties nodes that were sold until a maintenance window",
          plant=_empties_nodes_by_the_terms_in_force, scenario=SERVED, invariants=(39,)),
    Fault(name="nodes in a maintenance window are sold",
          plant=_sells_nodes_in_maintenance, scenario=SERVED, invariants=(9,)),
    Fault(name="work on nodes in maintenance has no notice",
          plant=_tells_none_in_maintenance, scenario=SERVED, invariants=(39,)),
    Fault(name="a bid takes the seats of what may run on",
          plant=_lets_bids_take_what_may_run, scenario=MAY_RUN, invariants=(41,)),
)  # fmt: skip
