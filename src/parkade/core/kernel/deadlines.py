"""Facts that become due by themselves, taken in order of their own time before any command.

Contract times, not decision times, set money: every event here carries the instant at which it
was due, however late it is taken.
"""

from typing import assert_never

from parkade.core.accounts.decisions import pay_grant
from parkade.core.billing.charges import Postings
from parkade.core.leasing.periods import period_due_us, take_period
from parkade.core.nodes.terms import take_terms, terms_due_us
from parkade.core.running.promises import (
    launch,
    launch_due_us,
    overdue_due_us,
    suspect,
    withdrawal_charge,
)
from parkade.core.state import events
from parkade.core.state.agenda import Entry
from parkade.core.state.world import World
from parkade.core.steps.notices import FINAL_CAUSES, order_stop
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.workload import Workload


def next_deadline_us(world: World) -> int | None:
    """When the next deadline is due; None where there is none."""
    first = world.agenda.first(lambda kind, key: _due_us(world, kind, key))
    return None if first is None else first[0]


def take_deadline(world: World) -> tuple[events.AnyEvent, ...]:
    """The events of the earliest deadline, at its own time. Evolving them removes it."""
    first = world.agenda.first(lambda kind, key: _due_us(world, kind, key))
    assert first is not None
    at_us, kind, key = first
    match kind:
        case Entry.EXPIRY:
            return _expire(world, world.records.workloads[key], at_us)
        case Entry.RESERVATION:
            return take_period(world, world.records.reservations[key], at_us)
        case Entry.OVERDUE:
            return suspect(world, key, at_us)
        case Entry.LAUNCH:
            return launch(world, key, at_us)
        case Entry.GRANT:
            return pay_grant(world, key, at_us)
        case Entry.TERMS:
            return take_terms(world.records.markets[key], at_us)
        case Entry.FORGET:
            return (events.Forgotten(at_us=at_us, workloads=(key,), reservations=()),)
    assert_never(kind)


def _due_us(world: World, kind: Entry, key: str) -> int | None:
    match kind:
        case Entry.RESERVATION:
            reservation = world.records.reservations.get(key)
            return None if reservation is None else period_due_us(world, reservation)
        case Entry.GRANT:
            grant = world.records.orgs[key].grant
            return None if grant is None else grant.next_us
        case Entry.TERMS:
            market = world.records.markets.get(key)
            return None if market is None else terms_due_us(market)
        case Entry.LAUNCH:
            return launch_due_us(world, key)
        case Entry.OVERDUE:
            return overdue_due_us(world, key)
        case Entry.EXPIRY | Entry.FORGET:
            workload = world.records.workloads.get(key)
            return None if workload is None else _workload_due_us(world, kind, workload)
    assert_never(kind)


def _workload_due_us(world: World, kind: Entry, workload: Workload) -> int | None:
    if kind is Entry.EXPIRY:
        return _expiry_due_us(world, workload)
    if workload.ended_us is None:
        return None
    assert workload.phase.is_ended
    return workload.ended_us + world.records.markets[workload.market].terms.retention_us


def _expiry_due_us(world: World, workload: Workload) -> int | None:
    """When a workload that must end gets its notice; at its end where nothing runs."""
    must_end_us = workload.must_end_us
    if must_end_us is None or workload.phase.is_ended:
        return None
    attempt = workload.attempt
    if attempt is None:
        return must_end_us
    terms = world.records.markets[workload.market].terms
    due_us = must_end_us - terms.notice_us - terms.kill_us
    due_us = max(due_us, attempt.ordered_us)
    has_to_end = attempt.stop is not None and attempt.stop.cause in FINAL_CAUSES
    return None if has_to_end else due_us


def _expire(world: World, workload: Workload, at_us: int) -> tuple[events.AnyEvent, ...]:
    assert workload.must_end_us is not None and at_us <= workload.must_end_us
    charge = withdrawal_charge(world, workload, Postings(world), at_us)
    if workload.attempt is not None:
        return (*charge, order_stop(world, workload, Cause.EXPIRED, at_us=at_us))
    change = events.PhaseChanged(
        at_us=at_us, workload=workload.workload, phase=Phase.EXPIRED, why=Why.MAX_DURATION
    )
    return (*charge, change)
