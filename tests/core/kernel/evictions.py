"""One org makes others leave and gives everything back at once, in random small markets.

Each market is drawn from its seed: two fabrics, whole nodes and halves, running work of three orgs,
what the org reserves and lends. Then the org alone acts, at one instant: bids, elastic work,
arrays, on-demand, claims, work on its reservation, another floor, a kept node. One clearing
follows, and the org gives up all that it has. What it should have paid is told from the clearing's
event and the guests' bids alone:

    pushed out    an attempt of another org that was outbid, on nodes that the org's bids take: what
                  it had bid for them less the credit, at most the bid that takes them
    by a mover    the same on nodes that a third org's bids take, which were moved: as far as
                  the least new bid or on-demand of the org reaches; nothing where an owner acted
"""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from parkade.core.kernel.decide import decide
from parkade.core.ledger.accounts import TransferKind
from parkade.core.state import commands, events, lines
from parkade.core.units.money import MICROS, MICROSECONDS_PER_HOUR
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.life import Cause
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload
from tests.core.kernel.story import TERMS, Parkade

CHEAT, GUESTS = "cheat", ("guest", "other")
ROUNDED_MICROS = 5
"""Prices, debts and charges are each rounded down."""


class Evicted(NamedTuple):
    """What one clearing pushed out, and what the org paid for all that it gave back."""

    owed_micros: int
    paid_micros: int
    by_movers: int
    """How many attempts a workload pushed out that the clearing moved."""

    says: str
    journal: tuple[events.AnyEvent, ...]


def evict(seed: int) -> Evicted | None:
    """One market; None where no guest was outbid."""
    chance = random.Random(f"evictions {seed}")
    parkade = _market(chance)
    actions = tuple(_actions(parkade, chance))
    for action in actions:
        ask(parkade, action)
    before = len(parkade.journal)
    parkade._do(commands.RunClearing(by=None, market="pool"))
    cleared = [it for it in parkade.journal[before:] if isinstance(it, events.Cleared)]
    if not cleared:
        return None
    found = _pushed_out(parkade, cleared[0], is_owner=any(map(_is_of_owner, actions)))
    if found is None:
        return None
    owed, by_movers, says = found
    give_all_back(parkade)
    paid = sum(
        transfer.micros
        for event in parkade.journal[before:]
        if isinstance(event, events.MoneyEvent)
        for transfer in event.transfers
        if transfer.debit == f"org/{CHEAT}" and transfer.kind is TransferKind.MINIMUM_CHARGE
    )
    return Evicted(owed, paid, by_movers, f"seed {seed}: {says}", tuple(parkade.journal))


def ask(parkade: Parkade, command: commands.AnyCommand) -> None:
    """What the market is too small for is left out."""
    outcome = decide(parkade.world, command, parkade.now_us)
    if not isinstance(outcome, Refusal):
        parkade.happen(outcome)


def _market(chance: random.Random) -> Parkade:
    """Running work of three orgs, and what the org reserves and lends."""
    parkade = Parkade(
        fabrics={"a": chance.choice((2, 3, 4)), "b": chance.choice((1, 2, 3))},
        buffer_nodes=0,
        public_floor_micros=chance.choice((0, 0, 1)) * MICROS,
        assemble_us=None,
    )
    for org in (CHEAT, *GUESTS):
        parkade.org(org)
    if chance.random() < 0.5:
        reservation = parkade.reserve(CHEAT, chance.choice((1, 2)), hours=1000)
        parkade.lend(reservation, chance.choice((0, 0, 2)))
    for _ in range(chance.randint(2, 5)):
        org = chance.choice((CHEAT, *GUESTS, *GUESTS))
        limit = chance.choice((6, 9, 12) if org == CHEAT else (3, 5, 7, 8))
        spec = parkade.spec(limit=limit, **_shape(chance))
        ask(
            parkade,
            commands.Submit(by=None, org=org, market=None, spec=spec, is_held=False),
        )
        parkade.clear()
        parkade.start_all()
    parkade.run(90)
    return parkade


def _shape(chance: random.Random) -> dict[str, Any]:
    if chance.random() < 0.2:
        return {"nodes": chance.choice((1, 2)), "most_nodes": 3}
    return {
        "nodes": chance.choice((1, 2, 3)),
        "gpus": chance.choice((1, 2, 2, 2)),
        "spread": chance.random() < 0.5,
    }


def _actions(parkade: Parkade, chance: random.Random) -> Iterator[commands.AnyCommand]:
    """What the org does at one instant."""
    owned = tuple(parkade.world.records.reservations)
    for _ in range(chance.choice((1, 1, 2, 3))):
        kinds = ["bid", "bid", "bid", "array", "on-demand"] + (["own"] * 5 if owned else [])
        kind = chance.choice(kinds)
        if kind == "own":
            yield _of_owner(parkade, chance, chance.choice(owned))
            continue
        if kind == "on-demand":
            spec = parkade.spec(on_demand_hours=1, nodes=chance.choice((1, 2)))
        elif kind == "array":
            spec = parkade.spec(limit=chance.choice((20, 30)), gpus=2, array="0-1")
        else:
            spec = parkade.spec(limit=chance.choice((20, 30)), **_shape(chance))
        yield commands.Submit(by=None, org=CHEAT, market=None, spec=spec, is_held=False)


def _of_owner(parkade: Parkade, chance: random.Random, name: str) -> commands.AnyCommand:
    match chance.choice(("claim", "claim", "work", "floor", "keep", "lend no more")):
        case "claim":
            nodes = chance.choice((1, 1, 2))
            return commands.MakeClaim(by=None, reservation=name, nodes=nodes)
        case "work":
            spec = parkade.spec(reservation=name)
            return commands.Submit(by=None, org=CHEAT, market=None, spec=spec, is_held=False)
        case "floor":
            return commands.Lend(by=None, reservation=name, floor_micros=50 * MICROS, keep=0)
        case "keep":
            return commands.Lend(by=None, reservation=name, floor_micros=0, keep=1)
        case _:
            return commands.Lend(by=None, reservation=name, floor_micros=None, keep=None)


def _is_of_owner(action: commands.AnyCommand) -> bool:
    if isinstance(action, commands.Submit):
        return action.spec.capacity.kind is CapacityKind.RESERVATION
    return True


def _pushed_out(
    parkade: Parkade, cleared: events.Cleared, *, is_owner: bool
) -> tuple[int, int, str] | None:
    """(what it owes, attempts that movers pushed out, in words)."""
    workloads = parkade.world.records.workloads
    takers = {
        seat.node: workloads[won.demand.workload]
        for won in cleared.won
        if isinstance(won.demand, lines.WorkloadDemand)
        and workloads[won.demand.workload].spec.capacity.kind is CapacityKind.SPOT
        for seat in won.promise.seats
    }
    own = third = by_movers = 0
    says = []
    for left in cleared.left:
        workload = workloads[lines.name_of(left.demand)]
        is_guest = workload.org != CHEAT and workload.attempt is not None
        if not is_guest or left.stop is None or left.stop.cause is not Cause.OUTBID:
            continue
        assert workload.attempt is not None
        by: set[str] = set()
        for seat in workload.attempt.seats:
            taker = takers.get(seat.node)
            if taker is None or _key(taker) <= _key(workload) * 21 // 20:
                continue
            by.add(taker.workload)
            micros = seat.gpus * (_limit(workload) * 20 // 21)
            most = _limit(taker) * sum(it.gpus for it in _promised(taker) if it.node == seat.node)
            if taker.org == CHEAT:
                own += min(micros, most)
            elif taker.attempt is not None and taker.moved is not None:
                third += micros
        by_movers += any(workloads[it].attempt is not None for it in by)
        says.append(f"{workload.workload} at {_limit(workload) / MICROS:g} for {sorted(by)}")
    if not says:
        return None
    reach = min(
        (
            sum(seat.gpus for seat in _promised(it)) * (_limit(it) or TERMS.pay_as_you_go_micros)
            for it in workloads.values()
            if it.org == CHEAT and it.attempt is None and _is_market(it)
        ),
        default=0,
    )
    owed = own + (0 if is_owner else min(third, max(0, reach - own)))
    micros = owed * TERMS.minimum_charge_us // MICROSECONDS_PER_HOUR
    return micros, by_movers, "; ".join(says)


def _is_market(workload: Workload) -> bool:
    return workload.spec.capacity.kind is not CapacityKind.RESERVATION


def _promised(workload: Workload) -> tuple[Any, ...]:
    return workload.promise.seats if workload.promise is not None else ()


def _limit(workload: Workload) -> int:
    return workload.spec.limit_price_micros or 0


def _key(workload: Workload) -> int:
    """Its place in the order, for nodes of two GPUs."""
    spec = workload.spec
    alone = spec.nodes_alone(2)
    return _limit(workload) * spec.nodes * spec.gpus // (alone * 2)


def give_all_back(parkade: Parkade) -> None:
    """The org cancels and unclaims everything, at the same instant."""
    for name in tuple(parkade.world.records.claims):
        parkade._do(commands.Unclaim(by=None, claim=name))
    for name in tuple(parkade.world.live):
        workload = parkade.world.records.workloads.get(name)
        if workload is None or workload.phase.is_ended or workload.org != CHEAT:
            continue
        if workload.member_of is None:
            parkade._do(commands.Cancel(by=None, workload=name, now=True))
    parkade.tick(40)
    parkade.stop_all()
