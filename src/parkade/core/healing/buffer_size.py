"""How many nodes of a fabric are kept out of reservation sales, so that failures can be healed.

Three ways, all in whole nodes:

* **fixed**: a share of the fabric, whatever happens;
* **Poisson**: the quantile of a Poisson law with the mean number of nodes down. It is the
  textbook's (a repair pool is M/G/infinity, Palm) and the baseline here: real failures come in
  bursts and repairs have long tails, so it is short;
* **state-conditional**: the nodes down *now*, plus a quantile of how much that number grew within
  the horizon in the past. The horizon is the time in which the lent part of the fabric can be
  recalled and the buffer made larger.

Worked example. 6 nodes are down. Over all windows of one day in the history, the number of nodes
down rose within the window by 0, 0, 1, 1, 2, 2, 3, 4, 5, 9 at most. The 90 % quantile of the growth
is 5 (nine of ten windows grew by 5 or less), so the buffer is 6 + 5 = 11: six are in use as spares,
five wait.
"""

import math
from bisect import bisect_right
from itertools import pairwise
from typing import NamedTuple

from parkade.core.units.fraction import Fraction
from parkade.core.units.money import ceil_div

MOST_POISSON_MEAN = 100_000.0


class Steps(NamedTuple):
    """A number of nodes over time: `counts[i]` from `times_us[i]` until the next. Times rise."""

    times_us: tuple[int, ...]
    counts: tuple[int, ...]

    def at(self, at_us: int) -> int:
        """The number at an instant; 0 before the first step."""
        index = bisect_right(self.times_us, at_us)
        return self.counts[index - 1] if index else 0


def steps_of(changes: list[tuple[int, int]]) -> Steps:
    """Steps from (instant, change) pairs in any order; grows with n log n."""
    times: list[int] = []
    counts: list[int] = []
    level = 0
    for at_us, change in sorted(changes):
        level += change
        if times and times[-1] == at_us:
            counts[-1] = level
        else:
            times.append(at_us)
            counts.append(level)
    return Steps(tuple(times), tuple(counts))


def fixed_size(nodes: int, share: Fraction) -> int:
    """A share of the nodes, rounded up."""
    return ceil_div(nodes * share.numerator, share.denominator)


def poisson_size(mean_down: float, *, quantile: float) -> int:
    """The smallest s with P(Poisson(mean) <= s) >= quantile.

    `mean_down` is nodes x failures per node and hour x hours to repair. Raises ValueError for a
    quantile outside (0, 1) or a mean that is negative or above 100,000.
    """
    if not 0 < quantile < 1:
        raise ValueError(f"the quantile must lie between 0 and 1, not {quantile}")
    if not 0 <= mean_down <= MOST_POISSON_MEAN:
        raise ValueError(f"the mean must lie between 0 and {MOST_POISSON_MEAN:.0f}")
    # Logarithms, since exp(-mean) is 0 in floating point from a mean of 746 on.
    size, total = 0, 0.0
    while True:
        total += (
            math.exp(size * math.log(mean_down) - mean_down - math.lgamma(size + 1))
            if (mean_down > 0)
            else 1.0
        )
        if total >= quantile or size > mean_down + 40 * math.sqrt(mean_down) + 40:
            return size
        size += 1


def state_conditional_size(
    down_now: int, growths: tuple[int, ...], *, quantile: float, least: int
) -> int:
    """Down now plus the quantile of past growths, at least `least`.

    `growths` as `growths_of` gives them; without history the buffer is `least` or what is down.
    """
    if not 0 < quantile < 1:
        raise ValueError(f"the quantile must lie between 0 and 1, not {quantile}")
    if not growths:
        return max(least, down_now)
    ordered = sorted(growths)
    rank = min(len(ordered) - 1, math.ceil(quantile * len(ordered)) - 1)
    return max(least, down_now + ordered[rank])


def growths_of(
    down: Steps, *, start_us: int, end_us: int, horizon_us: int, every_us: int
) -> tuple[int, ...]:
    """How far the number of nodes down rose above its value within each window of one horizon.

    Windows begin every `every_us` from `start_us` and end by `end_us`. Grows with the windows times
    the steps in one of them.
    """
    found = []
    for begin_us in range(start_us, end_us - horizon_us + 1, every_us):
        level = down.at(begin_us)
        first = bisect_right(down.times_us, begin_us)
        last = bisect_right(down.times_us, begin_us + horizon_us)
        found.append(max((*down.counts[first:last], level)) - level)
    return tuple(found)


def mean_of(down: Steps, *, start_us: int, end_us: int) -> float:
    """The mean number over a window, weighed by time."""
    assert end_us > start_us
    return sum(count * span for count, span in _pieces(down, start_us, end_us)) / (
        end_us - start_us
    )


class Shortage(NamedTuple):
    """How a held number met what was down: `short_us` of `span_us` more were down than held."""

    span_us: int
    short_us: int
    worst: int


def shortage_of(down: Steps, held: int, *, start_us: int, end_us: int) -> Shortage:
    """Shortage of one window in which `held` nodes are kept."""
    pieces = _pieces(down, start_us, end_us)
    short_us = sum(span for count, span in pieces if count > held)
    worst = max((count - held for count, _ in pieces), default=0)
    return Shortage(end_us - start_us, short_us, max(0, worst))


def _pieces(down: Steps, start_us: int, end_us: int) -> list[tuple[int, int]]:
    """(number, span) over a window."""
    first = bisect_right(down.times_us, start_us)
    last = bisect_right(down.times_us, end_us)
    borders = [start_us, *down.times_us[first:last], end_us]
    levels = [down.at(start_us), *down.counts[first:last]]
    return [
        (level, until - since)
        for level, (since, until) in zip(levels, pairwise(borders), strict=True)
        if until > since
    ]
