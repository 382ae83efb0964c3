"""What is looked at in every new state: the core's own `check`, and what it leaves to others.

The indexes of a world follow from its records; here they are made anew and compared. An owner's
wait is measured from the last seat chosen for it.
"""

from parkade.core.fleet.seat import Seat
from parkade.core.kernel.check import check
from parkade.core.state.world import World
from parkade.sim.check import arrays, jobs, span_rules, windows
from parkade.sim.check.breach import Violation, require, violation_of
from parkade.sim.check.open_nodes import is_open
from parkade.sim.check.state import State

Held = dict[str, dict[str, int]]


def look_at_state(state: State) -> None:
    """Raises Violation where the state is impossible. Cost grows with the world."""
    try:
        check(state.world)
    except AssertionError as error:
        raise violation_of(error) from error
    _look_at_indexes(state.world)
    _look_at_waits(state)
    arrays.look_at_arrays(state.world)
    span_rules.look_at_spans(state)
    jobs.look_at_jobs(state.world)
    if state.agent is not None:
        state.agent.look(state.world)


def _look_at_indexes(world: World) -> None:
    """Freed seats are free in the indexes too, and what has ended holds nothing."""
    held: Held = {node: {} for node in world.records.nodes}
    promised: Held = {node: {} for node in world.records.nodes}
    of_org: dict[str, set[str]] = {}
    alive = 0
    for name, workload in world.records.workloads.items():
        if workload.phase.is_ended:
            continue
        alive += 1
        of_org.setdefault(workload.org, set()).add(name)
        require(name in world.live, 3, f"{name} lives and is not counted")
        if workload.attempt is not None:
            _give(held, name, workload.attempt.seats)
        if workload.promise is not None:
            _give(promised, name, workload.promise.seats)
    for claim in world.records.claims.values():
        is_held = claim.seated_us is not None
        _give(held if is_held else promised, claim.claim, claim.seats)
        _give(promised, claim.claim, tuple(it.seat for it in claim.replacements))
    if held != world.held_on:
        raise Violation(2, f"held are {held}, indexed {world.held_on}")
    if promised != world.promised_on:
        raise Violation(3, f"promised are {promised}, indexed {world.promised_on}")
    indexed = {org: set(names) for org, names in world.live_of_org.items() if names}
    records = world.records.workloads
    listed = {it for it in world.live if records[it].spec.choices or records[it].spec.entries}
    require(listed == world.listed.keys(), 13, f"{listed} have lists, indexed {world.listed}")
    if len(world.live) != alive or indexed != of_org:
        raise Violation(13, f"earmarks are set aside for {indexed}, alive are {of_org}")


def _give(index: Held, holder: str, seats: tuple[Seat, ...]) -> None:
    for seat in seats:
        index[seat.node][holder] = index[seat.node].get(holder, 0) + seat.gpus


def _look_at_waits(state: State) -> None:
    """No owner waits beyond notice, kill, turnaround and the grace of a release."""
    records = state.world.records
    for claim in records.claims.values():
        terms = records.markets[records.reservations[claim.reservation].market].terms
        most_us = windows.longest_leave_us(terms) + terms.release_grace_us
        waits: list[tuple[tuple[Seat, ...], int]] = [
            ((it.seat,), it.promised_us) for it in claim.replacements
        ]
        if claim.promised_us is not None and claim.seated_us is None:
            waits.append((claim.seats, claim.promised_us))
        for seats, promised_us in waits:
            if all(is_open(state.world, seat.node) for seat in seats):
                waits_us = state.now_us - promised_us
                says = f"{claim.claim} waits {waits_us / 1e6:g} s for seats that are its own"
                require(waits_us <= most_us, 1, says)
