"""Promises that wait for work of their own org, or that they outbid, while other seats are idle.

A promise is kept when all its seats are free, and it would keep its idle seats from others for
nothing. So that time counts as held (`billing.slow_starts`):

    who      a bid or on-demand that is promised seats which work of its org leaves by their org's
             own doing (`running.unstarted`: cancelled, at its end, without money, lost to its own
             org), or that leaves its own seats for these by its own choice (moved by its org, for
             a lower floor, to grow); or that owes for making others leave (`clearing.debts`)
    which    GPUs of its seats that nothing else holds meanwhile
    until    the last of that work, and of what leaves the nodes of its debt, is gone; not for
             others that leave there as well

What it held before is carried along where it is promised other seats; not where it lost the promise
and found others in another of its markets: what was due for that is charged by then. A workload
that others move and that finds work of its own org at its new place waits for nothing of its own.

Example (computed by `tests/core/clearing/test_own_waits.py`). w1 runs on a1 and is cancelled with a
notice of 10 minutes. w2 of the same org is promised a1 to a8: 7 nodes are idle for it until w1 is
gone. Were w1 of another org and outbid, it would be the same. Decision records 160 and 183.
"""

from collections.abc import Container, Iterable, Sequence

from msgspec.structs import replace

from parkade.core.fleet.seat import by_node
from parkade.core.running.idle import idle_gpus
from parkade.core.running.unstarted import OWN_DOING
from parkade.core.state import lines
from parkade.core.state.world import World
from parkade.core.workloads.workload import OwnWait, Promise, Workload


def with_own_waits(
    world: World, won: Iterable[lines.Won], left: Sequence[lines.Leaving], now_us: int
) -> tuple[lines.Won, ...]:
    """The winners of a clearing, each with what it waits for. Cost grows with their seats times
    what is held on these nodes."""
    lost = {lines.name_of(it.demand) for it in left if it.stop is None}
    by_own = {
        lines.name_of(it.demand): it.is_due or it.is_own_choice or it.stop.cause in OWN_DOING
        for it in left
        if it.stop is not None
    }
    return tuple(_with_own_wait(world, it, by_own, lost, now_us) for it in won)


def _with_own_wait(
    world: World, won: lines.Won, by_own: dict[str, bool], lost: set[str], now_us: int
) -> lines.Won:
    """`lost`: what lost its promise in this clearing, be it for another one."""
    if isinstance(won.demand, lines.ClaimDemand) or not won.promise.rates[-1].price_micros:
        return won
    workload = world.records.workloads[won.demand.workload]
    names = tuple(_awaited(world, workload, won.promise, by_own))
    promised = None if workload.workload in lost else workload.promise
    before = None if promised is None else promised.own_wait
    carried = 0 if before is None else before.held_gpu_us(now_us)
    if not names and not carried:
        return won
    wait = OwnWait(
        names=names,
        gpus=idle_gpus(world, workload, won.promise) if names else 0,
        since_us=now_us,
        gpu_us=carried,
    )
    return replace(won, promise=replace(won.promise, own_wait=wait))


def _awaited(
    world: World, workload: Workload, promise: Promise, by_own: dict[str, bool]
) -> list[str]:
    """What leaves by its org's own doing, or where it made others leave, and keeps the promise from
    its start, by name."""
    if workload.attempt is not None:
        return [workload.workload] if _leaves_by_own(workload, by_own) else []
    owes_for = promise.debt.nodes if promise.owes_minimum and promise.debt is not None else ()
    found: dict[str, None] = {}
    for seat in by_node(promise.seats):
        for name in world.held_on[seat.node]:
            other = world.records.workloads.get(name)
            if other is None:
                continue
            is_own = other.org == workload.org and _leaves_by_own(other, by_own)
            if is_own or (seat.node in owes_for and _leaves(other, by_own)):
                found[name] = None
    return sorted(found)


def _leaves(workload: Workload, leaving: Container[str]) -> bool:
    """Whether it has its notice, or gets it now; what breaks has no say in how long it stays."""
    attempt = workload.attempt
    if attempt is None or attempt.broken_us is not None:
        return False
    return attempt.stop is not None or workload.workload in leaving


def _leaves_by_own(workload: Workload, by_own: dict[str, bool]) -> bool:
    attempt = workload.attempt
    if attempt is None or attempt.broken_us is not None:
        return False
    if workload.workload in by_own:
        return by_own[workload.workload]
    return attempt.stop is not None and (attempt.stop.cause in OWN_DOING or attempt.is_lost_to_own)
