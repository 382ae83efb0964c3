"""Faults in what changes: rights that are divided, bounds, second lives, caps."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.clearing import purses
from parkade.core.leasing import dividing, extending, periods
from parkade.core.running import bounding, expiry, resubmitting
from parkade.core.state import commands
from parkade.core.units.refusal import Refusal
from parkade.sim.check.acts import report
from parkade.sim.check.changes import LASTS_US
from parkade.sim.check.scenarios import (
    GUEST,
    MARKET,
    PERIOD_US,
    TICK_US,
    Asks,
    Scenario,
    fleet,
    lent,
    reserved,
    submission,
)
from tests.sim.check.faults import Fault, runs


def _scenario(name: str, says: str, setup: Any, asks: Asks, *offers: Any) -> Scenario:
    return Scenario(
        name=name, says=says, setup=setup, submissions=offers, most_live=2, bids=(), asks=asks
    )


_PAID = {"billing_period_us": PERIOD_US, "minimum_charge_us": TICK_US}
PARTED = _scenario(
    "parted",
    "2 nodes in 2 fabrics, reserved and lent by acme, who divides its right",
    (
        *fleet({"a": 1, "b": 1}, gpus=1, orgs=("acme", "birch", GUEST), **_PAID),
        reserved("acme", 2),
        lent("acme", 2),
    ),
    Asks.RIGHTS | Asks.CLAIMS,
)
"""A right to two nodes, and nobody else."""
BID = submission(GUEST, limit=3, lasts_ticks=LASTS_US[0] // TICK_US)
PAIR = submission(GUEST, nodes=2, limit=5)
AGAIN = _scenario(
    "again",
    "1 node; cedar bids for it, and submits again what has ended",
    fleet({"a": 1}, gpus=1, orgs=(GUEST,)),
    Asks.RESUBMITS | Asks.BOUNDS,
    BID,
)
"""A bid that ends and comes back."""
LATE = _scenario(
    "late",
    "1 node, on which cedar's bid runs for 160 s at most",
    (
        *fleet({"a": 1}, gpus=1, orgs=(GUEST,)),
        submission(GUEST, limit=3, lasts_ticks=LASTS_US[1] // TICK_US),
        commands.RunClearing(by=None, market=MARKET),
        report(runs("w1.1")),
    ),
    Asks.BOUNDS,
)
"""A bid that runs and may be told to end sooner."""
CAPPED = _scenario(
    "capped",
    "3 nodes in 2 fabrics; cedar bids for one and for two, and may have two GPUs while capped",
    fleet({"a": 2, "b": 1}, gpus=1, orgs=(GUEST,)),
    Asks.CAPS | Asks.CANCELS,
    submission(GUEST, limit=6),
    PAIR,
)
"""Room for both bids, and a cap that holds one of them back."""


def _changed_division(patch: pytest.MonkeyPatch, change: Any) -> None:
    divided = dividing._divided

    def wrong(world: Any, whole: Any, *others: Any) -> Any:
        event = divided(world, whole, *others)
        return event if isinstance(event, Refusal) else change(event, whole)

    patch.setattr(dividing, "_divided", wrong)


def _leaves_the_whole_as_it_was(patch: pytest.MonkeyPatch) -> None:
    _changed_division(patch, lambda event, whole: replace(event, shape=whole.shape))


def _lends_what_is_handed_over(patch: pytest.MonkeyPatch) -> None:
    _changed_division(
        patch, lambda event, whole: replace(event, part=replace(event.part, lending=whole.lending))
    )


def _keeps_what_was_paid_ahead(patch: pytest.MonkeyPatch) -> None:
    _changed_division(patch, lambda event, whole: replace(event, transfers=()))


def _gives_the_part_all_that_was_paid(patch: pytest.MonkeyPatch) -> None:
    def change(event: Any, whole: Any) -> Any:
        return replace(event, part=replace(event.part, paid_micros=whole.paid_micros))

    _changed_division(patch, change)


def _makes_the_part_younger(patch: pytest.MonkeyPatch) -> None:
    def change(event: Any, whole: Any) -> Any:
        return replace(event, part=replace(event.part, created_us=whole.created_us + TICK_US))

    _changed_division(patch, change)


def _divides_what_is_claimed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dividing, "_bad_state", lambda *_: None)
    patch.setattr(dividing, "used_nodes", lambda *_: {})


def _charges_for_the_whole(patch: pytest.MonkeyPatch) -> None:
    next_period = periods.next_period

    def dear(world: Any, reservation: Any) -> Any:
        until_us, micros = next_period(world, reservation)
        return until_us, micros * 2 // reservation.nodes

    patch.setattr(periods, "next_period", dear)


def _ends_sooner(patch: pytest.MonkeyPatch) -> None:
    def extend(world: Any, command: Any, now_us: int) -> Any:
        made: Any = extending.extend_reservation(world, command, now_us)
        if isinstance(made, Refusal):
            return made
        return tuple(replace(it, end_us=it.end_us - 2 * PERIOD_US) for it in made)

    patch.setattr("parkade.core.kernel.decide.extend_reservation", extend)


def _ends_at_once(patch: pytest.MonkeyPatch) -> None:
    due_us = periods.period_due_us

    def hasty(world: Any, reservation: Any) -> Any:
        at_us = due_us(world, reservation)
        is_ending = reservation.window.end_us is not None and not reservation.state.is_over
        return at_us - TICK_US if is_ending and at_us is not None else at_us

    def ends(world: Any, reservation: Any, at_us: int) -> Any:
        if reservation.state == "closing":
            end = replace(reservation.window, end_us=at_us)
            return take(world, replace(reservation, window=end), at_us)
        return take(world, reservation, at_us)

    take = periods.take_period
    patch.setattr("parkade.core.kernel.deadlines.period_due_us", hasty)
    patch.setattr("parkade.core.kernel.deadlines.take_period", ends)


def _numbers_from_one(patch: pytest.MonkeyPatch) -> None:
    again = resubmitting._again
    patch.setattr(
        resubmitting,
        "_again",
        lambda *args: replace(again(*args), generation=0, attempts_before=0),
    )


def _forgets_what_it_cost(patch: pytest.MonkeyPatch) -> None:
    again = resubmitting._again
    patch.setattr(resubmitting, "_again", lambda *args: replace(again(*args), spent_micros=0))


def _counts_from_the_change(patch: pytest.MonkeyPatch) -> None:
    end_us = bounding._end_us

    def later(workload: Any, duration_us: Any) -> Any:
        at_us = end_us(workload, duration_us)
        return None if at_us is None else at_us + TICK_US

    patch.setattr(bounding, "_end_us", later)


def _cuts_the_notice_short(patch: pytest.MonkeyPatch) -> None:
    with_duration = bounding._with_duration

    def harsh(world: Any, workload: Any, duration_us: Any, now_us: int) -> Any:
        made = with_duration(world, workload, duration_us, now_us)
        if not isinstance(made, Refusal) or made.field != "max_duration":
            return made
        end_us = bounding._end_us(workload, duration_us)
        spec = replace(workload.spec, max_duration_us=duration_us)
        return replace(workload, spec=spec, must_end_us=end_us)

    patch.setattr(bounding, "_with_duration", harsh)


def _moves_an_end_that_was_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bounding, "FINAL_CAUSES", frozenset())


def _tells_it_to_end_too_soon(patch: pytest.MonkeyPatch) -> None:
    due_us = expiry.expiry_due_us

    def early(world: Any, workload: Any) -> Any:
        at_us = due_us(world, workload)
        return None if at_us is None else at_us - TICK_US

    patch.setattr("parkade.core.kernel.deadlines.expiry_due_us", early)


def _looks_at_each_bid_alone(patch: pytest.MonkeyPatch) -> None:
    take = purses.Account.take
    patch.setattr(purses.Account, "take", lambda self, micros, _gpus: take(self, micros, 0))


def _forgets_seats_that_are_left(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(purses.Room, "left", lambda self, *, is_seated: self.most - self.standing)


IN_CHANGES = (
    Fault(name="a part is split off and the whole keeps its nodes",
          plant=_leaves_the_whole_as_it_was, scenario=PARTED, invariants=(9,)),
    Fault(name="what is handed over is lent before its new owner says so",
          plant=_lends_what_is_handed_over, scenario=PARTED, invariants=(9,)),
    Fault(name="what was paid ahead for a part stays with the whole",
          plant=_keeps_what_was_paid_ahead, scenario=PARTED, invariants=(13,)),
    Fault(name="a part may earn what the whole may",
          plant=_gives_the_part_all_that_was_paid, scenario=PARTED, invariants=(13,)),
    Fault(name="a part stands behind those that are younger than the whole",
          plant=_makes_the_part_younger, scenario=PARTED, invariants=(9,)),
    Fault(name="a node is split off that its owner claimed",
          plant=_divides_what_is_claimed, scenario=PARTED, invariants=(1,)),
    Fault(name="a part is charged for the nodes that the whole had",
          plant=_charges_for_the_whole, scenario=PARTED, invariants=(13,)),
    Fault(name="a right that is to last longer ends sooner",
          plant=_ends_sooner, scenario=PARTED, invariants=(9,)),
    Fault(name="a right ends before its window",
          plant=_ends_at_once, scenario=PARTED, invariants=(9,)),
    Fault(name="attempts of what is submitted again are numbered from one",
          plant=_numbers_from_one, scenario=AGAIN, invariants=(22,)),
    Fault(name="what work cost is forgotten when it is submitted again",
          plant=_forgets_what_it_cost, scenario=AGAIN, invariants=(13,)),
    Fault(name="another max_duration moves the end by too much",
          plant=_counts_from_the_change, scenario=AGAIN, invariants=(11,)),
    Fault(name="a shorter max_duration leaves no time for the notice",
          plant=_cuts_the_notice_short, scenario=LATE, invariants=(11,)),
    Fault(name="the end of what was told to end is moved",
          plant=_moves_an_end_that_was_told, scenario=AGAIN, invariants=(8,)),
    Fault(name="work is told to end before its max_duration wants it",
          plant=_tells_it_to_end_too_soon, scenario=AGAIN, invariants=(11,)),
    Fault(name="a cap on GPUs is looked at for each bid alone",
          plant=_looks_at_each_bid_alone, scenario=CAPPED, invariants=(38,)),
    Fault(name="a cap on GPUs does not count seats that are being left",
          plant=_forgets_seats_that_are_left, scenario=CAPPED, invariants=(38,)),
)  # fmt: skip
