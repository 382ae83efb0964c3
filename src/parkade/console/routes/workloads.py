"""Workloads: the list, one workload's life, its output, and what may be done with it.

What is done has a page of its own first that echoes what it costs; only its form changes anything.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated

from fastapi import Query
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from parkade.api.problems import ProblemError, problem
from parkade.api.routes import logs, pools, workloads
from parkade.console import lives, words
from parkade.console.context import Page, PageContext, router
from parkade.console.journal import about
from parkade.console.routes.front import colours
from parkade.core.units.phrases import counted
from parkade.wire import workloads as wire
from parkade.wire.feed import Event
from parkade.wire.pools import Sheet
from parkade.wire.scalars import format_amount, parse_since

routes = router()
PAGE = 100
MOST_LINES = 60
MOST_MEMBERS = 60
ID = re.compile("w[0-9]{1,18}(_[0-9]{1,6})?")
ACTIONS = ("cancel", "hold", "release", "bid")


@routes.get("/workloads")
async def index(
    context: Page,
    all: bool = False,
    name: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[str | None, Query(pattern="^w[0-9]{1,18}(_[0-9]{1,6})?$")] = None,
    array: Annotated[str | None, Query(pattern="^w[0-9]{1,18}$")] = None,
) -> Response:
    """A page of them, newest first; `array`: the members of one, those that have not ended."""
    if array is not None:
        found = await workloads.list_workloads(
            context.api, all=all, array=array, limit=PAGE, after=after
        )
    elif ID.fullmatch(name):
        found = await _of_id(context, name)
    else:
        found = await workloads.list_workloads(
            context.api, all=all, name=_pattern(name), limit=PAGE, after=after
        )
    return context.page(
        "workloads.html",
        found=found.workloads,
        upcoming=found.next,
        all=all,
        name=name,
        array=array,
        orgs=await colours(context),
    )


def _pattern(name: str) -> str | None:
    """A part of a name, in small letters or capitals; a pattern of the user's own as it stands."""
    if not name or any(it in name for it in "*?["):
        return name or None
    return f"*{''.join(f'[{it.lower()}{it.upper()}]' if it.isalpha() else it for it in name)}*"


async def _of_id(context: PageContext, workload: str) -> wire.Workloads:
    """The one that has an id, also one that ended."""
    one = await context.if_there(workloads.get_workload(workload, context.api))
    return wire.Workloads(workloads=() if one is None else (one,), next=None)


@routes.get("/workloads/{workload}")
async def one(workload: str, context: Page) -> Response:
    """One workload: what it is, its life, its output."""
    found = await workloads.get_workload(workload, context.api)
    why = await workloads.why(workload, context.api)
    seen = await about(context, workload)
    since_s = found.submitted.timestamp()
    now = found.ended or datetime.fromtimestamp(context.api.plane.present_us() / 1e6, UTC)
    return context.page(
        "workload.html",
        it=found,
        why=why,
        life=lives.life(workload, seen, since_s=since_s, until_s=now.timestamp()),
        lines=[(each.at, lives.line_of(workload, each)) for each in reversed(seen)][:MOST_LINES],
        has_more=len(seen) > MOST_LINES,
        open_members=await _members(context, found),
        is_known_from_begin=await _is_known_from_begin(context, found, seen),
        now=now,
        may_change=_may_change(context, found),
        actions=_actions(found),
        highest_rank=_highest_rank(found),
    )


def _highest_rank(found: wire.Workload) -> int:
    """The highest number that a rank of it may have, or has while others leave."""
    nodes = found.spec.nodes
    most = found.nodes if isinstance(nodes, int) else max(found.nodes, nodes.max)
    ranks = () if found.attempt is None else found.attempt.ranks
    return max([most - 1, *(it.rank for it in ranks)])


async def _members(context: PageContext, found: wire.Workload) -> tuple[wire.Workload, ...]:
    """The first open members of an array; none of other work."""
    if found.members is None:
        return ()
    listed = await workloads.list_workloads(
        context.api, array=found.workload, limit=MOST_MEMBERS, all=found.ended is not None
    )
    return listed.workloads


async def _is_known_from_begin(
    context: PageContext, found: wire.Workload, seen: Sequence[Event]
) -> bool:
    """Whether the page has read all of its life; a member's begins with its array."""
    if found.member_of is not None:
        seen = await about(context, found.member_of)
    return any(each.type == "Submitted" for each in seen)


def _may_change(context: PageContext, found: wire.Workload) -> bool:
    viewer = context.viewer
    return viewer.role.value != "member" or viewer.user == found.user


def _actions(found: wire.Workload) -> list[str]:
    if found.ended is not None:
        return []
    held = "release" if found.phase == "held" else "hold"
    can_hold = found.attempt is None
    is_spot = found.limit_price is not None
    return ["bid"] * is_spot + [held] * can_hold + ["cancel"]


@routes.get("/workloads/{workload}/output")
async def output(
    workload: str,
    context: Page,
    rank: logs.Rank = 0,
    follow: bool = False,
    attempt: str | None = None,
    since: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """What a rank prints, as plain text; `since` as a person writes it, empty: from its start."""
    try:
        since_at = parse_since(since, now=datetime.now(UTC)) if since else None
    except ValueError as error:
        raise problem("invalid", f"since: {error}") from None
    stream = await logs.logs(
        workload,
        context.api,
        rank=rank,
        offset=0,
        follow=follow,
        attempt=attempt,
        since=since_at,
    )
    stream.headers["Content-Type"] = "text/plain; charset=utf-8"
    return stream


@routes.get("/workloads/{workload}/{action}")
async def ask(workload: str, action: str, context: Page, limit_price: str = "") -> Response:
    """What an action costs, before it is done."""
    found, tag = await context.tagged(workloads.get_workload(workload, context.api))
    if action not in ACTIONS:
        raise problem("not_found", "there is no such action")
    if not _may_change(context, found):
        raise problem("denied", f"{workload} is {found.user}'s; ask an owner of {found.org}")
    if action not in _actions(found):
        is_over = "has ended" if found.ended is not None else f"is {found.phase}"
        raise problem("conflict", f"{workload} {is_over}, so it cannot be told to {action}")
    sheet = await context.if_there(pools.get_prices(found.market, context.api))
    limit = _limit(limit_price) if limit_price else None
    echo = _echo(found, action, limit, sheet)
    if limit is not None and action == "bid":
        if sheet is not None and limit > sheet.pay_as_you_go:
            rate = f"{sheet.pay_as_you_go:f} per GPU-hour"
            echo.append(f"on-demand costs {rate}, less than this, and is never outbid")
        echo += await _evicts(context, workload, limit)
    return context.page(
        "action.html",
        it=found,
        action=action,
        limit=limit,
        limit_text=limit_price[:20],
        is_unreadable=bool(limit_price) and limit is None,
        gpus=found.cost.gpus,
        echo=echo,
        tag=tag if action == "bid" and found.members is None else "",
    )


async def _evicts(context: PageContext, workload: str, limit: Decimal) -> list[str]:
    """The seats that end by a limit, and when."""
    try:
        outcome = await workloads.plan_bid(workload, wire.Bid(limit_price=limit), context.api)
    except ProblemError as error:
        return [error.problem.detail]
    return [outcome.says] if outcome.may_evict else []


_NO_PRICE = "; a bid is a limit, not a price"


def _limit(text: str) -> Decimal | None:
    try:
        return wire.Bid.model_validate({"limit_price": text}).limit_price
    except (ValidationError, InvalidOperation):
        return None


def _echo(
    found: wire.Workload, action: str, limit: Decimal | None, sheet: Sheet | None
) -> list[str]:
    """The consequences, in words with figures."""
    gpus = found.cost.gpus
    match action:
        case "bid":
            if limit is None:
                return []
            rate = format_amount(limit * gpus)
            says = [f"at most {rate} an hour for its {counted(gpus, 'GPU')}"]
            if found.price is not None:
                pays = f"it pays {found.price:f} per GPU-hour now"
                is_less = limit < found.price
                says.append(f"{pays}{', more than this' if is_less else _NO_PRICE}")
            elif found.price_to_win is not None:
                wins = "would have won" if limit >= found.price_to_win else "would not have won"
                says.append(f"in the last clearing {found.price_to_win:f} was needed: this {wins}")
            if found.spec.max_spend is not None:
                says.append(f"its max_spend of {found.spec.max_spend:f} still bounds it")
            return says
        case "cancel":
            says = []
            if found.attempt is not None and sheet is not None:
                length = sheet.notice + sheet.kill
                says.append(
                    f"it gets its notice of {words.span(sheet.notice)} and is ended at most"
                    f" {words.span(length)} from now"
                )
                if found.price is not None:
                    hours = Decimal(int(length.total_seconds())) / 3600
                    held = sum(seat.gpus for seat in found.attempt.seats)
                    most = (found.price * held * hours).quantize(Decimal("0.000001"))
                    says.append(f"that time costs at most {most.normalize():f}")
            if found.debt is not None:
                says.append(f"others were told to leave for it: giving up now costs {found.debt:f}")
            return says or ["it holds nothing, so this costs nothing"]
        case "hold":
            return ["it starts nowhere until it is released; nothing is charged meanwhile"]
        case _:
            return ["it takes part in the next clearing, with the limit that it has"]


@routes.post("/workloads/{workload}/{action}")
async def act(workload: str, action: str, context: Page) -> Response:
    """Does it; the same form sent twice does it once."""
    fields = await context.form()
    match action:
        case "cancel":
            body = wire.Cancel(now=fields.get("now") == "yes")
            await workloads.cancel(workload, body, context.api)
        case "hold":
            await workloads.hold(workload, context.api)
        case "release":
            await workloads.release(workload, context.api)
        case "bid":
            limit = _limit(fields.get("limit_price", ""))
            if limit is None:
                raise problem("invalid", "limit price: a positive amount like 2.50")
            await workloads.bid(workload, wire.Bid(limit_price=limit), context.api)
        case _:
            raise problem("not_found", "there is no such action")
    return RedirectResponse(f"/workloads/{workload}", status_code=303)
