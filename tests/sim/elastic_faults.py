"""Faults planted into what the shipped program does with elastic work, for the fuzz to find."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

import parkade.core.clearing.sizes as sizes
import parkade.core.market.allocation as allocation
from parkade.core.fleet.seat import Seat
from parkade.core.ledger.accounts import TransferKind
from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.core.workloads.workload import Rate
from tests.sim.faults import in_clearings, in_decisions

Patch = pytest.MonkeyPatch


def pays_the_last_node_twice(patch: Patch) -> None:
    """The node by which an elastic workload grew is charged and paid out a second time."""

    def change(world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        yield event if not isinstance(event, events.UsePosted) else _with_more(world, event)

    in_decisions(patch, change)


def _with_more(world: World, event: events.UsePosted) -> events.UsePosted:
    workload = world.records.workloads[event.workload]
    used = [it for it in event.transfers if it.kind is TransferKind.USAGE]
    is_grown = workload.attempt is not None and len(workload.attempt.seats) > workload.spec.nodes
    if not (workload.spec.is_elastic and is_grown and used):
        return event
    return replace(event, transfers=(*event.transfers, used[-1]))


def shrinks_below_its_least(patch: Patch) -> None:
    """An elastic winner gets one node less than its least."""

    def change(world: World, event: events.Cleared) -> events.Cleared:
        return replace(event, won=tuple(_below(world, it) for it in event.won))

    in_clearings(patch, change)


def _below(world: World, won: lines.Won) -> lines.Won:
    workload = world.records.workloads.get(lines.name_of(won.demand))
    seats = won.promise.seats
    if workload is None or not workload.spec.is_elastic or len(seats) != workload.spec.nodes:
        return won
    return replace(won, promise=replace(won.promise, seats=seats[:-1]))


def starts_on_more_than_promised(patch: Patch) -> None:
    """An elastic workload is launched on one more node, which nothing holds."""

    def change(world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        yield event if not isinstance(event, events.Launched) else _greedy(world, event)

    in_decisions(patch, change)


def _greedy(world: World, event: events.Launched) -> events.Launched:
    attempt, workload = event.attempt, world.records.workloads[event.workload]
    if len(attempt.seats) >= workload.spec.most_nodes:
        return event
    taken = {seat.node for seat in attempt.seats}
    for node in world.records.nodes.values():
        is_free = node.is_open and not world.held_on[node.node] and node.node not in taken
        if is_free and node.market == workload.market:
            more = Seat(node=node.node, gpus=workload.spec.gpus)
            return replace(event, attempt=replace(attempt, seats=(*attempt.seats, more)))
    return event


def grows_at_once(patch: Patch) -> None:
    """An elastic workload grows in any clearing, by any number of nodes."""

    def hasty(_terms: Any, _nodes: int, started_us: int | None, _now_us: int) -> int:
        return 0 if started_us is None else 1

    patch.setattr(sizes, "_grows_by", hasty)


def gives_up_its_first_rank(patch: Patch) -> None:
    """An elastic workload that shrinks keeps its last ranks."""
    sized = allocation._sized

    def backwards(demands: Any, parts: Any) -> Any:
        made = sized(demands, parts)
        for demand in demands:
            cut = made.get(demand.demand)
            if cut is not None and len(cut.seats) < len(demand.seats):
                made[demand.demand] = replace(cut, seats=demand.seats[-len(cut.seats) :])
        return made

    patch.setattr(allocation, "_sized", backwards)


def prices_the_wrong_node(patch: Patch) -> None:
    """The first node of an elastic workload costs what the last one does, and the reverse."""

    def change(_world: World, event: events.Cleared) -> events.Cleared:
        return replace(
            event,
            won=tuple(
                replace(
                    it, promise=replace(it.promise, rates=tuple(map(_turned, it.promise.rates)))
                )
                for it in event.won
            ),
            repriced=tuple(replace(it, rate=_turned(it.rate)) for it in event.repriced),
        )

    in_clearings(patch, change)


def _turned(rate: Rate) -> Rate:
    return replace(rate, node_prices=rate.node_prices[::-1])


ELASTIC_FAULTS: dict[str, tuple[Callable[[Patch], None], tuple[str, ...]]] = {
    fault.__name__: (fault, ())
    for fault in (
        pays_the_last_node_twice,
        shrinks_below_its_least,
        starts_on_more_than_promised,
        grows_at_once,
        gives_up_its_first_rank,
        prices_the_wrong_node,
    )
}
"""By name: the fault, and the troubles of stories that can meet it (none)."""
