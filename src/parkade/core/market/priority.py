"""The order of right: who takes its turn before whom, in exact integers.

A spot demand's *key* is limit x (1 + switching credit if it has seats), scaled by the credit's
denominator, so keys of one market compare as whole numbers. Its *factor* turns a limit into a key.
"""

from parkade.core.market.market_state import ClearingTerms, Demand, MarketState, PriorityTier

Place = tuple[int | str, ...]


def factor_of(demand: Demand, terms: ClearingTerms) -> int:
    """What one micro-unit of this demand's limit counts in its key."""
    credit = terms.switching_credit
    return credit.denominator + (credit.numerator if demand.seats else 0)


def key_of(demand: Demand, terms: ClearingTerms) -> int:
    """The key of a spot demand."""
    assert demand.limit_micros is not None, "a spot demand without a limit"
    return demand.limit_micros * factor_of(demand, terms)


def in_priority_order(state: MarketState) -> tuple[Demand, ...]:
    """All demands, strongest first; the order they came in does not matter.

    Older reservations come first, and priority orders the demands of one: an org's priority never
    bears on another's right. On-demand is displaced by nobody, so who is whole comes before who is
    to be healed.
    """
    in_play = {node.node for node in state.nodes}
    created = {room.reservation: room.created_us for room in state.reservations}

    def rank(demand: Demand) -> tuple[bool, int, Place, str]:
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
        return (not demand.is_pinned, demand.tier, place, demand.demand)

    return tuple(sorted(state.demands, key=rank))
