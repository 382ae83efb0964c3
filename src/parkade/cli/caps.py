"""Caps on the command line: what is asked for, what is spent of it, and the work that it stops.

A command without a value shows the cap. What is left out stays, and the change is made on the cap
that was read: where another command changed it meanwhile, it is refused. Before bids with seats get
their notice by it, it says which, and asks at a terminal.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, calling, fail
from parkade.cli.confirming import Yes, confirm
from parkade.cli.names import OrgName, UserName

if TYPE_CHECKING:
    from parkade.wire import people as wire

NONE = "none"
"""Takes a cap away."""
CapAmount = Annotated[
    str | None,
    typer.Argument(help="The most they may cost, like 500; none: no cap on money."),
]
Per = Annotated[str | None, typer.Option(help="total, or month: each calendar month anew (UTC).")]
CapGpus = Annotated[
    str | None, typer.Option(help="The most GPUs they may hold at once; none: no cap on GPUs.")
]
MOST_NAMED = 10


def cap_org(
    org: OrgName,
    amount: CapAmount = None,
    per: Per = None,
    gpus: CapGpus = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Show or set what all workloads of an org may cost and hold; what is left out stays."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        made = client.get_org(org)
        asked = asked_cap(made, amount, per, gpus)
        if asked is not None:
            cap, period, gpus_at_most = asked.cap, asked.period, asked.most_gpus
            stops = client.plan_org_cap(org, cap=cap, period=period, most_gpus=gpus_at_most)
            _agree(org, stops, yes=yes)
            made = client.set_org_cap(
                org, cap=cap, period=period, most_gpus=gpus_at_most, if_match=made.etag
            )
        show(made, lambda made: capped(made.org, made), as_json=as_json)


def cap_user(
    user: UserName,
    amount: CapAmount = None,
    per: Per = None,
    gpus: CapGpus = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Show or set what all workloads of a user may cost and hold; what is left out stays."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        made = client.get_user(user)
        asked = asked_cap(made, amount, per, gpus)
        if asked is not None:
            cap, period, gpus_at_most = asked.cap, asked.period, asked.most_gpus
            stops = client.plan_user_cap(user, cap=cap, period=period, most_gpus=gpus_at_most)
            _agree(user, stops, yes=yes)
            made = client.set_user_cap(
                user, cap=cap, period=period, most_gpus=gpus_at_most, if_match=made.etag
            )
        show(made, lambda made: capped(made.user, made), as_json=as_json)


def _agree(name: str, stops: "wire.StoppedByCap", *, yes: bool) -> None:
    if stops.total:
        confirm(_notice(name, stops), yes=yes)


def is_beyond(made: "wire.Capped") -> bool:
    """Whether all of it is spent."""
    spent = made.spent_this_month if made.cap_period == "month" else made.spent
    return made.cap is not None and spent >= made.cap


def asked_cap(
    before: "wire.Capped", amount: str | None, per: str | None, gpus: str | None
) -> "wire.SetCap | None":
    """The cap to set, checked; None where nothing is asked for."""
    from parkade.wire.people import SetCap
    from parkade.wire.yaml import check

    if amount is None and per is None and gpus is None:
        return None
    asked = {
        "cap": before.cap if amount is None else None if amount == NONE else amount,
        "period": before.cap_period if per is None else per,
        "most_gpus": before.most_gpus if gpus is None else _gpus(gpus),
    }
    if per is not None and asked["cap"] is None:
        fail("--per is of a cap on money; give its amount too, like 500", exit_code=2)
    return check(asked, SetCap)


def _gpus(text: str) -> int | str | None:
    """What is no number is refused with the request."""
    if text == NONE:
        return None
    return int(text) if text.isascii() and text.isdecimal() else text


def money_cap(made: "wire.Capped") -> str:
    """The cap on money, and what is spent of it."""
    from parkade.wire.scalars import format_amount

    if made.cap is None:
        return f"no cap on money, spent {format_amount(made.spent)}"
    if made.cap_period == "month":
        spent = format_amount(made.spent_this_month)
        return f"cap {format_amount(made.cap)} a month, spent {spent} this month"
    return f"cap {format_amount(made.cap)}, spent {format_amount(made.spent)}"


def gpu_cap(made: "wire.Capped") -> str | None:
    """The cap on GPUs, and what is held of it; None where there is none."""
    if made.most_gpus is None:
        return None
    return f"at most {made.most_gpus} GPUs at once, {made.gpus_held} held"


def capped(name: str, made: "wire.Capped") -> None:
    """A cap, what is spent of it, and the work that it stops where it was set just now."""
    from parkade.cli.screen import say

    say(f"{name}: {money_cap(made)}")
    if is_beyond(made):
        say(f"{name}: all of it is spent, so no bid starts")
    if made.stops is not None and made.stops.total:
        say(_notice(name, made.stops))
    if (gpus := gpu_cap(made)) is not None:
        say(f"{name}: {gpus}")


def _notice(name: str, stops: "wire.StoppedByCap") -> str:
    return f"{name}: the next clearing gives notice to {_named(stops)}"


def _named(stops: "wire.StoppedByCap") -> str:
    shown = ", ".join(stops.workloads[:MOST_NAMED])
    more = stops.total - min(len(stops.workloads), MOST_NAMED)
    return f"{shown} and {more} more" if more else shown


def short_cap(made: "wire.Capped") -> str:
    """For a column."""
    from parkade.wire.scalars import format_amount

    parts = [] if made.cap is None else [format_amount(made.cap)]
    if parts and made.cap_period == "month":
        parts = [f"{parts[0]} a month"]
    parts += [] if made.most_gpus is None else [f"{made.gpus_held} of {made.most_gpus} GPUs"]
    return ", ".join(parts)
