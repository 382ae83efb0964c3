"""Calls about workloads and arrays: submit, look, change, end."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from parkade.client.call import (
    UNCHANGED,
    Call,
    Unchanged,
    body_of,
    changed,
    checked,
    get,
    get_list,
    path_id,
    post,
)
from parkade.client.errors import Invalid
from parkade.wire import effects, workloads
from parkade.wire.problems import problem
from parkade.wire.spec import WorkloadSpec

MOST_ON_A_PAGE = 1000


SpecOrKeys = WorkloadSpec | Mapping[str, Any]
"""A spec, or the keys and values of one as a file has them; Invalid tells each fault of them."""

Bound = str | None | Unchanged
"""A bound of a workload: None takes it away, and UNCHANGED, as where it is left out, keeps it."""


def submit(
    spec: SpecOrKeys, *, market: str | None = None, org: str | None = None, hold: bool = False
) -> Call[workloads.Workload]:
    """A workload to be run: a WorkloadSpec, or a dict of its keys. Its folder is the present one
    where it names none."""
    return post("/workloads", workloads.Workload, _submit(spec, market, org, hold=hold))


def plan(
    spec: SpecOrKeys, *, market: str | None = None, org: str | None = None
) -> Call[workloads.Plan]:
    """What the next clearing would do with it; nothing is submitted."""
    return post("/workloads/plan", workloads.Plan, _submit(spec, market, org, hold=False))


def _submit(
    spec: SpecOrKeys, market: str | None, org: str | None, *, hold: bool
) -> workloads.Submit:
    spec = body_of(WorkloadSpec, spec)
    if unread := workloads.unread_of(spec):
        keys = ", ".join(unread)
        says = f"a newer server wrote {keys}, which this program does not know: update it"
        raise Invalid(problem("not_yet", says))
    if spec.workdir is None:
        spec = spec.model_copy(update={"workdir": os.getcwd()})  # noqa: PTH109
    return checked(workloads.Submit, spec=spec, market=market, org=org, hold=hold)


def list_workloads(
    *,
    all: bool = False,
    org: str | None = None,
    name: str | None = None,
    user: str | None = None,
    phases: Sequence[str] = (),
    labels: Sequence[str] = (),
    since: datetime | None = None,
    limit: int | None = None,
    array: str | None = None,
    cursor: str | None = None,
) -> Call[workloads.Workloads]:
    """The caller's workloads, newest first; the ended ones too with `all` or a phase of theirs.

    `name` may have `*`, `?` and `[...]`; each label is `KEY` or `KEY=VALUE`, and all must be there;
    `since`: not ended before. `array`: the members of an array, in place of what is no member.
    With a `limit` one page of at most so many, `cursor` the `next` of the page before; else all."""
    lists = ("workloads",) if limit is None else ()
    most = MOST_ON_A_PAGE if limit is None else limit
    asked: dict[str, object] = {
        "all": all,
        "org": org,
        "name": name,
        "user": user,
        "limit": most,
        "array": array,
    }
    chosen = {"phase": ",".join(phases) or None, "label": ",".join(labels) or None}
    asked |= {"cursor": cursor, "since": since}
    return get_list("/workloads", workloads.Workloads, *lists, **asked, **chosen)


def get_workload(workload: str) -> Call[workloads.Workload]:
    """One workload."""
    return get(f"/workloads/{path_id(workload)}", workloads.Workload)


def why(workload: str) -> Call[workloads.Why]:
    """Why it is where it is."""
    return get(f"/workloads/{path_id(workload)}/why", workloads.Why)


def hold(workload: str, *, if_match: str | None = None) -> Call[workloads.Workload]:
    """Keep it from starting."""
    return post(f"/workloads/{path_id(workload)}/hold", workloads.Workload, if_match=if_match)


def release(workload: str, *, if_match: str | None = None) -> Call[workloads.Workload]:
    """The opposite of hold."""
    return post(f"/workloads/{path_id(workload)}/release", workloads.Workload, if_match=if_match)


def cancel(
    workload: str, *, now: bool = False, members: str | None = None, if_match: str | None = None
) -> Call[workloads.Workload]:
    """End it, with the market's notice unless `now`; of an array all `members`, or these."""
    body = checked(workloads.Cancel, now=now, members=members)
    return post(
        f"/workloads/{path_id(workload)}/cancel", workloads.Workload, body, if_match=if_match
    )


def bid(
    workload: str,
    *,
    limit_price: Decimal | str,
    members: str | None = None,
    instance_type: str | None = None,
    if_match: str | None = None,
) -> Call[workloads.Workload]:
    """A new limit per GPU-hour; of an array for all `members`, or for these; of a workload with
    several instance types for this one, or for all where they have one limit."""
    body = checked(
        workloads.Bid, limit_price=limit_price, members=members, instance_type=instance_type
    )
    return post(f"/workloads/{path_id(workload)}/bid", workloads.Workload, body, if_match=if_match)


def plan_bid(
    workload: str,
    *,
    limit_price: Decimal | str,
    members: str | None = None,
    instance_type: str | None = None,
) -> Call[effects.Effect]:
    """The workloads that a new limit would tell to leave; nothing is changed."""
    body = checked(
        workloads.Bid, limit_price=limit_price, members=members, instance_type=instance_type
    )
    return post(f"/workloads/{path_id(workload)}/bid/plan", effects.Effect, body)


def change_workload_bounds(
    workload: str,
    *,
    max_spend: Bound | Decimal = UNCHANGED,
    max_duration: Bound | timedelta = UNCHANGED,
    members: str | None = None,
    if_match: str | None = None,
) -> Call[workloads.Workload]:
    """Another `max_spend` or `max_duration` while it lives: left out, as it is, None: no such
    bound. `members`: of an array, for `max_duration`; None: all."""
    body = changed(
        workloads.Bounds, max_spend=max_spend, max_duration=max_duration, members=members
    )
    return post(
        f"/workloads/{path_id(workload)}/bounds", workloads.Workload, body, if_match=if_match
    )


def plan_workload_bounds(
    workload: str,
    *,
    max_spend: Bound | Decimal = UNCHANGED,
    max_duration: Bound | timedelta = UNCHANGED,
    members: str | None = None,
) -> Call[effects.BoundsPlan]:
    """What other bounds would come to, its end and its money; nothing is changed."""
    body = changed(
        workloads.Bounds, max_spend=max_spend, max_duration=max_duration, members=members
    )
    return post(f"/workloads/{path_id(workload)}/bounds/plan", effects.BoundsPlan, body)


def resubmit(
    workload: str,
    *,
    limit_price: Bound | Decimal = UNCHANGED,
    max_spend: Bound | Decimal = UNCHANGED,
    max_duration: Bound | timedelta = UNCHANGED,
    if_match: str | None = None,
) -> Call[workloads.Workload]:
    """Run a workload that ended again, under its id and from its checkpoints. What is left out is
    as it was, None takes a bound away."""
    body = changed(
        workloads.Resubmit, limit_price=limit_price, max_spend=max_spend, max_duration=max_duration
    )
    return post(
        f"/workloads/{path_id(workload)}/resubmit", workloads.Workload, body, if_match=if_match
    )


def retry(
    workload: str, *, members: str | None = None, if_match: str | None = None
) -> Call[workloads.Workload]:
    """Run members of an array again that have ended; None: all that failed."""
    body = checked(workloads.Retry, members=members)
    return post(
        f"/workloads/{path_id(workload)}/retry", workloads.Workload, body, if_match=if_match
    )


def get_log_offset(
    workload: str, *, since: datetime, rank: int = 0, attempt: str | None = None
) -> Call[workloads.LogOffset]:
    """Where in the output of a rank, of the last attempt or the one named, the line begins that
    came at an instant or next: an `offset` for `logs`."""
    path = f"/workloads/{path_id(workload)}/logs/offset"
    return get(path, workloads.LogOffset, since=since, rank=rank, attempt=attempt)
