"""What needs a person now: notices under way, work that waits and what would win, caps, budgets.

Read from the lot, the workloads and the standing as their user may see them.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote

from parkade.api.translate.scalars import instant_or_none
from parkade.console import words
from parkade.core.fleet.node import Health
from parkade.core.units.phrases import counted
from parkade.messages.queue import Waiting
from parkade.wire.feed import Standing
from parkade.wire.lot import Lot, LotHolder
from parkade.wire.mars import Incident
from parkade.wire.people import Org, User
from parkade.wire.scalars import format_amount
from parkade.wire.workloads import Workload

MOST_OF_A_KIND = 6
FAILED = Health.FAILED.value
NEAR = Decimal(4) / 5
"""The part of a budget that is told of."""


class Need(NamedTuple):
    """One line. `kind` chooses its mark; `subject`: what it is about, by which an open page knows
    the line again, however it is worded; `until`: a deadline that is counted down; `action`: what a
    button does, and the page that echoes its cost first."""

    kind: str
    subject: str
    says: str
    about: str | None = None
    until: datetime | None = None
    action: tuple[str, str] | None = None

    @property
    def key(self) -> str:
        """The same while it is about the same, so that a line keeps its place on an open page."""
        return f"{self.kind}-{self.subject}"


def needs(
    lot: Lot,
    workloads: Iterable[Workload],
    incidents: Iterable[Incident],
    *,
    user: str | None,
    capped: Iterable[Org | User] = (),
    on_demand: Mapping[str, Decimal] = MappingProxyType({}),
) -> list[Need]:
    """In order of urgency. `user`: the one whose bids alone may be changed; None: all bids.
    `capped`: users and orgs that may have a cap. `on_demand`: by workload, what
    on-demand costs in its market: no bid above that is proposed."""
    opened = [each for each in incidents if each.outcome is None]
    found = [*_notices(lot), *_incidents(opened), *_failed(lot, {each.node for each in opened})]
    found += _in_the_way(lot)
    found += _waiting(lot, user, on_demand)
    return found + list(_caps(capped)) + list(_budgets(workloads))


def troubles(standing: Standing) -> list[str]:
    """Promises that the server itself cannot keep now."""
    found = []
    if standing.is_clock_doubted:
        found.append("the clock jumped, and no market clears until an operator confirms it")
    found += [f"market {name} stands still after an error" for name in standing.frozen_markets]
    blind = standing.engine_silent_pools
    found += [f"the engine of pool {name} does not answer its agent" for name in blind]
    silent = [name for name in standing.silent_pools if name not in blind]
    found += [f"the agent of pool {name} is silent" for name in silent]
    found += [f"the agent of pool {name} refuses orders" for name in standing.refusing_pools]
    return found


def _notices(lot: Lot) -> list[Need]:
    """Work of one name that leaves at one time for one cause, as the members of an array do, is one
    line."""
    leaving = [each for each in lot.holders if each.notice is not None]
    leaving.sort(key=lambda each: (*_reason(each), each.holder))
    groups = [(each, list(those)) for each, those in groupby(leaving, _reason)]
    found = []
    for (deadline, name, org, cause), those in groups[:MOST_OF_A_KIND]:
        gpus = counted(sum(each.gpus for each in those), "GPU")
        says = f"{those[0].holder} {name} of {org} leaves {gpus}: {cause}"
        if len(those) > 1:
            says = f"{len(those)} called {name} of {org} leave {gpus}: {cause}"
        first = those[0].holder
        found.append(Need("notice", f"work/{first}", says, first, deadline))
    named = sum(len(those) for _, those in groups[:MOST_OF_A_KIND])
    rest = len(leaving) - named
    return found + ([Need("more", "notices", f"{rest} more were told to leave")] if rest else [])


def _reason(each: LotHolder) -> tuple[datetime, str, str, str]:
    assert each.notice is not None
    return each.notice.deadline, each.name, each.org, each.notice.cause


def _incidents(opened: Sequence[Incident]) -> list[Need]:
    found = [
        Need(
            "incident",
            f"incident/{each.incident}",
            f"{each.node}: {each.signal}, {each.next}",
            f"/incidents/{each.incident}",
        )
        for each in opened[:MOST_OF_A_KIND]
    ]
    return found + _more(len(opened), "incidents", "more incidents are open")


def _failed(lot: Lot, known: Container[str]) -> list[Need]:
    """Nodes that a person failed: nothing but a person brings them back. `known`: of which an
    incident tells."""
    failed = [each for each in lot.nodes if each.health == FAILED and each.node not in known]
    found = [
        Need(
            "incident",
            f"node/{each.node}",
            f"{each.node} is out of play, {each.says}; it comes back when a person restores it",
            "/operate",
            None,
            ("Restore", f"/nodes/{quote(each.node, safe='')}/restore"),
        )
        for each in failed[:MOST_OF_A_KIND]
    ]
    return found + _more(len(failed), "nodes", "more nodes were failed by a person")


def _in_the_way(lot: Lot) -> list[Need]:
    """What an engine does by itself on nodes of the pool, while a right waits for room."""
    if all(words.holds(it) for it in lot.holders if it.reservation is not None):
        return []
    taken: dict[str, list[str]] = {}
    for node in lot.nodes:
        for cordon in node.cordons:
            if cordon.is_of_others:
                taken.setdefault(cordon.reason, []).append(node.node)
    found = [
        Need(
            "incident",
            f"taken/{why}",
            f"a reservation has no room, and {_named(nodes)} {'is' if len(nodes) == 1 else 'are'}"
            f" taken: {why}. On Slurm, scontrol requeue lets a job wait and scancel ends it",
            "/operate",
        )
        for why, nodes in list(taken.items())[:MOST_OF_A_KIND]
    ]
    return found + _more(len(taken), "taken", "more causes take nodes that are reserved")


def _named(nodes: Sequence[str]) -> str:
    """A few of them by name."""
    rest = len(nodes) - MOST_OF_A_KIND
    named = ", ".join(nodes[:MOST_OF_A_KIND])
    return f"{named} and {rest} more" if rest > 0 else named


def _waiting(lot: Lot, user: str | None, on_demand: Mapping[str, Decimal]) -> list[Need]:
    arrays = {each.member_of for each in lot.holders}
    waiting = [
        each
        for each in lot.holders
        if not words.holds(each) and each.phase != "held" and each.holder not in arrays
    ]
    found = []
    for each in waiting[:MOST_OF_A_KIND]:
        is_claim = each.kind == "claim"
        called = f"claim {each.holder}" if is_claim else f"{each.holder} {each.name}"
        says = f"{called} of {each.org} waits: {each.says}"
        action = None
        is_its_own = user is None or user == each.user
        if each.price_to_win is not None and is_its_own and not is_claim:
            price, posted = each.price_to_win, on_demand.get(each.member_of or each.holder)
            if posted is not None and price > posted:
                wins, costs = format_amount(price), format_amount(posted)
                says += f"; a limit of {wins} would win, and on-demand costs {costs}"
            else:
                action = (
                    f"Bid {format_amount(price)}",
                    f"/workloads/{each.holder}/bid?limit_price={price:f}",
                )
        right = quote(each.reservation or "", safe="")
        about = f"/reservations/{right}" if is_claim else each.holder
        found.append(Need("waits", f"work/{each.holder}", says, about, None, action))
    return found + _more(len(waiting), "waiting", "more wait")


def _budgets(workloads: Iterable[Workload]) -> Iterable[Need]:
    for each in workloads:
        most = each.spec.max_spend
        if most is not None and most > 0 and each.spent >= most * NEAR and each.ended is None:
            share = int(100 * each.spent / most)
            says = f"{each.workload} {each.name} spent {share} % of its max_spend"
            yield Need("budget", f"work/{each.workload}", says, each.workload)


def _caps(capped: Iterable[Org | User]) -> Iterable[Need]:
    """Caps on money of which four fifths are spent."""
    near = []
    for each in capped:
        kind, name = ("org", each.org) if isinstance(each, Org) else ("user", each.user)
        spent = each.spent_this_month if each.cap_period == "month" else each.spent
        if each.cap and spent >= each.cap * NEAR:
            of = "monthly cap" if each.cap_period == "month" else "cap"
            says = f"{name} spent {int(100 * spent / each.cap)} % of its {of}"
            near.append(Need("budget", f"cap/{kind}/{name}", says))
    return near[:MOST_OF_A_KIND] + _more(len(near), "caps", "more are near their cap")


def failing_receivers(receivers: Iterable[tuple[str, str, Waiting]]) -> list[Need]:
    """Receivers that failed last, each with its name, its address where a person set it, and when
    it is tried again."""
    found = []
    for receiver, name, each in receivers:
        waits = f"; {counted(each.messages, 'message')} not heard" if each.messages else ""
        again = instant_or_none(each.again_us)
        says = f"{name} takes no messages: {each.says}{waits}"
        says = says if again is None else f"{says}, again in"
        about = None if receiver == name else "/receivers"
        found.append(Need("receiver", receiver, says, about, again))
    return found[:MOST_OF_A_KIND] + _more(len(found), "receivers", "more receivers fail")


def _more(count: int, subject: str, says: str) -> list[Need]:
    rest = count - MOST_OF_A_KIND
    return [Need("more", subject, f"{rest} {says}")] if rest > 0 else []


def time_left(until: datetime, now: datetime) -> str:
    """How long until a deadline."""
    return words.span(max(until - now, timedelta()))
