"""Who waits for no preemption: on-demand, which no bid displaces and which may have a deadline."""

import pytest

from parkade.core.running.backoff import not_before_us
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause
from parkade.core.workloads.spec import Capacity, CapacityKind
from tests import builders
from tests.core.records import attempt, stop, workload, world

NOW_US = 10_000 * SECOND_US
ON_DEMAND = builders.spec(capacity=Capacity(kind=CapacityKind.ON_DEMAND), limit_price_micros=None)


@pytest.mark.parametrize("cause", [Cause.OUTBID, Cause.BELOW_FLOOR, Cause.RECLAIMED])
def test_spot_waits_after_an_early_preemption_and_on_demand_does_not(cause: Cause) -> None:
    waits = []
    for spec in (builders.spec(), ON_DEMAND):
        left = attempt(started_us=None, stop=stop(cause))
        one = workload(spec=spec, attempt=left, preemptions=1)
        waits.append(not_before_us(world(one), one, cause, NOW_US, is_saved=False) > NOW_US)
    assert waits == [True, False]
