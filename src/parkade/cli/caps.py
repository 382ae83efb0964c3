"""Caps on the command line: what is asked for, what is spent of it, and the work that it stops."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from parkade.wire import people as wire

CapAmount = Annotated[
    str | None,
    typer.Argument(help="The most they may cost, like 500; left out or none: no cap on money."),
]
Per = Annotated[str, typer.Option(help="total, or month: each calendar month anew (UTC).")]
CapGpus = Annotated[
    int | None, typer.Option(help="The most GPUs they may hold at once; left out: no cap on GPUs.")
]
MOST_NAMED = 10


def is_beyond(made: "wire.Capped") -> bool:
    """Whether all of it is spent."""
    spent = made.spent_this_month if made.cap_period == "month" else made.spent
    return made.cap is not None and spent >= made.cap


def asked_cap(amount: str | None, per: str, gpus: int | None) -> "wire.SetCap":
    """The request, checked."""
    from parkade.wire.people import SetCap
    from parkade.wire.yaml import check

    amount = None if amount == "none" else amount
    return check({"cap": amount, "period": per, "most_gpus": gpus}, SetCap)


def capped(name: str, made: "wire.Capped") -> None:
    """A cap that was set, what is spent of it, and the work that it stops."""
    from parkade.cli.screen import say
    from parkade.wire.scalars import format_amount

    if made.cap is None:
        says = f"no cap on money, spent {format_amount(made.spent)}"
    elif made.cap_period == "month":
        spent = format_amount(made.spent_this_month)
        says = f"cap {format_amount(made.cap)} a month, spent {spent} this month"
    else:
        says = f"cap {format_amount(made.cap)}, spent {format_amount(made.spent)}"
    say(f"{name}: {says}")
    if is_beyond(made):
        say(f"{name}: all of it is spent, so no bid starts")
    if made.stops is not None and made.stops.total:
        say(f"{name}: the next clearing gives notice to {_named(made.stops)}")
    if made.most_gpus is not None:
        say(f"{name}: at most {made.most_gpus} GPUs at once, {made.gpus_held} held")


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
