"""How many nodes of each fabric owners lend and do not use, so that guests may sit there.

Which nodes these are is decided when an owner needs them; of a reservation its shape says how many
lie in which fabric. Less are those on which its own work and claims sit, or are promised, and what
it keeps, which is taken from its fabrics in order.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from parkade.core.fleet.node import Node
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.workloads.workload import Workload

Place = tuple[str, str]
"""(market, fabric)."""


def lent_nodes(
    reservations: Iterable[Reservation],
    workloads: Iterable[Workload],
    claims: Iterable[Claim],
    nodes: Mapping[str, Node],
) -> dict[Place, int]:
    """By place; places without any are left out. Grows with what sits on reservations that lend."""
    lending = {
        it.reservation: it for it in reservations if it.lending is not None and it.state.takes_part
    }
    if not lending:
        return {}
    used: dict[str, set[str]] = defaultdict(set)
    for name, node in _used(workloads, claims):
        if name in lending:
            used[name].add(node)
    found: dict[Place, int] = defaultdict(int)
    for each in lending.values():
        own: dict[str, int] = defaultdict(int)
        for node in used[each.reservation]:
            own[nodes[node].fabric] += 1
        assert each.lending is not None
        keep = each.lending.keep
        for fabric, count in each.shape:
            idle = max(0, count - own[fabric])
            kept = min(keep, idle)
            keep -= kept
            found[each.market, fabric] += idle - kept
    return {place: count for place, count in found.items() if count}


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
