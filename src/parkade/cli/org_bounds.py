"""How much an org has open and begins, on the command line: without a value it is shown."""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, calling
from parkade.cli.names import OrgName

if TYPE_CHECKING:
    from parkade.wire import people as wire


def bound_org(
    org: OrgName,
    open_workloads: Annotated[int | None, typer.Option("--open", help="Open workloads.")] = None,
    submits: Annotated[int | None, typer.Option(help="Submissions in a minute.")] = None,
    starts: Annotated[int | None, typer.Option(help="Starts in a minute.")] = None,
    default: Annotated[
        bool, typer.Option("--default", help="The default for each that is not given.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show or bound how much an org has open and begins; what is left out stays."""
    from parkade.cli.screen import show

    asked = (open_workloads, submits, starts)
    with calling(as_json=as_json) as client:
        made = client.get_org(org)
        if default or any(it is not None for it in asked):
            kept = (None, None, None) if default else _own(made.bounds)
            first, second, third = (
                own if given is None else given for given, own in zip(asked, kept, strict=True)
            )
            made = client.set_org_bounds(
                org,
                open_workloads=first,
                submits_per_minute=second,
                starts_per_minute=third,
                if_match=made.etag,
            )
        show(made, _bounds, as_json=as_json)


def _own(bounds: "wire.OrgBounds | None") -> tuple[int | None, int | None, int | None]:
    """The bounds that are not the default; so a later program's default holds for the others."""
    from parkade.core.units.bounds import DEFAULT_OPEN, DEFAULT_STARTS, DEFAULT_SUBMITS

    if bounds is None:
        return None, None, None
    return (
        None if bounds.open_workloads == DEFAULT_OPEN else bounds.open_workloads,
        None if bounds.submits_per_minute == DEFAULT_SUBMITS else bounds.submits_per_minute,
        None if bounds.starts_per_minute == DEFAULT_STARTS else bounds.starts_per_minute,
    )


def org_bounds(org: "wire.Org") -> str | None:
    """In words: the bounds, and how much is open; None where the server does not say."""
    if org.bounds is None:
        return None
    may = org.bounds
    says = f"{may.open_now:,} of {may.open_workloads:,} workloads open"
    says += f", {may.submits_per_minute:,} submissions"
    return f"{says} and {may.starts_per_minute:,} starts a minute"


def _bounds(org: "wire.Org") -> None:
    from parkade.cli.screen import say

    if (says := org_bounds(org)) is not None:
        say(f"{org.org}: {says}")
