"""Faults in lists of capacity."""

from typing import Any

import pytest

from parkade.core.clearing import entries, rising, rounds
from parkade.core.running import buying
from parkade.core.state import commands
from parkade.sim.check.acts import report
from parkade.sim.check.scenarios import (
    GUEST,
    MARKET,
    Asks,
    Scenario,
    buys,
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


BESIDE_A_BID = Scenario(
    name="beside a bid",
    says="2 nodes, one of them failed; acme's gang of two and a bid wait beside a bid that runs",
    setup=(
        *fleet({"a": 2}, gpus=1, orgs=("acme", GUEST)),
        submission(GUEST, limit=5),
        commands.RunClearing(by=None, market=MARKET),
        report(runs("w1.1")),
    ),
    submissions=(buys("acme", limit=3, nodes=2), buys("acme", limit=3)),
    most_live=3,
    bids=(),
    asks=Asks.FAILS,
)


def _buys_what_is_not_for_sale(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(buying, "window_fabric", lambda *args: "a")


def _buys_without_seats(patch: pytest.MonkeyPatch) -> None:
    """A window that wins nothing is kept."""
    patch.setattr(rounds, "is_on_demand", lambda *args: False)


def _buys_for_the_whole_time_again(patch: pytest.MonkeyPatch) -> None:
    def anew(market: Any, workload: Any, now_us: int) -> int:
        return int(now_us + market.terms.leave_us + workload.spec.max_duration_us)

    patch.setattr(buying, "window_end_us", anew)


IN_LISTS = (
    Fault(name="a list buys on-demand that the calendar has not",
          plant=_buys_what_is_not_for_sale, scenario=BESIDE_A_BID, invariants=(9,)),
    Fault(name="a list buys a window that no clearing seats",
          plant=_buys_without_seats, scenario=BESIDE_A_BID, invariants=(42,)),
    Fault(name="a list that was outbid buys its whole time once more",
          plant=_buys_for_the_whole_time_again, scenario=BESIDE_A_BID, invariants=(42,)),
    Fault(name="a list moves up before it has paid for what left for it",
          plant=_moves_up_before_it_has_paid, scenario=ONE_OF_TWO, invariants=(19,)),
    Fault(name="a list goes on with a reservation that others use",
          plant=_goes_on_with_a_full_reservation, scenario=ONE_OF_TWO, invariants=(42,)),
)  # fmt: skip
