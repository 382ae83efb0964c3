"""A list of capacity: one of its entries at a time is what the workload asks for, or uses.

`capacity: [reservation/acme, spot]` asks the reservation first. While it asks for an entry it is in
everything a workload of that capacity alone: spot has its limit, a reservation has none.
"""

from msgspec.structs import replace

from parkade.core.workloads.spec import Capacity, CapacityKind, Spec
from parkade.core.workloads.workload import Workload


def at_entry(spec: Spec, entry: Capacity) -> Spec:
    """The spec that asks for one entry of its list."""
    assert entry in spec.entries, f"{entry} is not in the list"
    limit = spec.spot_limit_micros if entry.kind is CapacityKind.SPOT else None
    return replace(spec, capacity=entry, limit_price_micros=limit)


def asking(workload: Workload, entry: Capacity) -> Workload:
    """The record of one that asks for another entry, or for the same."""
    if workload.spec.capacity == entry:
        return workload
    spec = at_entry(workload.spec, entry)
    return replace(workload, spec=spec, price_to_win_micros=None, short_us=None, short_gpus=None)


def with_limit(spec: Spec, limit_micros: int) -> Spec:
    """The spec of a bid with another limit."""
    kept = limit_micros if spec.entries else None
    return replace(spec, limit_price_micros=limit_micros, spot_limit_micros=kept)


def at_first_entry(spec: Spec) -> Spec:
    """As it is submitted: a list asks for its first entry."""
    return at_entry(spec, spec.entries[0]) if spec.entries else spec
