"""Workloads: change them, one or many at once, and show one in full."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, call, calling, fail, warn
from parkade.cli.choosing import (
    PATTERN,
    Id,
    Ids,
    Labels,
    chosen_members,
    meant,
    says_meant,
    spans,
)
from parkade.cli.confirming import Yes, agree, confirm

if TYPE_CHECKING:
    from parkade.client import Client
    from parkade.wire import workloads as wire
    from parkade.wire.problems import Problem


NO_BOUND = "none"
"""Takes a bound away."""

MOST_EACH = 100
"""Members that are held or released one by one."""

MOST_PLANNED = 16
"""Waiting workloads whose bids are planned first: each plan is a clearing."""


def show_workload(workload: Id, as_json: AsJson = False) -> None:
    """Show one workload in full."""
    call(lambda client: client.get_workload(meant(client, workload)), one, as_json=as_json)


def why(workload: Id, as_json: AsJson = False) -> None:
    """Show why a workload is in its state, and what would win."""
    from parkade.cli.screen import say
    from parkade.wire.scalars import format_amount

    def render(answer: "wire.Why") -> None:
        say(f"{answer.says}.")
        if answer.price_to_win is not None:
            say(f"  parkade bid {answer.workload} {format_amount(answer.price_to_win)}")

    call(lambda client: client.why(meant(client, workload)), render, as_json=as_json)


def hold(workloads: Ids = None, labels: Labels = None, as_json: AsJson = False) -> None:
    """Keep workloads from starting until they are released."""
    _change(
        workloads,
        labels,
        lambda client, name, members: _each(client.hold, name, members),
        as_json=as_json,
    )


def release(workloads: Ids = None, labels: Labels = None, as_json: AsJson = False) -> None:
    """Let held workloads start."""
    _change(
        workloads,
        labels,
        lambda client, name, members: _each(client.release, name, members),
        as_json=as_json,
    )


def cancel(
    workloads: Ids = None,
    labels: Labels = None,
    now: Annotated[bool, typer.Option("--now", help="Without the market's notice.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End workloads, with the market's notice if they run.

    Of a pattern or a label, those that are meant are said before, and asked."""

    def look(found: list[tuple[str, str | None]]) -> None:
        is_pattern = bool(labels) or any(PATTERN.search(it) for it in workloads or ())
        if is_pattern and len(found) > 1:
            confirm(f"ends {says_meant([name for name, _ in found])}", yes=yes)

    _change(
        workloads,
        labels,
        lambda client, name, members: client.cancel(name, now=now, members=members),
        look=look,
        as_json=as_json,
    )


def bid(
    workload: Id,
    limit: Annotated[str, typer.Argument(help="Most per GPU-hour, like 2.50.")],
    instance_type: Annotated[
        str | None, typer.Option(help="Of a workload with several, the one that it is for.")
    ] = None,
    labels: Labels = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Change a workload's limit, or that of all of a pattern, from the next clearing on.

    Where any work would lose its seats by that, who leaves and when is said before, and asked."""
    waiting = 0

    def once(client: "Client", name: str, members: str | None) -> "wire.Workload":
        nonlocal waiting
        before, asked = client.get_workload(name), False
        has_seats = before.members is not None or before.price is not None
        waiting += not has_seats
        if not has_seats and waiting == MOST_PLANNED + 1:
            warn(
                f"the first {MOST_PLANNED} waiting workloads were planned; the others are changed"
                " without a look at what would leave"
            )
        if has_seats or waiting <= MOST_PLANNED:
            planned = client.plan_bid(
                name, limit_price=limit, members=members, instance_type=instance_type
            )
            asked = agree(planned, yes=yes)
        return client.bid(
            name,
            limit_price=limit,
            members=members,
            instance_type=instance_type,
            if_match=_seen(before) if asked else None,
        )

    _change([workload], labels, once, as_json=as_json)


def change(
    workloads: Ids = None,
    max_spend: Annotated[
        str | None, typer.Option(help="The most that it costs in all, like 400, or none.")
    ] = None,
    max_duration: Annotated[
        str | None, typer.Option(help="The longest that it runs in all, like 36h, or none.")
    ] = None,
    labels: Labels = None,
    yes: Yes = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would end and cost what; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Change what workloads may cost or how long they may run, while they live.

    Where one may cost more by it, or must be gone earlier, that is said before, and asked."""
    from parkade.cli.screen import say, show

    asked = _asked({"max_spend": max_spend, "max_duration": max_duration})
    if not asked:
        fail("give --max-spend, --max-duration, or both", exit_code=2)

    def once(client: "Client", name: str, members: str | None) -> "wire.Workload":
        before, is_asked = client.get_workload(name), False
        outcome = client.plan_workload_bounds(name, members=members, **asked)
        if outcome.ends_earlier or outcome.costs_more:
            is_asked = confirm(f"{name}: {'; '.join(outcome.says)}", yes=yes)
        seen = _seen(before) if is_asked else None
        return client.change_workload_bounds(name, members=members, if_match=seen, **asked)

    def planned(client: "Client", name: str, members: str | None) -> None:
        outcome = client.plan_workload_bounds(name, members=members, **asked)
        show(outcome, lambda it: say(f"{it.workload}: {'; '.join(it.says)}"), as_json=as_json)

    if plan:
        _for_each(workloads, labels, planned, as_json=as_json)
        return
    _change(workloads, labels, once, as_json=as_json)


def _seen(before: "wire.Workload") -> str | None:
    """What a change that was agreed to is made on. None for an array: it changes with each of its
    members, and a change of it would never come through."""
    return before.etag if before.members is None else None


def resubmit(
    workload: Id,
    resume: Annotated[
        bool, typer.Option("--resume", help="Under its id, from its checkpoints.")
    ] = False,
    limit_price: Annotated[
        str | None, typer.Option("--limit-price", "--limit", help="Another limit.")
    ] = None,
    max_spend: Annotated[
        str | None, typer.Option(help="Another bound, of all attempts together, or none.")
    ] = None,
    max_duration: Annotated[
        str | None, typer.Option(help="Another bound, from its next start on, or none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Submit a workload that ended again: as a new one, or where it stood with --resume."""
    from parkade.cli.screen import show
    from parkade.client.call import checked
    from parkade.wire import workloads as wire

    asked = _asked(
        {"limit_price": limit_price, "max_spend": max_spend, "max_duration": max_duration}
    )
    with calling(as_json=as_json) as client:
        name = meant(client, workload)
        if resume:
            made = client.resubmit(name, **asked)
        else:
            before = client.get_workload(name)
            if before.became_on_demand is not None:
                again = "submit it anew with a later --deadline, or with --capacity on-demand"
                fail(f"{name} became on-demand for its deadline: {again}", exit_code=3)
            if unread := wire.unread_of(before.spec):
                fail(f"{', '.join(unread)}: not known to this program; update it", exit_code=2)
            spec = checked(type(before.spec), **{**before.spec.model_dump(mode="json"), **asked})
            made = client.submit(spec, market=before.market, org=before.org)
            if made.shortage is not None and not as_json:
                warn(made.shortage)
        show(made, _line, as_json=as_json)


def _asked(given: dict[str, str | None]) -> dict[str, str | None]:
    """What a request names of it: `none` as null, what was not given not at all."""
    return {
        name: None if text == NO_BOUND else text for name, text in given.items() if text is not None
    }


def retry(workloads: Ids = None, labels: Labels = None, as_json: AsJson = False) -> None:
    """Run members of arrays again that have ended: those named, or all that failed."""
    _change(
        workloads,
        labels,
        lambda client, name, members: client.retry(name, members=members),
        as_json=as_json,
    )


def _each(
    change: "Callable[[str], wire.Workload]", name: str, members: str | None
) -> "wire.Workload":
    """Changes each of these members; answers the last."""
    from parkade.core.units.indexes import indexes

    if members is None:
        return change(name)
    named = list(indexes(spans(members)))
    if len(named) > MOST_EACH:
        fail(f"{name} has more than {MOST_EACH} of these; name the whole array", exit_code=3)
    return [change(f"{name}_{index}") for index in named][-1]


def _change(
    names: list[str] | None,
    labels: list[str] | None,
    change: "Callable[[Client, str, str | None], wire.Workload]",
    *,
    look: Callable[[list[tuple[str, str | None]]], None] = lambda _: None,
    as_json: bool,
) -> None:
    """Changes each workload that is meant, and shows it. `look` sees all of them before."""
    from parkade.cli.screen import show

    def once(client: "Client", name: str, members: str | None) -> None:
        show(change(client, name, members), _line, as_json=as_json)

    _for_each(names, labels, once, look=look, as_json=as_json)


def _for_each(
    names: list[str] | None,
    labels: list[str] | None,
    once: "Callable[[Client, str, str | None], None]",
    *,
    look: Callable[[list[tuple[str, str | None]]], None] = lambda _: None,
    as_json: bool,
) -> None:
    """Does it for each workload that is meant. What is refused for one is said, and it is done for
    the others; the first refusal is the exit code."""
    from parkade.cli.calling import refuse
    from parkade.client.errors import ParkadeError

    with calling(as_json=as_json) as client:
        refusals: list[Problem] = []
        found = chosen_members(client, names, labels, refusals)
        look(found)
        for workload, members in found:
            try:
                once(client, workload, members)
            except ParkadeError as error:
                refusals.append(error.problem)
        for problem in refusals[1:]:
            warn(problem.detail)
        if refusals:
            refuse(refusals[0], as_json=as_json)


def _line(answer: "wire.Workload") -> None:
    from parkade.cli.screen import say

    stop = answer.attempt.stop if answer.attempt else None
    until = f", gone by {stop.kill:%H:%M:%S} UTC" if stop else ""
    counts = f"; {says_members(answer.members)}" if answer.members else ""
    say(f"{answer.workload} {answer.name}: {answer.phase}{until}{counts}")
    if not answer.phase.startswith(("cancelled", "stopping", "succeeded", "failed", "expired")):
        say(f"  {answer.cost.says}")


def says_members(members: "wire.Members") -> str:
    """Where the members of an array are: `4 running, 6 queued, 180 wait, 10 succeeded of 200`."""
    parts = [f"{number} {phase}" for phase, number in members.open.items()]
    parts += [f"{members.waiting} wait"] if members.waiting else []
    ended = ("succeeded", "failed", "cancelled", "expired")
    parts += [f"{number} {word}" for word in ended if (number := getattr(members, word))]
    return f"{', '.join(parts)} of {members.total}"


def _prices(answer: "wire.Workload") -> object:
    """The price; where nodes have different ones, their mean and how many nodes cost what."""
    from parkade.wire.scalars import format_amount

    if answer.price is None or len(set(answer.node_prices)) < 2:
        return answer.price
    counted = Counter(answer.node_prices)
    nodes = ", ".join(f"{count} at {format_amount(it)}" for it, count in counted.items())
    return f"{format_amount(answer.price)} on average (nodes: {nodes})"


def _rank(rank: "wire.AttemptRank") -> str:
    leaves = rank.leaves
    by = f" until {leaves.deadline:%H:%M:%S} ({leaves.cause})" if leaves is not None else ""
    joins = "" if rank.begun is not None or leaves is not None else " (joining)"
    return f"{rank.rank} on {rank.node}{joins}{by}"


def _in_market(answer: "wire.MarketAnswer") -> str:
    from parkade.wire.scalars import format_amount

    return f"limit {format_amount(answer.limit_price)}; {answer.says}"


def one(answer: "wire.Workload") -> None:
    """A workload in full."""
    from parkade.cli.screen import fields, lines, seats, shape
    from parkade.wire.shown import command_shown

    attempt = answer.attempt
    stop = attempt.stop if attempt else None
    checkpoint = None if answer.checkpoint_step is None else f"step {answer.checkpoint_step}"
    if attempt is not None and attempt.checkpoint is not None:
        checkpoint = f"step {attempt.checkpoint_step} at {attempt.checkpoint:%Y-%m-%d %H:%M:%S}"
    files = f"engine/orgs/{answer.org}/workloads/{answer.workload} of its pool's data folder"
    fields(
        [
            ("workload", f"{answer.workload} {answer.name}"),
            ("org", f"{answer.org}, submitted by {answer.user}"),
            ("phase", answer.phase),
            ("members", answer.members and says_members(answer.members)),
            ("failed members", answer.members and answer.members.failed_members),
            ("member of", answer.member_of),
            ("why", answer.why),
            ("exit" if attempt is None else "last exit", answer.exit),
            ("shape", f"{shape(answer)} in {answer.market}"),
            ("capacity", answer.capacity),
            ("tries in order", ", ".join(answer.capacity_list)),
            ("limit", None if answer.markets else answer.limit_price),
            ("price", _prices(answer)),
            ("price to win", None if answer.markets else answer.price_to_win),
            *((f"in {it.market}", _in_market(it)) for it in answer.markets),
            ("spent", answer.spent),
            ("falls back", answer.falls_back),
            ("on-demand since", answer.became_on_demand),
            ("no bid takes its seats before", answer.protected_until),
            ("owed if given up", answer.debt),
            ("cost", answer.cost.says if answer.ended is None else None),
            ("attempt", attempt and f"{attempt.attempt} on {seats(attempt.seats)}"),
            ("ranks", attempt and ", ".join(_rank(it) for it in attempt.ranks)),
            ("promised", seats(answer.promised)),
            ("moved", answer.moved),
            ("started", attempt and attempt.started),
            ("leaves by", stop and f"{stop.deadline:%Y-%m-%d %H:%M:%S} ({stop.cause})"),
            ("checkpoint", checkpoint),
            ("preemptions", answer.preemptions or None),
            ("failures", answer.failures or None),
            ("submitted", answer.submitted),
            ("not before", answer.not_before),
            ("ended", answer.ended),
            ("files", files if answer.attempts and answer.members is None else None),
            ("files kept until", answer.folder_until),
            ("command", lines(command_shown(answer.spec.command))),
            ("workdir", answer.spec.workdir),
        ]
    )
