"""What workloads ask for in a clearing, as demands of their market.

A demand follows from its workload's record and few other things. Of a workload that has and is
promised no seats these are the terms, the use of its org, whether it has waited for long, and its
user's standing with the engine. So the demand that the last clearing was given is given again while
the record is the very same: most bids of a full market wait, and most that wait do not change.
Cost grows with the workloads; with what changed where these wait, beside a look at each.
"""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from parkade.core.clearing.claims import promised_still
from parkade.core.clearing.sizes import sizes_now
from parkade.core.fleet.market import Market
from parkade.core.fleet.seat import Seat
from parkade.core.market.market_state import Demand, PriorityTier, Protection
from parkade.core.market.remembered import Asked, Memory
from parkade.core.running.unadmitted import counted_limit_micros, is_cautious
from parkade.core.state.world import World
from parkade.core.steps.capacity import has_one_pool
from parkade.core.units.time import DAY_US, MINUTE_US
from parkade.core.workloads.life import NO_REAL_BID
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


class Demands:
    """The demands of one market, in making."""

    def __init__(
        self,
        world: World,
        market: Market,
        open_nodes: dict[str, bool],
        now_us: int,
        joins: Mapping[str, int],
    ) -> None:
        """`open_nodes`: by node in play, whether it takes work; `joins`: how many ranks join live
        attempts at most (`joining`)."""
        self._world = world
        self._market = market
        self._open_nodes = open_nodes
        self._now_us = now_us
        self._joins = joins
        self._is_one_pool = has_one_pool(world, market.market)
        self._uses: dict[str, int] = {}

    def of_all(self, workloads: Iterable[Workload]) -> list[Demand]:
        """One for each, those that nothing changed for as in the last clearing."""
        memory = self._world.memories.get(self._market.market)
        if memory is None or self._world.records.unadmitted:
            return [self._of(it) for it in workloads]
        return self._of_all_known(workloads, memory)

    def _of_all_known(self, workloads: Iterable[Workload], memory: Memory) -> list[Demand]:
        market = self._market
        terms = (market.terms, market.instance_type, self._is_one_pool)
        known = memory.asked.by_name if memory.asked.terms == terms else {}
        kept: dict[str, tuple[object, Demand]] = {}
        found: list[Demand] = []
        for it in workloads:
            if it.attempt is not None or it.promise is not None:
                found.append(self._of(it))
                continue
            before = known.get(it.workload)
            if before is not None and before[0] is it:
                demand = self._at_present(it, before[1])
            else:
                demand = self._of(it)
            kept[it.workload] = (it, demand)
            found.append(demand)
        memory.asked = Asked(terms, kept)
        return found

    def _at_present(self, workload: Workload, demand: Demand) -> Demand:
        """The demand of a workload without seats whose record did not change."""
        use = self._use(workload.org)
        has_waited = demand.has_waited or _has_waited(self._world, workload, self._now_us)
        if use == demand.use_7_days and has_waited == demand.has_waited:
            return demand
        return replace(demand, use_7_days=use, has_waited=has_waited)

    def _of(self, workload: Workload) -> Demand:
        world, now_us, open_nodes = self._world, self._now_us, self._open_nodes
        seats = _standing(world, workload, open_nodes)
        market = world.records.markets[workload.market]
        joins = self._joins.get(workload.workload)
        nodes, most_nodes, grows_by = sizes_now(world, workload, seats, open_nodes, now_us, joins)
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
            and self._is_one_pool,
            reservation=workload.spec.capacity.reservation,
            priority=workload.spec.priority,
            limit_micros=counted_limit_micros(world, workload, now_us),
            use_7_days=self._use(workload.org),
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

    def _use(self, org: str) -> int:
        """What it used in the last seven days, GPUs x microseconds."""
        known = self._uses.get(org)
        if known is None:
            days = self._world.records.use_by_day.get(org, {})
            first = self._now_us // DAY_US - 7
            known = self._uses[org] = sum(use for day, use in days.items() if day > first)
        return known


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
