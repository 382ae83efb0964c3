"""Nodes that fail again and again: their next validation is the long one, and people see them.

The rule is `healing.lemons`; what is counted here are the faults of a node, by its fatal verdicts:
those within an hour are one fault.
"""

from parkade.core.healing.lemons import LemonLimits, NodeRecord, find_lemons
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
    """All of them, and why. Cost grows with the nodes that were ever sick."""
    found = {node: lemon_reasons(world, node, now_us) for node in world.records.cares}
    return {node: reasons for node, reasons in found.items() if reasons}


def _faults(world: World, node: str) -> tuple[int, ...]:
    care = world.records.cares.get(node)
    faults: list[int] = []
    last_us: int | None = None
    for at_us in () if care is None else care.fatal_us:
        if last_us is None or at_us - last_us >= ONE_FAULT_US:
            faults.append(at_us)
        last_us = at_us
    return tuple(faults)
