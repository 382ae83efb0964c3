"""The invariants of the world, asserted after every event in tests and now and then in service.

The numbers are those of the list in docs/invariants.md.
"""

from parkade.core.ledger.accounts import EXTERNAL, market_of, prepaid_account
from parkade.core.reservations.calendar import peak_nodes
from parkade.core.state.world import World
from parkade.core.steps.capacity import sold
from parkade.core.units.money import MICROSECONDS_PER_HOUR
from parkade.core.units.time import Window
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Attempt, Workload

WHYS = frozenset({*Why, *Cause})
CLAIM_WHYS = WHYS | {"queued"}
"""Journals of version 1 have another word for a claim that waits for the next clearing."""


def check(world: World) -> None:
    """Raises AssertionError where the world is impossible. Cost grows with the world."""
    _check_money(world)
    _check_seats(world)
    _check_counts(world)
    _check_calendar(world)
    for claim in world.records.claims.values():
        waits = claim.seated_us is None
        assert not waits or claim.why in CLAIM_WHYS, f"{claim.claim} waits for {claim.why!r}"
        has = len(claim.seats) + len(claim.replacements)
        assert has <= claim.nodes, f"{claim.claim} of {claim.nodes} nodes has {has}"
        is_there = {seat.node for seat in claim.seats} <= set(claim.runs_on)
        assert is_there or not claim.runs_on, f"{claim.claim} has other nodes than its job"
        assert not (waits and claim.replacements), f"{claim.claim} waits and is given replacements"
    for name in world.live:
        _check_workload(world.records.workloads[name])


def _check_money(world: World) -> None:
    balances = world.records.balances
    assert sum(balances.values()) == 0, "the ledger does not sum to zero"
    for account, micros in balances.items():
        assert micros >= 0 or account == EXTERNAL, f"{account} holds {micros}"
        market = market_of(account)
        if market is not None:
            owed = sum(world.records.owed.get(market, {}).values())
            assert micros * MICROSECONDS_PER_HOUR <= owed, f"{account} holds what it does not owe"
    for reservation in world.records.reservations.values():
        held = balances.get(prepaid_account(reservation.reservation), 0)
        is_settled = held == 0 or not reservation.state.is_over
        assert is_settled, f"{reservation.reservation} is over and holds {held} of what it paid"
    for market, numerators in world.records.owed.items():
        is_whole = all(numerator >= 0 for numerator in numerators.values())
        assert is_whole, f"the market {market} owes less than nothing"


def _check_seats(world: World) -> None:
    """What is held, and what stays and is promised, never exceeds a node's GPUs."""
    held: dict[str, int] = {}
    kept: dict[str, int] = {}
    for name in world.live:
        workload = world.records.workloads[name]
        attempt, promise = workload.attempt, workload.promise
        if attempt is not None:
            for seat in attempt.seats:
                held[seat.node] = held.get(seat.node, 0) + seat.gpus
                is_kept = attempt.stop_on(seat.node) is None and attempt.broken_us is None
                # What a live attempt is promised has what it keeps.
                if is_kept and not (workload.changes_live and promise is not None):
                    kept[seat.node] = kept.get(seat.node, 0) + seat.gpus
        if promise is not None:
            for seat in promise.seats:
                kept[seat.node] = kept.get(seat.node, 0) + seat.gpus
    for claim in world.records.claims.values():
        for seat in (*claim.held, *claim.promised):
            kept[seat.node] = kept.get(seat.node, 0) + seat.gpus
        for seat in claim.held:
            held[seat.node] = held.get(seat.node, 0) + seat.gpus
    for node, gpus in held.items():
        assert gpus <= world.records.nodes[node].gpus, f"{node} holds {gpus} GPUs"
    for node, gpus in kept.items():
        assert gpus <= world.records.nodes[node].gpus, f"{node} keeps and promises {gpus} GPUs"


def _check_counts(world: World) -> None:
    """The nodes of each fabric with spot work, and those out of play, are counted right."""
    spot: dict[tuple[str, str], int] = {}
    down: dict[tuple[str, str], int] = {}
    for node in world.records.nodes.values():
        key = (node.market, node.fabric)
        held = (world.records.workloads.get(name) for name in world.held_on[node.node])
        if any(it is not None and it.spec.capacity.kind is CapacityKind.SPOT for it in held):
            spot[key] = spot.get(key, 0) + 1
        if not node.is_in_play:
            down[key] = down.get(key, 0) + 1
    assert spot == world.counts.spot, f"{world.counts.spot} nodes with spot work are {spot}"
    assert down == world.counts.down, f"{world.counts.down} nodes out of play are {down}"


def _check_calendar(world: World) -> None:
    """No fabric is ever sold beyond its nodes less the buffer."""
    always = Window(start_us=0, end_us=None)
    for market in world.records.markets.values():
        entries = sold(world, market)
        for fabric in market.fabrics:
            nodes = world.sizes[market.market][fabric]
            peak = peak_nodes(entries, fabric, always)
            assert peak <= max(0, nodes - market.terms.buffer_nodes), f"{fabric} is oversold"


def _check_workload(workload: Workload) -> None:
    attempt, promise, phase = workload.attempt, workload.promise, workload.phase
    waits = phase in (Phase.QUEUED, Phase.PLACED, Phase.HELD)
    assert waits == (attempt is None), f"{workload.workload} is {phase} with {attempt}"
    is_placed = attempt is None and promise is not None
    assert (phase is Phase.PLACED) == is_placed, f"{workload.workload} is {phase} with {promise}"
    assert not waits or workload.why in WHYS, f"{workload.workload} waits for {workload.why!r}"
    for seats in (attempt.kept_seats if attempt else (), promise.seats if promise else ()):
        assert not seats or workload.spec.holds(len(seats)), "a gang starts whole"
        is_apart = len({seat.node for seat in seats}) == len(seats)
        assert is_apart or not workload.spec.spread, "two ranks of a spread gang share a node"
        has_shape = all(seat.gpus == workload.spec.gpus for seat in seats)
        assert has_shape, "a seat has other GPUs than were asked for"
    if attempt is not None:
        is_newest = attempt.generation == workload.generation
        assert is_newest, f"{attempt.attempt} is not of generation {workload.generation}"
        assert (attempt.stop is None) == (
            phase in (Phase.STARTING, Phase.RUNNING, Phase.DEGRADED)
        ), f"{workload.workload} is {phase} with {attempt.stop}"
    if attempt is not None and attempt.ranks:
        _check_ranks(attempt)
    if workload.spec.max_spend_micros is not None:
        is_within = workload.spent_micros <= workload.spec.max_spend_micros
        assert is_within, f"{workload.workload} spent {workload.spent_micros}, above max_spend"


def _check_ranks(attempt: Attempt) -> None:
    """The ranks of a live attempt are its seats, and each number is of one."""
    assert attempt.seats == tuple(it.seat for it in attempt.ranks), f"{attempt.attempt}'s seats"
    numbers = [it.rank for it in attempt.ranks]
    assert len(set(numbers)) == len(numbers), f"two ranks of {attempt.attempt} have one number"
    assert 0 in numbers, f"{attempt.attempt} has no rank 0"
    assert all(it.since <= attempt.resizes for it in attempt.ranks), "a rank of the future"
