"""What is billed, from when and until when, and what it earns: by hand.

At 3600 micro-units per GPU-hour a GPU costs one micro-unit a second, so the expected amounts are
seconds times GPUs.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from parkade.core.billing import charges, metering
from parkade.core.billing.charges import Postings
from parkade.core.billing.effects import post_use, rates_from
from parkade.core.billing.metering import Span
from parkade.core.ledger.accounts import OPERATOR, TransferKind, clearing_account
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units.money import MICROSECONDS_PER_HOUR
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Attempt, Rate, Workload
from tests import builders
from tests.core.records import attempt, promise, rate, seats, stop, workload, world

S = SECOND_US
POT = clearing_account("market")


@pytest.mark.parametrize(
    ("displaced", "started_s", "expected_s"),
    [
        (False, None, None),
        (False, 50, 50),
        (False, 500, 500),
        # Ordered at 10 with a start grace of 120: the seats are billed from 130 at the latest.
        (True, None, 130),
        (True, 50, 50),
        (True, 130, 130),
        (True, 200, 130),
    ],
)
def test_billing_begins_with_the_first_process_or_after_the_grace_of_a_winner_that_displaced(
    displaced: bool, started_s: int | None, expected_s: int | None
) -> None:
    made = attempt(
        ordered_us=10 * S,
        displaced=displaced,
        started_us=None if started_s is None else started_s * S,
    )
    expected = None if expected_s is None else expected_s * S
    assert metering.billed_from_us(made, 120 * S) == expected


@pytest.mark.parametrize(
    ("kill_s", "broken_s", "now_s", "expected_s"),
    [
        (None, None, 100, 100),
        (90, None, 100, 90),
        (110, None, 100, 100),
        (None, 80, 100, 80),
        (90, 80, 100, 80),
        (70, 80, 100, 70),
    ],
)
def test_billing_ends_now_at_the_kill_or_when_a_node_broke_whichever_is_first(
    kill_s: int | None, broken_s: int | None, now_s: int, expected_s: int
) -> None:
    made = attempt(
        stop=None if kill_s is None else stop(kill_us=kill_s * S),
        broken_us=None if broken_s is None else broken_s * S,
    )
    assert metering.billed_to_us(made, now_s * S) == expected_s * S


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (0, 60, [(1, 0, 10), (2, 10, 30), (3, 30, 60)]),
        (5, 25, [(1, 5, 10), (2, 10, 25)]),
        (10, 30, [(2, 10, 30)]),
        (12, 13, [(2, 12, 13)]),
        (40, 50, [(3, 40, 50)]),
        (20, 20, []),
        (25, 5, []),
    ],
)
def test_use_is_cut_at_each_change_of_the_rate(
    start_s: int, end_s: int, expected: list[tuple[int, int, int]]
) -> None:
    made = attempt(rates=(rate(1, 0), rate(2, 10 * S), rate(3, 30 * S)))
    found = metering.spans(made, start_s * S, end_s * S)
    assert [(it.rate.price_micros, it.start_us // S, it.end_us // S) for it in found] == expected


def test_the_first_rate_holds_also_before_it_began() -> None:
    first = rate(7, 50 * S)
    (span,) = metering.spans(attempt(rates=(first,)), 10 * S, 20 * S)
    assert span == Span(rate=first, start_us=10 * S, end_us=20 * S)


@pytest.mark.parametrize(
    ("from_s", "prices"), [(0, (1, 2, 3)), (9, (1, 2, 3)), (10, (2, 3)), (30, (3,)), (99, (3,))]
)
def test_a_posting_keeps_the_rate_in_force_and_all_later_ones(
    from_s: int, prices: tuple[int, ...]
) -> None:
    rates = (rate(1, 0), rate(2, 10 * S), rate(3, 30 * S))
    assert tuple(it.price_micros for it in rates_from(rates, from_s * S)) == prices


TWO_GPUS = attempt(seats=seats(a1=2), rates=(rate(1800, acme=2400, operator=1200),))


def running(made: Attempt = TWO_GPUS, **changes: Any) -> Workload:
    return workload(attempt=made, **changes)


def post(made: World, until_us: int, *, at_us: int | None = None) -> events.UsePosted | None:
    """Posts the use of `w1` and takes the event in."""
    event = Postings(made).post_use(
        made.records.workloads["w1"], until_us=until_us, at_us=until_us if at_us is None else at_us
    )
    if event is not None:
        post_use(made, event)
    return event


def moved(event: events.UsePosted | events.WithdrawalCharged | None) -> list[tuple[str, str, int]]:
    assert event is not None
    return [(it.debit, it.credit, it.micros) for it in event.transfers]


def test_the_worked_example_of_the_theory_of_operation() -> None:
    """Two GPUs at 1800 per GPU-hour cost one micro-unit a second; acme earns 2400 of each 3600,
    the operator 1200."""
    made = world(running(), balances={"org/lab": 100})
    first = post(made, 2_500_000)
    assert moved(first) == [("org/lab", POT, 2), (POT, "org/acme", 1)]
    assert first is not None and first.charged_numerator == 1_800_000_000
    assert first.owed == (("operator", 3_000_000_000), ("org/acme", 2_400_000_000))
    assert made.ledger.balance(POT) == 1
    second = post(made, 3_000_000)
    assert moved(second) == [("org/lab", POT, 1), (POT, OPERATOR, 1), (POT, "org/acme", 1)]
    assert second is not None and second.charged_numerator == 0
    assert second.owed == (("operator", 0), ("org/acme", 0))
    assert made.ledger.balance(POT) == 0
    kinds = [it.kind for it in second.transfers]
    assert kinds == [TransferKind.USAGE, TransferKind.FEE, TransferKind.PAYOUT]


def test_a_charge_says_which_gpus_at_which_price_over_which_window() -> None:
    made = world(running(attempt(seats=seats(a1=2, a2=1))), balances={"org/lab": 100})
    event = post(made, 4 * S)
    assert event is not None
    (charge,) = event.transfers
    assert charge.use is not None and charge.micros == 12
    assert (charge.use.gpus, charge.use.price_micros) == (3, 3600)
    assert (charge.use.start_us, charge.use.end_us) == (0, 4 * S)
    assert (charge.workload, charge.attempt) == ("w1", "w1.1")


@pytest.mark.parametrize(
    ("changes", "until_s"),
    [
        ({"rates": (rate(0),)}, 10),
        ({"started_us": None}, 10),
        ({"charged_until_us": 10 * S}, 10),
        ({"charged_until_us": 10 * S}, 5),
        ({"started_us": 20 * S}, 10),
    ],
    ids=["a reservation pays", "not started", "charged before", "charged beyond", "starts later"],
)
def test_nothing_is_posted_where_nothing_is_owed(changes: dict[str, Any], until_s: int) -> None:
    made = world(running(attempt(**changes)), balances={"org/lab": 100})
    assert post(made, until_s * S) is None


@pytest.mark.parametrize(
    ("balance", "max_spend", "spent", "charged"),
    [
        (100, None, 0, 10),
        (10, None, 0, 10),
        (4, None, 0, 4),
        (0, None, 0, 0),
        (100, 12, 5, 7),
        (100, 15, 5, 10),
        (100, 5, 5, 0),
        (3, 12, 5, 3),
    ],
)
def test_a_charge_is_cut_at_the_balance_and_at_max_spend(
    balance: int, max_spend: int | None, spent: int, charged: int
) -> None:
    spec = builders.spec(max_spend_micros=max_spend)
    one = running(attempt(), spec=spec, spent_micros=spent)
    made = world(one, balances={"org/lab": balance, "org/rich": 1})
    event = post(made, 10 * S)
    assert event is not None and event.charged_until_us == 10 * S
    assert sum(it.micros for it in event.transfers) == charged
    assert made.ledger.balance("org/lab") == balance - charged
    assert made.records.workloads["w1"].spent_micros == spent + charged


def test_what_is_cut_off_is_not_charged_later() -> None:
    made = world(running(attempt()), balances={"org/lab": 4, "org/rich": 50})
    post(made, 10 * S)
    made.records.balances["org/lab"] += 40
    made.records.balances["org/rich"] -= 40
    event = post(made, 15 * S)
    assert event is not None
    assert sum(it.micros for it in event.transfers) == 5


def test_postings_of_one_decision_see_what_those_before_them_moved() -> None:
    other = attempt(attempt="w2.1", seats=seats(a2=1))
    made = world(running(attempt()), workload("w2", attempt=other), balances={"org/lab": 12})
    postings = Postings(made)
    charged = [
        postings.post_use(made.records.workloads[name], until_us=10 * S, at_us=10 * S)
        for name in ("w1", "w2")
    ]
    assert [sum(micros for _, _, micros in moved(event)) for event in charged] == [10, 2]


@pytest.mark.parametrize(
    ("ran_s", "billed_s", "minimum_s", "usage", "minimum"),
    [
        (10, 0, 30, 10, 20),
        (10, 15, 30, 10, 5),
        (10, 25, 30, 10, 0),
        (40, 0, 30, 40, 0),
        (0, 0, 30, 0, 30),
        (10, 0, 0, 10, 0),
    ],
)
def test_the_minimum_charge_is_what_is_missing_to_the_minimum_time(
    ran_s: int, billed_s: int, minimum_s: int, usage: int, minimum: int
) -> None:
    one = running(attempt(billed_us=billed_s * S))
    event = Postings(world(one, balances={"org/lab": 100})).post_use(
        one, until_us=ran_s * S, at_us=ran_s * S, minimum_us=minimum_s * S
    )
    assert event is not None
    by_kind = dict.fromkeys(TransferKind, 0)
    for transfer in event.transfers:
        by_kind[transfer.kind] += transfer.micros
    assert by_kind[TransferKind.USAGE] == usage
    assert by_kind[TransferKind.MINIMUM_CHARGE] == minimum


@pytest.mark.parametrize(
    ("price", "minimum_s", "expected"),
    [(3600, 30, [("org/lab", POT, 60)]), (3600, 0, None), (0, 30, None)],
)
def test_a_withdrawal_costs_the_minimum_for_the_gpus_of_the_promise(
    price: int, minimum_s: int, expected: list[tuple[str, str, int]] | None
) -> None:
    one = workload(promise=promise(seats=seats(a1=2), rates=(rate(price),), displaces=True))
    event = Postings(world(one, balances={"org/lab": 100})).post_withdrawal(
        one, minimum_us=minimum_s * S, at_us=7 * S
    )
    if expected is None:
        assert event is None
        return
    assert event is not None and moved(event) == expected
    (charge,) = event.transfers
    assert charge.attempt is None and charge.use is not None
    assert (charge.use.start_us, charge.use.end_us) == (7 * S, 37 * S)


ON_RESERVATION = builders.spec(
    capacity=Capacity(kind=CapacityKind.RESERVATION, reservation="acme"), limit_price_micros=None
)


def test_accrued_use_is_rounded_up_and_ends_with_the_kill() -> None:
    one = running(attempt(stop=stop(kill_us=1_500_000)))
    assert metering.accrued_micros(world(one), one, 1) == 1
    assert metering.accrued_micros(world(one), one, 9 * S) == 2


@pytest.mark.parametrize(
    ("checkpoint_s", "at_s", "expected_s"),
    [(None, 5000, 1400), (4000, 5000, 4000), (1000, 5000, 1400), (None, 3600, 0)],
)
def test_use_is_beyond_dispute_up_to_the_last_checkpoint_and_an_hour_ago(
    checkpoint_s: int | None, at_s: int, expected_s: int
) -> None:
    made = attempt(checkpoint_us=None if checkpoint_s is None else checkpoint_s * S)
    assert metering.settled_until_us(made, at_s * S) == expected_s * S


def test_only_events_of_money_have_transfers() -> None:
    made = world(running(), balances={"org/lab": 100})
    event = post(made, 10 * S)
    assert event is not None and charges.transfers_of(event) == event.transfers
    other = events.PhaseChanged(at_us=0, workload="w1", phase=Phase.HELD, why="held")
    assert charges.transfers_of(other) == ()


PRICES = st.lists(st.integers(0, 10_000), min_size=1, max_size=4)
CUTS = st.lists(st.integers(1, 40 * S), max_size=6, unique=True)


def _priced(prices: list[int]) -> tuple[Rate, ...]:
    """A new price each 10 s for two GPUs, two thirds of it acme's."""
    return tuple(
        rate(price, at * 10 * S, acme=2 * price * 2 // 3, operator=2 * price - 2 * price * 2 // 3)
        for at, price in enumerate(prices)
    )


@given(PRICES, CUTS)
def test_however_often_use_is_posted_the_charges_add_up_to_the_same(
    prices: list[int], cuts: list[int]
) -> None:
    one = running(attempt(seats=seats(a1=2), rates=_priced(prices)))
    made = world(one, balances={"org/lab": 10**9})
    for until_us in [*sorted(cuts), 40 * S]:
        post(made, until_us)
    lengths = [10 * S] * (len(prices) - 1) + [(50 - 10 * len(prices)) * S]
    owed = sum(2 * price * length for price, length in zip(prices, lengths, strict=True))
    assert 10**9 - made.ledger.balance("org/lab") == owed // MICROSECONDS_PER_HOUR
    assert sum(made.records.balances.values()) == 0
    waiting = sum(made.records.owed.get("market", {}).values())
    assert made.ledger.balance(POT) * MICROSECONDS_PER_HOUR <= waiting
    earned = made.ledger.balance("org/acme") + made.ledger.balance(OPERATOR)
    assert earned + made.ledger.balance(POT) == owed // MICROSECONDS_PER_HOUR


def test_spot_use_is_counted_by_day_for_a_week() -> None:
    day_us = 24 * HOUR_US
    made = world(running(attempt()), balances={"org/lab": 10**9})
    for day in range(9):
        post(made, (day + 1) * day_us - 1)
    days = made.records.use_by_day["lab"]
    assert sorted(days) == [2, 3, 4, 5, 6, 7, 8]
    assert set(days.values()) == {day_us}


def test_use_of_a_reservations_own_workload_counts_for_nothing() -> None:
    made = world(running(attempt(), spec=ON_RESERVATION), balances={"org/lab": 100})
    post(made, 10 * S)
    assert made.records.use_by_day == {}


def test_a_posting_remembers_until_when_it_charged() -> None:
    made = world(running(attempt(stop=stop(Cause.MOVED))), balances={"org/lab": 100})
    post(made, 10 * S, at_us=12 * S)
    after = made.records.workloads["w1"].attempt
    assert after is not None
    assert (after.charged_until_us, after.posted_us, after.billed_us) == (10 * S, 12 * S, 10 * S)
    assert after.charged_micros == 10
    kept = replace(after, charged_until_us=0, posted_us=0, billed_us=0, charged_micros=0)
    assert kept == attempt(stop=stop(Cause.MOVED))
