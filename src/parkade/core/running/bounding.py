"""Other bounds of a workload that lives: `max_spend` and `max_duration`, raised, lowered, lifted.

Raising always helps its owner, and is refused only where the room or the money of an on-demand
window is not there, or where its notice to end was given: a notice is never withdrawn. Lowering
never takes back what was used or promised:

    max_spend      at least what was spent, is owed, and may still be owed before it could be gone
    max_duration   leaves the market's notice and kill from now on
    on-demand      the window in the calendar grows and shrinks with it, at the agreed price; where
                   the price sheet has risen since, it does not grow: else an old price could be
                   kept for ever

Example (`tests/core/running/test_bounding.py`): a workload of two GPUs has spent 3.00 of its
`max_spend` of 5.00, at a limit of 9 and terms of 30 + 30 + 5 + 120 s. It may be lowered to
3.00 + 9 x 2 x 185 s = 3.925, and not below.
"""

from msgspec.structs import replace

from parkade.core.billing.commitments import (
    bid_earmark_micros,
    committed_micros,
    committed_without_earmark,
)
from parkade.core.billing.metering import accrued_micros, accrued_with_members_micros
from parkade.core.fleet.market import Market
from parkade.core.running.arrays import chosen_members, open_of
from parkade.core.running.capping import over_means
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.capacity import refuse_unfenced, sellable
from parkade.core.steps.changes import live_workload
from parkade.core.steps.lacking import short_of_nodes
from parkade.core.steps.notices import FINAL_CAUSES
from parkade.core.steps.refusals import Decision, conflict, invalid
from parkade.core.steps.windows import (
    kept_micros,
    unbought_micros,
    window_end_us,
    window_micros,
)
from parkade.core.units import bounds, indexes
from parkade.core.units.money import format_amount
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US, Window
from parkade.core.workloads.entries import is_on_demand, may_buy, needs_window
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload

AS_THEY_ARE = "give max_spend, max_duration, or both"


def change_bounds(world: World, command: commands.ChangeBounds, now_us: int) -> Decision:
    """The bounds from now on; no event where nothing changes."""
    workload = live_workload(world, command.workload)
    if isinstance(workload, Refusal):
        return workload
    if (refusal := _bad_values(workload, command)) is not None:
        return refusal
    if workload.array is not None:
        return _of_array(world, workload, command, now_us)
    changed = _with_bounds(world, workload, command, now_us)
    if isinstance(changed, Refusal):
        return changed
    return _changes(workload, changed, now_us)


def _bad_values(workload: Workload, command: commands.ChangeBounds) -> Refusal | None:
    """What is wrong whatever the workload does."""
    spend, duration = command.max_spend_micros, command.max_duration_us
    if duration is not None and workload.spec.deadline is not None:
        return invalid("max_duration", "its deadline is its end, and stays")
    if spend is None and duration is None:
        return invalid("max_spend", AS_THEY_ARE)
    if (refusal := bad_bounds(spend, duration)) is not None:
        return refusal
    if spend is not None and workload.member_of is not None:
        return invalid("max_spend", f"it is of the whole array: change {workload.member_of}")
    if command.members is None:
        return None
    if workload.array is None:
        return invalid("members", f"{workload.workload} is no array; leave members out")
    if spend is not None:
        return invalid("max_spend", "it is of all members together; leave members out")
    return None


def bad_bounds(
    spend: commands.NewBound | None, duration: commands.NewBound | None
) -> Refusal | None:
    """An amount or a span that no workload may have."""
    most = None if spend is None else spend.value
    if most is not None and not bounds.PAYMENT_MICROS.holds(most):
        return invalid("max_spend", "an amount is more than 0 and below 1,000,000,000,000")
    lasts_us = None if duration is None else duration.value
    if lasts_us is not None and not bounds.POSITIVE_SPAN_US.holds(lasts_us):
        return invalid("max_duration", "a span is more than 0 and at most 36500d")
    return None


def _with_bounds(
    world: World, workload: Workload, command: commands.ChangeBounds, now_us: int
) -> Workload | Refusal:
    """The record with what the command asks for, or why that may not be."""
    changed = workload
    if command.max_duration_us is not None:
        lasts = _with_duration(world, changed, command.max_duration_us.value, now_us)
        if isinstance(lasts, Refusal):
            return lasts
        changed = lasts
    if command.max_spend_micros is not None:
        spec = replace(changed.spec, max_spend_micros=command.max_spend_micros.value)
        changed = replace(changed, spec=spec)
    return _bad_spend(world, workload, changed, now_us) or changed


def _with_duration(
    world: World, workload: Workload, duration_us: int | None, now_us: int
) -> Workload | Refusal:
    """With another `max_duration` and the end that follows."""
    attempt, before_us = workload.attempt, workload.spec.max_duration_us
    if duration_us == before_us:
        return workload
    stop = None if attempt is None else attempt.stop
    if stop is not None and stop.cause in FINAL_CAUSES:
        return conflict(
            "it has its notice to end, and a notice is never withdrawn; let it save and submit it"
            " again from its checkpoint"
        )
    end_us = _end_us(workload, duration_us)
    terms = world.records.markets[workload.market].terms
    is_shorter = end_us is not None and (
        workload.must_end_us is None or end_us < workload.must_end_us
    )
    if is_shorter and end_us is not None and end_us < now_us + terms.notice_us + terms.kill_us:
        leave_s = (terms.notice_us + terms.kill_us) / SECOND_US
        return invalid(
            "max_duration",
            f"it has run for longer already, or must be gone within {leave_s:g} s by it; give more,"
            " or cancel it",
        )
    spec = replace(workload.spec, max_duration_us=duration_us)
    changed = replace(workload, spec=spec, must_end_us=end_us)
    if is_on_demand(workload):
        return _bad_window(world, workload, changed, now_us) or changed
    if may_buy(workload):
        return _bad_unbought(world, workload, changed, now_us) or changed
    return changed


def _end_us(workload: Workload, duration_us: int | None) -> int | None:
    """When it must have ended: so long after its first start, or later by what on-demand gained."""
    if duration_us is None or workload.array is not None:
        return None
    if workload.must_end_us is not None:
        assert workload.spec.max_duration_us is not None
        return workload.must_end_us + duration_us - workload.spec.max_duration_us
    started_us = workload.first_started_us
    return None if started_us is None else started_us + duration_us


def _bad_window(world: World, workload: Workload, changed: Workload, now_us: int) -> Refusal | None:
    """What stands against another end of an on-demand window: room, price, or money."""
    if changed.spec.max_duration_us is None:
        return _no_window()
    assert changed.must_end_us is not None
    assert workload.must_end_us is not None and workload.agreed_price_micros is not None
    if changed.must_end_us <= workload.must_end_us:
        return None
    market = world.records.markets[workload.market]
    if (dearer := _dearer_now(market, workload.agreed_price_micros)) is not None:
        return dearer
    if (unfenced := refuse_unfenced(world, market)) is not None:
        return unfenced
    window = Window(start_us=workload.must_end_us, end_us=changed.must_end_us)
    nodes = workload.spec.nodes_alone(market.instance_type.gpus_per_node)
    assert workload.fabric is not None
    there = {workload.fabric: sellable(world, market, window).get(workload.fabric, 0)}
    if there[workload.fabric] < nodes:
        return short_of_nodes(
            world,
            market,
            there,
            nodes,
            span="until then",
            does="ask for less",
            field="max_duration",
        )
    rate = workload.agreed_price_micros * workload.spec.total_gpus
    ends = (changed.must_end_us, workload.must_end_us)
    after, before = (
        window_micros(market, rate, now_us=now_us, must_end_us=end_us) for end_us in ends
    )
    return _bad_increase(world, workload, after - before, now_us)


def _bad_unbought(
    world: World, workload: Workload, changed: Workload, now_us: int
) -> Refusal | None:
    """What stands against a longer window that a list may still buy: price, or money."""
    if changed.spec.max_duration_us is None:
        return _no_window()
    market = world.records.markets[workload.market]
    after_us, before_us = (window_end_us(market, it, now_us) for it in (changed, workload))
    assert workload.window_price_micros is not None
    dearer = _dearer_now(market, workload.window_price_micros)
    if after_us > before_us and dearer is not None:
        return dearer
    after, before = (unbought_micros(market, it, now_us) for it in (changed, workload))
    return _bad_increase(world, workload, after - before, now_us)


def _dearer_now(market: Market, agreed_micros: int) -> Refusal | None:
    """The refusal of time that is added to a window at less than on-demand costs now."""
    price_micros = market.terms.pay_as_you_go_micros
    if price_micros <= agreed_micros:
        return None
    return conflict(
        f"on-demand costs {format_amount(price_micros)} now, and this window was agreed at"
        f" {format_amount(agreed_micros)}; submit another for the time after it"
    )


def _no_window() -> Refusal:
    return invalid("max_duration", "on-demand is a window: say how long at most, such as 2h")


def _bad_increase(world: World, workload: Workload, more: int, now_us: int) -> Refusal | None:
    """What stands against a window that costs so much more."""
    if more <= 0:
        return None
    says = f"the longer window costs up to {format_amount(more)} more"
    return over_means(
        world, says, org=workload.org, user=workload.user, cost_micros=more, now_us=now_us
    )


def _bad_spend(world: World, before: Workload, changed: Workload, now_us: int) -> Refusal | None:
    """A `max_spend` that what was used, or what is promised for it, is above already."""
    most = changed.spec.max_spend_micros
    kept = before.spec.max_spend_micros
    is_safe = most is None or (kept is not None and most >= kept)
    has_window = needs_window(changed.spec)
    if is_safe and not has_window:
        return None
    least = before.spent_micros + _may_cost_micros(world, changed, now_us)
    if most is None or most >= least:
        return None
    spent = before.spent_micros + accrued_with_members_micros(world, before, now_us)
    return invalid(
        "max_spend",
        f"it has spent {format_amount(spent)} and may cost more before it could be"
        f" gone; give at least {format_amount(least)}, or cancel it",
    )


def _may_cost_micros(world: World, workload: Workload, now_us: int) -> int:
    """What it owes and may still come to before it could be gone, beyond what was spent. Of an
    array the sum over its open members."""
    market, spec = world.records.markets[workload.market], workload.spec
    if spec.capacity.kind is CapacityKind.RESERVATION:
        kept = kept_micros(market, workload, now_us)
        return accrued_micros(world, workload, now_us) + kept
    if spec.capacity.kind is CapacityKind.ON_DEMAND:
        return committed_micros(world, workload, now_us)
    assert spec.limit_price_micros is not None
    if workload.array is None:
        earmark = bid_earmark_micros(market, spec.limit_price_micros, workload.ranks * spec.gpus)
        return earmark + committed_without_earmark(world, workload, now_us)
    seated = [
        member
        for member in open_of(world, workload, None)
        if member.attempt is not None or member.promise is not None
    ]
    each = sum(_may_cost_micros(world, member, now_us) for member in seated)
    return max(each, bid_earmark_micros(market, spec.limit_price_micros, spec.total_gpus))


def _of_array(
    world: World, array: Workload, command: commands.ChangeBounds, now_us: int
) -> Decision:
    """Of all that wait, or of some of them, and of the open ones. One that cannot follow keeps what
    it has; the command is refused where it changes nothing for that reason."""
    chosen = chosen_members(array, command.members)
    if isinstance(chosen, Refusal):
        return chosen
    found: list[events.AnyEvent] = []
    duration = command.max_duration_us
    if command.members is None:
        changed = _with_bounds(world, array, command, now_us)
        if isinstance(changed, Refusal):
            return changed
        found.extend(_changes(array, changed, now_us))
        array = changed
    waiting = indexes.both(array.array.waiting, chosen) if array.array is not None else ()
    is_of_its_own = command.members is not None or bool(array.array and array.array.durations)
    if duration is not None and waiting and is_of_its_own:
        found.append(_waiting(array, waiting, duration.value, now_us))
    refused: Refusal | None = None
    for member in open_of(world, array, chosen) if duration is not None else ():
        assert duration is not None
        lasts = _with_duration(world, member, duration.value, now_us)
        if isinstance(lasts, Refusal):
            refused = refused or lasts
        else:
            found.extend(_changes(member, lasts, now_us))
    return refused if refused is not None and not found else tuple(found)


def _waiting(
    array: Workload, members: indexes.Spans, duration_us: int | None, now_us: int
) -> events.BoundsChanged:
    return events.BoundsChanged(
        at_us=now_us,
        workload=array.workload,
        max_spend_micros=array.spec.max_spend_micros,
        max_duration_us=duration_us,
        must_end_us=None,
        is_budget_noted=array.is_budget_noted,
        members=members,
    )


def _changes(before: Workload, changed: Workload, now_us: int) -> tuple[events.BoundsChanged, ...]:
    """The event, where something changes; with more to spend, the event at 80 % is made again."""
    if changed == before:
        return ()
    most = changed.spec.max_spend_micros
    is_noted = before.is_budget_noted and most is not None and before.spent_micros * 5 >= most * 4
    return (
        events.BoundsChanged(
            at_us=now_us,
            workload=before.workload,
            max_spend_micros=most,
            max_duration_us=changed.spec.max_duration_us,
            must_end_us=changed.must_end_us,
            is_budget_noted=is_noted,
        ),
    )
