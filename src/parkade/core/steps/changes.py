"""What several effects share: steps of the life table, changes of nodes and markets, counters."""

from msgspec.structs import replace

from parkade.core.fleet.node import SEVERAL_ORGS
from parkade.core.fleet.seat import Seat, by_node
from parkade.core.reservations.reservation import Waits
from parkade.core.state.people import NOTHING_BEGUN, Begun
from parkade.core.state.world import World
from parkade.core.steps.members import note_member
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import MINUTE_US
from parkade.core.workloads.life import is_allowed
from parkade.core.workloads.workload import Attempt, Workload


def live_workload(world: World, name: str) -> Workload | Refusal:
    """A workload that has not ended."""
    workload = world.records.workloads[name]
    if workload.phase.is_ended:
        return Refusal(reason=Reason.ALREADY_ENDED, detail=f"{name} is {workload.phase}")
    return workload


def live_attempt(workload: Workload, attempt: str) -> Attempt:
    """The workload's attempt; asserts that it is the one named."""
    found = workload.attempt
    assert found is not None and found.attempt == attempt
    return found


def step(world: World, before: Workload, after: Workload) -> None:
    """Stores a workload in its next phase; asserts that the table of phases has the step."""
    assert is_allowed(before.phase, after.phase), (
        f"{before.workload}: {before.phase} > {after.phase}"
    )
    world.put_workload(after)
    if after.member_of is not None:
        note_member(world, before, after)


def note_begun(world: World, org: str, at_us: int, *, submits: int = 0, starts: int = 0) -> None:
    """Counts what an org began in this minute."""
    before = world.records.begun_by_org.get(org, NOTHING_BEGUN)
    minute = max(before.minute, at_us // MINUTE_US)
    if minute > before.minute:
        before = NOTHING_BEGUN
    world.records.begun_by_org[org] = Begun(
        minute=minute, submits=before.submits + submits, starts=before.starts + starts
    )


def occupy(world: World, org: str, seats: tuple[Seat, ...]) -> None:
    """The org becomes the last that sat on these nodes; beside others there, one of several."""
    for seat in by_node(seats):
        is_alone = all(world.org_of(holder) == org for holder in world.held_on[seat.node])
        put_node(world, seat.node, last_org=org if is_alone else SEVERAL_ORGS)


def note_wait(world: World, reservation: str, promised_us: int, busy: int, at_us: int) -> None:
    """Counts how long an owner waited for promised seats to be free, if at all."""
    assert busy >= 0 and promised_us <= at_us
    if busy == 0:
        return
    record = world.records.reservations[reservation]
    waits, waited_us = record.waits, at_us - promised_us
    world.put_reservation(
        replace(
            record,
            waits=Waits(
                times=waits.times + 1,
                total_us=waits.total_us + waited_us,
                longest_us=max(waits.longest_us, waited_us),
                for_one=waits.for_one + (busy == 1),
            ),
        )
    )


def vacate(world: World, seats: tuple[Seat, ...], at_us: int) -> None:
    """Turnaround for the next org counts from this instant on these nodes, or from a later one
    at which another left that was reported before."""
    for seat in by_node(seats):
        vacated_us = world.records.nodes[seat.node].vacated_us
        put_node(world, seat.node, vacated_us=max(vacated_us, at_us))


def count(world: World, kind: str) -> None:
    """One more of a kind: the next id follows from the count."""
    assert kind in ("workload", "claim", "reservation", "maintenance")
    world.records.counters[kind] = world.records.counters.get(kind, 0) + 1


def put_node(world: World, node: str, **changes: object) -> None:
    """Stores a node with these fields changed; its promises are looked at again."""
    world.replace_node(replace(world.records.nodes[node], **changes))
    world.wake_promises(node)


def put_market(world: World, market: str, **changes: object) -> None:
    """Stores a market with these fields changed."""
    world.records.markets[market] = replace(world.records.markets[market], **changes)
