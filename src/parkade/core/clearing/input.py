"""A market's state from the world: the demands that take part in a clearing, with the seats they
hold, and why other workloads do not take part.

A demand has seats here if it holds them and may keep them, or is promised them: what has had its
notice comes as a newcomer, so that its next seats are promised while it leaves. A bid whose org
cannot set its earmark aside (`earmarks`) does not take part.
Cost grows with nodes, live workloads and reservations: each is looked at once.
"""

import copy
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from parkade.core.clearing.claims import demands_of, promised_still
from parkade.core.clearing.entering import shapes_now
from parkade.core.clearing.sizes import sizes_now, within_means
from parkade.core.clearing.taking_part import taking_part
from parkade.core.fleet.market import Market
from parkade.core.fleet.node import Node
from parkade.core.fleet.seat import Seat
from parkade.core.healing.incident import RepairKind
from parkade.core.ledger.accounts import OPERATOR, lending_account, org_account
from parkade.core.market.market_state import (
    ClearingTerms,
    Demand,
    MarketState,
    NodeInPlay,
    PriorityTier,
    Protection,
    ReservationInForce,
)
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.running.unadmitted import counted_limit_micros, is_cautious
from parkade.core.state.world import World
from parkade.core.steps.capacity import has_one_pool
from parkade.core.steps.incidents import can
from parkade.core.steps.rights import started_nodes
from parkade.core.units.time import DAY_US, MINUTE_US
from parkade.core.workloads.choices import as_bid_in, markets_of, stands_in
from parkade.core.workloads.life import NO_REAL_BID, Why
from parkade.core.workloads.spec import CapacityKind, Interconnect, Moves
from parkade.core.workloads.workload import Workload

TIERS = {
    CapacityKind.RESERVATION: PriorityTier.RESERVED,
    CapacityKind.ON_DEMAND: PriorityTier.ON_DEMAND,
    CapacityKind.SPOT: PriorityTier.SPOT,
}
CHEAPER_AFTER_US = 10 * MINUTE_US
"""How long a second attempt runs before it is moved for a lower floor."""

MOST_DOUBLINGS = 6
"""Of that time, for later attempts: more than ten hours at last."""

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
    live = (world.records.workloads[name] for name in world.live)
    candidates = [it for it in live if it.array is None and not _is_elsewhere(it, markets)]
    candidates.extend(extra)
    excluded, affordable, confined = taking_part(world, candidates, now_us, too_many)
    lists = [it for it in candidates if it.spec.choices]
    found: dict[str, Seen] = {}
    for name in markets:
        asking = [it for it in candidates if name in markets_of(it)]
        out = {it.workload: excluded[it.workload] for it in asking if it.workload in excluded}
        for it in lists:
            if it.workload in out and name != reported_in(it):
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


def reported_in(workload: Workload) -> str:
    """The market that reports that a bid has no seats: where it had some, else the first of its
    wishes."""
    if workload.attempt is not None:
        return stands_in(workload) or workload.market
    return stands_in(workload) or markets_of(workload)[0]


def _is_elsewhere(workload: Workload, markets: tuple[str, ...]) -> bool:
    if not workload.spec.choices:
        return workload.market not in markets
    return all(it.market not in markets for it in workload.spec.choices)


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
    is_one_pool = has_one_pool(world, market.market)
    demands = [
        demand
        for claim in _claims(world, market)
        for demand in demands_of(world, claim, open_nodes)
    ]
    demands.extend(
        _demand(world, workload, open_nodes, now_us, joins, is_one_pool=is_one_pool)
        for workload in candidates
    )
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


def _demand(
    world: World,
    workload: Workload,
    open_nodes: dict[str, bool],
    now_us: int,
    joins: Mapping[str, int],
    *,
    is_one_pool: bool,
) -> Demand:
    seats = _standing(world, workload, open_nodes)
    market = world.records.markets[workload.market]
    nodes, most_nodes, grows_by = sizes_now(
        world, workload, seats, open_nodes, now_us, joins.get(workload.workload)
    )
    is_on_demand = workload.spec.capacity.kind is CapacityKind.ON_DEMAND
    assert is_on_demand == (workload.fabric is not None)
    return Demand(
        demand=workload.workload,
        org=workload.org,
        tier=TIERS[workload.spec.capacity.kind],
        nodes=nodes,
        gpus=workload.spec.gpus,
        any_fabric=workload.spec.interconnect is Interconnect.ANY
        and not is_on_demand
        and is_one_pool,
        reservation=workload.spec.capacity.reservation,
        priority=workload.spec.priority,
        limit_micros=counted_limit_micros(world, workload, now_us),
        use_7_days=_use(world, workload.org, now_us),
        submitted_us=workload.submitted_us,
        seats=seats,
        floor_micros=_floor(workload, market),
        only_fabric=workload.fabric,
        has_waited=not seats and _has_waited(world, workload, now_us),
        ranks_per_node=workload.spec.ranks_per_node(market.instance_type.gpus_per_node),
        moves_if_cheaper=_moves_if_cheaper(workload, now_us),
        most_nodes=most_nodes,
        grows_by=grows_by,
        array=workload.member_of,
        protection=_protection(workload, open_nodes, now_us),
        is_cautious=is_cautious(world, workload, now_us),
    )


def _standing(world: World, workload: Workload, open_nodes: dict[str, bool]) -> tuple[Seat, ...]:
    """The seats a workload holds and keeps, or is promised.

    A broken gang is started anew, which no closed node allows, so those do not count as its seats.
    """
    attempt, promise = workload.attempt, workload.promise
    is_next = promise is None or attempt is None or attempt.stop is not None
    assert is_next or workload.changes_live, f"{workload.workload} is promised what it has"
    if promise is not None:
        return promised_still(world, promise.seats, open_nodes)
    if attempt is None or attempt.stop is not None:
        return ()
    if attempt.broken_us is None:
        return attempt.kept_seats
    return tuple(seat for seat in attempt.kept_seats if open_nodes.get(seat.node) is not False)


def _protection(workload: Workload, open_nodes: dict[str, bool], now_us: int) -> Protection | None:
    """What protects the seats of a bid on open nodes (`Attempt.keeps_seats_until_us`)."""
    attempt, limit = workload.attempt, workload.spec.limit_price_micros
    if attempt is None or attempt.keeps_seats_until_us(limit, now_us) is None:
        return None
    if not all(open_nodes.get(seat.node, False) for seat in attempt.kept_seats):
        return None
    agreed = attempt.admission
    assert agreed is not None, "seats are kept on no terms"
    return Protection(price_micros=agreed.price_micros, node_prices=agreed.node_prices)


def _moves_if_cheaper(workload: Workload, now_us: int) -> bool:
    """Whether it leaves its seats for a lower floor. After its first attempt only what has run for
    a while does, twice as long after each attempt: two jobs that share nodes could else send each
    other away in every clearing."""
    attempt = workload.attempt
    if workload.spec.moves is not Moves.CHEAPER:
        return False
    if workload.attempts <= 1:
        return True
    ran_us = 0
    if workload.promise is None and attempt is not None and attempt.started_us is not None:
        ran_us = now_us - attempt.started_us
    return ran_us >= CHEAPER_AFTER_US << min(workload.attempts - 2, MOST_DOUBLINGS)


def _has_waited(world: World, workload: Workload, now_us: int) -> bool:
    """Whether it is a gang of whole nodes that was submitted, or last released, `assemble` ago,
    however it fared since: one that ran and was outbid need not wait again. While it was held, was
    below every floor or had no money, it did not wait for room."""
    market = world.records.markets[workload.market]
    spec, assemble_us = workload.spec, market.terms.assemble_us
    is_gang = spec.nodes > 1 and spec.gpus == market.instance_type.gpus_per_node
    if assemble_us is None or not is_gang or workload.why in NO_REAL_BID:
        return False
    since_us = max(workload.submitted_us, workload.released_us or 0, workload.bids_since_us or 0)
    return since_us + assemble_us <= now_us


def _floor(workload: Workload, market: Market) -> int:
    """What its closed nodes cost: the floor of its last rate."""
    if workload.spec.capacity.kind is not CapacityKind.SPOT:
        return 0
    holds = workload.promise or workload.attempt
    known = holds.rates[-1].floor_micros if holds is not None and holds.rates else None
    return market.terms.public_floor_micros if known is None else known


def _use(world: World, org: str, now_us: int) -> int:
    days = world.records.use_by_day.get(org, {})
    return sum(use for day, use in days.items() if day > now_us // DAY_US - 7)
