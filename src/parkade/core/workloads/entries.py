"""A list of capacity: one of its entries at a time is what the workload asks for, or uses.

`capacity: [reservation/acme, spot]` asks the reservation first. While it asks for an entry it is in
everything a workload of that capacity alone: spot has its limit, a reservation has none. On-demand
stands last and is bought: it has a fabric, an end and a price besides, and gives them back when the
work goes on with another entry.
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
    """The record of one that asks for another entry, or for the same; on-demand is bought."""
    if workload.spec.capacity == entry:
        return workload
    assert entry.kind is not CapacityKind.ON_DEMAND, "a window is bought"
    has_end = not is_on_demand(workload) or workload.first_started_us is not None
    return replace(
        _at(workload, entry),
        must_end_us=workload.must_end_us if has_end else None,
        agreed_price_micros=None,
        fabric=None,
        window_from_us=None,
    )


def buying(workload: Workload, *, fabric: str, must_end_us: int, at_us: int) -> Workload:
    """The record of one that buys the window of its last entry, at the price that was agreed."""
    assert workload.window_price_micros is not None, "it has no window to buy"
    assert at_us < must_end_us
    return replace(
        _at(workload, workload.spec.entries[-1]),
        must_end_us=must_end_us,
        agreed_price_micros=workload.window_price_micros,
        fabric=fabric,
        window_from_us=at_us,
    )


def is_on_demand(workload: Workload) -> bool:
    """Whether it is on-demand now."""
    return workload.spec.capacity.kind is CapacityKind.ON_DEMAND


def ends_on_demand(spec: Spec) -> bool:
    """Whether it has a list at the end of which it buys on-demand."""
    return bool(spec.entries) and spec.entries[-1].kind is CapacityKind.ON_DEMAND


def needs_window(spec: Spec) -> bool:
    """Whether it is on-demand from its submission on, or may be by its list."""
    return ends_on_demand(spec) or spec.capacity.kind is CapacityKind.ON_DEMAND


def may_buy(workload: Workload) -> bool:
    """Whether its list ends with a window that it has not bought."""
    return ends_on_demand(workload.spec) and not is_on_demand(workload)


def _at(workload: Workload, entry: Capacity) -> Workload:
    spec = at_entry(workload.spec, entry)
    return replace(workload, spec=spec, price_to_win_micros=None, short_us=None, short_gpus=None)


def with_limit(spec: Spec, limit_micros: int) -> Spec:
    """The spec with another limit of its bid, which a list may make later."""
    if not spec.entries:
        return replace(spec, limit_price_micros=limit_micros)
    return at_entry(replace(spec, spot_limit_micros=limit_micros), spec.capacity)


def at_first_entry(spec: Spec) -> Spec:
    """As it is submitted: a list asks for its first entry."""
    return at_entry(spec, spec.entries[0]) if spec.entries else spec
