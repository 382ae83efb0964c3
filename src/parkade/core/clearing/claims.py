"""How a claim takes part in a clearing, and what a clearing changes for one that stands.

Theory of operation
-------------------
A claim that was not handed over yet is one demand, whole or nothing. Once it was handed over, its
owner works on its nodes, so it stands with what it has. In a clearing it is then several demands,
its *parts*:

    part           asks for                                    named
    what stands    the nodes in play that it holds, together   c1
    each missing   one node, where it stands or at home        c1/3

A missing node counts as running (`Demand.completes`), so it comes before whatever of its
reservation waits, and it is asked for in the claim's own fabrics and in those where it stands, so
that the claim keeps its shape. What it is promised is handed over node by node.

Where what stands loses as a whole (it stands beyond its own fabrics, and a right needs room there),
the market is asked again with each of its nodes as a part of its own, so that no more are lost than
must be. Only where none of them stays does the claim wait again as a new one.

Invariants. A node of a claim that is in play in its own fabrics stays. A claim that stands has at
least one node. A clearing is asked at most three times for each claim.

Example (computed by `tests/core/leasing/test_broken_claims.py`). c1 has a1, a2 and a3, all that
acme reserved; a2 breaks. The demands are c1 with a1 and a3, and c1/3 with nothing. c1 stays, c1/3
has no room: c1 keeps two nodes, and acme is credited for the third (`shortfall`). a2 is repaired:
c1/3 wins it, and it is handed over beside the others.

Decision record 75.
"""

from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from parkade.core.fleet.seat import Seat
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.market.outcome import Change, Clearing, ClearingLine
from parkade.core.reservations.reservation import Claim, Replacement
from parkade.core.state.world import World
from parkade.core.workloads.life import Why

PART = "/"
"""Between a claim and the number of its part; in no id."""


def claim_named(demand: str) -> str:
    """The claim of which a demand is a part, or the demand itself."""
    return demand.partition(PART)[0]


def demands_of(world: World, claim: Claim, open_nodes: dict[str, bool]) -> list[Demand]:
    """What a claim asks for; `open_nodes`: by node in play, whether it takes work."""
    standing = tuple(seat for seat in claim.held if seat.node in open_nodes)
    # Most claims stand with all that they have: one demand, made once.
    if not standing:
        seats = claim.held or promised_still(world, claim.seats, open_nodes)
        return [_whole(world, claim, seats)]
    promised = promised_still(world, claim.promised, open_nodes)
    stands = _whole(world, claim, standing, is_handed_over=True)
    missing = [
        _part(stands, number, promised[at : at + 1])
        for at, number in enumerate(range(len(standing) + 1, claim.nodes + 1))
    ]
    return [stands, *missing]


def promised_still(
    world: World, seats: tuple[Seat, ...], open_nodes: dict[str, bool]
) -> tuple[Seat, ...]:
    """The promised seats whose nodes take work; the others are chosen anew. All, while an agent is
    not heard: nothing follows from its silence."""
    if not all(is_heard(world, seat) for seat in seats):
        return seats
    return tuple(seat for seat in seats if open_nodes.get(seat.node, False))


def is_heard(world: World, seat: Seat) -> bool:
    """Whether the agent of a seat's pool is heard."""
    return world.records.pools[world.records.nodes[seat.node].pool].is_reachable


def _whole(
    world: World, claim: Claim, seats: tuple[Seat, ...], *, is_handed_over: bool = False
) -> Demand:
    """`is_handed_over`: it is what stands of the claim, and goes nowhere else."""
    reservation = world.records.reservations[claim.reservation]
    assert not reservation.state.is_over, "a claim ends with its reservation"
    # One that stands elsewhere and was made whole at home is divided, whatever its shape.
    fabrics = {world.records.nodes[seat.node].fabric for seat in seats}
    return Demand(
        demand=claim.claim,
        org=claim.org,
        tier=PriorityTier.RESERVED,
        nodes=len(seats) if is_handed_over else claim.nodes,
        gpus=reservation.gpus_per_node,
        any_fabric=max(len(reservation.shape), len(fabrics)) > 1,
        reservation=claim.reservation,
        priority=0,
        limit_micros=None,
        use_7_days=0,
        submitted_us=claim.claimed_us,
        seats=seats,
        overflows_to=tuple(sorted(fabrics)) if is_handed_over else None,
    )


def _part(stands: Demand, number: int, seats: tuple[Seat, ...]) -> Demand:
    """One node of a claim that stands."""
    name = f"{claim_named(stands.demand)}{PART}{number}"
    return replace(stands, demand=name, nodes=1, seats=seats, completes=True)


def clear_with_claims(
    world: World, state: MarketState, clear: Callable[[MarketState], Clearing]
) -> tuple[MarketState, Clearing]:
    """The outcome, and the state that led to it: claims that would lose more than they must are
    asked for node by node. Three clearings for each of them at most, and one where there is none.
    """
    outcome = clear(state)
    # Each round takes one claim apart at least, or gives one up that was.
    while (apart := taken_apart(world, state, outcome)) is not None:
        state = apart
        outcome = clear(state)
    return state, outcome


def taken_apart(world: World, state: MarketState, outcome: Clearing) -> MarketState | None:
    """The state in which claims that would lose what stands are asked for node by node, or as new
    ones where no node would stay; None where each keeps something."""
    parts = parts_of(world, state.demands)
    lines = {line.demand: line for line in outcome.lines} if parts else {}
    changed: dict[str, list[Demand]] = {}
    for name, demands in parts.items():
        claim = world.records.claims[name]
        standing = [it for it in demands if _stands(claim, it)]
        if any(lines[it.demand].change is Change.KEEP for it in standing):
            continue
        whole = next((it for it in standing if it.demand == name), None)
        if whole is None or whole.nodes == 1:
            changed[name] = [_whole(world, claim, claim.held)]
        else:
            singles = [_part(whole, at, (seat,)) for at, seat in enumerate(whole.seats, 1)]
            changed[name] = [*singles, *(it for it in demands if it is not whole)]
    if not changed:
        return None
    others = [it for it in state.demands if claim_named(it.demand) not in changed]
    anew = [it for demands in changed.values() for it in demands]
    return replace(state, demands=(*others, *anew))


def parts_of(world: World, demands: Iterable[Demand]) -> dict[str, list[Demand]]:
    """The demands of each claim that stands."""
    parts: dict[str, list[Demand]] = {}
    for demand in demands:
        if demand.tier is not PriorityTier.RESERVED:
            continue
        name = claim_named(demand.demand)
        claim = world.records.claims.get(name)
        if claim is not None and claim.held:
            parts.setdefault(name, []).append(demand)
    # One that is given up, or lost all its nodes, is whole again and may stand anywhere.
    return {name: of for name, of in parts.items() if of[0].overflows_to is not None}


def _stands(claim: Claim, demand: Demand) -> bool:
    """Whether a part is what stands, or one node of it."""
    if demand.seats == claim.held:
        return bool(demand.seats)
    held = {seat.node for seat in claim.held}
    return bool(demand.seats) and all(seat.node in held for seat in demand.seats)


class Stood(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a claim that stands has after a clearing."""

    seats: tuple[Seat, ...]
    replacements: tuple[Replacement, ...]
    why: str


def standing_after(
    claim: Claim,
    demands: dict[str, Demand],
    lines: Iterable[ClearingLine],
    *,
    reason: Callable[[ClearingLine], str],
    is_busy: Callable[[ClearingLine], bool],
    now_us: int,
) -> Stood:
    """What the lines of its parts leave to a claim. `reason`: why a line has no seats. `is_busy`:
    whether others are still on the node of a line."""
    kept: set[str] = set()
    known = {it.seat.node: it for it in claim.replacements}
    replacements: list[Replacement] = []
    why = ""
    for line in lines:
        if not line.seats:
            why = why or reason(line)
        elif line.change is Change.KEEP and _stands(claim, demands[line.demand]):
            kept.update(seat.node for seat in line.seats)
        elif line.change is Change.KEEP:
            replacements.extend(known[seat.node] for seat in line.seats)
        else:
            busy = is_busy(line)
            replacements.extend(
                Replacement(seat=seat, promised_us=now_us, is_busy=busy) for seat in line.seats
            )
    seats = tuple(seat for seat in claim.seats if seat.node in kept)
    assert seats, f"{claim.claim} stands and keeps nothing"
    placed = Why.PLACED.value if replacements else ""
    return Stood(seats=seats, replacements=tuple(replacements), why=why or placed)
