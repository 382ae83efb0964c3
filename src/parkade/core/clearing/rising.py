"""Which running workloads go on with an earlier entry of their list: a reservation that has room.

Theory of operation
-------------------
A workload that runs as spot or on-demand moves up to a reservation that its list names before, for
its whole gang and on the seats that it has, where no other loses by it. The question is asked of
the clearing itself: the market, and those that bids link with it, are cleared once more with the
workload on its reservation, and that clearing counts where

    it keeps its seats: a right stands where its work stands, also outside its own fabrics
    (`market.reserved`), so it costs no restart and no notice
    all that would win without it win still, in the same market: so it comes before nothing that
    waits for the room
    all that would keep their seats keep them: so no guest leaves for it

Nothing is left unpaid by it. Work that made others leave moves up when its minimum is met;
work that waits for promised seats, starts or leaves does not.

Invariants. An attempt moves up at most as often as its list has entries before the one that it
uses, so each needs room that a reservation got since. A clearing asks MOST_ASKED at most, others in
the next, and only where a reservation has as many unused nodes as the gang takes; one that takes
parts of nodes is always asked about.

Example (`tests/core/clearing/test_rising.py`). acme reserved one of two nodes and w1 runs there. w2
has the list acme, spot, and pays 1.00 on the other node. w1 ends: from then on w2 pays 0 on the
same seats, and what w1 left is for sale as spot. Decision record 208.
"""

from typing import NamedTuple

from parkade.core.billing.minimum import owed_us
from parkade.core.clearing.linking import Together
from parkade.core.fleet.market import Market
from parkade.core.market.outcome import Change
from parkade.core.reservations.reservation import Reservation, ReservationState
from parkade.core.state.world import World
from parkade.core.steps.rights import used_nodes
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Workload

MOST_ASKED = 4
"""Workloads that are asked about in one clearing."""


class Rise(NamedTuple):
    """A workload, and the reservation that it could go on with."""

    workload: Workload
    entry: Capacity


def rises(world: World, markets: tuple[str, ...], now_us: int) -> list[Rise]:
    """Those that are asked about in this clearing, at most one for a workload. Cost grows with the
    live workloads, and with those of an org that has a list to move up."""
    unused: dict[str, int] = {}
    found: list[Rise] = []
    for workload in world.with_lists():
        if workload.market not in markets or not workload.spec.entries:
            continue
        market = world.records.markets[workload.market]
        if not _may_move(workload, market, now_us):
            continue
        entry = _with_room(world, market, workload, unused)
        if entry is not None:
            found.append(Rise(workload, entry))
    found.sort(key=lambda it: (-it.workload.spec.priority, it.workload.submitted_us))
    rounds = -(-len(found) // MOST_ASKED)
    interval_us = min(world.records.markets[it].terms.clearing_interval_us for it in markets)
    first = MOST_ASKED * (now_us // interval_us % rounds) if rounds else 0
    return found[first : first + MOST_ASKED]


def is_harmless(workload: Workload, before: Together, after: Together) -> bool:
    """Whether it keeps its seats, at no other's expense. `before`: without it on its reservation,
    `after`: with it."""
    kept = _kept(after)
    if (workload.market, workload.workload) not in kept:
        return False
    seated = {
        (market, it.demand)
        for market, part in after.parts.items()
        for it in part.given.state.demands
        if it.seats
    }
    return _won(before) <= _won(after) and _kept(before) & seated <= kept


def _won(together: Together) -> set[tuple[str, str]]:
    """Each market and demand that has seats there by a clearing."""
    return {(market, line.demand) for market, line in together.lines_by_market() if line.seats}


def _kept(together: Together) -> set[tuple[str, str]]:
    """Each market and demand that keeps the seats that it has there."""
    lines = together.lines_by_market()
    return {(market, line.demand) for market, line in lines if line.change is Change.KEEP}


def _may_move(workload: Workload, market: Market, now_us: int) -> bool:
    """Whether it runs below a reservation of its list, and owes nothing."""
    attempt, entries = workload.attempt, workload.spec.entries
    if attempt is None or attempt.started_us is None:
        return False
    if attempt.stop is not None or attempt.broken_us is not None or workload.promise is not None:
        return False
    if workload.spec.capacity == entries[0]:
        return False
    return owed_us(workload, market.terms, now_us) == 0


def _with_room(
    world: World, market: Market, workload: Workload, unused: dict[str, int]
) -> Capacity | None:
    """The first entry before its own that is a reservation with enough unused nodes. `unused`:
    those known so far."""
    spec = workload.spec
    for entry in spec.entries[: spec.entries.index(spec.capacity)]:
        reservation = world.records.reservations.get(entry.reservation or "")
        if reservation is None or not _is_in_force(reservation, workload):
            continue
        name = reservation.reservation
        if name not in unused:
            unused[name] = reservation.nodes - sum(used_nodes(world, reservation).values())
        shares_nodes = spec.gpus < market.instance_type.gpus_per_node
        if shares_nodes or spec.nodes <= unused[name]:
            assert entry.kind is CapacityKind.RESERVATION
            return entry
    return None


def _is_in_force(reservation: Reservation, workload: Workload) -> bool:
    is_own = reservation.org == workload.org
    return is_own and reservation.state is ReservationState.IN_FORCE
