"""How the ranks of a live attempt change, and what it pays meanwhile: values in, values out.

Theory of operation
-------------------
An attempt with `resize: live` has *ranks*. Each has a number, a seat, and the count of changes with
which it came. Four things happen to them, each raises `Attempt.resizes` by one:

    told to leave   a rank has its notice; it stays in `seats`, is paid for, and is `leaving`
    left            it was seen gone: it is no more, and its number is free
    joined          promised seats were free: each has the lowest free number
    begun           its agent saw it run, and from then on it is paid for

`Attempt.rates` say what all its seats cost, those that leave included and those that have not begun
left out, each rate with its number of GPUs. A clearing prices the ranks that stay; which of these
prices are of those that have begun is told in `unbegun_prices`. The dearest prices that the attempt
had are those of the ranks that it loses, until they have left. What these earn is what each account
earns less than before, so that an owner whose node is given back has its floor until then.

Example (`tests/core/billing/test_live_ranks.py`). Nodes of 8 GPUs cost 1 and 7; of 64 an hour
acme, which lends the dear one, earns 40. It takes that one back: the other one costs 8 an hour,
which the operator earns, and the leaving rank 56, of which acme earns 40, until it has left.

Decision record 217.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from parkade.core.billing.minimum import minimum_rate
from parkade.core.billing.unbegun_prices import (
    Shares,
    leaving_per_hour_micros,
    rate_of,
    split_begun,
    tidy,
    waiting_dearest,
    with_one_begun,
)
from parkade.core.ledger.accounts import OPERATOR
from parkade.core.units.money import MICROSECONDS_PER_HOUR, ceil_div
from parkade.core.workloads.life import BLAMELESS, Cause
from parkade.core.workloads.ranks import begun_of, kept_by, ranks_of
from parkade.core.workloads.workload import (
    Attempt,
    Promise,
    Rank,
    RankLeaving,
    Rate,
    Stop,
    Workload,
)

EXCUSING = BLAMELESS | {Cause.NOT_STARTED}
"""Causes for which a rank that leaves owes nothing for those that left for it."""


def with_notice(
    attempt: Attempt, stops: Mapping[str, Stop], rate: Rate, *, is_due: bool = False
) -> tuple[Rank, ...]:
    """Its ranks, those on these nodes with their notices. `rate`: what those that stay pay from now
    on."""
    ranks = ranks_of(attempt)
    going = [it for it in ranks if it.leaving is None and it.seat.node in stops]
    assert len(going) == len(stops), "a rank that leaves is there and stays so far"
    stays = tuple(it for it in ranks if it.leaving is None and it not in going)
    begun = [it for it in going if it.has_begun]
    prices = _dearest(attempt, len(begun))
    before = _begun_rate(attempt)
    shares = _shared(attempt, begun_part(rate, stays, before), begun, prices)
    late = waiting_dearest(attempt.rates[-1], (it for it in going if not it.has_begun))
    costs = {
        it.rank: each for it, each in zip(begun, zip(prices, shares, strict=True), strict=True)
    }
    given = {}
    for it in going:
        price, earned = costs.get(it.rank, (0, ()))
        once_begun, once_earned = late.get(it.rank, (0, ()))
        given[it.rank] = RankLeaving(
            stop=stops[it.seat.node],
            price_micros=price,
            priced_us=rate.from_us,
            shares=earned,
            is_due=is_due,
            begun_micros=once_begun,
            begun_shares=once_earned,
        )
    return tuple(replace(it, leaving=given[it.rank]) if it in going else it for it in ranks)


def by_node(rate: Rate, nodes: int) -> Rate:
    """The rate with a price for each of so many nodes, also where all cost the same."""
    if rate.node_prices:
        return rate
    return replace(rate, node_prices=(rate.price_micros,) * nodes)


def begun_part(rate: Rate, stays: tuple[Rank, ...], before: Rate) -> Rate:
    """Of the rate of ranks that stay what those cost that have begun. `before`: what these cost so
    far."""
    rate, begun = by_node(rate, len(stays)), begun_of(stays)
    if len(begun) == len(stays):
        return rate
    return split_begun(rate, before, len(begun), stays[0].seat.gpus)


def full_of(rate: Rate, ranks: Iterable[Rank]) -> Rate | None:
    """The rate of ranks that stay, as it is kept until all have begun; None: they have."""
    stays = kept_by(ranks)
    if all(it.has_begun for it in stays):
        return None
    return replace(by_node(rate, len(stays)), gpus=sum(it.seat.gpus for it in stays))


def with_leaving(rate: Rate, ranks: Iterable[Rank], from_us: int, before: Rate) -> Rate:
    """What all its seats cost together: the rate of those that stay, as far as these have begun,
    and those that leave. `before`: what those cost so far that run and stay."""
    found = tuple(ranks)
    rate = begun_part(rate, kept_by(found), before)
    prices, shares = list(rate.node_prices), Counter(dict(rate.shares))
    gpus = sum(it.seat.gpus for it in begun_of(found))
    for it in found:
        if it.leaving is not None:
            gpus += it.seat.gpus
            prices.append(it.leaving.price_micros)
            shares.update(dict(it.leaving.shares))
    return _rate(rate, prices, shares, gpus=gpus, from_us=from_us)


def without(rate: Rate, gone: Iterable[Rank], gpus: int) -> Rate:
    """The same without ranks that were in it as leaving."""
    prices, shares = list(rate.node_prices), Counter(dict(rate.shares))
    held = gpus if rate.gpus is None else rate.gpus
    for it in gone:
        assert it.leaving is not None, "what stays is priced by a clearing"
        prices.remove(it.leaving.price_micros)
        shares.subtract(dict(it.leaving.shares))
        held -= it.seat.gpus
    return _rate(rate, prices, shares, gpus=held, from_us=rate.from_us)


def kept_rate(attempt: Attempt) -> Rate:
    """What its ranks that stay cost, once all of them have begun."""
    return _begun_rate(attempt) if attempt.full_rate is None else attempt.full_rate


def _begun_rate(attempt: Attempt) -> Rate:
    leaving = [it for it in attempt.ranks if it.leaving is not None]
    return without(by_node(attempt.rates[-1], len(attempt.seats)), leaving, attempt.gpus)


def bounded(attempt: Attempt) -> tuple[Rate, ...]:
    """Its rates, each with the GPUs and the nodes that it is of."""
    gpus, nodes = attempt.gpus, len(attempt.seats)
    return tuple(
        it if it.gpus is not None else replace(by_node(it, nodes), gpus=gpus)
        for it in attempt.rates
    )


def with_ranks(
    attempt: Attempt, ranks: tuple[Rank, ...], rate: Rate | None, from_us: int
) -> Attempt:
    """The attempt with these ranks, of which none has left. `rate`: of those that stay; None: as
    before, without the dearest for each that loses its node."""
    if rate is None and (begun := _newly_begun(attempt, ranks)):
        return _with_begun(attempt, ranks, begun, from_us)
    base = kept_rate(attempt) if rate is None else rate
    stays = len(kept_by(ranks))
    if rate is None and stays < len(kept_by(ranks_of(attempt))):
        base = lowest_part(base, stays, ranks[0].seat.gpus)
    whole = with_leaving(base, ranks, from_us, _begun_rate(attempt))
    rates, _ = _split_at(bounded(attempt), from_us)
    return replace(
        attempt,
        ranks=ranks,
        seats=tuple(it.seat for it in ranks),
        rates=(*rates, whole),
        full_rate=full_of(base, ranks),
    )


def _newly_begun(attempt: Attempt, ranks: tuple[Rank, ...]) -> list[Rank]:
    waits = {(it.rank, it.since) for it in attempt.ranks if not it.has_begun}
    return [it for it in ranks if it.has_begun and (it.rank, it.since) in waits]


def _with_begun(
    attempt: Attempt, ranks: tuple[Rank, ...], begun: list[Rank], from_us: int
) -> Attempt:
    """The attempt in which these ranks had begun at an instant that may be before later rates."""
    before, after = _split_at(bounded(attempt), from_us)
    for rank in begun:
        after = [with_one_begun(it, rank) for it in after]
    return replace(
        attempt,
        ranks=ranks,
        seats=tuple(it.seat for it in ranks),
        rates=(*before, *after),
        full_rate=full_of(kept_rate(attempt), ranks),
    )


def _split_at(rates: tuple[Rate, ...], at_us: int) -> tuple[tuple[Rate, ...], list[Rate]]:
    """Those before an instant, and those from then on, the first of which begins then. The first of
    all stays before it: what was held idle before the launch is billed at that."""
    before = tuple(it for it in rates if it.from_us < at_us)
    after = [it for it in rates if it.from_us >= at_us]
    if not before:
        before = rates[:1]
        after = after[1:] if [it.from_us for it in after[:2]] == [at_us, at_us] else after
    if not after or after[0].from_us > at_us:
        after.insert(0, replace(before[-1], from_us=at_us))
    return before, after


def with_price(attempt: Attempt, rate: Rate) -> Attempt:
    """The attempt with another rate of the ranks that stay."""
    ranks = ranks_of(attempt)
    whole = with_leaving(rate, ranks, rate.from_us, _begun_rate(attempt))
    return replace(attempt, rates=(*attempt.rates, whole), full_rate=full_of(rate, ranks))


def costs_now(attempt: Attempt, rate: Rate) -> tuple[Rate, Rate]:
    """Two rates that say the same where this one of the ranks that stay changes nothing."""
    ranks = ranks_of(attempt)
    if (full := full_of(rate, ranks)) is not None:
        return full, kept_rate(attempt)
    return with_leaving(rate, ranks, rate.from_us, _begun_rate(attempt)), attempt.rates[-1]


def left(attempt: Attempt, gone: Iterable[Rank], at_us: int) -> Attempt:
    """The attempt without ranks that left; from then on they cost nothing, also where later rates
    still had them."""
    names = {(it.rank, it.since): it for it in gone}
    ranks = tuple(it for it in ranks_of(attempt) if (it.rank, it.since) not in names)
    rates = bounded(attempt)
    before, after = _split_at(rates, max(at_us, rates[0].from_us))
    gone_ranks = tuple(names.values())
    fewer = tuple(without(it, gone_ranks, attempt.gpus) for it in after)
    return replace(
        attempt, ranks=ranks, seats=tuple(it.seat for it in ranks), rates=(*before, *fewer)
    )


def without_killed(attempt: Attempt, now_us: int) -> Attempt:
    """The attempt as it is billed up to an instant: what leaves alone is not after its kill."""
    gone = [it for it in attempt.ranks if it.leaving and it.leaving.stop.kill_us < now_us]
    for rank in gone:
        assert rank.leaving is not None
        least_us = max(rank.leaving.priced_us, attempt.charged_until_us)
        attempt = left(attempt, (rank,), max(least_us, rank.leaving.stop.kill_us))
    return attempt


def lowest_part(rate: Rate, nodes: int, gpus: int) -> Rate:
    """The rate of the cheapest nodes of one, each account with its part of what all earn."""
    return _part(rate, rate.node_prices[:nodes], gpus)


def highest_part(rate: Rate, nodes: int, gpus: int) -> Rate:
    """The same of the dearest nodes."""
    return _part(rate, rate.node_prices[len(rate.node_prices) - nodes :], gpus)


def growth_of(workload: Workload) -> Promise | None:
    """The promise of a workload without the seats that its live attempt has already: what is owed
    where it is given up."""
    promise, attempt = workload.promise, workload.attempt
    if promise is None or attempt is None or not workload.changes_live:
        return promise
    seats = attempt.new_of(promise.seats)
    if not seats:
        return promise
    whole = by_node(promise.rates[-1], len(promise.seats))
    rate = highest_part(whole, len(seats), seats[0].gpus)
    return replace(promise, seats=seats, rates=(rate,))


def owed_by_node(workload: Workload) -> dict[str, Rate]:
    """For each node that joins and for which others were told to leave, the rate at which its
    minimum is owed."""
    growth = growth_of(workload)
    if growth is None or not growth.owes_minimum or growth.debt is None:
        return {}
    gpus, rate = minimum_rate(workload, growth)
    price_micros = rate.per_hour_micros(gpus) // gpus
    found = {}
    for seat in growth.seats:
        if seat.node in growth.debt.nodes and price_micros:
            due = price_micros * seat.gpus
            total = rate.per_hour_micros(gpus)
            shares = Counter({name: micros * due // total for name, micros in rate.shares})
            shares[OPERATOR] += due - sum(shares.values())
            found[seat.node] = replace(
                rate,
                price_micros=price_micros,
                node_prices=(),
                shares=tidy(shares),
                gpus=seat.gpus,
            )
    return found


def missing_of(attempt: Attempt, rank: Rank, minimum_us: int, at_us: int) -> int:
    """How much of its minimum a rank has not used at an instant, as time at what it owes."""
    if rank.owed is None or not rank.owed.price_micros:
        return 0
    least = min(kept_rate(attempt).node_prices, default=0)
    paid = least if rank.leaving is None else rank.leaving.price_micros
    owed = rank.owed.price_micros
    return max(0, minimum_us - rank.used_us(at_us) * min(paid, owed) // owed)


def is_excused(rank: Rank, cause: Cause | None) -> bool:
    """Whether a rank owes nothing for those that left for it: others' right or a broken node takes
    it, or it did not begin. `cause`: for which all of its attempt leaves."""
    if rank.leaving is None:
        return cause in EXCUSING and not rank.is_due
    return rank.leaving.stop.cause in EXCUSING and not rank.leaving.is_due


def rank_debt_micros(attempt: Attempt, rank: Rank, minimum_us: int, at_us: int) -> int:
    """What is missing to its minimum at an instant, rounded up."""
    if rank.owed is None:
        return 0
    missing_us = missing_of(attempt, rank, minimum_us, at_us)
    rate = rank.owed.price_micros * rank.seat.gpus
    return ceil_div(rate * missing_us, MICROSECONDS_PER_HOUR)


def exit_debts_micros(attempt: Attempt, minimum_us: int, leave_us: int, now_us: int) -> int:
    """What the ranks of an attempt still owe beyond what they cost until they could be gone, were
    all told now to leave."""
    price = min(kept_rate(attempt).node_prices, default=0) if attempt.ranks else 0
    found = 0
    for rank in kept_by(attempt.ranks):
        debt = rank_debt_micros(attempt, rank, minimum_us, now_us)
        use = price * rank.seat.gpus * leave_us // MICROSECONDS_PER_HOUR if rank.has_begun else 0
        found += max(0, debt - use)
    return found


def leaving_ranks_micros(attempt: Attempt, minimum_us: int, now_us: int) -> int:
    """What ranks that were told to leave alone may still cost until they are killed, and at least
    what they owe."""
    found = 0
    for rank in attempt.ranks:
        if rank.leaving is None:
            continue
        rest_us = max(0, rank.leaving.stop.kill_us - now_us)
        use = ceil_div(leaving_per_hour_micros(rank) * rest_us, MICROSECONDS_PER_HOUR)
        is_free = is_excused(rank, None)
        debt = 0 if is_free else rank_debt_micros(attempt, rank, minimum_us, now_us)
        found += max(use, debt)
    return found


def ending_debts_micros(attempt: Attempt, minimum_us: int, now_us: int) -> int:
    """What the ranks of an attempt owe that leaves as a whole."""
    cause = None if attempt.stop is None else attempt.stop.cause
    return sum(
        rank_debt_micros(attempt, it, minimum_us, now_us)
        for it in attempt.ranks
        if not is_excused(it, cause)
    )


def _dearest(attempt: Attempt, count: int) -> tuple[int, ...]:
    prices = _begun_rate(attempt).node_prices
    assert len(prices) >= count, "each node has a price"
    return prices[len(prices) - count :]


def _shared(
    attempt: Attempt, rate: Rate, going: list[Rank], prices: tuple[int, ...]
) -> list[Shares]:
    """What each rank that leaves earns for whom: in all what accounts earn less by what stays, to
    the price of those that leave."""
    before, now = dict(_begun_rate(attempt).shares), dict(rate.shares)
    less = {name: max(0, micros - now.get(name, 0)) for name, micros in before.items()}
    total = sum(less.values())
    found: list[Shares] = []
    whole = sum(price * it.seat.gpus for it, price in zip(going, prices, strict=True))
    scale = max(total, whole)
    for it, price in zip(going, prices, strict=True):
        due = price * it.seat.gpus
        part = Counter(
            {name: micros * due // scale for name, micros in less.items()} if scale else {}
        )
        part[OPERATOR] += due - sum(part.values())
        found.append(tidy(part))
    return found


def _part(rate: Rate, prices: tuple[int, ...], gpus: int) -> Rate:
    total, part = sum(rate.node_prices), sum(prices)
    shares = Counter(
        {name: micros * part // total for name, micros in rate.shares} if total else {}
    )
    shares[OPERATOR] += part * gpus - sum(shares.values())
    return _rate(rate, list(prices), shares, gpus=gpus * len(prices), from_us=rate.from_us)


def _rate(rate: Rate, prices: list[int], shares: Counter[str], *, gpus: int, from_us: int) -> Rate:
    return replace(rate_of(rate, prices, shares, gpus=gpus), from_us=from_us)
