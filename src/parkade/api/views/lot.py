"""The lot as shown: every node, and what sits or waits there.

*Theory of operation.* `snapshot` runs in the writer's thread and copies references to frozen
records, nothing more. `Lots` makes what is shown of them elsewhere, and makes it anew only for the
records that were replaced since: a record that did not change is the same object. Which holders are
on which node, and what each node adds to the sums, is kept beside it. So a change costs a look at
all references and the making of a few answers: some milliseconds at 12,500 nodes.

All of it is for operators. `org_lots` keeps of a lot what an org may see.

`lent` of a guest follows from its rate. Of 28 an hour for 4 GPUs at 7 with fee 2/7, the owners'
part is 20. Where lenders earn 20 of it, all 4 GPUs are lent; where they earn 10 and the operator
the rest, 2 are.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from parkade.api.translate.scalars import amount, amount_or_none, instant, instant_or_none, span
from parkade.api.views.lot_lent import NO_IDLE, idle_nodes
from parkade.api.views.lot_sums import NO_PART, Part, exchanged, part_of, sums
from parkade.api.views.moves import says_move
from parkade.api.views.reasons import SENTENCES
from parkade.core.fleet.market import Market
from parkade.core.fleet.node import Cordon, Node
from parkade.core.fleet.pool import Pool
from parkade.core.fleet.seat import Seat
from parkade.core.ledger.accounts import lending_account, org_account
from parkade.core.repairing.buffer_use import BufferUse, buffers
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.state.world import World
from parkade.core.units.money import format_amount
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Rate, Stop, Workload
from parkade.wire import lot as wire

State = Literal["open", "closed", "out"]
_USES: dict[CapacityKind, Literal["owner", "on-demand", "spot"]] = {
    CapacityKind.RESERVATION: "owner",
    CapacityKind.ON_DEMAND: "on-demand",
    CapacityKind.SPOT: "spot",
}


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen records as of an instant. `workloads`: those that have not ended."""

    sequence: int
    now_us: int
    nodes: Mapping[str, Node]
    pools: Mapping[str, Pool]
    markets: Mapping[str, Market]
    reservations: tuple[Reservation, ...]
    claims: Mapping[str, Claim]
    workloads: Mapping[str, Workload]
    buffers: tuple[BufferUse, ...]
    is_balanced: bool


def snapshot(world: World, now_us: int) -> Snapshot:
    """Cheap enough for the writer's thread: references alone. Grows with nodes, what is live, and
    accounts."""
    records = world.records
    return Snapshot(
        sequence=records.sequence,
        now_us=now_us,
        nodes=dict(records.nodes),
        pools=dict(records.pools),
        markets=dict(records.markets),
        reservations=tuple(records.reservations.values()),
        claims=dict(records.claims),
        workloads={name: records.workloads[name] for name in world.live},
        buffers=buffers(world),
        is_balanced=sum(records.balances.values()) == 0,
    )


class Lots:
    """The newest lot in full, made from one snapshot after another. Used in one thread at a
    time."""

    def __init__(self) -> None:
        self._before: Snapshot | None = None
        self._nodes: dict[str, wire.LotNode] = {}
        self._holders: dict[str, wire.LotHolder] = {}
        self._on: dict[str, set[str]] = {}
        self._parts: dict[str, Part] = {}
        self._sum = NO_PART
        self.names: tuple[str, ...] = ()
        """Of all nodes; the same object while they are the same."""

    def take(self, now: Snapshot) -> wire.Lot:
        """The lot of a snapshot that is no older than the last."""
        before = self._before
        lenders = _lenders(now.reservations)
        is_anew = before is None or (
            before.pools != now.pools or _lenders(before.reservations) != lenders
        )
        touched = self._take_holders(None if is_anew else before, now, lenders)
        self._take_nodes(None if is_anew else before, now, touched)
        self._before = now
        idle = idle_nodes(now.reservations, now.workloads.values(), now.claims.values(), now.nodes)
        return wire.Lot.model_construct(
            sequence=now.sequence,
            at=instant(now.now_us),
            nodes=tuple(self._nodes.values()),
            holders=tuple(self._holders.values()),
            fabrics=tuple(
                wire.LotFabric(
                    market=each.market,
                    fabric=each.fabric,
                    nodes=each.nodes,
                    buffer=each.held,
                    lent=idle.get((each.market, each.fabric), NO_IDLE).lent,
                    kept=idle.get((each.market, each.fabric), NO_IDLE).kept,
                )
                for each in now.buffers
            ),
            sums=sums(self._sum),
            promises=_promises(now),
        )

    def _take_holders(
        self, before: Snapshot | None, now: Snapshot, lenders: Mapping[str, frozenset[str]]
    ) -> set[str]:
        """The nodes on which something else may sit than before."""
        touched: set[str] = set()
        known_workloads = {} if before is None else before.workloads
        known_claims = {} if before is None else before.claims
        if before is None:
            self._on = {}
        made: dict[str, wire.LotHolder] = {}
        for name, workload in now.workloads.items():
            known = known_workloads.get(name)
            if known is workload:
                made[name] = self._holders[name]
                continue
            market = now.markets.get(workload.market)
            made[name] = _workload(workload, market, lenders.get(workload.market, frozenset()))
            touched |= self._moves(name, _seats_of(known), _seats_of(workload))
        for name, claim in now.claims.items():
            before_claim = known_claims.get(name)
            if before_claim is claim:
                made[name] = self._holders[name]
                continue
            made[name] = _claim(claim)
            touched |= self._moves(name, _seats_of(before_claim), _seats_of(claim))
        for gone in known_workloads.keys() - now.workloads.keys():
            touched |= self._moves(gone, _seats_of(known_workloads[gone]), set())
        for gone in known_claims.keys() - now.claims.keys():
            touched |= self._moves(gone, _seats_of(known_claims[gone]), set())
        self._holders = made
        return touched

    def _moves(self, holder: str, before: set[str], now: set[str]) -> set[str]:
        """A holder is on these nodes and no more on those; all of them."""
        for node in before - now:
            self._on[node].discard(holder)
        for node in now:
            self._on.setdefault(node, set()).add(holder)
        return before | now

    def _take_nodes(self, before: Snapshot | None, now: Snapshot, touched: set[str]) -> None:
        known = {} if before is None else before.nodes
        is_kept = before is not None and known.keys() == now.nodes.keys()
        if not is_kept:
            self._nodes, self._parts, self._sum = {}, {}, NO_PART
            self.names = tuple(now.nodes)
        changed = [
            name
            for name, node in now.nodes.items()
            if not is_kept or name in touched or known[name] is not node
        ]
        for name in changed:
            node = now.nodes[name]
            standing = _standing(node, now.pools[node.pool])
            seats = _seats_on(now, name, self._on.get(name, ()))
            made = self._nodes[name] = wire.LotNode.model_construct(
                node=name,
                pool=node.pool,
                market=node.market,
                fabric=node.fabric,
                gpus=node.gpus,
                state=standing.state,
                says=standing.says,
                seats=seats.held,
                promised=seats.promised,
                health=node.health.value,
                cordons=tuple(_cordon(each) for each in node.cordons),
            )
            part, known_part = part_of(made, self._holders), self._parts.get(name, NO_PART)
            self._parts[name] = part
            self._sum = exchanged(self._sum, known_part, part)


def _seats_of(holder: Workload | Claim | None) -> set[str]:
    """The nodes of what it holds and is promised."""
    match holder:
        case None:
            return set()
        case Claim():
            return {seat.node for seat in (*holder.held, *holder.promised)}
        case Workload():
            parts = (holder.attempt, holder.promise)
            return {seat.node for part in parts if part is not None for seat in part.seats}


class NodeSeats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Seats on a node."""

    held: tuple[wire.LotSeat, ...]
    promised: tuple[wire.LotSeat, ...]


def _seats_on(now: Snapshot, node: str, holders: Iterable[str]) -> NodeSeats:
    """What is on a node: workloads by their numbers, then claims."""
    held: list[wire.LotSeat] = []
    promised: list[wire.LotSeat] = []

    def put(where: list[wire.LotSeat], holder: str, seats: Iterable[Seat]) -> None:
        gpus = sum(seat.gpus for seat in seats if seat.node == node)
        if gpus:
            where.append(wire.LotSeat.model_construct(holder=holder, gpus=gpus))

    for name in sorted(holders, key=lambda it: (it in now.claims, len(it), it)):
        claim = now.claims.get(name)
        if claim is not None:
            put(held, name, claim.held)
            put(promised, name, claim.promised)
            continue
        workload = now.workloads[name]
        if workload.attempt is not None:
            put(held, name, workload.attempt.seats)
        if workload.promise is not None:
            put(promised, name, workload.promise.seats)
    return NodeSeats(held=tuple(held), promised=tuple(promised))


class Standing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whether newcomers may come to a node, and why not."""

    state: State
    says: str


def _standing(node: Node, pool: Pool) -> Standing:
    if not node.is_in_play:
        says = f"{node.health}: {node.health_reason}".removesuffix(": ")
        return Standing(state="out", says=says)
    reasons = [f"cordoned by {each.holder}: {each.reason}" for each in node.cordons]
    if not node.is_open and node.health.value != "healthy":
        reasons.insert(0, f"{node.health}: {node.health_reason}")
    if node.draining_us is not None:
        reasons.append(f"draining: {node.drain_reason or ''}")
    if not pool.is_reachable:
        never = pool.first_heard_us is None
        reasons.append(f"the agent of {pool.pool} " + ("was never heard" if never else "is silent"))
    return Standing(state="closed" if reasons else "open", says="; ".join(reasons))


def _cordon(cordon: Cordon) -> wire.LotCordon:
    return wire.LotCordon(
        holder=cordon.holder, reason=cordon.reason, is_of_others=cordon.is_of_others
    )


def _lenders(reservations: Iterable[Reservation]) -> dict[str, frozenset[str]]:
    """By market, the accounts that earn by lending there; the org's own where its reservation was
    sold before that was counted."""
    found: dict[str, set[str]] = {}
    for each in reservations:
        if each.lending is not None and each.state.takes_part:
            earner = lending_account(each.org, each.reservation)
            found.setdefault(each.market, set()).update((earner, org_account(each.org)))
    return {market: frozenset(accounts) for market, accounts in found.items()}


def _workload(workload: Workload, market: Market | None, lenders: frozenset[str]) -> wire.LotHolder:
    spec, attempt = workload.spec, workload.attempt
    holds = attempt or workload.promise
    rate = holds.rates[-1] if holds is not None and holds.rates else None
    gpus = sum(seat.gpus for seat in holds.seats) if holds is not None else spec.nodes * spec.gpus
    use = _USES[spec.capacity.kind]
    is_paying = rate is not None and use != "owner"
    return wire.LotHolder(
        holder=workload.workload,
        kind="workload",
        name=spec.name,
        org=workload.org,
        user=workload.user,
        use=use,
        capacity=str(spec.capacity),
        phase=workload.phase.value,
        gpus=gpus,
        price=amount(rate.price_micros) if rate is not None and is_paying else None,
        limit_price=amount_or_none(spec.limit_price_micros),
        price_to_win=amount_or_none(workload.price_to_win_micros),
        lent=lent_gpus(rate, gpus, market, lenders) if use == "spot" and attempt else 0,
        notice=None if attempt is None or attempt.stop is None else _notice(attempt.stop),
        since=instant_or_none(workload.submitted_us if attempt is None else attempt.ordered_us),
        says=_says(workload, rate),
        reservation=spec.capacity.reservation,
        member_of=workload.member_of,
    )


def lent_gpus(rate: Rate | None, gpus: int, market: Market | None, lenders: frozenset[str]) -> int:
    """How many of so many GPUs lenders own, by their part of the owners' part of the price."""
    if rate is None or market is None or not lenders:
        return 0
    fee = market.terms.fee
    owners = rate.per_hour_micros(gpus) * (fee.denominator - fee.numerator)
    earned = sum(micros for account, micros in rate.shares if account in lenders)
    if owners <= 0 or earned <= 0:
        return 0
    return min(gpus, max(1, round(gpus * earned * fee.denominator / owners)))


def _notice(stop: Stop) -> wire.LotNotice:
    return wire.LotNotice(
        noticed=instant(stop.noticed_us),
        deadline=instant(stop.deadline_us),
        kill=instant(stop.kill_us),
        cause=stop.cause.value,
    )


def _says(workload: Workload, rate: Rate | None) -> str:
    """Why it is where it is, for its own org: nothing here names another."""
    moved = None if workload.moved is None else says_move(workload.moved, workload.org)
    if workload.attempt is None and workload.promise is None:
        return SENTENCES.get(workload.why, workload.why)
    match workload.spec.capacity.kind:
        case CapacityKind.RESERVATION:
            says = f"by right of {workload.spec.capacity}"
        case CapacityKind.ON_DEMAND:
            says = "bought on demand at the posted price"
        case CapacityKind.SPOT:
            price = 0 if rate is None else rate.price_micros
            limit = workload.spec.limit_price_micros or 0
            says = f"won at {format_amount(price)}, its limit is {format_amount(limit)}"
    if workload.attempt is None:
        says += "; its seats are promised and not free yet"
    return says if moved is None else f"{says}; {moved}"


def _claim(claim: Claim) -> wire.LotHolder:
    seats = (*claim.held, *claim.promised)
    is_seated = claim.seated_us is not None
    return wire.LotHolder(
        holder=claim.claim,
        kind="claim",
        name=claim.claim,
        org=claim.org,
        user=None,
        use="owner",
        capacity=f"reservation/{claim.reservation}",
        phase="claimed" if is_seated else "waiting",
        gpus=sum(seat.gpus for seat in seats),
        price=None,
        limit_price=None,
        price_to_win=None,
        lent=0,
        notice=None,
        since=instant(claim.claimed_us),
        says=f"claimed by the owner of {claim.reservation}" + (f"; {claim.why}" * bool(claim.why)),
        reservation=claim.reservation,
    )


def _promises(now: Snapshot) -> wire.LotPromises:
    waits = [each.waits for each in now.reservations]
    return wire.LotPromises(
        longest_wait=span(max((each.longest_us for each in waits), default=0)),
        waits=sum(each.times for each in waits),
        longest_allowed=span(max((it.terms.leave_us for it in now.markets.values()), default=0)),
        books_are_balanced=now.is_balanced,
    )
