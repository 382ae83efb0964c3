"""What a live attempt pays while its ranks come and go: the example of the module, and sums."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from parkade.core.billing import live_ranks
from parkade.core.ledger.accounts import OPERATOR
from parkade.core.workloads.life import Cause
from parkade.core.workloads.ranks import joined, kept_by, ranks_of, with_begun
from parkade.core.workloads.workload import Attempt, Rate
from tests.core.records import attempt, rate, seats, stop

GPUS = 8
S = 1_000_000


def given_attempt(prices: tuple[int, ...], lenders: dict[str, int]) -> Attempt:
    """A node of 8 GPUs at each price. `lenders`: what each earns an hour, the operator the rest."""
    nodes = {f"a{number}": GPUS for number in range(1, len(prices) + 1)}
    earned = lenders | {"operator": GPUS * sum(prices) - sum(lenders.values())}
    priced = replace(rate(max(prices), **earned), node_prices=tuple(sorted(prices)))
    shares = tuple(sorted((name, micros) for name, micros in priced.shares if micros))
    priced = replace(priced, shares=shares)
    return attempt(seats=seats(**nodes), rates=(priced,), ordered_us=0)


def per_hour(rate: Rate) -> int:
    assert rate.gpus is not None, "a rate of a live attempt says of how many GPUs it is"
    return rate.per_hour_micros(rate.gpus)


def earned(rate: Rate) -> Counter[str]:
    return Counter(dict(rate.shares))


def told_to_leave(before: Attempt, nodes: list[str], stays: Rate, at_us: int) -> Attempt:
    stops = dict.fromkeys(nodes, stop(Cause.RECLAIMED, at_us=at_us))
    ranks = live_ranks.with_notice(before, stops, stays)
    return live_ranks.with_ranks(before, ranks, stays, at_us)


def test_a_lender_that_takes_its_node_back_has_its_floor_until_the_rank_has_left() -> None:
    before = given_attempt((1, 7), {"acme": 40})
    stays = replace(rate(1, 10 * S, operator=8), node_prices=(1,), gpus=GPUS)
    leaving = told_to_leave(before, ["a2"], stays, 10 * S)
    told = leaving.ranks[1].leaving
    assert told is not None and told.price_micros == 7
    assert dict(told.shares) == {"org/acme": 40, OPERATOR: 16}
    assert leaving.rates[-1].node_prices == (1, 7) and per_hour(leaving.rates[-1]) == 64
    assert earned(leaving.rates[-1]) == {"org/acme": 40, OPERATOR: 24}
    gone = live_ranks.left(leaving, (leaving.ranks[1],), 30 * S)
    assert [(it.from_us, per_hour(it)) for it in gone.rates] == [(0, 64), (10 * S, 64), (30 * S, 8)]
    assert earned(gone.rates[-1]) == {OPERATOR: 8}
    assert [it.node for it in gone.seats] == ["a1"]


def test_a_rank_that_left_before_the_last_price_costs_nothing_in_it_either() -> None:
    before = given_attempt((2, 3, 5), {})
    first = live_ranks.lowest_part(live_ranks.kept_rate(before), 2, GPUS)
    leaving = told_to_leave(before, ["a3"], replace(first, from_us=10 * S), 10 * S)
    dearer = replace(rate(4, 20 * S, operator=64), node_prices=(4, 4), gpus=2 * GPUS)
    repriced = live_ranks.with_ranks(leaving, leaving.ranks, dearer, 20 * S)
    gone = live_ranks.left(repriced, (leaving.ranks[2],), 15 * S)
    assert [(it.from_us, it.node_prices) for it in gone.rates] == [
        (0, (2, 3, 5)),
        (10 * S, (2, 3, 5)),
        (15 * S, (2, 3)),
        (20 * S, (4, 4)),
    ]


def test_a_rank_owes_what_its_use_has_not_paid_of_the_minimum() -> None:
    before = given_attempt((4, 4), {})
    owed = {"a3": replace(rate(8), gpus=GPUS)}
    ranks = joined(before, seats(a3=GPUS), 100 * S, owed)
    both = replace(rate(4, operator=96), node_prices=(4, 4, 4), gpus=3 * GPUS)
    grown = live_ranks.with_ranks(before, with_begun(ranks, ranks, 100 * S), both, 100 * S)
    missing = [
        live_ranks.missing_of(grown, grown.ranks[2], 30 * S, at_s * S)
        for at_s in (90, 100, 110, 160, 900)
    ]
    # At 4 of the 8 that it owes, a second of use pays half a second of the minimum.
    assert missing == [30 * S, 30 * S, 25 * S, 0, 0]
    assert live_ranks.missing_of(grown, grown.ranks[0], 30 * S, 100 * S) == 0


PRICES = st.lists(st.integers(0, 10**7), min_size=2, max_size=5).map(sorted)


@st.composite
def changes(draw: st.DrawFn) -> tuple[Attempt, list[str], Rate]:
    """An attempt, nodes of which at least one stays, and what those that stay cost from now on."""
    prices = tuple(draw(PRICES))
    lent = draw(st.lists(st.integers(0, GPUS * sum(prices)), min_size=2, max_size=2).map(sorted))
    whole = given_attempt(prices, {"acme": lent[0], "birch": lent[1] - lent[0]})
    count = draw(st.integers(1, len(prices) - 1))
    nodes = [it.node for it in whole.seats[len(prices) - count :]]
    stays = tuple(draw(st.lists(st.integers(0, 10**7), min_size=1, max_size=5)))
    stays = tuple(sorted((stays * len(prices))[: len(prices) - count]))
    total = GPUS * sum(stays)
    acme = draw(st.integers(0, total))
    priced = replace(rate(max(stays), S, acme=acme, operator=total - acme), node_prices=stays)
    return whole, nodes, replace(priced, gpus=GPUS * len(stays))


@given(changes(), st.integers(S, 3 * S))
def test_all_that_is_paid_is_earned_and_no_account_earns_less_than_nothing(
    change: tuple[Attempt, list[str], Rate], left_us: int
) -> None:
    before, nodes, stays = change
    leaving = told_to_leave(before, nodes, stays, S)
    gone = leaving
    found = [leaving]
    for rank in [it for it in leaving.ranks if it.leaving is not None]:
        gone = live_ranks.left(gone, (rank,), left_us)
        found.append(gone)
    for each in found:
        for priced in each.rates:
            assert sum(micros for _, micros in priced.shares) == per_hour(priced)
            assert all(micros >= 0 for _, micros in priced.shares)
            assert list(priced.node_prices) == sorted(priced.node_prices)
            assert priced.gpus == GPUS * len(priced.node_prices)
        assert [it.from_us for it in each.rates] == sorted({it.from_us for it in each.rates})
    assert gone.rates[-1].node_prices == stays.node_prices
    assert earned(gone.rates[-1]) == earned(stays), "the price of what stays is a clearing's"


@given(changes())
def test_what_leaves_and_what_stays_are_together_the_whole(
    change: tuple[Attempt, list[str], Rate],
) -> None:
    before, nodes, stays = change
    leaving = told_to_leave(before, nodes, stays, S)
    told = [it.leaving for it in leaving.ranks if it.leaving is not None]
    assert len(told) == len(nodes) and len(kept_by(leaving.ranks)) == len(stays.node_prices)
    whole = leaving.rates[-1]
    kept = live_ranks.kept_rate(leaving)
    assert kept.node_prices == stays.node_prices and earned(kept) == earned(stays)
    prices = [*kept.node_prices, *(it.price_micros for it in told)]
    assert sorted(prices) == list(whole.node_prices)
    shares = earned(kept)
    for it in told:
        assert sum(micros for _, micros in it.shares) == it.price_micros * GPUS
        shares.update(dict(it.shares))
    assert shares == earned(whole)
    assert sorted(it.price_micros for it in told) == list(
        before.rates[-1].node_prices[-len(told) :]
    )


@given(changes())
def test_the_lowest_and_the_highest_part_of_a_rate_have_each_price_once(
    change: tuple[Attempt, list[str], Rate],
) -> None:
    before, nodes, _ = change
    whole = live_ranks.bounded(before)[-1]
    few = len(before.seats) - len(nodes)
    low = live_ranks.lowest_part(whole, few, GPUS)
    high = live_ranks.highest_part(whole, len(nodes), GPUS)
    assert (*low.node_prices, *high.node_prices) == whole.node_prices
    assert per_hour(low) + per_hour(high) == per_hour(whole)
    for part in (low, high):
        assert sum(earned(part).values()) == per_hour(part)
        lenders = earned(whole) - Counter({OPERATOR: earned(whole)[OPERATOR]})
        assert all(earned(part)[name] <= micros for name, micros in lenders.items())


def test_an_attempt_whose_ranks_never_changed_has_those_of_its_seats() -> None:
    before = given_attempt((1, 2), {})
    assert [(it.rank, it.seat.node, it.since) for it in ranks_of(before)] == [
        (0, "a1", 0),
        (1, "a2", 0),
    ]
