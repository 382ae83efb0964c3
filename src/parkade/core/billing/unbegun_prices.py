"""What ranks that have not begun will cost, apart from what those cost that have.

Theory of operation
-------------------
A clearing prices all ranks that stay, and the k-th price is of no certain node. Of these prices

    those that run have as many   each the least that is no lower than its price before, as far as
                                  that was a floor: so a lent node pays its floor, while what joined
                                  public nodes has not begun
    the others wait               (`Rate.waiting_prices`), and what they would earn with them

A rank that begins takes the least price that waits, in each rate since it began: it may have run
for long before that is heard. One that is told to leave before it was seen to begin has noted what
it costs if it began before its notice. What all of that comes to at most counts as owed from the
joining on (`unheard_micros`), so that the org has it when the beginning is heard.

Example (`tests/core/kernel/test_live_prices.py`). Two ranks run on nodes that are lent at 5; two
join public nodes at 1. All four cost 1, 1, 5 and 5: those that run 5 each, and 1 and 1 wait.

Decision records 238 and 257.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from parkade.core.ledger.accounts import OPERATOR
from parkade.core.units.money import MICROSECONDS_PER_HOUR, ceil_div
from parkade.core.workloads.life import Cause
from parkade.core.workloads.workload import Attempt, Rank, Rate

Shares = tuple[tuple[str, int], ...]


def rate_of(rate: Rate, prices: list[int], shares: Counter[str], *, gpus: int) -> Rate:
    """The rate with these prices of nodes, their mean, and what they earn."""
    mean = ceil_div(sum(prices), len(prices)) if prices else 0
    return replace(
        rate,
        price_micros=mean,
        node_prices=tuple(sorted(prices)),
        shares=tidy(shares),
        gpus=gpus,
    )


def tidy(shares: Mapping[str, int]) -> Shares:
    """The shares in order, without those of nothing."""
    assert all(micros >= 0 for micros in shares.values()), "an account earns less than nothing"
    return tuple(sorted((name, micros) for name, micros in shares.items() if micros))


def split_begun(whole: Rate, before: Rate, count: int, gpus: int) -> Rate:
    """Of the rate of all that stay that of so many that have begun; the rest waits. `before`: what
    those cost so far that run; `gpus`: of one node."""
    prices, waiting = _split(whole, before, count)
    due = sum(prices) * gpus
    shares = share_of(due, dict(whole.shares), dict(before.shares))
    rest = Counter(dict(whole.shares))
    rest.subtract(shares)
    begun = rate_of(whole, prices, shares, gpus=gpus * count)
    return replace(begun, waiting_prices=waiting, waiting_shares=tidy(rest))


def _split(whole: Rate, before: Rate, count: int) -> tuple[list[int], tuple[int, ...]]:
    """(prices of those that have begun, prices that wait)."""
    floor = min(whole.floor_micros or 0, before.floor_micros or 0)
    bounds = [min(it, floor) for it in before.node_prices][:count]
    bounds += [0] * (count - len(bounds))
    left, found = sorted(whole.node_prices), []
    for bound in sorted(bounds, reverse=True):
        price = next((it for it in left if it >= bound), left[-1])
        left.remove(price)
        found.append(price)
    return found, tuple(left)


def share_of(due: int, whole: Mapping[str, int], first: Mapping[str, int]) -> Counter[str]:
    """How much of what all earn each account does of a part of the price: as `first`, as far as
    that goes, then each its part of the rest."""
    assert 0 <= due <= sum(whole.values()), "a part is no more than the whole"
    found = Counter({name: min(micros, whole.get(name, 0)) for name, micros in first.items()})
    known = found.total()
    if known > due:
        found = Counter({name: micros * due // known for name, micros in found.items()})
    rest, room = due - found.total(), sum(whole.values()) - found.total()
    more = {
        name: (micros - found[name]) * rest // room if room else 0 for name, micros in whole.items()
    }
    found.update(more)
    left = due - found.total()
    for name in sorted(whole, key=lambda it: (it != OPERATOR, it)):
        given = min(left, whole[name] - found[name])
        found[name] += given
        left -= given
    assert left == 0, "all is shared"
    return found


def waiting_dearest(rate: Rate, ranks: Iterable[Rank]) -> dict[int, tuple[int, Shares]]:
    """By number of a rank that has not begun and is told to leave, (price, shares) that it costs if
    it had begun before: the dearest that wait."""
    waiting, shares = list(rate.waiting_prices), Counter(dict(rate.waiting_shares))
    found: dict[int, tuple[int, Shares]] = {}
    for rank in ranks:
        if waiting:
            price = waiting.pop()
            part = share_of(min(price * rank.seat.gpus, shares.total()), shares, {})
            shares.subtract(part)
            found[rank.rank] = price, tidy(part)
    return found


def with_one_begun(rate: Rate, rank: Rank) -> Rate:
    """A rate of its attempt since a rank began that was thought not to have; as it was told to
    leave, what that noted."""
    leaving, gpus = rank.leaving, rank.seat.gpus
    shares = Counter(dict(rate.shares))
    held = rate.gpus
    assert held is not None
    if leaving is not None and _is_noted(rank, rate):
        prices = list(rate.node_prices)
        prices.remove(0)
        shares.update(dict(leaving.shares))
        return rate_of(rate, [*prices, leaving.price_micros], shares, gpus=held)
    if not rate.waiting_prices:
        return rate
    price, *others = rate.waiting_prices
    rest = Counter(dict(rate.waiting_shares))
    part = share_of(min(price * gpus, rest.total()), rest, {})
    rest.subtract(part)
    shares.update(part)
    begun = rate_of(rate, [*rate.node_prices, price], shares, gpus=held + gpus)
    return replace(begun, waiting_prices=tuple(others), waiting_shares=tidy(rest))


def may_have_begun(rank: Rank) -> bool:
    """Whether it may run though it was not seen to: a report may still say that it began, and it is
    paid for since. What was told to leave because it did not begin costs nothing in any case."""
    return not rank.has_begun and (
        rank.leaving is None or rank.leaving.stop.cause is not Cause.NOT_STARTED
    )


def unheard_micros(attempt: Attempt, until_us: int) -> int:
    """What its ranks cost at most up to an instant that may have begun unheard: each since its
    joining, as far as that is not charged, rounded up. Cost: as its ranks x its rates since the
    last posting."""
    charged_us = attempt.charged_until_us
    since = sorted(
        (max(it.joined_us, charged_us), it.rank, it) for it in attempt.ranks if may_have_begun(it)
    )
    if not since:
        return 0
    found = 0
    ends = [it.from_us for it in attempt.rates[1:]]
    for rate, ends_us in zip(attempt.rates, [*ends, until_us], strict=True):
        starts = [us for us, _, rank in since if not _is_noted(rank, rate)]
        for price, begins_us in zip(rate.waiting_prices, starts, strict=False):
            length_us = min(ends_us, until_us) - max(begins_us, rate.from_us)
            found += price * attempt.seats[0].gpus * max(0, length_us)
    for begins_us, _, rank in since:
        if rank.leaving is not None:
            ends_us = min(until_us, rank.leaving.stop.kill_us)
            length_us = ends_us - max(begins_us, rank.leaving.priced_us)
            found += leaving_per_hour_micros(rank) * max(0, length_us)
    return ceil_div(found, MICROSECONDS_PER_HOUR)


def unheard_per_hour_micros(attempt: Attempt) -> int:
    """What they cost at most an hour from now on."""
    unheard = [it for it in attempt.ranks if may_have_begun(it)]
    stay = sum(it.leaving is None for it in unheard)
    waiting = sum(attempt.rates[-1].waiting_prices[:stay]) * attempt.seats[0].gpus
    return waiting + sum(leaving_per_hour_micros(it) for it in unheard)


def leaving_per_hour_micros(rank: Rank) -> int:
    """What a rank that was told to leave costs at most an hour until it has left; 0: it stays."""
    if rank.leaving is None:
        return 0
    leaving = rank.leaving
    price = leaving.begun_micros if may_have_begun(rank) else leaving.price_micros
    return price * rank.seat.gpus


def _is_noted(rank: Rank, rate: Rate) -> bool:
    """Whether what a rank costs in a rate is what its notice noted, and none of what waits."""
    return rank.leaving is not None and rank.leaving.priced_us <= rate.from_us
