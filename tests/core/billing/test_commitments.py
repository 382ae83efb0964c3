"""What is set aside before it is spent: each state of a workload by hand.

At 3600 micro-units per GPU-hour a GPU costs one micro-unit a second.
"""

from typing import Any

import pytest

from parkade.core.billing import commitments
from parkade.core.billing.metering import accrued_micros
from parkade.core.state.people import Cap, CapPeriod, Org, Role, Spending, User
from parkade.core.units.time import DAY_US, HOUR_US, SECOND_US, month_of
from parkade.core.workloads.life import Phase
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Attempt, Workload
from tests import builders
from tests.core.records import attempt, promise, rate, seats, stop, workload, world

S = SECOND_US


EARMARK_S = 30 + 30 + 5 + 120
"""Clearing interval, notice, kill and start grace of `builders.terms`."""


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (None, EARMARK_S),
        (attempt(started_us=None), EARMARK_S),
        (attempt(started_us=3), EARMARK_S - 120),
        (attempt(started_us=3, stop=stop()), EARMARK_S),
    ],
    ids=["waiting", "starting", "running", "leaving"],
)
def test_the_earmark_is_the_limit_until_it_could_be_gone(
    made: Attempt | None, expected: int
) -> None:
    one = workload(attempt=made, spec=builders.spec(gpus=2, limit_price_micros=3600))
    assert commitments.earmark_micros(builders.market("market"), one) == 2 * expected


ON_DEMAND = builders.spec(
    capacity=Capacity(kind=CapacityKind.ON_DEMAND), limit_price_micros=None, max_duration_us=HOUR_US
)
WINDOW: dict[str, Any] = {
    "spec": ON_DEMAND,
    "must_end_us": HOUR_US,
    "agreed_price_micros": 3600,
}
ON_RESERVATION = builders.spec(
    capacity=Capacity(kind=CapacityKind.RESERVATION, reservation="acme"), limit_price_micros=None
)
SPOT = builders.spec(limit_price_micros=7200)


def leaving(kill_s: int, **changes: Any) -> Workload:
    """A spot workload that has its notice."""
    made = attempt(stop=stop(kill_us=kill_s * S))
    return workload(attempt=made, phase=Phase.PREEMPTING, spec=SPOT, **changes)


def test_a_workload_that_leaves_may_cost_its_rate_until_the_kill() -> None:
    one = leaving(1)
    made = world(one)
    assert commitments.leaving_micros(made, one, S // 2) == 1
    assert commitments.leaving_micros(made, one, S) == 0
    assert commitments.leaving_micros(made, one, 9 * S) == 0
    assert commitments.leaving_micros(made, workload(attempt=attempt()), 0) == 0


@pytest.mark.parametrize(
    ("one", "committed"),
    [
        (workload(spec=SPOT), 0),
        (workload(spec=SPOT, promise=promise()), 2 * EARMARK_S),
        # At 100 s it owes 100 at one a second, and its limit is two a second.
        (workload(attempt=attempt(), spec=SPOT), 100 + 2 * (EARMARK_S - 120)),
        # Killed at 130: 100 owed, and 30 more at its rate.
        (leaving(130), 100 + 30),
        (leaving(90), 90),
        (
            leaving(130, promise=promise()),
            100 + 30 + 2 * EARMARK_S,
        ),
        (workload(attempt=attempt(rates=(rate(0),)), spec=ON_RESERVATION), 0),
        # To its end at 3600 and the longest that leaving takes (35 s), at the agreed price.
        (
            workload(**WINDOW),
            3600 + 35 - 100,
        ),
        (
            workload(attempt=attempt(), **WINDOW),
            100 + 3600 + 35 - 100,
        ),
        (workload(spec=ON_DEMAND, must_end_us=S, agreed_price_micros=3600), 0),
    ],
    ids=[
        "spot waits", "spot placed", "spot runs", "spot leaves", "spot past its kill",
        "spot moves", "on a reservation", "on-demand waits", "on-demand runs", "window over",
    ],
)  # fmt: skip
def test_what_a_live_workload_commits_of_the_balance(one: Workload, committed: int) -> None:
    made = world(one, balances={"org/lab": 10_000})
    assert commitments.committed_micros(made, one, 100 * S) == committed
    assert commitments.available_micros(made, "lab", 100 * S) == 10_000 - committed


@pytest.mark.parametrize(
    ("cap", "spent", "left"),
    [(None, 5, commitments.UNCAPPED_MICROS), (500, 0, 400), (500, 70, 330)],
)
def test_a_cap_leaves_what_was_neither_spent_nor_is_owed_by_live_workloads(
    cap: int | None, spent: int, left: int
) -> None:
    users = {
        "ann": User(
            user="ann",
            org="lab",
            role=Role.MEMBER,
            unix_name=None,
            cap=None if cap is None else _cap(cap),
        ),
    }
    others = workload("w2", user="bob", attempt=attempt(attempt="w2.1", seats=seats(a2=1)))
    made = world(
        workload(attempt=attempt()),
        others,
        users=users,
        spending_by_user={"ann": _spent(spent)},
        spending_by_org={"lab": _spent(spent + 7)},
    )
    assert commitments.allowance_micros(made, "lab", "ann", 100 * S, cost=accrued_micros) == left


@pytest.mark.parametrize(
    ("own", "whole", "left"),
    [(None, 500, 500 - 77 - 200), (500, 500, 500 - 77 - 200), (300, 500, 300 - 70 - 100)],
)
def test_of_two_caps_the_one_that_leaves_less_counts(
    own: int | None, whole: int, left: int
) -> None:
    """ann's workload and bob's owe 100 each, and ann spent 70 of the org's 77."""
    cap = None if own is None else _cap(own)
    users = {"ann": User(user="ann", org="lab", role=Role.MEMBER, unix_name=None, cap=cap)}
    others = workload("w2", user="bob", attempt=attempt(attempt="w2.1", seats=seats(a2=1)))
    made = world(
        workload(attempt=attempt()),
        others,
        users=users,
        orgs={"lab": Org(org="lab", created_us=0, cap=_cap(whole))},
        spending_by_user={"ann": _spent(70)},
        spending_by_org={"lab": _spent(77)},
    )
    assert commitments.allowance_micros(made, "lab", "ann", 100 * S, cost=accrued_micros) == left


def test_a_monthly_cap_counts_what_was_posted_in_the_month() -> None:
    cap = _cap(500, period=CapPeriod.MONTH)
    spending = Spending(total_micros=900, month=month_of(0), month_micros=400, at_us=0)
    assert commitments.left_of_cap_micros(cap, spending, 30 * DAY_US) == 100
    assert commitments.left_of_cap_micros(cap, spending, 31 * DAY_US) == 500


def _cap(micros: int, *, period: CapPeriod = CapPeriod.TOTAL) -> Cap:
    return Cap(micros=micros, period=period, most_gpus=None, since_us=0)


def _spent(micros: int) -> Spending:
    return Spending(total_micros=micros, month=month_of(0), month_micros=micros, at_us=0)
