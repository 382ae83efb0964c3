"""The priority order: which demand takes its turn before which, in exact integers.

A spot demand's *key* is limit x (1 + switching credit if it has seats), scaled by the credit's
denominator, so that keys of one market compare as whole numbers. Its *factor* turns a limit into
a key.

Example, credit 1/20: a newcomer with limit 10 has the key 10 x 20 = 200, a running demand with
limit 9.6 the key 9.6 x 21 = 201.6, so the running one goes first (limits in micro-units in fact).
"""

from parkade.core.market.market_state import ClearingTerms, Demand, MarketState, PriorityTier

Place = tuple[int | str, ...]
"""Where a demand stands within its tier: the least first."""


def factor_of(demand: Demand, terms: ClearingTerms) -> int:
    """What one micro-unit of this demand's limit counts in its key."""
    credit = terms.switching_credit
    return credit.denominator + (credit.numerator if demand.seats else 0)


def key_of(demand: Demand, terms: ClearingTerms) -> int:
    """The key of a spot demand."""
    assert demand.limit_micros is not None, "a spot demand without a limit"
    return demand.limit_micros * factor_of(demand, terms)


def in_priority_order(state: MarketState) -> tuple[Demand, ...]:
    """All demands, strongest first. Grows with N log N of the demands.

    Tier by tier. RESERVED: running before idle, then the older
    reservation, then priority: an org's priority never bears on another org. ON_DEMAND: running
    first, whole gangs before gangs to be healed, because no on-demand displaces another. SPOT: the
    greatest key, then the one running, the org that used less in the last seven days, the older.
    """
    credit = state.terms.switching_credit
    assert credit.numerator >= 0, "a running demand would count less than a newcomer"
    in_play = {node.node for node in state.nodes}
    created = {room.reservation: room.created_us for room in state.reservations}

    def rank(demand: Demand) -> tuple[int, Place, str]:
        newcomer = not demand.seats
        place: Place
        if demand.tier is PriorityTier.RESERVED:
            reservation = demand.reservation or ""
            since = created.get(reservation, 0)
            place = (newcomer, since, reservation, -demand.priority, demand.submitted_us)
        elif demand.tier is PriorityTier.ON_DEMAND:
            is_broken = any(seat.node not in in_play for seat in demand.seats)
            place = (newcomer, is_broken, demand.submitted_us)
        else:
            key = key_of(demand, state.terms)
            place = (-key, newcomer, demand.use_7_days, demand.submitted_us)
        return (demand.tier, place, demand.demand)

    ordered = tuple(sorted(state.demands, key=rank))
    assert len({it.demand for it in ordered}) == len(ordered), "two demands share a name"
    return ordered
