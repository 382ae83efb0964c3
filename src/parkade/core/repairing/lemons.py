"""Nodes that fail again and again: people see them, and the next validation of those with repeated
fatal faults is the long one.

The rules are `healing.lemons`. The faults of a node are its fatal verdicts: those within an hour
are one fault. What compares a node with the fleet (`healing.wear`) is shown and decides nothing: it
would cost a look at all nodes for each validation, and a fleet's worst are not sick for that.
"""

from parkade.core.healing.lemons import LemonLimits, NodeRecord, find_lemons
from parkade.core.healing.wear import signals_of
from parkade.core.state.world import World
from parkade.core.units.time import HOUR_US

LIMITS = LemonLimits()
ONE_FAULT_US = HOUR_US


def lemon_reasons(world: World, node: str, now_us: int) -> tuple[str, ...]:
    """Why a node is a lemon; empty where it is none."""
    faults = _faults(world, node)
    record = NodeRecord(node=node, incidents_us=faults, signals={})
    found = find_lemons((record,), now_us, limits=LIMITS)
    return found[0].reasons if found else ()


def lemons(world: World, now_us: int) -> dict[str, tuple[str, ...]]:
    """All of them, and why, also by what sets them apart from the fleet: for people. Cost grows
    with the nodes."""
    records = tuple(
        NodeRecord(
            node=node,
            incidents_us=_faults(world, node),
            signals=signals_of(world.records.wear.get(node, ()), now_us),
        )
        for node in world.records.nodes
    )
    return {it.node: it.reasons for it in find_lemons(records, now_us, limits=LIMITS)}


def _faults(world: World, node: str) -> tuple[int, ...]:
    care = world.records.cares.get(node)
    faults: list[int] = []
    last_us: int | None = None
    for at_us in () if care is None else care.fatal_us:
        if last_us is None or at_us - last_us >= ONE_FAULT_US:
            faults.append(at_us)
        last_us = at_us
    return tuple(faults)
