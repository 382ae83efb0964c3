"""What bids may hold under caps, in the order in which they are asked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from parkade.core.billing.commitments import earmark_micros
from parkade.core.clearing.earmarks import set_aside
from parkade.core.state.people import Cap, CapPeriod, Org
from parkade.core.state.world import World
from parkade.core.steps.holdings import held_gpus, is_standing
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from parkade.core.workloads.workload import Workload
from tests import builders
from tests.core.records import attempt, node, seats, stop, workload, world

RICH = {"org/lab": 10**15}


def bid(name: str, gpus: int, limit: float = 1, **changes: Any) -> Workload:
    """A spot workload of one node."""
    spec = builders.spec(gpus=gpus, limit_price_micros=round(limit * MICROS))
    return workload(name, spec=spec, phase=Phase.QUEUED, **changes)


def on(name: str, where: str, gpus: int, limit: float = 1, **changes: Any) -> Workload:
    """One that has seats."""
    made = attempt(attempt=f"{name}.1", seats=seats(**{where: gpus}), **changes)
    return bid(name, gpus, limit, attempt=made)


def lab_with(cap_gpus: int, *workloads: Workload) -> World:
    """An org with a cap on GPUs."""
    cap = Cap(micros=None, period=CapPeriod.TOTAL, most_gpus=cap_gpus, since_us=0)
    nodes = [node(name) for name in sorted(_nodes_of(workloads) | {"a1"})]
    orgs = {"lab": Org(org="lab", created_us=0, cap=cap)}
    return world(*workloads, orgs=orgs, balances=RICH, nodes=nodes)


def _nodes_of(workloads: tuple[Workload, ...]) -> set[str]:
    return {seat.node for it in workloads if it.attempt for seat in it.attempt.seats}


def excluded(made: World) -> dict[str, str]:
    """Why each bid takes no part."""
    bidders = [made.records.workloads[name] for name in made.live]
    return set_aside(made, bidders, 10 * SECOND_US).excluded


def important(workload: Workload, priority: int = 5) -> Workload:
    return replace(workload, spec=replace(workload.spec, priority=priority))


def test_of_those_that_wait_the_more_important_has_the_cap_first_whatever_it_bids() -> None:
    made = lab_with(4, bid("w1", 4, 9), important(bid("w2", 4, 1)))
    assert excluded(made) == {"w1": "org_gpus"}


def test_what_has_seats_keeps_them_and_of_these_the_more_important_stays() -> None:
    made = lab_with(4, on("w1", "a1", 4), important(bid("w2", 4, 9)))
    assert excluded(made) == {"w2": "org_gpus"}
    lowered = lab_with(4, on("w1", "a1", 4, 9), important(on("w2", "a2", 4, 1)))
    assert excluded(lowered) == {"w1": "org_gpus"}


def test_the_example_of_the_module() -> None:
    leaving = on("w2", "a2", 2, stop=stop())
    made = lab_with(8, on("w1", "a1", 4), leaving, bid("w3", 4, 3), bid("w4", 2, 2))
    assert excluded(made) == {"w3": "org_gpus"}


def test_what_is_with_notice_may_bid_for_as_much_again() -> None:
    made = lab_with(4, on("w1", "a1", 4, stop=stop()), bid("w2", 1, 9))
    assert excluded(made) == {"w2": "org_gpus"}


@given(
    st.integers(min_value=0, max_value=12),
    st.lists(
        st.tuples(
            st.integers(min_value=1, max_value=4),
            st.integers(min_value=1, max_value=5),
            st.sampled_from(("waits", "stands", "leaves")),
        ),
        max_size=8,
    ),
)
def test_no_new_bid_takes_a_cap_beyond_its_gpus(
    most: int, drawn: list[tuple[int, int, str]]
) -> None:
    made = lab_with(
        most,
        *(
            bid(f"w{i}", gpus, limit)
            if state == "waits"
            else on(f"w{i}", f"a{i}", gpus, limit, stop=stop() if state == "leaves" else None)
            for i, (gpus, limit, state) in enumerate(drawn)
        ),
    )
    out = excluded(made)
    records = made.records.workloads
    taking = [it for it in records.values() if it.workload not in out]
    kept = sum(it.spec.gpus for it in taking)
    left = sum(held_gpus(it) for it in records.values() if it.workload in out)
    if any(not is_standing(it) for it in taking):
        assert kept + left <= most, "a new bid makes more than the cap"
    assert sum(it.spec.gpus for it in taking if is_standing(it)) <= most


@pytest.mark.parametrize("most", ["balance", "cap"])
def test_what_a_bid_that_stands_in_another_market_may_cost_is_no_other_bids(most: str) -> None:
    here, other = builders.market("market"), builders.market("other")
    standing = replace(on("w1", "a1", 2, 9), market="other")
    money = earmark_micros(other, standing) + earmark_micros(here, bid("w2", 2, 9)) - 1
    cap = Cap(micros=money, period=CapPeriod.TOTAL, most_gpus=None, since_us=0)
    made = world(
        standing,
        bid("w2", 2, 9),
        orgs={"lab": Org(org="lab", created_us=0, cap=cap if most == "cap" else None)},
        balances={"org/lab": money if most == "balance" else 10**15},
        markets=[here, other],
        nodes=[node("a1")],
    )
    found = set_aside(made, [made.records.workloads["w2"]], 0).excluded
    assert found == {"w2": "insufficient_funds" if most == "balance" else "org_cap"}
