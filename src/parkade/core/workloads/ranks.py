"""The ranks of a live attempt, as values: their numbers, and which stay."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from parkade.core.fleet.seat import Seat
from parkade.core.workloads.workload import Attempt, Rank, RankLeaving, Rate, Stop


def ranks_of(attempt: Attempt) -> tuple[Rank, ...]:
    """Its ranks, also where none of them ever changed."""
    if attempt.ranks:
        return attempt.ranks
    since_us = attempt.ordered_us
    return tuple(
        Rank(rank=number, seat=seat, since=0, joined_us=since_us)
        for number, seat in enumerate(attempt.seats)
    )


def joined(
    attempt: Attempt, seats: Iterable[Seat], at_us: int, owed: Mapping[str, Rate]
) -> tuple[Rank, ...]:
    """Its ranks with one more on each of these seats. `owed`: by node, what is owed for it."""
    ranks = ranks_of(attempt)
    taken = {it.rank for it in ranks}
    for seat in seats:
        number = next(it for it in range(len(taken) + 1) if it not in taken)
        taken.add(number)
        new = Rank(
            rank=number,
            seat=seat,
            since=attempt.resizes + 1,
            joined_us=at_us,
            owed=owed.get(seat.node),
        )
        ranks = (*ranks, new)
    return tuple(sorted(ranks, key=lambda it: it.rank))


def kept_by(ranks: Iterable[Rank]) -> tuple[Rank, ...]:
    """Those that stay."""
    return tuple(it for it in ranks if it.leaving is None)


def lost(ranks: Iterable[Rank], node: str, stop: Stop, at_us: int) -> tuple[Rank, ...]:
    """The same, the one on a node that failed with an order to leave that node; it costs nothing
    any more."""
    leaving = RankLeaving(stop=stop, price_micros=0, priced_us=at_us, shares=())
    return tuple(replace(it, leaving=leaving) if it.seat.node == node else it for it in ranks)
