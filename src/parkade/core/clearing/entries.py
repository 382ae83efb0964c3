"""Which entry of its list of capacity a workload asks for in a clearing.

Theory of operation
-------------------
A workload with a list that waits without seats asks for its first entry. The market is cleared;
those that win nothing ask for their next entry, and the market is cleared anew, until each has won
or is at its last. The last clearing is the one that counts. What is promised seats or has yet to
leave keeps the entry that these are of; what runs moves up where that harms no other (`rising`).

    round 1    w1 asks acme     acme is full     w1 loses
    round 2    w1 bids 2.00     a node is free   w1 wins at the floor

The events say which entry each takes, before the clearing: at that instant the world is the one
that was cleared, so prices, debts and shares are those of any workload of that capacity.

Invariants. A market without such a workload is cleared once. Each round moves one entry down at
least, so there are at most as many as all lists have entries; in general as many as the longest.
Example: `tests/core/clearing/test_entries.py`. Decision record 191.
"""

from collections.abc import Callable
from typing import NamedTuple

from parkade.core.billing.charges import Postings
from parkade.core.billing.settlements import settle_end
from parkade.core.clearing.linking import Together, clear_together
from parkade.core.clearing.rising import is_harmless, rises
from parkade.core.clearing.rounds import Rounds, with_records
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.workloads.entries import asking, is_on_demand
from parkade.core.workloads.life import Phase
from parkade.core.workloads.workload import Workload

Extra = tuple[Workload, ...]
Clears = Callable[[World, Extra], Together]


class Chosen(NamedTuple):
    """A clearing in which each list asks for its entry."""

    world: World
    """To be read with the entries that are asked for; it must not be changed."""

    extra: Extra
    """The workloads that do not exist yet, with theirs."""

    together: Together


def cleared_by_entries(
    world: World, markets: tuple[str, ...], clears: Clears, now_us: int, extra: Extra = ()
) -> Chosen:
    """The clearing of markets that are linked, and the world in which it is one."""
    chosen = _chosen_of_waiting(world, markets, clears, extra, now_us)
    for rise in rises(chosen.world, markets, now_us):
        then = with_records(
            chosen.world, {rise.workload.workload: asking(rise.workload, rise.entry)}
        )
        together = clears(then, chosen.extra)
        if is_harmless(rise.workload, chosen.together, together):
            chosen = Chosen(world=then, extra=chosen.extra, together=together)
    return chosen


def _chosen_of_waiting(
    world: World, markets: tuple[str, ...], clears: Clears, extra: Extra, now_us: int
) -> Chosen:
    """The clearing in which each list that waits asks for its entry."""
    waiting = [it for it in (*_in(world, markets), *extra) if _may_choose(it)]
    rounds = Rounds(world, waiting, extra, now_us)
    while True:
        then, also = rounds.asked()
        together = clears(then, also)
        won = {line.demand for line in together.lines() if line.seats}
        if not rounds.go_on(won):
            return Chosen(world=then, extra=also, together=together)


def cleared_dry(world: World, markets: tuple[str, ...], now_us: int, extra: Extra = ()) -> Chosen:
    """What a clearing now would come to, without what its claims are asked for anew."""

    def clears(then: World, also: Extra) -> Together:
        return clear_together(then, markets, now_us, extra=also, is_rehearsal=True)

    return cleared_by_entries(world, markets, clears, now_us, extra)


def entries_taken(
    world: World, markets: tuple[str, ...], then: World, postings: Postings, now_us: int
) -> tuple[events.ReservationSettled | events.EntryTaken, ...]:
    """The choices that differ from what each list asked for before. What asks for another entry is
    short of nothing of its reservation from then on."""
    found: list[events.ReservationSettled | events.EntryTaken] = []
    for it in _in(world, markets):
        asked = then.records.workloads[it.workload]
        if not _is_same(asked, it):
            found.extend(settle_end(world, postings, it, now_us))
            found.append(_taken(asked, now_us))
    return tuple(found)


def _is_same(asked: Workload, before: Workload) -> bool:
    """Whether it asks for what it asked for before: of on-demand, for the same window."""
    if asked.spec.capacity != before.spec.capacity:
        return False
    return not is_on_demand(asked) or _window_of(asked) == _window_of(before)


def _window_of(workload: Workload) -> tuple[str | None, int | None, int | None]:
    return workload.fabric, workload.window_from_us, workload.must_end_us


def _taken(asked: Workload, now_us: int) -> events.EntryTaken:
    is_bought = is_on_demand(asked)
    return events.EntryTaken(
        at_us=now_us,
        workload=asked.workload,
        capacity=asked.spec.capacity,
        fabric=asked.fabric if is_bought else None,
        must_end_us=asked.must_end_us if is_bought else None,
    )


def _in(world: World, markets: tuple[str, ...]) -> list[Workload]:
    """Their live workloads that have a list. An array asks for nothing; its members do."""
    found = (it for it in world.with_lists() if it.spec.entries and it.array is None)
    return [it for it in found if it.market in markets]


def _may_choose(workload: Workload) -> bool:
    is_free = workload.attempt is None and workload.promise is None
    return bool(workload.spec.entries) and is_free and workload.phase is not Phase.HELD
