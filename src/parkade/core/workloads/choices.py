"""A workload that bids in several markets, as each of them sees it.

Its record says where it is: `market` and the limit there. Each market sees a bid of its own, with
its own limit:

    where its attempt is, and leaves not   that attempt, and no promise elsewhere
    where it is promised seats             the promise, beside the attempt that leaves
    elsewhere                              a newcomer; an attempt that leaves is known there too

So all that a clearing does with a bid of one market, it does with this one. Decision record 210.
"""

from msgspec.structs import replace

from parkade.core.workloads.entries import with_limit
from parkade.core.workloads.life import Phase
from parkade.core.workloads.spec import Spec
from parkade.core.workloads.workload import Workload


def markets_of(workload: Workload) -> tuple[str, ...]:
    """Where it may stand, in the order of its wishes."""
    if not workload.spec.choices:
        return (workload.market,)
    return tuple(it.market for it in workload.spec.choices)


def stands_in(workload: Workload) -> str | None:
    """The market in which it keeps seats or is promised some; None: it has to find some."""
    attempt = workload.attempt
    if workload.promise is not None or (attempt is not None and attempt.stop is None):
        return workload.bids_in
    return None


def asked_in_turn(workload: Workload) -> tuple[str, ...]:
    """The markets in the order in which a clearing asks them: first where it stands."""
    home, markets = stands_in(workload), markets_of(workload)
    return markets if home is None else (home, *(it for it in markets if it != home))


def limit_in(workload: Workload, market: str) -> int | None:
    """Its limit there."""
    for choice in workload.spec.choices:
        if choice.market == market:
            return choice.limit_price_micros
    return workload.spec.limit_price_micros


def with_limit_in(workload: Workload, market: str | None, limit_micros: int) -> Spec:
    """Its spec with another limit in a market; None: it bids in one."""
    spec = workload.spec
    if market is None:
        return with_limit(spec, limit_micros)
    choices = tuple(
        replace(it, limit_price_micros=limit_micros) if it.market == market else it
        for it in spec.choices
    )
    here = limit_micros if market == workload.market else spec.limit_price_micros
    return replace(spec, choices=choices, limit_price_micros=here)


def as_bid_in(workload: Workload, market: str) -> Workload:
    """The workload as one of its markets sees it; see the module."""
    if not workload.spec.choices:
        return workload
    attempt, promise = workload.attempt, workload.promise
    if promise is not None:
        is_there = workload.bids_in == market
        promise = replace(promise, market=None) if is_there else None
    if attempt is not None and attempt.stop is None and workload.market != market:
        attempt = None
    spec = replace(workload.spec, limit_price_micros=limit_in(workload, market))
    return replace(workload, market=market, spec=spec, attempt=attempt, promise=promise)


def settled(workload: Workload) -> Workload:
    """The same once its attempt is over: in the market of its promise, or, where it waits, in the
    first of its wishes."""
    if not workload.spec.choices or workload.attempt is not None:
        return workload
    if workload.promise is not None:
        market = workload.bids_in
    elif workload.phase is Phase.QUEUED:
        market = workload.spec.choices[0].market
    else:
        return workload
    return as_bid_in(workload, market)
