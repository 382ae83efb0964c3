"""Arrays as their users ask for them, and when members are opened. `workloads.array` tells the
theory.

A command on an array is one on each of its open members, and one event for all that are not open.
"""

from msgspec.structs import replace

from parkade.core.billing.charges import Postings
from parkade.core.running.bidding import bad_bid, change_of_bid
from parkade.core.running.choosing import change_of_list, chosen_types
from parkade.core.running.ending import cancelled, held
from parkade.core.running.pacing import refuse_pace
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision, invalid
from parkade.core.units import bounds, indexes
from parkade.core.units.indexes import Spans
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.array import LEAST_WAITING, ArrayState
from parkade.core.workloads.entries import needs_window
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.spec import Spec
from parkade.core.workloads.workload import Workload


def bad_array(spec: Spec) -> Refusal | None:
    """What is wrong with an array's members, or with what each of them would be."""
    terms = spec.array
    if terms is None:
        return None
    if needs_window(spec):
        return Refusal(
            reason=Reason.UNSUPPORTED,
            detail="an array opens its members one after the other, and on-demand takes its window"
            " when it is submitted; leave on-demand out, and use a reservation, spot, or both",
            field="array",
        )
    if terms.members != indexes.joined(terms.members):
        return invalid("array", "its spans touch or are in no order")
    members = indexes.count(terms.members)
    if not bounds.ARRAY_MEMBERS.holds(members) or not bounds.ARRAY_INDEX.holds(
        terms.members[-1][1]
    ):
        return invalid("array", f"an array has 1 to {bounds.ARRAY_MEMBERS.most:,} members")
    if terms.most_running is not None and not bounds.ARRAY_MEMBERS.holds(terms.most_running):
        return invalid("array", f"after % write 1 to {bounds.ARRAY_MEMBERS.most:,}")
    size = len(spec.command) + sum(len(key) + len(text) for key, text in spec.env)
    if size > bounds.MOST_ARRAY_CHARACTERS:
        return invalid(
            "array",
            f"command and env of an array have at most {bounds.MOST_ARRAY_CHARACTERS:,} characters"
            " together; put the rest into a file",
        )
    return None


def waiting_at_first(spec: Spec, now_us: int) -> ArrayState | None:
    """The members of a new array; None where it is none."""
    return None if spec.array is None else ArrayState(waiting=spec.array.members, since_us=now_us)


def members_due_us(world: World, array: Workload) -> int | None:
    """Since when more members may be opened; None where none may."""
    state = array.array
    if state is None or array.phase is not Phase.QUEUED or not state.waiting:
        return None
    return state.since_us if _room(world, array) > 0 else None


def open_members(world: World, array: Workload, at_us: int) -> tuple[events.AnyEvent, ...]:
    """The least indexes that wait, as many as there is room for."""
    assert array.array is not None and not array.waits_for
    members = indexes.least(array.array.waiting, _room(world, array))
    again = indexes.both(array.array.again, members)
    opened = events.MembersOpened(
        at_us=at_us,
        workload=array.workload,
        members=members,
        attempts_before=array.array.generations if again else 0,
    )
    return (opened,)


def _room(world: World, array: Workload) -> int:
    """How many more members may be open."""
    counted = world.members.of(array.workload)
    waiting = len(counted.names) - counted.seated
    room = max(LEAST_WAITING, counted.seated) - waiting
    assert array.spec.array is not None
    if array.spec.array.most_running is not None:
        room = min(room, array.spec.array.most_running - len(counted.names))
    return room


def cancel_array(world: World, array: Workload, command: commands.Cancel, now_us: int) -> Decision:
    """Ends members: those that are not open at once."""
    chosen = chosen_members(array, command.members)
    if isinstance(chosen, Refusal):
        return chosen
    assert array.array is not None
    postings = Postings(world)
    found: list[events.AnyEvent] = []
    waiting = indexes.both(array.array.waiting, chosen)
    if waiting:
        found.append(
            events.MembersEnded(
                at_us=now_us,
                workload=array.workload,
                members=waiting,
                phase=Phase.CANCELLED,
                why=Why.CANCELLED,
            )
        )
    for member in open_of(world, array, chosen):
        found.extend(cancelled(world, postings, member, now_us, is_immediate=command.now))
    return tuple(found)


def hold_array(world: World, array: Workload, now_us: int) -> Decision:
    """No more are opened, and the open ones that do not run are held."""
    assert array.phase in (Phase.HELD, Phase.QUEUED)
    postings = Postings(world)
    found: list[events.AnyEvent] = [_turned(array, Phase.HELD, Why.HELD, now_us)]
    for member in open_of(world, array, None):
        if member.attempt is None and member.phase is not Phase.HELD:
            found.extend(held(world, postings, member, now_us))
    return tuple(found)


def release_array(world: World, array: Workload, now_us: int) -> Decision:
    """Members are opened again, and the open ones that are held go on."""
    waits = bool(array.waits_for)
    phase, why = (Phase.HELD, Why.DEPENDENCY) if waits else (Phase.QUEUED, Why.NEXT_CLEARING)
    found = [_turned(array, phase, why, now_us)]
    found += [
        _turned(member, Phase.QUEUED, Why.NEXT_CLEARING, now_us)
        for member in open_of(world, array, None)
        if member.phase is Phase.HELD
    ]
    return tuple(found)


def change_array_bid(
    world: World, array: Workload, command: commands.ChangeBid, now_us: int
) -> Decision:
    """Another limit of members. One that starts, or for which others leave, keeps a higher one."""
    types = chosen_types(world, array, command) if array.spec.choices else ()
    if isinstance(types, Refusal):
        return types
    market = world.records.markets[array.market]
    refusal = None if types else bad_bid(market, array.spec, command.limit_price_micros)
    if refusal is not None:
        return refusal
    chosen = chosen_members(array, command.members)
    if isinstance(chosen, Refusal):
        return chosen
    assert array.array is not None
    postings = Postings(world)
    waiting = () if command.members is None else indexes.both(array.array.waiting, chosen)
    found: list[events.AnyEvent] = []
    markets: list[str | None] = [it.market for it in types]
    if waiting or command.members is None:
        found.extend(
            events.BidChanged(
                at_us=now_us,
                workload=array.workload,
                limit_price_micros=command.limit_price_micros,
                members=waiting,
                market=market_name,
            )
            for market_name in markets or [None]
        )
    for member in open_of(world, array, chosen):
        for each in types:
            there = replace(command, instance_type=each.instance_type)
            changed = change_of_list(world, member, there, now_us, postings)
            found.extend(() if isinstance(changed, Refusal) else changed)
        if not types:
            changed = change_of_bid(world, postings, member, command.limit_price_micros, now_us)
            found.extend(() if isinstance(changed, Refusal) else changed)
    return tuple(found)


def retry(world: World, command: commands.Retry, now_us: int) -> Decision:
    """Members that have ended wait to be opened again."""
    array = world.records.workloads[command.workload]
    if array.array is None or array.spec.array is None:
        return Refusal(
            reason=Reason.UNSUPPORTED,
            detail=f"{array.workload} is no array; only members of an array are retried",
        )
    chosen = array.array.failed
    if command.members is not None:
        unknown = indexes.without(command.members, array.spec.array.members)
        if unknown:
            return _unknown(array, unknown)
        chosen = indexes.both(array.array.ended, command.members)
    if not chosen:
        what = "that failed" if command.members is None else "among these that has ended"
        return Refusal(reason=Reason.CONFLICT, detail=f"{array.workload} has no member {what}")
    if (refusal := refuse_pace(world, array.org, now_us)) is not None:
        return refusal
    return (events.MembersRetried(at_us=now_us, workload=array.workload, members=chosen),)


def chosen_members(array: Workload, members: Spans | None) -> Spans | Refusal:
    """The members that a command means, of those that have not ended."""
    terms, state = array.spec.array, array.array
    assert terms is not None and state is not None
    if members is None:
        return indexes.without(terms.members, state.ended)
    unknown = indexes.without(members, terms.members)
    if unknown:
        return _unknown(array, unknown)
    chosen = indexes.without(members, state.ended)
    if not chosen:
        return Refusal(
            reason=Reason.ALREADY_ENDED, detail=f"these members of {array.workload} have ended"
        )
    return chosen


def _unknown(array: Workload, members: Spans) -> Refusal:
    first = indexes.written(indexes.least(members, 1))
    return invalid("members", f"{array.workload} has no member {first}; it has {array.spec.array}")


def open_of(world: World, array: Workload, chosen: Spans | None) -> list[Workload]:
    """The open ones of these members, by index; None: of all. Cost grows with the open members.
    In the index of the world a retried one stands last, and after a restart where its record is."""
    found = [world.records.workloads[name] for name in world.members.of(array.workload).names]
    found.sort(key=lambda member: member.index or 0)
    if chosen is None:
        return found
    wanted = set(indexes.indexes(chosen))
    return [member for member in found if member.index in wanted]


def _turned(workload: Workload, phase: Phase, why: Why, now_us: int) -> events.PhaseChanged:
    return events.PhaseChanged(at_us=now_us, workload=workload.workload, phase=phase, why=why)
