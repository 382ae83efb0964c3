"""The ranks of a live attempt, as values: their numbers, and which stay."""

from collections.abc import Container, Iterable, Mapping

from msgspec.structs import replace

from parkade.core.fleet.seat import Seat
from parkade.core.workloads.workload import Attempt, Rank, RankLeaving, RankStart, Rate, Stop


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
            start=RankStart(begun_us=None),
        )
        ranks = (*ranks, new)
    return tuple(sorted(ranks, key=lambda it: it.rank))


def kept_by(ranks: Iterable[Rank]) -> tuple[Rank, ...]:
    """Those that stay."""
    return tuple(it for it in ranks if it.leaving is None)


def begun_of(ranks: Iterable[Rank]) -> tuple[Rank, ...]:
    """Those that stay and have begun: what costs is of them."""
    return tuple(it for it in kept_by(ranks) if it.has_begun)


def with_begun(ranks: Iterable[Rank], begun: Container[Rank], at_us: int) -> tuple[Rank, ...]:
    """The same, these as begun; what leaves costs what was noted for that."""
    return tuple(
        replace(it, start=replace(it.start, begun_us=at_us), leaving=_as_begun(it.leaving))
        if it in begun and it.start is not None
        else it
        for it in ranks
    )


def _as_begun(leaving: RankLeaving | None) -> RankLeaving | None:
    if leaving is None:
        return None
    return replace(leaving, price_micros=leaving.begun_micros, shares=leaving.begun_shares)


def with_silence(rank: Rank, since_us: int, until_us: int) -> Rank:
    """Its agent was not heard for this time, which is no delay of its start."""
    if rank.start is None or rank.has_begun:
        return rank
    silent_us = rank.start.silent_us + max(0, until_us - max(since_us, rank.joined_us))
    return replace(rank, start=replace(rank.start, silent_us=silent_us))


def without_price(
    ranks: Iterable[Rank], nodes: Container[str], stop: Stop, at_us: int
) -> tuple[Rank, ...]:
    """The same, those on nodes that failed, or where they did not begin, with an order to leave;
    they cost nothing from now on."""
    leaving = RankLeaving(stop=stop, price_micros=0, priced_us=at_us, shares=())
    return tuple(replace(it, leaving=leaving) if it.seat.node in nodes else it for it in ranks)
