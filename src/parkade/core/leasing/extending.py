"""A reservation that lasts longer than was agreed, at the rate that was agreed.

The end of a window is only ever moved later: the whole window is owed, and an earlier end would
take that back. For the same reason an agreed end does not become an open one, which its owner could
end with the next period. Where the price sheet has risen since the sale, the rest is reserved anew:
else the lowest rate that an owner ever saw would be its own for ever.

Example (`tests/core/leasing/test_extending.py`). Two nodes of two GPUs at 4 are reserved until
12:00: 16 an hour. Until 15:00 they cost 48 more, charged by the period as it comes.
"""

from parkade.core.reservations.reservation import ReservationState
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.capacity import refuse_unfenced, sellable
from parkade.core.steps.lacking import short_of_nodes
from parkade.core.steps.refusals import Decision, conflict, invalid
from parkade.core.units.money import format_amount
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import Window


def extend_reservation(world: World, command: commands.ExtendReservation, now_us: int) -> Decision:
    """The later end, where every moment until then has room in the fabrics of its shape."""
    reservation = world.records.reservations[command.reservation]
    name, before_us = reservation.reservation, reservation.window.end_us
    if reservation.state.is_over:
        return Refusal(
            reason=Reason.RESERVATION_ENDED, detail=f"reservation {name!r} is {reservation.state}"
        )
    if before_us is None:
        return conflict("its end is open already; parkade end ends it")
    if reservation.state is ReservationState.CLOSING:
        return conflict(
            "it is closing: its workloads have their notice, which is never withdrawn; reserve the"
            " time after it"
        )
    assert (command.end_us is None) is not (command.later_us is None), "one of both is given"
    end_us = before_us + (command.later_us or 0) if command.end_us is None else command.end_us
    if end_us <= before_us:
        return invalid("end", "give a later end than it has; the whole window is owed")
    market = world.records.markets[reservation.market]
    rate_micros = market.terms.reservation_rate_micros
    if rate_micros > reservation.rate_micros:
        return conflict(
            f"a reservation costs {format_amount(rate_micros)} now, and this one was agreed at"
            f" {format_amount(reservation.rate_micros)}; reserve the time after it"
        )
    if (unfenced := refuse_unfenced(world, market)) is not None:
        return unfenced
    free = sellable(world, market, Window(start_us=before_us, end_us=end_us))
    for fabric, nodes in reservation.shape:
        if free.get(fabric, 0) < nodes:
            does = "ask for an earlier end, or reserve other nodes for the time after it"
            there = {fabric: free.get(fabric, 0)}
            return short_of_nodes(
                world, market, there, nodes, span="until then", does=does, field="end"
            )
    changed = events.ReservationChanged(
        at_us=now_us, reservation=name, state=reservation.state, end_us=end_us
    )
    return (changed,)
