"""The invariants of what one event touched, right after it: cost grows with the event alone.

The whole world is looked at by the core's own `check`, now and then. This reads the records anew
and shares nothing with it but the records.
"""

from collections.abc import Iterator

from parkade.control.outbox import touched_workloads
from parkade.core.billing.charges import transfers_of
from parkade.core.ledger.accounts import EXTERNAL
from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.core.workloads.life import Phase
from parkade.core.workloads.workload import Workload
from parkade.sim.findings import require

_WAITING = (Phase.QUEUED, Phase.PLACED, Phase.HELD)
_STAYING = (Phase.STARTING, Phase.RUNNING, Phase.DEGRADED)


def check_touched(world: World, event: events.AnyEvent) -> None:
    """Raises Breach where what the event names is impossible."""
    nodes: dict[str, None] = {}
    for name in touched_workloads(event):
        workload = world.records.workloads.get(name)
        if workload is not None:
            _check_workload(workload)
            nodes.update(dict.fromkeys(_nodes_of(workload)))
    for name in _touched_claims(event):
        claim = world.records.claims.get(name)
        if claim is not None:
            seats = (*claim.held, *claim.promised)
            nodes.update(dict.fromkeys(seat.node for seat in seats))
            says = f"{name} of {claim.nodes} nodes has {len(seats)}"
            require(len(seats) <= claim.nodes, 6, says)
    for node in nodes:
        _check_node(world, node)
    for transfer in transfers_of(event):
        for account in (transfer.debit, transfer.credit):
            held = world.records.balances.get(account, 0)
            require(held >= 0 or account == EXTERNAL, 13, f"{account} holds {held}")


def _touched_claims(event: events.AnyEvent) -> Iterator[str]:
    match event:
        case events.ClaimSeated(claim=name):
            yield name
        case events.Cleared(won=won, claims=claims):
            yield from (lines.name_of(it.demand) for it in won)
            yield from (it.claim for it in claims)
        case _:
            return


def _nodes_of(workload: Workload) -> Iterator[str]:
    if workload.attempt is not None:
        yield from (seat.node for seat in workload.attempt.seats)
    if workload.promise is not None:
        yield from (seat.node for seat in workload.promise.seats)


def _check_node(world: World, node: str) -> None:
    gpus = world.records.nodes[node].gpus
    held = sum(world.held_on[node].values())
    require(held <= gpus, 2, f"{node} has {gpus} GPUs and holds {held}")
    stays = sum(world.promised_on[node].values())
    for holder, count in world.held_on[node].items():
        workload = world.records.workloads.get(holder)
        attempt = None if workload is None else workload.attempt
        # What a live attempt is promised has what it keeps.
        is_counted = workload is not None and workload.changes_live and workload.promise is not None
        stays_there = attempt is None or (
            attempt.stop_on(node) is None and attempt.broken_us is None
        )
        if stays_there and not is_counted:
            stays += count
    require(stays <= gpus, 3, f"{node} has {gpus} GPUs; {stays} stay there or are promised")


def _check_workload(workload: Workload) -> None:
    name, phase = workload.workload, workload.phase
    attempt, promise = workload.attempt, workload.promise
    if phase.is_ended:
        require(attempt is None and promise is None, 6, f"{name} has ended and holds seats")
        require(bool(workload.why), 12, f"{name} ended without a reason")
        return
    require((phase in _WAITING) == (attempt is None), 6, f"{name} is {phase} with {attempt}")
    if phase in _WAITING:
        require(bool(workload.why), 12, f"{name} waits without a reason")
    if phase is Phase.PLACED:
        require(promise is not None, 3, f"{name} is placed and promised nothing")
    if attempt is not None:
        is_leaving = attempt.stop is not None
        require(
            is_leaving == (phase not in _STAYING), 8, f"{name} is {phase}, its notice {is_leaving}"
        )
        is_newest = attempt.generation == workload.generation
        require(is_newest, 6, f"{attempt.attempt} is not of generation {workload.generation}")
    # Of a live attempt a rank that leaves alone may still be there beside one that joined for it.
    for seats in (attempt.kept_seats if attempt else None, promise.seats if promise else None):
        if seats is not None:
            is_whole = workload.spec.holds(len(seats))
            require(is_whole, 6, f"{name} has {len(seats)} of {workload.spec.nodes} seats")
            is_apart = len({seat.node for seat in seats}) == len(seats)
            require(is_apart or not workload.spec.spread, 6, f"{name} shares a node with itself")
    most = workload.spec.max_spend_micros
    spent = workload.spent_micros
    require(most is None or spent <= most, 14, f"{name} spent {spent}, above its max_spend")
