"""A workload that ended is submitted again: under its id, so that its checkpoints are its own.

It is decided as a new submission of its spec, with other bounds where they are asked for, and its
record becomes what a new one would be, but for:

    id, user, date     those it had: its folders are found by the id, and proved by the date
    attempts           numbered on, so that no attempt has the name of another
    spent              what all its attempts cost; so `max_spend` has to leave room for more
    checkpoint         the last one that it told of

`max_duration` counts from its next start, failures are counted anew, its back-off is that of a new
one, and what it waited for the first time is past. Members of an array are retried instead;
on-demand takes a window that begins anew, with a new submission.
"""

from msgspec.structs import replace

from parkade.core.billing.commitments import bid_earmark_micros
from parkade.core.running.bounding import bad_bounds
from parkade.core.running.decisions import accept
from parkade.core.running.expiry import folder_due_us
from parkade.core.running.pacing import refuse_more
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision, conflict, invalid
from parkade.core.steps.windows import unbought_micros
from parkade.core.units.money import format_amount
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.entries import is_on_demand, with_limit
from parkade.core.workloads.spec import Spec
from parkade.core.workloads.workload import Workload


def resubmit(world: World, command: commands.Resubmit, now_us: int) -> Decision:
    """Its record as it goes on, or why it cannot."""
    before = world.records.workloads[command.workload]
    refusal = _bad_state(world, before, now_us) or bad_bounds(
        command.max_spend_micros, command.max_duration_us
    )
    refusal = refusal or refuse_more(world, before.org, now_us)
    if command.limit_price_micros is not None:
        refusal = refusal or _bad_limit(before.spec)
    if refusal is not None:
        return refusal
    submission = commands.Submit(
        by=before.user if before.user in world.records.users else None,
        org=before.org,
        market=None if before.spec.choices else before.market,
        spec=_spec(before.spec, command),
        is_held=False,
    )
    accepted = accept(world, submission, now_us, saved_us=before.saved_us)
    if isinstance(accepted, Refusal):
        return accepted
    again = _again(before, accepted, now_us)
    refusal = _bad_spend(world, again, now_us)
    if refusal is not None:
        return refusal
    return (events.Resubmitted(at_us=now_us, workload=again),)


def _bad_state(world: World, before: Workload, now_us: int) -> Refusal | None:
    name = before.workload
    if before.array is not None or before.member_of is not None:
        return Refusal(
            reason=Reason.UNSUPPORTED,
            detail="members of an array are retried, with their checkpoints: parkade retry",
        )
    if not before.phase.is_ended:
        return conflict(f"{name} is {before.phase}; only what ended is submitted again")
    if before.spec.deadline is not None and before.spec.deadline.by_us <= now_us:
        return conflict("its deadline is past: submit it anew with a later one")
    if is_on_demand(before) and not before.spec.entries:
        return Refusal(
            reason=Reason.UNSUPPORTED,
            detail="on-demand takes a new window: submit it anew, or bid for spot",
        )
    until_us = folder_due_us(world, before)
    if until_us is not None and until_us <= now_us:
        return conflict(f"the checkpoints of {name} are kept no more; submit it anew")
    return None


def _bad_limit(spec: Spec) -> Refusal | None:
    """One limit is not that of instance types which have one each."""
    if len({it.limit_price_micros for it in spec.choices}) <= 1:
        return None
    return invalid("limit_price", "it has a limit for each instance type; submit it anew")


def _spec(spec: Spec, command: commands.Resubmit) -> Spec:
    """With the bounds that are asked for; it waits for no other."""
    spend, lasts = command.max_spend_micros, command.max_duration_us
    limit = command.limit_price_micros
    if limit is not None:
        choices = (replace(it, limit_price_micros=limit) for it in spec.choices)
        spec = replace(with_limit(spec, limit), choices=tuple(choices))
    return replace(
        spec,
        after=(),
        max_spend_micros=spec.max_spend_micros if spend is None else spend.value,
        max_duration_us=spec.max_duration_us if lasts is None else lasts.value,
    )


def _again(before: Workload, accepted: Workload, now_us: int) -> Workload:
    """The record of a new submission, under the id of one that ended."""
    most, spent = accepted.spec.max_spend_micros, before.spent_micros
    return replace(
        accepted,
        workload=before.workload,
        user=before.user,
        submitted_us=before.submitted_us,
        released_us=now_us,
        generation=before.generation,
        attempts_before=before.generation,
        spent_micros=spent,
        is_budget_noted=most is not None and spent * 5 >= most * 4,
        checkpoint_step=before.checkpoint_step,
        pool=before.pool,
        exit_summary=before.exit_summary,
        exit_code=before.exit_code,
    )


def _bad_spend(world: World, again: Workload, now_us: int) -> Refusal | None:
    """A `max_spend` that its attempts so far used up."""
    spec = again.spec
    if spec.max_spend_micros is None:
        return None
    market, limit = world.records.markets[again.market], spec.bid_limit_micros
    bid = 0 if limit is None else bid_earmark_micros(market, limit, spec.total_gpus)
    least = again.spent_micros + bid + unbought_micros(market, again, now_us)
    if spec.max_spend_micros >= least:
        return None
    return invalid(
        "max_spend",
        f"its attempts cost {format_amount(again.spent_micros)} so far; give at least"
        f" {format_amount(least)}",
    )
