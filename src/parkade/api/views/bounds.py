"""What other bounds of a workload would come to: when it must be gone, and what it may cost.

Told from the events that the change itself would be. Of an array, its members that are open end by
the clock each for itself; what it costs is all of its members.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from parkade.api.translate.scalars import amount, instant, instant_or_none, span
from parkade.api.views.costs import workload_cost
from parkade.core.fleet.market import MarketTerms
from parkade.core.running.member_effects import with_bounds
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units.indexes import written
from parkade.core.units.phrases import counted
from parkade.core.workloads.workload import Workload
from parkade.wire import effects as wire
from parkade.wire.scalars import format_amount, format_span


class _End(NamedTuple):
    """When one that runs must be gone, before and after; None: by no clock."""

    before_us: int | None
    after_us: int | None

    @property
    def is_earlier(self) -> bool:
        """Whether its time would be cut."""
        if self.after_us is None:
            return False
        return self.before_us is None or self.after_us < self.before_us


def planned(world: World, found: Workload, decided: Sequence[events.AnyEvent]) -> wire.BoundsPlan:
    """The change of `found` whose events are `decided`. Cost grows with them."""
    terms = world.records.markets[found.market].terms
    after, ends, some = found, [], None
    for event in decided:
        assert isinstance(event, events.BoundsChanged), "other bounds are one kind of event"
        if event.members:
            some = event
        elif event.workload == found.workload:
            after = with_bounds(found, event)
        else:
            member = world.records.workloads[event.workload]
            ends.append(_End(member.must_end_us, event.must_end_us))
    if found.array is None:
        ends = [_End(found.must_end_us, after.must_end_us)]
    most = [_at_most(found, terms), _at_most(after, terms)]
    return wire.BoundsPlan(
        workload=found.workload,
        ends_before=_first(each.before_us for each in ends),
        ends=_first(each.after_us for each in ends),
        at_most_before=most[0],
        at_most=most[1],
        ends_earlier=any(each.is_earlier for each in ends),
        costs_more=_is_more(*most),
        says=tuple(_says(found, after, ends, some, most, terms))
        or ("these are its bounds now: nothing would change",),
    )


def _first(ends_us: Iterable[int | None]) -> datetime | None:
    return instant_or_none(min((each for each in ends_us if each is not None), default=None))


def _at_most(workload: Workload, terms: MarketTerms) -> Decimal | None:
    return workload_cost(workload.spec, terms, workload.on_demand_price_micros).at_most


def _is_more(before: Decimal | None, after: Decimal | None) -> bool:
    return before is not None and (after is None or after > before)


def _says(
    before: Workload,
    after: Workload,
    ends: Sequence[_End],
    some: events.BoundsChanged | None,
    most: Sequence[Decimal | None],
    terms: MarketTerms,
) -> list[str]:
    old, new = before.spec, after.spec
    says = []
    if new.max_spend_micros != old.max_spend_micros:
        spend = [_money(it) for it in (new.max_spend_micros, old.max_spend_micros)]
        says.append(f"max_spend: {spend[0]} instead of {spend[1]}")
    if new.max_duration_us != old.max_duration_us:
        lasts = [_span(it) for it in (new.max_duration_us, old.max_duration_us)]
        says.append(f"max_duration: {lasts[0]} instead of {lasts[1]}")
    if some is not None:
        whose = written(some.members)
        says.append(f"max_duration of members {whose}: {_span(some.max_duration_us)}")
    says += _ends(before, ends, terms)
    if most[0] != most[1]:
        says.append(_in_all(*most))
    return says


def _ends(before: Workload, ends: Sequence[_End], terms: MarketTerms) -> list[str]:
    """When it must be gone, where that changes."""
    leave = format_span(span(terms.notice_us + terms.kill_us))
    if before.array is not None:
        cut = [each for each in ends if each.is_earlier]
        if not cut:
            return []
        first = _at(min(each.after_us for each in cut if each.after_us is not None))
        return [f"{counted(len(cut), 'member')} must be gone earlier, the first by {first}"]
    ((before_us, after_us),) = ends
    if before_us == after_us:
        return []
    if after_us is None:
        return ["nothing ends it by the clock"]
    instead = "" if before_us is None else f" instead of {_at(before_us)}"
    return [f"it must be gone by {_at(after_us)}{instead}, and gets its notice {leave} before"]


def _in_all(before: Decimal | None, after: Decimal | None) -> str:
    if after is None:
        return "nothing bounds what it costs but its price"
    instead = "; before, nothing bounded that" if before is None else ""
    if before is not None:
        instead = f" instead of {format_amount(before)}"
    return f"it costs at most {format_amount(after)} in all{instead}"


def _at(at_us: int) -> str:
    return f"{instant(at_us):%Y-%m-%d %H:%M:%S} UTC"


def _money(micros: int | None) -> str:
    return "none" if micros is None else format_amount(amount(micros))


def _span(length_us: int | None) -> str:
    return "none" if length_us is None else format_span(span(length_us))
