"""Promised seats: launched when all are free, chosen anew when a leaver does not let go."""

from msgspec.structs import replace

from parkade.core.billing.charges import Postings
from parkade.core.billing.live_ranks import growth_of
from parkade.core.fleet.market import MarketTerms
from parkade.core.fleet.node import Health, Node
from parkade.core.fleet.pool import Pool
from parkade.core.fleet.seat import Seat, by_node
from parkade.core.reservations.reservation import Claim, Replacement
from parkade.core.running.live import join, joining
from parkade.core.running.overdue import OVERDUE
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.turnaround import is_sanitising, must_sanitise
from parkade.core.units.time import MINUTE_US
from parkade.core.workloads.choices import as_bid_in
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Admission, Attempt, Promise, Rate, Workload

UNTOLD_US = 30 * MINUTE_US
"""How long live work waits for what its engine can, where its market has no `start_limit`."""


def launch_due_us(world: World, holder: str) -> int | None:
    """From when all promised seats are free, turned around and inside the window; None while
    something else holds one or the node takes no work, and for a workload that must have ended by
    the present: then its end comes, however much earlier its seats were free."""
    claim = world.records.claims.get(holder)
    if claim is not None:
        return _claim_due_us(world, claim)
    workload = world.records.workloads.get(holder)
    if workload is None or workload.promise is None:
        return None
    if workload.attempt is not None and not workload.changes_live:
        return None
    pool = world.pool_of(workload.promise.seats)
    must_end_us = workload.must_end_us
    is_over = must_end_us is not None and must_end_us <= world.records.now_us
    if pool is None or not pool.is_reachable or is_over:
        return None
    seats = workload.promise.seats if workload.attempt is None else joining(workload)
    free_us = _seats_free_us(
        world,
        workload.org,
        seats,
        workload.promise.promised_us,
        workload.spec.capacity.reservation,
        is_spot=bids(world, holder),
    )
    if free_us is None or workload.attempt is not None or not is_untold(workload, pool):
        return free_us
    return max(free_us, untold_until_us(world, workload))


def untold_until_us(world: World, workload: Workload) -> int:
    """Until when live work that is promised seats waits for its agent to say what the engine can;
    then it is launched as on one that cannot change what runs, and has the limit of any start."""
    assert workload.promise is not None
    limit_us = world.records.markets[workload.market].terms.start_limit_us
    return workload.promise.promised_us + (UNTOLD_US if limit_us is None else limit_us)


def is_untold(workload: Workload, pool: Pool) -> bool:
    """Whether live work waits for its agent to say whether the engine can change what runs."""
    return workload.spec.is_live and pool.resizes_live is None


def _claim_due_us(world: World, claim: Claim) -> int | None:
    """A claim is handed over whole; what it lost afterwards, node by node."""
    if claim.seated_us is not None:
        due = [_replacement_free_us(world, claim, it) for it in claim.replacements]
        return min((at_us for at_us in due if at_us is not None), default=None)
    if claim.promised_us is None:
        return None
    return _seats_free_us(
        world, claim.org, claim.seats, claim.promised_us, claim.reservation, is_spot=False
    )


def _replacement_free_us(world: World, claim: Claim, each: Replacement) -> int | None:
    return _seats_free_us(
        world, claim.org, (each.seat,), each.promised_us, claim.reservation, is_spot=False
    )


def _seats_free_us(
    world: World,
    org: str,
    seats: tuple[Seat, ...],
    promised_us: int,
    reservation: str | None,
    *,
    is_spot: bool,
) -> int | None:
    assert seats, "a promise has seats"
    free_us = promised_us
    if reservation is not None:
        free_us = max(free_us, world.records.reservations[reservation].window.start_us)
    for seat in by_node(seats):
        node = world.records.nodes[seat.node]
        if not node.is_open or not has_room(world, org, seat, is_spot=is_spot):
            return None
        if is_sanitising(world, seat.node) or must_sanitise(world, org, node):
            return None
        free_us = max(free_us, clean_us(world, org, node))
    return free_us


def is_free_now(world: World, workload: Workload, seat: Seat, now_us: int) -> bool:
    """Whether it could be launched on a seat at this instant."""
    pool = world.pool_of((seat,))
    if pool is None or not pool.is_reachable:
        return False
    free_us = _seats_free_us(
        world,
        workload.org,
        (seat,),
        now_us,
        workload.spec.capacity.reservation,
        is_spot=bids(world, workload.workload),
    )
    return free_us is not None and free_us <= now_us


def clean_us(world: World, org: str, node: Node) -> int:
    """From when a free node is turned around for an org; 0: no other org was there last, or it is
    no time that must pass but a sanitising."""
    if node.last_org in (None, org) or must_sanitise(world, org, node):
        return 0
    return node.vacated_us + world.records.markets[node.market].terms.turnaround_us


def bids(world: World, holder: str) -> bool:
    """Whether it is a workload that bids for spot."""
    workload = world.records.workloads.get(holder)
    return workload is not None and workload.spec.capacity.kind is CapacityKind.SPOT


def has_room(world: World, org: str, seat: Seat, *, is_spot: bool, besides: str = "") -> bool:
    """Whether an org's GPUs of a node (`by_node`) fit with what others than `besides` hold there.
    Two orgs never sit on one node, not even while one of them leaves, but for spot beside spot
    where the market has `shared_nodes`."""
    node = world.records.nodes[seat.node]
    assert 0 < seat.gpus <= node.gpus
    held = [it for it in world.held_on[seat.node].items() if it[0] != besides]
    if sum(gpus for _, gpus in held) + seat.gpus > node.gpus:
        return False
    others = [holder for holder, _ in held if world.org_of(holder) != org]
    shares = is_spot and world.records.markets[node.market].terms.shared_nodes
    return not others or (shares and all(bids(world, holder) for holder in others))


def launch(world: World, holder: str, at_us: int) -> tuple[events.AnyEvent, ...]:
    """The order to run, or a claim's seats handed over, no earlier than the present."""
    at_us = max(at_us, world.records.now_us)
    claim = world.records.claims.get(holder)
    if claim is not None and claim.seated_us is not None:
        due = {it.seat.node: _replacement_free_us(world, claim, it) for it in claim.replacements}
        free = tuple(node for node, due_us in due.items() if due_us is not None and due_us <= at_us)
        assert free, "a deadline that changes nothing"
        return (events.ClaimSeated(at_us=at_us, claim=holder, nodes=free),)
    sanitising = [it.node for it in _promised_seats(world, holder) if is_sanitising(world, it.node)]
    assert not sanitising, f"{holder} would start while {sanitising} are sanitised"
    if claim is not None:
        return (events.ClaimSeated(at_us=at_us, claim=holder),)
    workload = world.records.workloads[holder]
    assert workload.promise is not None
    if workload.attempt is not None:
        return (join(workload, at_us),)
    attempt = attempt_of(workload, workload.promise, world.records.sequence + 1, at_us)
    if workload.spec.capacity.kind is CapacityKind.SPOT:
        terms = world.records.markets[workload.market].terms
        admission = _admission(terms, workload.promise, attempt.rates[-1])
        attempt = replace(attempt, lease_us=terms.agent_lease_us, admission=admission)
    if workload.spec.is_live:
        pool = world.pool_of(attempt.seats)
        attempt = replace(attempt, can_resize=pool is not None and pool.resizes_live is True)
    return (events.Launched(at_us=at_us, workload=holder, attempt=attempt),)


def _admission(terms: MarketTerms, promise: Promise, rate: Rate) -> Admission | None:
    """What its market promises a bid that starts at this rate."""
    if terms.min_runtime_us is None or promise.follows_protected:
        return None
    return Admission(
        min_runtime_us=terms.min_runtime_us,
        price_micros=rate.price_micros,
        node_prices=rate.node_prices,
    )


def attempt_of(workload: Workload, promise: Promise, launch_sequence: int, at_us: int) -> Attempt:
    """The attempt that a kept promise becomes by the event of that sequence."""
    assert workload.attempt is None, "one attempt at a time"
    generation = workload.generation + 1
    return Attempt(
        attempt=f"{workload.workload}.{generation}",
        generation=generation,
        seats=promise.seats,
        ordered_us=at_us,
        displaced=promise.displaces,
        debt=promise.debt,
        started_us=None,
        stop=None,
        broken_us=None,
        rates=tuple(replace(rate, from_us=at_us) for rate in promise.rates[-1:]),
        charged_until_us=at_us,
        charged_numerator=0,
        posted_us=at_us,
        billed_us=0,
        checkpoint_step=None,
        checkpoint_us=None,
        launch_sequence=launch_sequence,
        waited_us=promise.waited_us(at_us),
    )


def overdue_due_us(world: World, holder: str) -> int | None:
    """When a promised node becomes suspect, because what leaves it should be gone by then."""
    due = [
        due_us
        for seat in _promised_seats(world, holder)
        if (due_us := _node_overdue_us(world, seat.node)) is not None
    ]
    return min(due) if due else None


def suspect(world: World, holder: str, at_us: int) -> tuple[events.AnyEvent, ...]:
    """The overdue nodes close; the next clearing moves the promise."""
    found = tuple(
        events.NodeHealthSet(at_us=at_us, node=seat.node, health=Health.SUSPECT, reason=OVERDUE)
        for seat in by_node(_promised_seats(world, holder))
        if (due_us := _node_overdue_us(world, seat.node)) is not None and due_us <= at_us
    )
    assert found, "a deadline that changes nothing"
    return found


def _promised_seats(world: World, holder: str) -> tuple[Seat, ...]:
    claim = world.records.claims.get(holder)
    if claim is not None:
        return claim.promised
    workload = world.records.workloads.get(holder)
    if workload is None or workload.promise is None:
        return ()
    return joining(workload) if workload.changes_live else workload.promise.seats


def _node_overdue_us(world: World, node: str) -> int | None:
    record = world.records.nodes[node]
    if record.health is not Health.HEALTHY:
        return None
    kills = [
        stop.kill_us
        for holder in world.held_on[node]
        if (workload := world.records.workloads.get(holder)) is not None
        and workload.attempt is not None
        and (stop := workload.attempt.stop_on(node)) is not None
    ]
    if not kills:
        return None
    return max(kills) + world.records.markets[record.market].terms.release_grace_us


def withdrawal_charge(
    world: World, workload: Workload, postings: Postings, at_us: int
) -> tuple[events.WithdrawalCharged, ...]:
    """What is owed where a promise is given up before it started for which others had to leave, or
    whose seats were idle for its own org; also by a workload that still leaves other seats, not by
    one with a broken node."""
    workload = as_bid_in(workload, workload.bids_in)
    workload = replace(workload, promise=growth_of(workload))
    promise, attempt = workload.promise, workload.attempt
    if promise is None or not (promise.owes_minimum or promise.waited_us(at_us)):
        return ()
    if attempt is not None and attempt.broken_us is not None:
        return ()
    event = postings.post_withdrawal(
        workload,
        minimum_us=world.records.markets[workload.market].terms.minimum_charge_us,
        at_us=at_us,
    )
    return () if event is None else (event,)
