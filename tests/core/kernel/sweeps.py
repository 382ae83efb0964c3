"""One org acts in random small markets of several floors: who leaves that would have stayed?

Each market is drawn from its seed: two fabrics, whole nodes, owners that lend at floors of which
some are above the guests' limits, and running guests. Then the org acts at one instant: bids,
elastic work, on-demand, a higher limit of elastic work that runs. The market is cleared twice, with
that and without. Those that leave with it and would stay without were made to leave by the org,
wherever its work sits. At last the org gives up all that it has.
"""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from parkade.core.kernel.decide import decide
from parkade.core.ledger.accounts import TransferKind
from parkade.core.state import commands, events, lines
from parkade.core.units.money import MICROS, MICROSECONDS_PER_HOUR
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.life import Cause, Phase
from tests.core.kernel.evictions import CHEAT, GUESTS, ask, give_all_back
from tests.core.kernel.story import TERMS, Parkade

NODE_GPUS = 2


class Swept(NamedTuple):
    """What one org's acts came to."""

    made_leave: tuple[str, ...]
    """Guests that would have stayed without."""

    causes: frozenset[Cause]
    """What they were told."""

    off_their_nodes: bool
    """Whether the org's work sits on no node of theirs."""

    least_micros: int
    """The minimum charge for one node at the least bid, less the credit, of those that lost all or
    some seats; 0 where all were moved, which is owed for at the price."""

    paid_micros: int

    is_any_told: bool
    """Whether any work, the org's own as well, has to leave."""

    owes: bool
    """Whether a promise of the org owes after the clearing."""

    says: str
    journal: tuple[events.AnyEvent, ...]


def sweep(seed: int) -> Swept | None:
    """One market; None where the org wins nothing, or the market was not at rest."""
    chance = random.Random(f"sweeps {seed}")
    parkade = _market(chance)
    if _cleared(parkade) is not None:
        return None
    for action in tuple(_actions(parkade, chance)):
        ask(parkade, action)
    before = len(parkade.journal)
    found = _cleared(parkade)
    if found is None or not any(_is_of_cheat(parkade, it) for it in found.won):
        return None
    parkade._do(_CLEAR)
    workloads = parkade.world.records.workloads
    guests = tuple(
        workloads[name]
        for it in found.left
        if it.stop is not None and workloads[name := lines.name_of(it.demand)].org != CHEAT
    )
    outbid = {lines.name_of(it.demand) for it in found.left if it.why != Cause.MOVED}
    lost = (it for it in guests if it.workload in outbid)
    bids = [(it.spec.limit_price_micros or 0) * 20 // 21 for it in lost]
    least = min(bids, default=0) * NODE_GPUS * TERMS.minimum_charge_us // MICROSECONDS_PER_HOUR
    won = [it for it in found.won if _is_of_cheat(parkade, it)]
    taken = {seat.node for it in won for seat in it.promise.seats}
    theirs = {seat.node for it in guests if it.attempt for seat in it.attempt.seats}
    give_all_back(parkade)
    paid = sum(
        transfer.micros
        for event in parkade.journal[before:]
        if isinstance(event, events.MoneyEvent)
        for transfer in event.transfers
        if transfer.debit == f"org/{CHEAT}" and transfer.kind is TransferKind.MINIMUM_CHARGE
    )
    return Swept(
        made_leave=tuple(it.workload for it in guests),
        causes=frozenset(it.stop.cause for it in found.left if it.stop and _is_guest(parkade, it)),
        off_their_nodes=taken.isdisjoint(theirs),
        least_micros=least,
        paid_micros=paid,
        is_any_told=any(it.stop is not None for it in found.left) or bool(found.resized),
        owes=any(it.promise.displaces for it in won),
        says=f"seed {seed}: {[it.workload for it in guests]} left for {sorted(taken)}",
        journal=tuple(parkade.journal),
    )


_CLEAR = commands.RunClearing(by=None, market="pool")


def _cleared(parkade: Parkade) -> events.Cleared | None:
    """What a clearing now would change; it does not happen."""
    outcome = decide(parkade.world, _CLEAR, parkade.now_us)
    assert not isinstance(outcome, Refusal)
    found = next((it for it in outcome if isinstance(it, events.Cleared)), None)
    return None if found is None or not (found.left or found.won or found.resized) else found


def _is_of_cheat(parkade: Parkade, won: lines.Won) -> bool:
    return parkade.world.records.workloads[lines.name_of(won.demand)].org == CHEAT


def _is_guest(parkade: Parkade, left: lines.Leaving) -> bool:
    return parkade.world.records.workloads[lines.name_of(left.demand)].org != CHEAT


def _market(chance: random.Random) -> Parkade:
    """Owners lend, guests and the org run, and all is at rest."""
    parkade = Parkade(
        fabrics={"a": chance.choice((4, 6)), "b": chance.choice((1, 3))},
        buffer_nodes=0,
        public_floor_micros=chance.choice((0, 1)) * MICROS,
        assemble_us=None,
        regrow_us=600_000_000,
    )
    for org in (CHEAT, *GUESTS):
        parkade.org(org)
    lent = []
    for nodes in (chance.choice((1, 2, 3)), chance.choice((0, 1))):
        if nodes:
            lent.append(parkade.reserve("acme", nodes, hours=1000))
            parkade.lend(lent[-1], 0)
    for _ in range(chance.randint(1, 4)):
        org = chance.choice((CHEAT, *GUESTS, *GUESTS))
        limit = chance.choice((2, 3, 5, 8))
        shape: dict[str, Any] = {"nodes": chance.choice((1, 2, 3))}
        if org == CHEAT and chance.random() < 0.6:
            shape = {"nodes": 1, "most_nodes": 4}
        spec = parkade.spec(limit=limit, **shape)
        ask(parkade, commands.Submit(by=None, org=org, market=None, spec=spec, is_held=False))
        parkade.clear()
        parkade.start_all()
    for name in lent:
        parkade.lend(name, chance.choice((1, 4, 6, 9)))
        parkade.clear()
    parkade.run(720)
    return parkade


def _actions(parkade: Parkade, chance: random.Random) -> Iterator[commands.AnyCommand]:
    """What the org does at one instant."""
    elastic = [
        it.workload
        for it in parkade.world.records.workloads.values()
        if it.org == CHEAT and it.spec.most_nodes and it.phase is Phase.RUNNING
    ]
    for _ in range(chance.choice((1, 1, 2, 3))):
        kind = chance.choice(("bid", "bid", "bid", "on-demand", "elastic", "raise", "raise"))
        if kind == "raise" and elastic:
            limit = chance.choice((20, 30)) * MICROS
            name = chance.choice(elastic)
            yield commands.ChangeBid(by=None, workload=name, limit_price_micros=limit)
            continue
        spec = parkade.spec(limit=chance.choice((4, 10, 20, 30)), nodes=chance.choice((1, 2, 3)))
        if kind == "on-demand":
            spec = parkade.spec(on_demand_hours=1, nodes=chance.choice((1, 2)))
        elif kind == "elastic":
            spec = parkade.spec(limit=20, nodes=1, most_nodes=4)
        yield commands.Submit(by=None, org=CHEAT, market=None, spec=spec, is_held=False)
