"""What owners claim of their reservations: the trace's busy GPUs in whole nodes, as claims.

A level is one node of an owner's need: the third level lasts as long as it needs three nodes or
more. Levels that begin and end together are one claim, so that what is taken back together is
claimed together, and what is needed last is given back first.

Example. An owner needs 2, 4, 4, 1 nodes in four minutes: a claim of one node from minute 0 on, one
of one node for minutes 0 to 2, and one of two nodes for minutes 1 and 2.
"""

from collections import Counter

import msgspec

from parkade.sim.replay.traces import Trace


class OwnerClaim(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that an owner needs from one minute until just before another."""

    number: int
    tenant: str
    nodes: int
    from_minute: int
    until_minute: int
    """The trace's length where it is not given back."""


def claims_of(trace: Trace, gpus_per_node: int) -> tuple[OwnerClaim, ...]:
    """All claims in order of their begin, then of tenants. Cost: tenants x minutes."""
    found: Counter[tuple[int, str, int]] = Counter()
    for tenant in trace.tenants:
        begun: list[int] = []
        for minute, gpus in enumerate([*tenant.busy, 0]):
            nodes = -(-gpus // gpus_per_node)
            while len(begun) > nodes:
                found[(begun.pop(), tenant.tenant, minute)] += 1
            begun += [minute] * (nodes - len(begun))
    return tuple(
        OwnerClaim(
            number=number,
            tenant=tenant,
            nodes=nodes,
            from_minute=from_minute,
            until_minute=until_minute,
        )
        for number, ((from_minute, tenant, until_minute), nodes) in enumerate(sorted(found.items()))
    )
