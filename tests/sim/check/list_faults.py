"""Faults in lists of capacity."""

from typing import Any

import pytest

from parkade.core.clearing import entries, rising
from parkade.core.state import commands
from parkade.sim.check.acts import report
from parkade.sim.check.scenarios import (
    GUEST,
    MARKET,
    Asks,
    Scenario,
    fleet,
    listed,
    reserved,
    submission,
)
from tests.sim.check.faults import Fault, runs

ONE_OF_TWO = Scenario(
    name="one of two",
    says="2 nodes, one of them reserved by acme, whose own work is there; its list outbids cedar",
    setup=(
        *fleet({"a": 2}, gpus=1, orgs=("acme", GUEST)),
        reserved("acme", 1),
        submission("acme", reservation="acme"),
        submission(GUEST, limit=3),
        commands.RunClearing(by=None, market=MARKET),
        report(runs("w1.1"), runs("w2.1")),
        listed("acme", limit=4),
        commands.RunClearing(by=None, market=MARKET),
    ),
    submissions=(),
    most_live=3,
    bids=(),
    asks=Asks.CANCELS,
)


def _moves_up_before_it_has_paid(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rising, "owed_us", lambda *args: 0)


def _goes_on_with_a_full_reservation(patch: pytest.MonkeyPatch) -> None:
    """Own work that waits for the room, and what is used there, are forgotten."""

    def any_room(world: Any, market: Any, workload: Any, unused: Any) -> Any:
        return workload.spec.entries[0]

    patch.setattr(rising, "_with_room", any_room)
    patch.setattr(entries, "is_harmless", lambda *args: True)


IN_LISTS = (
    Fault(name="a list moves up before it has paid for what left for it",
          plant=_moves_up_before_it_has_paid, scenario=ONE_OF_TWO, invariants=(19,)),
    Fault(name="a list goes on with a reservation that others use",
          plant=_goes_on_with_a_full_reservation, scenario=ONE_OF_TWO, invariants=(42,)),
)  # fmt: skip
