"""How much money a bid that waits lacks to take part in a clearing, and what to do about it."""

from collections.abc import Iterator
from datetime import timedelta

from parkade.core.billing.commitments import (
    available_micros,
    bid_earmark_micros,
    committed_micros,
    cost_of,
    left_of_cap_micros,
    needed_micros,
    spending_of_org,
    spending_of_user,
)
from parkade.core.ledger.accounts import org_account
from parkade.core.state.world import World
from parkade.core.units.money import MICROSECONDS_PER_HOUR, format_amount
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.choices import limit_in, markets_of
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.workload import Workload
from parkade.wire.scalars import format_span

FOR_MONEY = frozenset({Why.INSUFFICIENT_FUNDS, Why.USER_CAP, Why.ORG_CAP})
"""The reasons to wait that money of the org, or a cap on it, is behind."""

MOST_LIVE = 200
"""Beside more live work of its org than this, a submission is judged by the balance and the caps
alone: what other work has set aside is added up for `why` and plans, not in the writer's turn."""


def shortage(
    world: World, workload: Workload, now_us: int, *, most_live: int | None = None
) -> str | None:
    """What a bid lacks, as the end of a sentence; None where it has seats, is held, or has the
    means. Cost grows with the live workloads of its org, unless those are more than `most_live`."""
    limit = max((limit_in(workload, it) or 0 for it in markets_of(workload)), default=0)
    has_seats = workload.attempt is not None or workload.promise is not None
    if workload.phase is not Phase.QUEUED or has_seats or limit == 0:
        return None
    needed = _needed_micros(world, workload, now_us)
    live = world.live_of_org.get(workload.org, {})
    is_exact = most_live is None or len(live) <= most_live
    for there, has, remedy in _purses(world, workload, now_us, is_exact=is_exact):
        if there >= needed:
            continue
        left, missing = max(0, there), format_amount(needed - max(0, there))
        says = f"it needs {format_amount(needed)} set aside, and {has} {format_amount(left)}"
        rate = limit * workload.spec.gpus * workload.ranks
        lasts = timedelta(seconds=left * MICROSECONDS_PER_HOUR // rate // SECOND_US)
        return (
            f"{says}: {missing} are missing ({remedy.format(missing=missing)}, or bid less);"
            f" what is there pays its limit for {format_span(lasts)}"
        )
    return None


def _needed_micros(world: World, workload: Workload, now_us: int) -> int:
    """What the dearest of its markets wants set aside."""
    gpus = workload.ranks * workload.spec.gpus
    dearest = 0
    for market in markets_of(workload):
        limit, record = limit_in(workload, market), world.records.markets.get(market)
        if limit is None or record is None:
            continue
        if not workload.spec.choices:
            return needed_micros(world, record, workload, now_us)
        dearest = max(dearest, bid_earmark_micros(record, limit, gpus))
    return dearest


def _purses(
    world: World, workload: Workload, now_us: int, *, is_exact: bool
) -> Iterator[tuple[int, str, str]]:
    """(what is there, in which words, who adds to it) of its org and of each cap, in the order in
    which a clearing asks them."""
    org, user = workload.org, workload.user
    adds = f"an operator adds it: parkade deposit {org} {{missing}}"
    if is_exact:
        yield available_micros(world, org, now_us), f"{org} can commit", adds
    else:
        yield world.ledger.balance(org_account(org)), f"{org} has", adds
    person, whole = world.records.users.get(user), world.records.orgs.get(org)
    caps: list[tuple[int, str | None, str]] = []
    if person is not None and person.cap is not None:
        left = left_of_cap_micros(person.cap, spending_of_user(world, user), now_us)
        caps.append((left, user, f"an owner raises it: parkade user cap {user} AMOUNT"))
    if whole is not None and whole.cap is not None:
        left = left_of_cap_micros(whole.cap, spending_of_org(world, org), now_us)
        caps.append((left, None, f"an operator raises it: parkade org cap {org} AMOUNT"))
    for left, of_user, raises in caps:
        committed = cost_of(world, org, of_user, now_us, committed_micros) if is_exact else 0
        yield left - committed, f"the cap of {of_user or org} leaves", raises
