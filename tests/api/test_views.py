"""Views are pure: whatever a record holds, it can be told, and told to those it concerns only."""

import json
from collections.abc import Iterator
from datetime import timedelta, timezone
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.api.translate.scalars import amount, instant, micros, microseconds
from parkade.api.translate.spec import spec_of, wire_spec
from parkade.api.views import events as views
from parkade.api.views import explanations, reasons, reservations, workloads
from parkade.api.views import pools as pool_views
from parkade.api.views.audience import Owners, Reader, audience, named_in
from parkade.api.views.costs import ended_cost, workload_cost
from parkade.api.views.reasons import SENTENCES
from parkade.client import Invalid
from parkade.client.calls.workloads import submit
from parkade.core.fleet.market import Market, MarketTerms
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.state import events
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROSECONDS_PER_HOUR
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.deadline import DeadlineTerms
from parkade.core.workloads.life import Cause, Why
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Workload
from parkade.ports import Trouble
from parkade.wire import workloads as wire
from parkade.wire.spec import WorkloadSpec
from tests import builders
from tests.core import records

NATURAL = st.integers(0, 10**15)
st.register_type_strategy(int, NATURAL)
st.register_type_strategy(str, st.sampled_from(["a", "w1", "org/acme", "acme", "xyzzy"]))
st.register_type_strategy(
    Fraction, st.builds(Fraction, numerator=NATURAL, denominator=st.integers(1, 1000))
)
# Records are large; the long run tries as many as its profile says.
FEW = settings() if settings.get_current_profile_name() == "long" else settings(max_examples=15)
OPERATOR = Reader(org="operator", is_operator=True, may_see_money=True)
STRANGER = Reader(org="stranger", is_operator=False, may_see_money=True)
MEMBER = Reader(org="acme", is_operator=False, may_see_money=False)
EVENTS = sorted(get_args(events.AnyEvent), key=lambda kind: kind.__name__)


def owners(event: events.AnyEvent, org: str) -> Owners:
    """Everything that the event names is an org's."""
    known = Owners()
    known.learn(dict.fromkeys(named_in(event), org))
    return known


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_is_told_in_words(kind: type[events.AnyEvent]) -> None:
    @FEW
    @given(st.from_type(kind))
    def holds(event: events.AnyEvent) -> None:
        told = views.event(7, event, owners(event, "acme"), OPERATOR)
        assert told is not None and told.sequence == 7
        assert told.says != kind.__name__, "say it in views/events.py"
        assert told.model_dump_json()

    holds()


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_a_stranger_is_told_what_is_public_and_no_names(kind: type[events.AnyEvent]) -> None:
    @FEW
    @given(st.from_type(kind))
    def holds(event: events.AnyEvent) -> None:
        known = owners(event, "acme")
        told = views.event(7, event, known, STRANGER)
        if not audience(event, known).is_public:
            assert told is None
        elif isinstance(event, events.Cleared):
            assert told is not None and told.detail["lines"] == [] and told.org is None

    holds()


def test_what_is_forgotten_is_told_to_operators_only() -> None:
    event = events.Started(at_us=1, workload="w1", attempt="w1.1")
    assert views.event(1, event, Owners(), MEMBER) is None
    assert views.event(1, event, Owners(), OPERATOR) is not None


def test_every_reason_has_a_sentence() -> None:
    assert {*Why, *Cause} <= set(SENTENCES)


@FEW
@given(st.from_type(Workload), st.none() | st.from_type(Market), NATURAL)
def test_every_workload_can_be_told(workload: Workload, market: Market | None, now_us: int) -> None:
    known = workloads.Known(
        workload=workload,
        market=market,
        is_reachable=True,
        pool=None,
        accrued_micros=5,
        debt_micros=3,
        folder_until_us=7,
        falls_back_us=9,
        now_us=now_us,
        phase=workload.phase,
    )
    assert workloads.workload(known).model_dump_json()
    assert explanations.why(known, standstill=None, sees_all=False).says.startswith(
        workload.workload
    )
    still = explanations.why(known, standstill="the clock jumped", sees_all=True).says
    assert still.endswith("the clock jumped") is not workload.phase.is_ended


def test_one_that_backs_off_says_how_it_ended_last() -> None:
    one = records.workload(why=Why.BACK_OFF, exit_summary="rank 0: exit 5", not_before_us=1)
    known = workloads.Known(
        workload=one,
        market=None,
        is_reachable=True,
        pool=None,
        accrued_micros=0,
        debt_micros=0,
        folder_until_us=None,
        falls_back_us=None,
        now_us=0,
        phase=one.phase,
    )
    says = explanations.why(known, standstill=None, sees_all=False).says
    assert says.endswith("until 00:00:00 UTC; the last time: rank 0: exit 5")


@FEW
@given(st.from_type(Reservation), st.from_type(Claim))
def test_every_reservation_and_claim_can_be_told(reservation: Reservation, claim: Claim) -> None:
    assert reservations.reservation(reservation, nodes_used=0).model_dump_json()
    assert reservations.claim(claim).model_dump_json()


@given(st.integers(-(10**17), 10**17))
def test_micro_units_survive_the_wire(value: int) -> None:
    assert micros(amount(value)) == value


@pytest.mark.parametrize("at_us", [-(10**18), -1, 10**18, 2**63])
def test_an_instant_that_no_date_can_say_is_shown_all_the_same(at_us: int) -> None:
    shown = instant(at_us)
    assert shown.astimezone(timezone(timedelta(hours=14))).year in (1970, 9892)
    assert shown.astimezone(timezone(timedelta(hours=-12))).year in (1969, 9892)


@given(NATURAL)
def test_instants_survive_the_wire(value: int) -> None:
    assert microseconds(instant(value)) == value


def specs() -> Iterator[WorkloadSpec]:
    """Specs with every key, and with the fewest."""
    yield WorkloadSpec.model_validate(
        {"name": "a", "command": "b", "workdir": "/", "limit_price": "1"}
    )
    yield WorkloadSpec.model_validate(
        {
            "name": "a",
            "command": "b",
            "workdir": "/home",
            "env": {"A": "1"},
            "env_file": "~/x",
            "storage": ["home", "scratch"],
            "nodes": 4,
            "gpus": 8,
            "instance_type": "h100",
            "interconnect": "any",
            "capacity": "reservation/acme",
            "max_spend": "400",
            "checkpoint": {"signal": "SIGUSR1", "needs": "60s"},
            "priority": -3,
            "retry": {"failures": 3},
            "max_duration": "24h",
        }
    )
    yield WorkloadSpec.model_validate(
        {"name": "a", "command": "b", "workdir": "/", "limit_price": "1", "moves": "cheaper"}
    )


@pytest.mark.parametrize("spec", list(specs()), ids=["fewest", "every", "moves"])
def test_a_spec_is_told_as_it_was_written(spec: WorkloadSpec) -> None:
    assert wire_spec(spec_of(spec, now_us=0)).model_dump() == spec.model_dump()


@given(
    limit=st.integers(0, 10**9),
    gpus=st.integers(1, 1024),
    nodes=st.integers(1, 1000),
    most=st.none() | st.integers(1, 10**12),
    duration_us=st.none() | st.integers(1, 10**13),
    terms=st.from_type(MarketTerms),
)
def test_the_most_it_can_cost_is_no_less_than_its_whole_time_at_its_limit(
    limit: int, gpus: int, nodes: int, most: int | None, duration_us: int | None, terms: MarketTerms
) -> None:
    spec = builders.spec(
        nodes=nodes,
        gpus=gpus,
        limit_price_micros=limit,
        max_spend_micros=most,
        max_duration_us=duration_us,
    )
    cost = workload_cost(spec, terms, None)
    assert micros(cost.per_hour) == limit * gpus * nodes
    if most is None and duration_us is None:
        assert cost.at_most is None and "no bound" in cost.says
        return
    assert cost.at_most is not None
    whole = limit * gpus * nodes * (duration_us or 0) // MICROSECONDS_PER_HOUR
    bounds = [bound for bound in (most, whole if duration_us else None) if bound is not None]
    assert micros(cost.at_most) >= min(bounds)
    assert most is None or micros(cost.at_most) <= most


def test_what_has_ended_costs_what_it_spent() -> None:
    cost = ended_cost(builders.spec(nodes=2, gpus=8, limit_price_micros=1_000_000), 1_500_000)
    assert cost.per_hour == 0 and cost.at_most == amount(1_500_000)
    assert (cost.gpus, cost.says) == (16, "1.50; it has ended")


def test_what_an_agent_says_of_its_pool_is_told_in_full_to_operators_alone() -> None:
    of_pool = Trouble(attempt=None, says="Slurm does not answer the agent: /etc/slurm.conf")
    own = Trouble(attempt="w1.1", says="it is not in Slurm yet: no launcher")
    note = Trouble(attempt=None, says="jobs that wait outside the fence: 17", is_note=True)
    assert note.says in str(pool_views.troubles_say((note, own)))
    one = records.workload("w1", attempt=records.attempt(attempt="w1.1"))
    for is_reachable in (True, False):
        known = workloads.Known(
            workload=one,
            market=None,
            is_reachable=is_reachable,
            pool="lab",
            accrued_micros=0,
            debt_micros=0,
            folder_until_us=None,
            falls_back_us=None,
            now_us=0,
            phase=one.phase,
        )
        told = explanations.trouble(known, (of_pool,), sees_all=False)
        assert told == (None if is_reachable else explanations.UNSEEN)
        assert explanations.trouble(known, (note, of_pool), sees_all=True) == of_pool.says
        assert explanations.trouble(known, (note,), sees_all=True) is None, "it keeps no workload"
        assert explanations.trouble(known, (of_pool, own), sees_all=False) == own.says


@pytest.mark.parametrize("shared", [False, True])
def test_part_of_a_node_that_costs_more_than_on_demand_says_why(shared: bool) -> None:
    market = builders.market("m", terms=builders.terms(shared_nodes=shared))
    dear = market.terms.pay_as_you_go_micros * 3
    whole = market.instance_type.gpus_per_node
    alone = f"it must outbid all {whole} GPUs of one"
    assert (alone in reasons.advice(dear, market, 1)) is not shared
    assert alone not in reasons.advice(dear, market, whole)
    assert alone not in reasons.advice(market.terms.pay_as_you_go_micros, market, 1)


def test_a_workload_of_a_newer_server_is_read_as_far_as_it_is_known() -> None:
    known = workloads.known(records.world(), records.workload(), 0)
    answer = json.loads(workloads.workload(known).model_dump_json())
    for more in ({"colour": "red"}, {"deadline": "not one", "colour": "red"}):
        read = wire.Workload.model_validate(answer | {"spec": answer["spec"] | more})
        assert read.spec.name == answer["name"] and not hasattr(read.spec, "colour")
        assert "colour" in wire.unread_of(read.spec)
        with pytest.raises(Invalid, match=r"colour.*which this program does not know"):
            submit(read.spec)


@pytest.mark.parametrize("longest_us", [None, 3 * HOUR_US])
def test_what_its_deadline_made_on_demand_is_told_as_on_demand(longest_us: int | None) -> None:
    spec = builders.spec(
        capacity=Capacity(kind=CapacityKind.ON_DEMAND),
        limit_price_micros=None,
        max_duration_us=longest_us,
        deadline=DeadlineTerms(by_us=5 * HOUR_US, duration_us=HOUR_US),
    )
    read = WorkloadSpec.model_validate_json(wire_spec(spec).model_dump_json())
    assert (read.capacity, read.limit_price, read.deadline) == ("on-demand", None, None)
    assert read.max_duration == timedelta(microseconds=longest_us or HOUR_US)
