"""What must hold of an array and its members: where each index is, what opens, pays and rests.

Read from the records, with no code of the decisions. A *step* is asked about before it is evolved,
a *state* after it, the market's *answer* when it was made: the same market is cleared again without
those members of an array that won nothing, and its winners must pay the same.

Example. `0-2%2` of cedar: 0 and 1 are open, 2 waits. When 0 has ended, 2 is opened at that instant.
No record says `1` twice, and with all three ended the array has ended as the worst of them did.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from parkade.core.market.market_state import MarketState
from parkade.core.market.outcome import Clearing
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.workloads.array import ArrayState
from parkade.core.workloads.life import Phase
from parkade.core.workloads.workload import Workload
from parkade.sim.check.breach import require

ARRAY = 37
ENDS = ("failed", "expired", "cancelled", "succeeded")
"""An array ends as the first of these that a member did."""


def arrays_of(world: World) -> Iterator[tuple[Workload, ArrayState]]:
    """Every array that is known, also one that has ended."""
    for workload in world.records.workloads.values():
        if workload.array is not None:
            yield workload, workload.array


def youngest(world: World) -> Workload | None:
    """The array that was submitted last, also where it has ended."""
    for workload in reversed(world.records.workloads.values()):
        if workload.array is not None:
            return workload
    return None


def indexes_of(spans: tuple[tuple[int, int], ...]) -> list[int]:
    """Each index of some spans."""
    return [index for first, last in spans for index in range(first, last + 1)]


def open_members(world: World, array: str) -> list[Workload]:
    """Its members that are workloads of their own and have not ended."""
    return [
        it
        for it in world.records.workloads.values()
        if it.member_of == array and not it.phase.is_ended
    ]


def look_at_decision(
    command: commands.Cancel | commands.ChangeBid | commands.Retry,
    decided: Sequence[events.AnyEvent],
) -> None:
    """What is asked of some members changes no other."""
    if command.members is None:
        return
    asked = set(indexes_of(command.members))
    for event in decided:
        name = getattr(event, "workload", command.workload)
        index = name.partition("_")[2] if isinstance(name, str) else ""
        changed = {int(index)} if index else set(indexes_of(getattr(event, "members", ())))
        says = f"{sorted(asked)} of {command.workload} are meant, and {sorted(changed)} change"
        require(changed <= asked, ARRAY, says)


def look_at_opened(world: World, event: events.MembersOpened) -> None:
    """Those that wait are opened, the least index first, and not while the array is held."""
    name, array = event.workload, world.records.workloads[event.workload]
    assert array.array is not None
    waiting, opened = indexes_of(array.array.waiting), indexes_of(event.members)
    says = f"{name} opens {opened}, and {waiting} wait"
    require(opened == waiting[: len(opened)], ARRAY, says)
    require(array.phase is Phase.QUEUED, ARRAY, f"{name} is {array.phase} and opens {opened}")


def look_at_moved(world: World, event: events.MembersEnded | events.MembersRetried) -> None:
    """What was open ends by itself, and only what has ended is retried."""
    name, array = event.workload, world.records.workloads[event.workload]
    assert array.array is not None
    is_retry = isinstance(event, events.MembersRetried)
    there = array.array.ended if is_retry else array.array.waiting
    says = f"{name}: {event.members} are {'retried' if is_retry else 'ended'}, there are {there}"
    require(set(indexes_of(event.members)) <= set(indexes_of(there)), ARRAY, says)


def look_before(world: World, event: events.AnyEvent) -> Callable[[World], None] | None:
    """What shall be asked once the event was evolved; None: nothing."""
    if isinstance(event, events.MembersOpened):
        before = _attempts_before(world, event)
        return lambda after: _look_at_numbers(after, before)
    if isinstance(event, events.Ended | events.PhaseChanged):
        workload = world.records.workloads[event.workload]
        if workload.member_of is not None:
            return lambda after: _look_at_member_end(after, workload, event)
    return None


def _attempts_before(world: World, event: events.MembersOpened) -> dict[str, int]:
    """How many attempts there were of the members that are opened again."""
    names = [f"{event.workload}_{index}" for index in indexes_of(event.members)]
    workloads = world.records.workloads
    return {name: workloads[name].generation for name in names if name in workloads}


def _look_at_numbers(world: World, before: dict[str, int]) -> None:
    """The next attempt of a member has a number that none of its attempts had."""
    for name, attempts in before.items():
        starts = world.records.workloads[name].generation
        says = f"{name} is numbered on from {starts}, and had {attempts} attempts"
        require(starts >= attempts, 22, says)


def look_at_arrays(world: World) -> None:
    """Each index is in one place, no more are open than asked for, and the array is what its
    members are. Cost grows with all workloads."""
    for array, state in arrays_of(world):
        opened = open_members(world, array.workload)
        _look_at_places(array, state, opened)
        _look_at_end(array, state, opened)
        _look_at_counts(world, array, opened)


def _look_at_places(array: Workload, state: ArrayState, opened: list[Workload]) -> None:
    name, terms = array.workload, array.spec.array
    assert terms is not None
    spans = (state.waiting, *(getattr(state, end) for end in ENDS))
    places = Counter(index for each in spans for index in indexes_of(each))
    places.update(it.index for it in opened if it.index is not None)
    is_once = places == Counter(indexes_of(terms.members))
    require(is_once, ARRAY, f"{name} of {terms} has {sorted(places.elements())}")
    is_within = terms.most_running is None or len(opened) <= terms.most_running
    require(is_within, ARRAY, f"{name} of {terms} has {len(opened)} open members")
    is_idle = array.attempt is None and array.promise is None
    require(is_idle, ARRAY, f"{name} is an array and has seats")


def _look_at_end(array: Workload, state: ArrayState, opened: list[Workload]) -> None:
    name, is_over = array.workload, not opened and not state.waiting
    says = f"{name} is {array.phase}, {len(opened)} are open and {state.waiting} wait"
    require(array.phase.is_ended == is_over, ARRAY, says)
    if is_over:
        worst = next(end for end in ENDS if getattr(state, end))
        says = f"{name} ends as {array.phase}, and the worst of its members has {worst}"
        require(array.phase.value == worst, ARRAY, says)


def _look_at_counts(world: World, array: Workload, opened: list[Workload]) -> None:
    counted = world.members.of(array.workload)
    seated = sum(it.attempt is not None or it.promise is not None for it in opened)
    unstarted = sum(it.first_started_us is None for it in opened)
    is_same = (
        set(counted.names) == {it.workload for it in opened}
        and counted.phases == Counter(it.phase for it in opened)
        and (counted.seated, counted.unstarted) == (seated, unstarted)
    )
    require(is_same, ARRAY, f"the open members of {array.workload} are counted wrong")


def _look_at_member_end(world: World, before: Workload, event: events.AnyEvent) -> None:
    """A member that has ended is noted by its array as what it ended as."""
    after = world.records.workloads[before.workload]
    assert before.member_of is not None and before.index is not None
    if before.phase.is_ended or not after.phase.is_ended:
        return
    state = world.records.workloads[before.member_of].array
    assert state is not None
    noted = [end for end in ENDS if before.index in indexes_of(getattr(state, end))]
    says = f"{before.workload} ends as {after.phase} by {type(event).__name__}, noted as {noted}"
    require(noted == [after.phase.value], ARRAY, says)


def look_at_rest(world: World) -> None:
    """No member waits to be opened where its array lets one more be open."""
    for array, state in arrays_of(world):
        terms = array.spec.array
        assert terms is not None
        if array.phase is not Phase.QUEUED or not state.waiting:
            continue
        opened = len(open_members(world, array.workload))
        has_room = terms.most_running is None or opened < terms.most_running
        says = f"{array.workload} of {terms} has {opened} open members for ever"
        require(not has_room, ARRAY, says)


def look_at_prices(
    asked: MarketState, answer: Clearing, clear: Callable[[MarketState], Clearing]
) -> None:
    """Winners of an array pay what they would without those of it that won nothing. Clears the
    market once more for each array that won in part."""
    won = {line.demand: line for line in answer.lines if line.seats}
    arrays = {it.array: None for it in asked.demands if it.array is not None and it.demand in won}
    for array in arrays:
        left = tuple(it for it in asked.demands if it.array != array or it.demand in won)
        if len(left) == len(asked.demands):
            continue
        alone = {it.demand: it for it in clear(replace(asked, demands=left)).lines}
        for demand in left:
            if demand.array != array:
                continue
            paid, least = won[demand.demand].price_micros, alone[demand.demand].price_micros
            says = f"{demand.demand} costs {paid}, without those of {array} that wait {least}"
            require(paid == least, 14, says)
