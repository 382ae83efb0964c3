"""What must hold of live work, whose ranks come and go while it runs: which leave alone, which
join, what is seen of them, and their part of the form of a state.

Three looks that share no code with the decisions. A clearing is asked whether those that it tells
to leave have their notice, rank 0 and the least that the work needs stay, and others win what they
are outbid for. A change is asked whether what left was told to and reported, and what joined was
promised and has the lowest free number. A report of ranks that stay, or of others that had their
numbers before, changes nothing.

Example. cedar runs on a1, a2 and a3 as ranks 0 to 2, and birch wins a3. Rank 2 is told to leave,
and is gone once a report has it with the count of changes with which it came.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from msgspec.structs import replace

from parkade.core.billing.live_ranks import missing_of
from parkade.core.fleet.market import MarketTerms
from parkade.core.running.backoff import MOST_BACKOFF_DOUBLINGS
from parkade.core.state import commands, events, lines
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankBegun, RankLeft
from parkade.core.workloads.ranks import ranks_of
from parkade.core.workloads.workload import Attempt, Rank, Workload
from parkade.sim.check import elastic
from parkade.sim.check.breach import require
from parkade.sim.check.open_nodes import is_open

RANKS = 26
"""The number of what holds of ranks, as of a resize."""

Left = tuple[RankLeft, ...]
Begun = tuple[RankBegun, ...]


def may_have_left(attempt: Attempt, now_us: int) -> Iterator[Left]:
    """What a report may have left: one that is to leave, all of them; and, from which nothing may
    follow, one that stays and one that had its number before."""
    leaving = [it for it in attempt.ranks if it.leaving is not None]
    for rank in leaving:
        yield (left(rank, now_us),)
    if len(leaving) > 1:
        yield all_left(attempt, now_us)
    stays = next((it for it in reversed(attempt.ranks) if it.leaving is None), None)
    if stays is not None:
        yield (left(stays, now_us),)
    if leaving:
        yield (RankLeft(rank=leaving[0].rank, since=attempt.resizes + 1, left_us=now_us),)


def all_left(attempt: Attempt, now_us: int) -> Left:
    """All that are to leave."""
    return tuple(left(it, now_us) for it in attempt.ranks if it.leaving is not None)


def may_have_begun(attempt: Attempt, now_us: int) -> Iterator[Begun]:
    """What a report may have begun: of those that joined one, and all; and, from which nothing may
    follow, one that had the number before. A rank of which no report has it never begins."""
    waits = [it for it in attempt.ranks if not it.has_begun and it.leaving is None]
    for rank in waits:
        yield (begun(rank, now_us),)
    if len(waits) > 1:
        yield all_begun(attempt, now_us)
    if waits:
        yield (RankBegun(rank=waits[0].rank, since=waits[0].since - 1, begun_us=now_us),)


def all_begun(attempt: Attempt, now_us: int) -> Begun:
    """All that joined."""
    return tuple(begun(it, now_us) for it in attempt.ranks if not it.has_begun)


def is_changing(attempt: Attempt) -> bool:
    """Whether a rank is to leave, or has not begun."""
    return any(it.leaving is not None or not it.has_begun for it in attempt.ranks)


def begun(rank: Rank, now_us: int) -> RankBegun:
    """A rank as running since now."""
    return RankBegun(rank=rank.rank, since=rank.since, begun_us=now_us)


def left(rank: Rank, now_us: int) -> RankLeft:
    """A rank as gone now."""
    return RankLeft(rank=rank.rank, since=rank.since, left_us=now_us)


def form_of_ranks(
    world: World, workload: Workload, attempt: Attempt, now_us: int
) -> list[Any] | None:
    """Of each rank its number, until when it leaves, by when it must have begun, and what it owes;
    and how long no other joins. When it came is no part: that names it, and a clearing asks for no
    more."""
    if not workload.spec.is_live:
        return None
    terms = world.records.markets[workload.market].terms
    found: list[Any] = []
    for rank in ranks_of(attempt):
        leaving = None
        if rank.leaving is not None:
            stop = rank.leaving.stop
            leaving = (
                stop.cause,
                max(0, stop.deadline_us - now_us),
                max(-terms.release_grace_us, stop.kill_us - now_us),
                rank.leaving.price_micros > 0,
                rank.leaving.is_due,
            )
        owes_us = missing_of(attempt, rank, terms.minimum_charge_us, now_us)
        limit_us = None if rank.has_begun else _begins_by_us(rank, terms)
        by_us = None if limit_us is None else max(0, limit_us - now_us)
        found.append((rank.rank, leaving, owes_us, rank.owed is not None, rank.has_begun, by_us))
    waits_us = max(0, attempt.grows_from_us - now_us)
    return [*found, waits_us, min(attempt.unbegun, MOST_BACKOFF_DOUBLINGS)]


def _begins_by_us(rank: Rank, terms: MarketTerms) -> int | None:
    """By when a rank that joined must have begun, as far as its agent was heard."""
    if terms.start_limit_us is None or rank.start is None:
        return None
    return rank.joined_us + terms.start_limit_us + rank.start.silent_us


def look_at_decision(
    command: commands.ReportAttempts, decided: Sequence[events.AnyEvent], world: World
) -> None:
    """What has left, or begun, was reported so."""
    seen = {it.attempt: it for it in command.attempts}
    for event in decided:
        if isinstance(event, events.RanksChanged):
            _look_at_reported(world, event, seen.get(event.attempt))


def _look_at_reported(
    world: World, event: events.RanksChanged, seen: ObservedAttempt | None
) -> None:
    attempt = world.records.workloads[event.workload].attempt
    assert attempt is not None
    reported = set() if seen is None else {(it.rank, it.since) for it in seen.left}
    runs = set() if seen is None else {(it.rank, it.since) for it in seen.begun or ()}
    after = {(it.rank, it.since): it for it in event.ranks}
    for rank in ranks_of(attempt):
        is_gone = (rank.rank, rank.since) not in after
        begins = not rank.has_begun and not is_gone and after[rank.rank, rank.since].has_begun
        says = f"rank {rank.rank} of {event.attempt} has begun and no report says so"
        require(not begins or (rank.rank, rank.since) in runs, 7, says)
        says = f"rank {rank.rank} of {event.attempt} left and no report says so"
        is_over = seen is not None and seen.phase is EnginePhase.RELEASED
        require(not is_gone or is_over or (rank.rank, rank.since) in reported, 7, says)


def look_at_clearing(world: World, event: events.Cleared) -> None:
    """The ranks that it tells to leave, and what those that stay are promised."""
    won = {lines.name_of(it.demand): it for it in event.won}
    taken = {
        seat.node: name for name, one in won.items() for seat in one.promise.seats
    }  # The last that wins on a node; whole nodes have one.
    resized = {it.workload: it for it in event.resized}
    for name, line in resized.items():
        workload = world.records.workloads[name]
        _look_at_notices(world, workload, line, event.at_us)
        # One that is given to none may have made room elsewhere, or lost it to floors.
        outbid = [it.seat.node for it in _newly_leaving(workload, line.ranks) if _is_outbid(it)]
        has_taker = any(taken.get(node) not in (None, name) for node in outbid)
        has_taker |= any(it.promise.displaces for it in event.won)
        says = f"{name} is outbid on {', '.join(outbid)}, which none is given"
        require(has_taker or not outbid, 21, says)
        kept = sum(it.leaving is None for it in line.ranks)
        elastic.look_at_rate(workload, line.rate, kept)
    for name, one in won.items():
        grows = world.records.workloads.get(name)
        if grows is not None and grows.changes_live and name not in _stopped(event):
            _look_at_growth(grows, one, resized.get(name))


def _is_outbid(rank: Rank) -> bool:
    return rank.leaving is not None and rank.leaving.stop.cause is Cause.OUTBID


def _stopped(event: events.Cleared) -> set[str]:
    """What the clearing tells to leave as a whole."""
    return {lines.name_of(it.demand) for it in event.left if it.stop is not None}


def _newly_leaving(workload: Workload, ranks: Sequence[Rank]) -> list[Rank]:
    """Those that are told to leave now and were not before."""
    assert workload.attempt is not None
    before = {(it.rank, it.since): it.leaving for it in ranks_of(workload.attempt)}
    return [it for it in ranks if it.leaving is not None and before[it.rank, it.since] is None]


def _look_at_notices(world: World, workload: Workload, line: lines.Resized, at_us: int) -> None:
    attempt, name = workload.attempt, workload.workload
    require(attempt is not None and attempt.stop is None, 11, f"{name} leaves and is resized")
    assert attempt is not None
    before = {(it.rank, it.since): it for it in ranks_of(attempt)}
    after = {(it.rank, it.since): it for it in line.ranks}
    require(before.keys() == after.keys(), 8, f"{name} loses ranks that nothing saw leave")
    terms = world.records.markets[workload.market].terms
    least_us = min(terms.notice_us, terms.heal_notice_us)
    for rank in _newly_leaving(workload, line.ranks):
        assert rank.leaving is not None
        stop = rank.leaving.stop
        has_notice = stop.deadline_us >= at_us + least_us
        has_kill = stop.kill_us >= stop.deadline_us + terms.kill_us
        says = f"rank {rank.rank} of {name} is to be killed before its notice is over"
        require(has_notice and has_kill, 11, says)
    for key, rank in before.items():
        is_same = rank.leaving is None or after[key].leaving == rank.leaving
        require(is_same, 11, f"rank {rank.rank} of {name} has another notice")
        require(after[key].seat == rank.seat, RANKS, f"rank {rank.rank} of {name} moves")
    _look_at_stays(workload, line.ranks)


def _look_at_stays(workload: Workload, ranks: Sequence[Rank]) -> None:
    name, least = workload.workload, workload.spec.nodes
    stays = [it for it in ranks if it.leaving is None]
    says = f"{name} goes on with {len(stays)} ranks, it needs {least}"
    require(least <= len(stays) <= workload.spec.most_nodes, RANKS, says)
    require(any(it.rank == 0 for it in stays), RANKS, f"rank 0 of {name} leaves alone")


def _look_at_growth(workload: Workload, won: lines.Won, line: lines.Resized | None) -> None:
    """It is promised what stays, in order, and more."""
    assert workload.attempt is not None
    ranks = ranks_of(workload.attempt) if line is None else line.ranks
    kept = tuple(it.seat for it in ranks if it.leaving is None)
    given, name = won.promise.seats, workload.workload
    is_whole = len(given) > len(kept) and set(kept) <= set(given)
    says = f"{name} is promised {len(given)} seats, which are not its {len(kept)} and more"
    require(is_whole, RANKS, says)
    says = f"{name} is promised {len(given)} seats, it wants {workload.spec.most_nodes} at most"
    require(len(given) <= workload.spec.most_nodes, RANKS, says)


def look_at_changed(world: World, event: events.RanksChanged) -> None:
    """Ranks joined, left, or lost their node."""
    workload, name = world.records.workloads[event.workload], event.workload
    attempt = workload.attempt
    require(attempt is not None and attempt.attempt == event.attempt, 6, f"{name} has no ranks")
    assert attempt is not None
    before = {(it.rank, it.since): it for it in ranks_of(attempt)}
    after = {(it.rank, it.since): it for it in event.ranks}
    for key in before.keys() - after.keys():
        says = f"rank {key[0]} of {name} is gone, and was never told to leave"
        require(before[key].leaving is not None, 8, says)
    for key in before.keys() & after.keys():
        _look_at_lost(world, workload, before[key], after[key], event.at_us)
    _look_at_joined(workload, [after[key] for key in sorted(after.keys() - before.keys())], before)
    if attempt.stop is None and attempt.broken_us is None:
        _look_at_stays(workload, event.ranks)


def _look_at_lost(world: World, workload: Workload, rank: Rank, after: Rank, at_us: int) -> None:
    """Outside a clearing a rank is told to leave where its node left play, or it did not begin in
    time, and costs nothing. One that leaves and had begun before costs what was noted for that."""
    leaving = after.leaving
    if leaving == rank.leaving:
        return
    if rank.leaving is not None and after.has_begun and not rank.has_begun:
        before = rank.leaving
        noted = replace(before, price_micros=before.begun_micros, shares=before.begun_shares)
        says = f"rank {rank.rank} of {workload.workload} costs another price than was noted"
        require(leaving == noted, 13, says)
        return
    name, terms = workload.workload, world.records.markets[workload.market].terms
    says = f"rank {rank.rank} of {name} is to leave {rank.seat.node}, and no clearing says so"
    is_lost = leaving is not None and not is_open(world, rank.seat.node)
    by_us = _begins_by_us(rank, terms)
    is_late = not rank.has_begun and by_us is not None and by_us <= at_us
    require(is_lost or is_late, 21, says)
    assert leaving is not None
    has_cause = is_lost or leaving.stop.cause is Cause.NOT_STARTED
    require(has_cause, 21, f"rank {rank.rank} of {name} begins late and leaves for another cause")
    says = f"rank {rank.rank} of {name} lost its node and is still paid for"
    require(leaving.price_micros == 0, 13, says)
    if rank.leaving is not None:
        is_sooner = leaving.stop.kill_us <= rank.leaving.stop.kill_us
        require(is_sooner, 11, f"the notice of rank {rank.rank} of {name} moves back")


def _look_at_joined(
    workload: Workload, new: Sequence[Rank], before: dict[tuple[int, int], Rank]
) -> None:
    """They were promised, once the seats that it has; each has the lowest free number."""
    name, promise = workload.workload, workload.promise
    taken = {it.rank for it in before.values()}
    for rank in new:
        says = f"{name} gets {rank.seat.node}, which it was not promised"
        require(promise is not None and rank.seat in promise.seats, 3, says)
        lowest = next(it for it in count() if it not in taken)
        taken.add(rank.rank)
        says = f"a rank of {name} is {rank.rank}, and {lowest} is free"
        require(rank.rank == lowest, RANKS, says)
    if new:
        assert promise is not None
        has = {it.seat for it in before.values() if it.leaving is None} | {it.seat for it in new}
        require(has == set(promise.seats), 3, f"{name} gets a part of what it was promised")


def joined_seats(world: World, event: events.RanksChanged) -> tuple[Any, ...]:
    """The seats of the ranks that join."""
    attempt = world.records.workloads[event.workload].attempt
    assert attempt is not None
    before = {(it.rank, it.since) for it in ranks_of(attempt)}
    return tuple(it.seat for it in event.ranks if (it.rank, it.since) not in before)


def look_at_rest(workload: Workload) -> None:
    """At rest none is on its way."""
    attempt = workload.attempt
    leaving = [] if attempt is None else [it.rank for it in attempt.ranks if it.leaving]
    require(not leaving, 8, f"ranks {leaving} of {workload.workload} leave for ever")
    waits = [] if attempt is None else [it.rank for it in attempt.ranks if not it.has_begun]
    require(not waits, 26, f"ranks {waits} of {workload.workload} begin never")
