"""What an attempt that made others leave has not used of its minimum, and what that costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from parkade.core.billing.metering import owed_numerator, spans
from parkade.core.billing.minimum import debt_micros, unmet_us
from parkade.core.running.expiry import folder_due_us
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from tests import builders
from tests.core.records import attempt, rate, seats, workload, world

S = SECOND_US
TERMS = builders.terms(minimum_charge_us=60 * S, start_grace_us=120 * S)


@pytest.mark.parametrize(("now_s", "missing_s"), [(0, 60), (20, 40), (60, 0), (90, 0)])
def test_the_minimum_is_used_up_while_it_runs_and_the_rest_is_owed(
    now_s: int, missing_s: int
) -> None:
    """At one micro-unit a second."""
    one = workload(phase=Phase.RUNNING, attempt=attempt(displaced=True))
    assert unmet_us(one, TERMS, now_s * S) == missing_s * S
    here = world(one, markets=[builders.market("market", terms=TERMS)])
    assert debt_micros(here, here.records.workloads["w1"], now_s * S) == missing_s


def test_what_made_no_one_leave_owes_nothing() -> None:
    here = world(workload(phase=Phase.RUNNING, attempt=attempt()))
    assert debt_micros(here, here.records.workloads["w1"], 5 * S) == 0


def test_folders_are_kept_so_long_after_the_end_and_for_ever_where_the_market_says_so() -> None:
    ended = workload(phase=Phase.SUCCEEDED, why="succeeded", generation=1, ended_us=10 * S)
    for kept_us, due_us in ((None, None), (50 * S, 60 * S)):
        terms = replace(TERMS, folder_retention_us=kept_us)
        here = world(ended, markets=[builders.market("market", terms=terms)])
        assert folder_due_us(here, here.records.workloads["w1"]) == due_us
    alive = replace(ended, phase=Phase.QUEUED, ended_us=None)
    never_ran = replace(ended, generation=0)
    assert folder_due_us(world(alive), alive) is None
    assert folder_due_us(world(never_ran), never_ran) is None


@given(
    prices=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), min_size=1, max_size=6),
    start_us=st.integers(-5, 50),
    end_us=st.integers(-5, 50),
)
def test_what_is_owed_is_the_sum_over_the_spans(
    prices: list[tuple[int, int]], start_us: int, end_us: int
) -> None:
    """Also where several prices begin at one instant, or before or after the time asked for."""
    instants = sorted(from_us for _, from_us in prices)
    rates = tuple(rate(price, at) for (price, _), at in zip(prices, instants, strict=True))
    one = attempt(rates=rates, seats=seats(a1=2, b1=1))
    by_span = sum(
        span.rate.per_hour_micros(one.gpus) * (span.end_us - span.start_us)
        for span in spans(one, start_us, end_us)
    )
    assert owed_numerator(one, start_us, end_us) == by_span
