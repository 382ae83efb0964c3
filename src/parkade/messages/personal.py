"""What an event tells the people whose work it is about: pure, of the event and the world.

A user hears of its own workloads, an org's receivers of all of the org's. Nothing here names
another org, its users, its bids or a node: what a person may see in the API is the most that it is
told. A workload is at risk where its price has come to nine tenths of its limit; that is told when
it comes to be so, by a price or by a new limit, and not again while it lasts.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from parkade.core.state import events, lines
from parkade.core.state.people import Role
from parkade.core.state.world import World
from parkade.core.units.money import format_amount
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.workload import Stop, Workload
from parkade.messages.receivers import Receiver
from parkade.wire.scalars import format_instant

RISK_OF = (9, 10)


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell: of an org's work, and of a user's, None where it is the org's alone."""

    org: str
    user: str | None
    kind: str
    subject: str
    body: dict[str, Any]


def notifications_of(event: events.AnyEvent, world: World) -> tuple[Notification, ...]:
    """What is told of an event; nothing for most. Costs the lines of a clearing."""
    return tuple(_notifications_of(event, world))


def hears(receiver: Receiver, notification: Notification, world: World) -> bool:
    """Whether it is a receiver's to hear, as people are now: one of a user that is disabled or left
    the org hears nothing, nor does an address that is not confirmed."""
    if receiver.unconfirmed is not None:
        return False
    if notification.kind not in receiver.about or receiver.org != notification.org:
        return False
    org = world.records.orgs.get(receiver.org)
    if org is None or org.disabled_us is not None:
        return False
    if receiver.user is None:
        return True
    user = world.records.users.get(receiver.user)
    if user is None or user.org != receiver.org or user.is_disabled:
        return False
    return user.role is not Role.PARTNER and notification.user == receiver.user


def hearing_incidents(receivers: Iterable[Receiver], world: World) -> tuple[str, ...]:
    """The receivers that are of operators, who see incidents, and of orgs with one. Costs the users
    once, and the receivers."""
    users = world.records.users
    operators = {user.org for user in users.values() if user.role is Role.OPERATOR}

    def is_operators(receiver: Receiver) -> bool:
        if receiver.user is None:
            return receiver.org in operators
        user = users.get(receiver.user)
        return user is not None and user.role is Role.OPERATOR and not user.is_disabled

    about = (it for it in receivers if "incident" in it.about and it.unconfirmed is None)
    return tuple(it.receiver for it in about if is_operators(it))


HEARD = (
    events.StopOrdered,
    events.Cleared,
    events.BidChanged,
    events.Started,
    events.Ended,
    events.PhaseChanged,
    events.BudgetNoted,
    events.FellBack,
    events.CapNoted,
)
"""Of these alone something may be told; the same as the cases below."""


def _notifications_of(event: events.AnyEvent, world: World) -> Iterator[Notification]:
    match event:
        case events.StopOrdered(workload=name, stop=stop):
            yield from _notice(world, name, stop)
        case events.Cleared(left=left, repriced=repriced):
            for line in left:
                if isinstance(line.demand, lines.WorkloadDemand) and line.stop is not None:
                    yield from _notice(world, line.demand.workload, line.stop)
            for change in repriced:
                yield from _risk(world, change)
        case events.BidChanged(workload=name, limit_price_micros=limit):
            there = world.records.workloads.get(name)
            if there is not None and event.market in (None, there.market):
                yield from _risk_of_bid(world, name, limit)
        case events.Started(workload=name, attempt=attempt):
            yield from _one(world, name, "started", "has started", {"attempt": attempt})
        case events.Ended(workload=name, phase=phase, summary=summary) if phase.is_ended:
            body = {"phase": phase.value, "summary": summary}
            yield from _one(world, name, "ended", phase.value, body)
        case events.PhaseChanged(workload=name, phase=phase, why=why) if phase.is_ended:
            yield from _one(world, name, "ended", phase.value, {"phase": phase.value, "why": why})
        case events.BudgetNoted(workload=name):
            yield from _one(world, name, "budget", "has spent 80 % of its max_spend", {})
        case events.FellBack(workload=name):
            yield from _one(world, name, "budget", "is on-demand now, for its deadline", {})
        case events.CapNoted(org=org, user=user, spent_micros=spent, cap_micros=cap):
            whose = org if user is None else user
            amounts = {"spent": format_amount(spent), "cap": format_amount(cap)}
            subject = f"{whose} has spent {amounts['spent']} of its cap of {amounts['cap']}"
            yield Notification(org=org, user=user, kind="budget", subject=subject, body=amounts)
        case _:
            pass


def _notice(world: World, name: str, stop: Stop) -> Iterator[Notification]:
    at = format_instant(datetime.fromtimestamp(stop.deadline_us // SECOND_US, UTC))
    body = {"cause": stop.cause.value, "deadline": at}
    yield from _one(world, name, "notice", f"must leave by {at}: {stop.cause.value}", body)


def _risk(world: World, change: lines.Repriced) -> Iterator[Notification]:
    workload = world.records.workloads.get(change.workload)
    limit = None if workload is None else workload.spec.limit_price_micros
    if workload is None or workload.attempt is None or limit is None:
        return
    if not is_at_risk(change.rate.price_micros, limit):
        return
    before = _price_before(workload, change.rate.from_us)
    if before is None or not is_at_risk(before, limit):
        yield from _at_risk(world, change.workload, change.rate.price_micros, limit)


def _risk_of_bid(world: World, name: str, limit: int) -> Iterator[Notification]:
    """A new limit that its price has come near already."""
    workload = world.records.workloads.get(name)
    if workload is None or workload.attempt is None or not workload.attempt.rates:
        return
    price = workload.attempt.rates[-1].price_micros
    if is_at_risk(price, limit):
        yield from _at_risk(world, name, price, limit)


def _at_risk(
    world: World, name: str, price_micros: int, limit_micros: int
) -> Iterator[Notification]:
    price, limit = format_amount(price_micros), format_amount(limit_micros)
    words = f"is at risk: its price is {price}, its limit {limit}"
    yield from _one(world, name, "at_risk", words, {"price": price, "limit_price": limit})


def _price_before(workload: Workload, at_us: int) -> int | None:
    """What it paid before an instant, as far as the world still has it."""
    assert workload.attempt is not None
    rates = workload.attempt.rates
    before = [rate.price_micros for rate in rates if rate.from_us < at_us]
    return before[-1] if before else None


def is_at_risk(price_micros: int, limit_micros: int) -> bool:
    """Whether a price has come near a limit."""
    part, whole = RISK_OF
    return price_micros * whole >= limit_micros * part


def _one(
    world: World, name: str, kind: str, words: str, body: dict[str, Any]
) -> Iterator[Notification]:
    workload: Workload | None = world.records.workloads.get(name)
    if workload is None:
        return
    called = workload.spec.name
    facts = {"workload": name, "name": called, "user": workload.user, **body}
    subject = f"{name} ({called}) {words}"
    yield Notification(org=workload.org, user=workload.user, kind=kind, subject=subject, body=facts)
