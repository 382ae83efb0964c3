"""How many nodes of each fabric owners have reserved and do not use: those that they lend, where
guests may sit, and those that they keep, where none may.

Which nodes these are is decided when an owner needs them; of a reservation its shape says how many
lie in which fabric. Less are those on which its own work and claims sit, or are promised. What it
keeps while it lends is taken from its fabrics in order; one that does not lend keeps all.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from parkade.core.fleet.node import Node
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.workloads.workload import Workload

Place = tuple[str, str]
"""(market, fabric)."""


class Idle(NamedTuple):
    """Reserved nodes of one place that their owners do not use."""

    lent: int
    kept: int


NO_IDLE = Idle(lent=0, kept=0)


def idle_nodes(
    reservations: Iterable[Reservation],
    workloads: Iterable[Workload],
    claims: Iterable[Claim],
    nodes: Mapping[str, Node],
) -> dict[Place, Idle]:
    """By place; places without any are left out. Grows with what sits on reservations."""
    taking_part = {it.reservation: it for it in reservations if it.state.takes_part}
    if not taking_part:
        return {}
    used: dict[str, set[str]] = defaultdict(set)
    for name, node in _used(workloads, claims):
        if name in taking_part:
            used[name].add(node)
    found: dict[Place, Idle] = defaultdict(lambda: NO_IDLE)
    for each in taking_part.values():
        own: dict[str, int] = defaultdict(int)
        for node in used[each.reservation]:
            own[nodes[node].fabric] += 1
        all_nodes = sum(count for _, count in each.shape)
        keep = all_nodes if each.lending is None else each.lending.keep
        for fabric, count in each.shape:
            idle = max(0, count - own[fabric])
            kept = min(keep, idle)
            keep -= kept
            before = found[each.market, fabric]
            lent = before.lent + idle - kept
            found[each.market, fabric] = Idle(lent=lent, kept=before.kept + kept)
    return {place: idle for place, idle in found.items() if idle != NO_IDLE}


def _used(workloads: Iterable[Workload], claims: Iterable[Claim]) -> Iterator[tuple[str, str]]:
    """(reservation, node) of all that sits there by right, or is promised it."""
    for claim in claims:
        for seat in (*claim.held, *claim.promised):
            yield claim.reservation, seat.node
    for workload in workloads:
        reservation = workload.spec.capacity.reservation
        if reservation is None:
            continue
        for held in (workload.attempt, workload.promise):
            for seat in held.seats if held is not None else ():
                yield reservation, seat.node
