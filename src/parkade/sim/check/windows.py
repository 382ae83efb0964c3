"""Spans that are promised: what may be asked of them, and what of them belongs to a form.

Four things reach into the future here, and meet on the same nodes: the on-demand window that is
kept for work with a deadline, a reservation that begins when something else ends, a maintenance
window, and terms of the market that are announced. Of each there is one at a time.

Example. One node is unsold. Cedar's work is due in 100 s and has its window from 30 to 120 s from
now. So on-demand may be sold until then, a reservation from then on, and a window of maintenance
finds no room. If the notice became longer now, nothing of that may move.
"""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from parkade.core.fleet.maintenance import MAINTENANCE, Maintenance, is_window
from parkade.core.fleet.market import MarketTerms
from parkade.core.fleet.node import Node
from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.workloads.workload import Attempt, Workload
from parkade.sim.check.scenarios import MARKET, TICK_US, Asks, Scenario

LATER = "birch"
"""The org that may reserve a node from when something else ends on."""
NOTICES_US = (TICK_US, 3 * TICK_US)
"""The notice that the market gives, and the one that its terms may be changed to."""
AHEAD_US = 3 * TICK_US
"""So long before its start a window of maintenance is scheduled."""
LASTS_US = 3 * TICK_US
ASKS = Asks.AFTERWARDS | Asks.TERMS | Asks.MAINTENANCE


def due_from(submit: commands.Submit, now_us: int) -> commands.Submit:
    """A submission whose deadline, in a scenario a span, is an instant."""
    deadline = submit.spec.deadline
    if deadline is None:
        return submit
    due = replace(deadline, by_us=now_us + deadline.by_us)
    return replace(submit, spec=replace(submit.spec, deadline=due))


def asked_of_spans(world: World, scenario: Scenario, now_us: int) -> Iterator[commands.AnyCommand]:
    """What operators and the later owner may ask."""
    if Asks.AFTERWARDS in scenario.asks and LATER not in world.records.reservations:
        yield _reserved_after(world, now_us)
    if Asks.TERMS in scenario.asks:
        yield from _other_notice(world, now_us)
    if Asks.MAINTENANCE in scenario.asks:
        yield from _of_maintenance(world, now_us)


def _reserved_after(world: World, now_us: int) -> commands.Reserve:
    """A node for ever, from the first end of a window on that is kept, on demand or of maintenance;
    from now on where there is none."""
    ends = [it.end_us for it in world.records.maintenance.values()]
    for name in world.live:
        workload = world.records.workloads[name]
        kept = kept_window_us(world, workload)
        end_us = workload.must_end_us if kept is None else kept[1]
        if end_us is not None:
            ends.append(end_us)
    start_us = min((it for it in ends if it > now_us), default=None)
    return commands.Reserve(
        by=None, org=LATER, market=None, name=None, nodes=1, start_us=start_us, end_us=None
    )


def _other_notice(world: World, now_us: int) -> Iterator[commands.AnyCommand]:
    """A longer notice now; a shorter one as soon as that may be."""
    market = world.records.markets[MARKET]
    if market.announced:
        return
    short_us, long_us = NOTICES_US
    terms = market.terms
    is_short = terms.notice_us == short_us
    change = commands.TermsChange(notice_us=long_us if is_short else short_us)
    from_us = None if is_short else now_us + terms.notice_us + terms.kill_us
    yield commands.ChangeTerms(by=None, market=MARKET, change=change, from_us=from_us)


def _of_maintenance(world: World, now_us: int) -> Iterator[commands.AnyCommand]:
    """One window of one node; of nodes that nothing distinguishes the first."""
    for window in world.records.maintenance.values():
        yield commands.CancelMaintenance(by=None, maintenance=window.maintenance)
        return
    looked_at: set[object] = set()
    for node in world.records.nodes.values():
        holders = (*world.held_on[node.node], "/", *world.promised_on[node.node])
        twin = (node.fabric, node.health, node.cordons, node.draining_us, node.last_org, holders)
        if twin not in looked_at:
            looked_at.add(twin)
            yield commands.ScheduleMaintenance(
                by=None,
                nodes=(node.node,),
                start_us=now_us + AHEAD_US,
                end_us=now_us + AHEAD_US + LASTS_US,
                reason="a cable",
                is_forced=False,
            )


def kept_window_us(world: World, workload: Workload) -> tuple[int, int] | None:
    """From when until when on-demand is kept for work that bids with a deadline, by its record and
    the terms of its sale; None where none is kept. It shares no code with the decisions."""
    kept, deadline = workload.fallback, workload.spec.deadline
    if kept is None or deadline is None:
        return None
    terms = kept.terms or world.records.markets[workload.market].terms
    until_us = terms.notice_us + terms.kill_us
    lead_us = until_us + terms.turnaround_us + terms.clearing_pause_us + terms.start_grace_us
    left_us = max(0, deadline.duration_us - saved_us(workload, terms.start_grace_us))
    return deadline.by_us - left_us - lead_us, deadline.by_us + until_us


def saved_us(workload: Workload, grace_us: int) -> int:
    """How much of its duration was reported as saved."""
    attempt = workload.attempt
    if attempt is None or attempt.started_us is None or attempt.checkpoint_us is None:
        return workload.saved_us
    return workload.saved_us + max(0, attempt.checkpoint_us - attempt.started_us - grace_us)


def form_of_deadline(world: World, workload: Workload, now_us: int) -> tuple[Any, ...] | None:
    """What is kept for it, and what it would have saved if it had saved all by now, or by its
    notice: exact, for nothing else decides when it falls back."""
    kept = kept_window_us(world, workload)
    if kept is None:
        return None
    assert workload.fallback is not None
    attempt, ran_us = workload.attempt, workload.saved_us
    if attempt is not None and attempt.started_us is not None:
        until_us = now_us if attempt.stop is None else min(now_us, attempt.stop.noticed_us)
        ran_us += until_us - attempt.started_us
    begins_us, ends_us = kept
    return workload.fallback.fabric, begins_us - now_us, ends_us - now_us, ran_us


def form_of_admission(attempt: Attempt, now_us: int) -> tuple[Any, ...] | None:
    """Until when the market lets it run, and up to which price; None once that is over."""
    agreed = attempt.admission
    if agreed is None:
        return None
    left_us = agreed.min_runtime_us
    if attempt.started_us is not None:
        left_us -= now_us - attempt.started_us
    return None if left_us <= 0 else (left_us, agreed.price_micros)


def longest_leave_us(terms: MarketTerms) -> int:
    """How long others may take to leave, by these terms or by those in force when they were told:
    the notice of a world is one of two."""
    more_us = max(NOTICES_US) - terms.notice_us if terms.notice_us in NOTICES_US else 0
    return terms.leave_us + more_us


def holder_of(holder: str) -> str:
    """The holder of a cordon; windows are all one, for there is one at a time."""
    return MAINTENANCE if is_window(holder) else holder


def is_planned(world: World, node: Node) -> bool:
    """Whether a window of maintenance that has not begun is of this node."""
    return any(
        not window.has_begun and node.node in window.nodes
        for window in world.records.maintenance.values()
    )


def empties_us(window: Maintenance) -> int:
    """When its nodes are emptied, by the terms with which it was scheduled."""
    assert window.lead_us is not None, "windows of a search keep their lead"
    return window.window.start_us - window.lead_us


def form_of_spans(world: World, now_us: int) -> tuple[Any, ...]:
    """What else a state is: windows of maintenance, and the terms that are and will be in force.
    A window's nodes are in their own part of the form."""
    market = world.records.markets[MARKET]
    windows = [
        (it.has_begun, 0 if it.has_begun else empties_us(it) - now_us, it.end_us - now_us)
        for it in world.records.maintenance.values()
    ]
    announced = [(it.from_us - now_us, it.terms.notice_us) for it in market.announced]
    return windows, market.terms.notice_us, announced
