"""Asks the guards whether a bad verdict may be acted on: parents, second source, budgets.

The arithmetic is `healing.guards` and `healing.parents`; here it is given what the world counts,
and what the answer changes is told as `BudgetNote`s, so that replaying an event asks nothing.
"""

from typing import NamedTuple

import msgspec

from parkade.core.fleet.node import Node
from parkade.core.healing.guards import (
    Breaker,
    GuardLimits,
    HoldReason,
    ask,
    breaker_of,
    needs_second_source,
    settle,
)
from parkade.core.healing.incident import BudgetNote
from parkade.core.healing.parents import parent_memory, suspicion_of
from parkade.core.healing.symptom import Source
from parkade.core.healing.topology import ParentKind
from parkade.core.healing.verdict import Level
from parkade.core.repairing.surroundings import suspected_parent
from parkade.core.state.world import World
from parkade.core.units.fraction import Fraction

FLEET = "fleet"


class GuardAnswer(NamedTuple):
    """`held` None: it may act. `parent`: what is suspected, in words."""

    held: HoldReason | None
    budgets: tuple[BudgetNote, ...]
    parent: str | None = None


def fabric_of(node: Node) -> str:
    """The name under which a fabric's budget and sick nodes are kept."""
    return f"{node.market}/{node.fabric}"


def guard(
    world: World, node: Node, signal: str, sources: frozenset[Source], now_us: int
) -> GuardAnswer:
    """Whether this node may be taken out of service now. `sources`: the kinds of sensors that saw
    its fault. Cost grows with the nodes that were lately taken or sick in its fabric, and with the
    nodes of its pool where they share racks, switches or drivers."""
    automation = world.records.automation
    if not automation.is_on:
        return GuardAnswer(HoldReason.OBSERVE_ONLY, ())
    if not automation.is_limited:
        return GuardAnswer(None, ())
    if is_fabric_suspected(world, node, now_us):
        return GuardAnswer(HoldReason.PARENT_SUSPECTED, (), f"fabric {node.fabric}")
    parent = suspected_parent(world, node.node, signal, now_us)
    if parent is not None:
        return GuardAnswer(HoldReason.PARENT_SUSPECTED, (), parent)
    limits = automation.guards
    members = world.sizes[node.market][node.fabric]
    fleet, pool = _fleet_and_pool(world, node, limits)
    fabric = _breaker(world, fabric_of(node), members, limits.fabric_share)
    if needs_second_source(fleet if pool is None else pool, sources, now_us, limits):
        return GuardAnswer(HoldReason.SECOND_SOURCE_NEEDED, ())
    fabric_after, fits = ask(fabric, node.node, now_us, limits)
    if not fits:
        return GuardAnswer(
            HoldReason.FABRIC_BUDGET, _notes(fabric_of(node), fabric, fabric_after, now_us)
        )
    shared: tuple[BudgetNote, ...] = ()
    if pool is not None:
        pool_after, fits = ask(pool, node.node, now_us, limits)
        shared = _notes(pool_of(node), pool, pool_after, now_us)
        if not fits:
            return GuardAnswer(HoldReason.POOL_BUDGET, shared)
    fleet_after, fits = ask(fleet, node.node, now_us, limits)
    if not fits:
        return GuardAnswer(HoldReason.FLEET_BUDGET, _notes(FLEET, fleet, fleet_after, now_us))
    notes = _notes(fabric_of(node), fabric, fabric_after, now_us)
    return GuardAnswer(None, notes + shared + _notes(FLEET, fleet, fleet_after, now_us))


def _fleet_and_pool(
    world: World, node: Node, limits: GuardLimits
) -> tuple[Breaker, Breaker | None]:
    """The fleet's budget and, where there are several pools, the part of it that is the pool's: its
    share of the pool's nodes, at least one. The fleet's is at least all of those together, so no
    agent uses up what another pool needs. Cost grows with the nodes."""
    pools: dict[str, int] = {}
    for each in world.records.nodes.values():
        pools[each.pool] = pools.get(each.pool, 0) + 1
    share = limits.fleet_share
    fleet = _breaker(world, FLEET, len(world.records.nodes), share)
    if len(pools) < 2:
        return fleet, None
    parts = sum(breaker_of(nodes, share).budget for nodes in pools.values())
    fleet = msgspec.structs.replace(fleet, budget=max(fleet.budget, parts))
    return fleet, _breaker(world, pool_of(node), pools[node.pool], share)


def pool_of(node: Node) -> str:
    """The name under which a pool's budget is kept."""
    return f"pool {node.pool}"


def is_fabric_suspected(world: World, node: Node, now_us: int) -> bool:
    """Whether so many of its fabric's other nodes fell sick that the fabric itself is suspect. The
    node's own present verdict is counted."""
    limits = world.records.automation.parents
    name = fabric_of(node)
    members = world.sizes[node.market][node.fabric]
    before = [each for each in world.records.sick.get(name, ()) if each[0] != node.node]
    parent = msgspec.structs.replace(
        parent_memory(ParentKind.FABRIC, name, members, limits),
        sick=(*before, (node.node, now_us)),
    )
    return suspicion_of(parent, now_us, limits) is not None


def sources_on(world: World, node: str, now_us: int) -> frozenset[Source]:
    """The kinds of sensors behind the node's verdicts of at least *warn* in the last minutes."""
    care = world.records.cares.get(node)
    since_us = now_us - world.records.automation.guards.source_window_us
    return frozenset(
        source
        for recent in (() if care is None else care.recent)
        if recent.at_us >= since_us and recent.level.rank >= Level.WARN.rank
        for source in recent.sources
    )


def breakers(world: World, now_us: int) -> dict[str, Breaker]:
    """The budgets as time has left them, for people and metrics."""
    limits = world.records.automation.guards
    return {name: settle(each, now_us, limits) for name, each in world.records.budgets.items()}


def _breaker(world: World, name: str, nodes: int, share: Fraction) -> Breaker:
    """The budget for as many nodes as there are now, with what it counted."""
    fresh = breaker_of(nodes, share)
    kept = world.records.budgets.get(name)
    return fresh if kept is None else msgspec.structs.replace(kept, budget=fresh.budget)


def _notes(name: str, before: Breaker, after: Breaker, now_us: int) -> tuple[BudgetNote, ...]:
    """What changed, if anything did."""
    taken = after.taken[-1] if after.taken and after.taken != before.taken else None
    is_taken = taken is not None and taken[1] == now_us and taken not in before.taken
    if not is_taken and (before.state, before.changed_us) == (after.state, after.changed_us):
        return ()
    assert taken is None or taken[1] <= now_us
    return (
        BudgetNote(
            budget=name,
            nodes=after.budget,
            state=after.state.value,
            changed_us=after.changed_us,
            taken=taken[0] if taken is not None and is_taken else None,
        ),
    )
