"""A market's state from the world: the demands that take part in a clearing, with the seats they
hold, and why other workloads do not take part.

A demand has seats here if it holds them and may keep them, or is promised them: what has had its
notice comes as a newcomer, so that its next seats are promised while it leaves. A bid whose org
cannot set its earmark aside (`earmarks`) does not take part.
Cost grows with nodes, live workloads and reservations: each is looked at once.
"""

import copy
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from parkade.core.clearing.claims import demands_of
from parkade.core.clearing.demands import Demands
from parkade.core.clearing.entering import shapes_now
from parkade.core.clearing.sizes import within_means
from parkade.core.clearing.taking_part import taking_part
from parkade.core.fleet.market import Market
from parkade.core.fleet.node import Node
from parkade.core.healing.incident import RepairKind
from parkade.core.ledger.accounts import OPERATOR, lending_account, org_account
from parkade.core.market.market_state import (
    ClearingTerms,
    Demand,
    MarketState,
    NodeInPlay,
    ReservationInForce,
)
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.state.world import World
from parkade.core.steps.incidents import can
from parkade.core.steps.rights import started_nodes
from parkade.core.workloads.choices import as_bid_in, markets_of, stands_in
from parkade.core.workloads.life import Why
from parkade.core.workloads.workload import Workload

NO_BOUNDS: Mapping[str, int] = MappingProxyType({})


class ClearingInput(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a clearing is given."""

    state: MarketState

    excluded: dict[str, str]
    """Live workloads of the market that do not take part, and why: a `Why`, or the `Cause` of the
    stop that ends them."""

    closed: frozenset[str]
    """The nodes in play that are no room for any demand."""

    unpaid: frozenset[str] = frozenset()
    """Elastic demands that have more nodes than their org can set aside for."""

    evacuees: frozenset[str] = frozenset()
    """Demands that leave degraded nodes in this clearing (`evacuation`)."""

    confined: dict[str, Why] = {}
    """Bids with several markets that are asked where they stand alone, and why."""

    def has_closed(self, demand: Demand) -> bool:
        """Whether a demand has a seat on a closed node."""
        return bool(self.closed) and any(seat.node in self.closed for seat in demand.seats)


class Seen(NamedTuple):
    """A market in a clearing: the world as it sees it, and what it is given."""

    world: World
    given: ClearingInput


def build_input(
    world: World,
    market: Market,
    now_us: int,
    *,
    extra: tuple[Workload, ...] = (),
    too_many: frozenset[str] = frozenset(),
) -> ClearingInput:
    """The state of a market now; `extra` are workloads that do not exist yet (a dry run),
    `too_many` bids that have to wait because their org would start too many."""
    together = build_inputs(world, (market.market,), now_us, extra=extra, too_many=too_many)
    return together[market.market].given


def build_inputs(
    world: World,
    markets: tuple[str, ...],
    now_us: int,
    *,
    extra: tuple[Workload, ...] = (),
    too_many: frozenset[str] = frozenset(),
    joins: Mapping[str, int] = NO_BOUNDS,
) -> dict[str, Seen]:
    """The same of markets that are cleared together: a bid with several takes part in each.
    `joins`: how many ranks join live attempts at most (`joining`)."""
    candidates = _candidates(world, markets, extra)
    excluded, affordable, confined = taking_part(world, candidates, now_us, too_many)
    lists = [it for it in candidates if it.spec.choices]
    is_alone = len(markets) == 1 and not lists
    found: dict[str, Seen] = {}
    for name in markets:
        asking = candidates if is_alone else [it for it in candidates if name in markets_of(it)]
        out = {it.workload: excluded[it.workload] for it in asking if it.workload in excluded}
        for it in lists:
            if it.workload in out and not _reports(it, name, markets, out[it.workload]):
                del out[it.workload]
        taking = [
            as_bid_in(it, name)
            for it in asking
            if it.workload not in excluded
            and (it.workload not in confined or name == stands_in(it))
        ]
        view = seen_from(world, name, lists)
        market = world.records.markets[name]
        given = _input(
            view, market, taking, now_us, excluded=out, affordable=affordable, joins=joins
        )
        found[name] = Seen(view, msgspec.structs.replace(given, confined=confined))
    return found


def seen_from(world: World, market: str, lists: Iterable[Workload]) -> World:
    """The world to be read with the bids of several markets as one of these sees them; it shares
    the rest, and must not be changed."""
    seen = {it.workload: as_bid_in(it, market) for it in lists}
    known = {name: it for name, it in seen.items() if name in world.records.workloads}
    if not known:
        return world
    view = copy.copy(world)
    view.records = msgspec.structs.replace(world.records, workloads=world.records.workloads | known)
    return view


def reported_in(workload: Workload, markets: Collection[str]) -> str:
    """The market that reports that a bid has no seats: where it had some, else the first of its
    wishes that is cleared. `markets`: those."""
    if workload.attempt is not None:
        return stands_in(workload) or workload.market
    named = markets_of(workload)
    return stands_in(workload) or next((it for it in named if it in markets), named[0])


def _reports(workload: Workload, market: str, markets: Collection[str], why: str) -> bool:
    """Whether this market tells why it takes no part. Where the first of its wishes is cleared
    apart, any does that finds it without a reason, and goes on to."""
    if market != reported_in(workload, markets):
        return False
    is_first = market == reported_in(workload, markets_of(workload))
    return is_first or workload.why in (Why.NEXT_CLEARING, why)


def _candidates(
    world: World, markets: tuple[str, ...], extra: tuple[Workload, ...]
) -> list[Workload]:
    """Live workloads that may stand in one of these markets, and `extra`."""
    workloads, listed = world.records.workloads, world.listed
    live = [workloads[name] for name in world.live]
    found = [
        it
        for it in live
        if (it.market in markets if it.workload not in listed else _is_among(it, markets))
        and it.array is None
    ]
    return [*found, *extra]


def _is_among(workload: Workload, markets: tuple[str, ...]) -> bool:
    """Whether one of these hears of it. Where linked markets are cleared apart, none does of what
    stands in another."""
    if workload.spec.choices and (home := stands_in(workload)) is not None:
        return home in markets
    return any(it in markets for it in markets_of(workload))


def _input(
    world: World,
    market: Market,
    candidates: list[Workload],
    now_us: int,
    *,
    excluded: dict[str, str],
    affordable: dict[str, int],
    joins: Mapping[str, int],
) -> ClearingInput:
    open_nodes: dict[str, bool] = {}
    nodes = []
    is_heard = {pool.pool: pool.is_reachable for pool in world.records.pools.values()}
    started = started_nodes(world)
    for node in world.records.nodes.values():
        if node.market != market.market or node.node in started:
            continue
        is_open = node.is_open
        if is_open or node.is_in_play:
            is_open = is_open and is_heard[node.pool]
            open_nodes[node.node] = is_open
            nodes.append(_in_play(world, market, node, now_us, is_open=is_open))
    demands = [
        demand
        for claim in _claims(world, market)
        for demand in demands_of(world, claim, open_nodes)
    ]
    demands.extend(Demands(world, market, open_nodes, now_us, joins).of_all(candidates))
    if affordable:
        demands = [within_means(it, affordable.get(it.demand)) for it in demands]
    state = MarketState(
        gpus_per_node=market.instance_type.gpus_per_node,
        terms=_terms(market),
        nodes=tuple(nodes),
        reservations=_reserved(world, market, now_us),
        demands=tuple(demands),
    )
    assert excluded.keys().isdisjoint(demand.demand for demand in demands)
    closed = frozenset(node for node, is_open in open_nodes.items() if not is_open)
    unpaid = frozenset(
        it.demand for it in demands if affordable.get(it.demand, it.nodes) < len(it.seats)
    )
    return ClearingInput(state=state, excluded=excluded, closed=closed, unpaid=unpaid)


def _terms(market: Market) -> ClearingTerms:
    return ClearingTerms(
        public_floor_micros=market.terms.public_floor_micros,
        pay_as_you_go_micros=market.terms.pay_as_you_go_micros,
        fee=market.terms.fee,
        switching_credit=market.terms.switching_credit,
        supplier_account=OPERATOR,
        operator_account=OPERATOR,
        shared_nodes=market.terms.shared_nodes,
    )


def _in_play(world: World, market: Market, node: Node, now_us: int, *, is_open: bool) -> NodeInPlay:
    free_us = _free_from_us(world, market, node, now_us) if world.held_on[node.node] else 0
    if node.last_org is None:
        return NodeInPlay(
            node=node.node,
            fabric=node.fabric,
            gpus=node.gpus,
            is_open=is_open,
            free_from_us=free_us,
        )
    dirty_us = free_us or node.vacated_us
    if can(world, node, RepairKind.SANITISE):
        dirty_us = max(dirty_us, _begins_us(world, node, now_us))
    clean_us = dirty_us + market.terms.turnaround_us
    return NodeInPlay(
        node=node.node,
        fabric=node.fabric,
        gpus=node.gpus,
        is_open=is_open,
        free_from_us=free_us,
        last_org=node.last_org,
        clean_from_us=clean_us if clean_us > now_us else 0,
    )


def _begins_us(world: World, node: Node, now_us: int) -> int:
    """When its sanitising began, or would begin."""
    turnaround = world.records.turnarounds.get(node.node)
    if turnaround is None or turnaround.order is None:
        return now_us
    return turnaround.order.ordered_us


def _free_from_us(world: World, market: Market, node: Node, now_us: int) -> int:
    """When the node could be free at the latest, were all its holders given notice now."""
    assert node.market == market.market
    noticed_us = now_us + market.terms.notice_us + market.terms.kill_us
    gone_us = 0
    for holder in world.held_on[node.node]:
        workload = world.records.workloads.get(holder)
        attempt = workload.attempt if workload is not None else None
        stop = attempt.stop_on(node.node) if attempt is not None else None
        gone_us = max(gone_us, stop.kill_us if stop is not None else noticed_us)
    return gone_us


def _reserved(world: World, market: Market, now_us: int) -> tuple[ReservationInForce, ...]:
    shapes = shapes_now(world, market, now_us)
    return tuple(
        ReservationInForce(
            reservation=reservation.reservation,
            org=reservation.org,
            account=_earner(reservation),
            created_us=reservation.created_us,
            shape=shapes[reservation.reservation],
            floor_micros=reservation.lending.floor_micros if reservation.lending else None,
            keep=reservation.lending.keep if reservation.lending else 0,
        )
        for reservation in world.records.reservations.values()
        if reservation.reservation in shapes
    )


def _earner(reservation: Reservation) -> str:
    """What earns by lending: the reservation, so that its cap can be held; else the org."""
    if reservation.payout_cap is None:
        return org_account(reservation.org)
    return lending_account(reservation.org, reservation.reservation)


def _claims(world: World, market: Market) -> list[Claim]:
    return [
        claim
        for claim in world.records.claims.values()
        if not claim.runs_on
        and world.records.reservations[claim.reservation].market == market.market
        and world.records.reservations[claim.reservation].state.takes_part
    ]
