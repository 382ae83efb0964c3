"""Facts that become due by themselves, taken in order of their own time before any command.

Contract times, not decision times, set money: every event here carries the instant at which it
was due, however late it is taken.
"""

from functools import partial
from typing import assert_never

from parkade.core.accounts.caps import cap_due_us, note_cap
from parkade.core.accounts.decisions import pay_grant
from parkade.core.billing.commitments import spending_of_org, spending_of_user
from parkade.core.leasing.decisions import give_back
from parkade.core.leasing.periods import period_due_us, take_period
from parkade.core.nodes.maintenance import maintenance_due_us, take_maintenance
from parkade.core.nodes.terms import take_terms, terms_due_us
from parkade.core.repairing.buffer_sizing import buffer_due_us, size_buffers
from parkade.core.repairing.progress import go_on, repair_due_us
from parkade.core.repairing.turnarounds import order_sanitising, sanitise_due_us
from parkade.core.running.arrays import members_due_us, open_members
from parkade.core.running.dependencies import dependency_due_us, settle_dependencies
from parkade.core.running.disabling import end_work, work_ends_us
from parkade.core.running.expiry import (
    expire,
    expiry_due_us,
    forget,
    forget_due_us,
    start_limit_due_us,
    stop_unstarted,
)
from parkade.core.running.falling_back import fall_back, fallback_due_us
from parkade.core.running.lapses import lapse, lapse_due_us
from parkade.core.running.promises import (
    launch,
    launch_due_us,
    overdue_due_us,
    suspect,
)
from parkade.core.state import events
from parkade.core.state.agenda import Entry
from parkade.core.state.world import World
from parkade.core.steps.disabling import disabled_us


def next_deadline_us(world: World) -> int | None:
    """When the next deadline is due; None where there is none."""
    first = _first(world)
    return None if first is None else first[0]


def take_deadline(world: World) -> tuple[events.AnyEvent, ...]:
    """The events of the earliest deadline, at its own time. Evolving them removes it."""
    first = _first(world)
    assert first is not None
    at_us, kind, key = first
    match kind:
        case Entry.EXPIRY:
            return expire(world, world.records.workloads[key], at_us)
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
            return forget(key, at_us)
        case Entry.REPAIR:
            return go_on(world, key, at_us)
        case Entry.SANITISE:
            return order_sanitising(world, key, at_us)
        case Entry.BUFFER:
            return size_buffers(world, key, at_us)
        case Entry.LAPSE:
            return lapse(world, world.records.workloads[key], at_us)
        case Entry.START_LIMIT:
            return stop_unstarted(world, world.records.workloads[key], at_us)
        case Entry.DEPENDENCY:
            return settle_dependencies(world, world.records.workloads[key], at_us)
        case Entry.MEMBERS:
            return open_members(world, world.records.workloads[key], at_us)
        case Entry.DISABLED:
            claim = world.records.claims.get(key)
            if claim is not None:
                return give_back(world, claim, at_us)
            return end_work(world, world.records.workloads[key], at_us)
        case Entry.USER_CAP:
            return note_cap(world, user=key, org=world.records.users[key].org, at_us=at_us)
        case Entry.ORG_CAP:
            return note_cap(world, user=None, org=key, at_us=at_us)
        case Entry.MAINTENANCE:
            return take_maintenance(world, world.records.maintenance[key], at_us)
        case Entry.FALLBACK:
            return fall_back(world, world.records.workloads[key], at_us)
    assert_never(kind)


def _first(world: World) -> tuple[int, Entry, str] | None:
    return world.agenda.first(partial(_due_us, world), world.records.sequence)


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
        case Entry.REPAIR:
            return repair_due_us(world, key)
        case Entry.SANITISE:
            return sanitise_due_us(world, key)
        case Entry.BUFFER:
            return buffer_due_us(world, key)
        case Entry.EXPIRY:
            workload = world.records.workloads.get(key)
            return None if workload is None else expiry_due_us(world, workload)
        case Entry.START_LIMIT:
            workload = world.records.workloads.get(key)
            return None if workload is None else start_limit_due_us(world, workload)
        case Entry.FORGET:
            workload = world.records.workloads.get(key)
            return None if workload is None else forget_due_us(world, workload)
        case Entry.LAPSE:
            workload = world.records.workloads.get(key)
            return None if workload is None else lapse_due_us(world, workload)
        case Entry.DEPENDENCY:
            workload = world.records.workloads.get(key)
            return None if workload is None else dependency_due_us(world, workload)
        case Entry.MEMBERS:
            workload = world.records.workloads.get(key)
            return None if workload is None else members_due_us(world, workload)
        case Entry.DISABLED:
            claim = world.records.claims.get(key)
            if claim is not None:
                return disabled_us(world, claim.org) if claim.source is None else None
            workload = world.records.workloads.get(key)
            return None if workload is None else work_ends_us(world, workload)
        case Entry.USER_CAP:
            return cap_due_us(world.records.users[key].cap, spending_of_user(world, key))
        case Entry.ORG_CAP:
            return cap_due_us(world.records.orgs[key].cap, spending_of_org(world, key))
        case Entry.MAINTENANCE:
            window = world.records.maintenance.get(key)
            return None if window is None else maintenance_due_us(world, window)
        case Entry.FALLBACK:
            workload = world.records.workloads.get(key)
            return None if workload is None else fallback_due_us(world, workload)
    assert_never(kind)
