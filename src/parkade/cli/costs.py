"""What orgs were charged, for other programs: every charge, and sums by month."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, calling, fail
from parkade.cli.flags import when

if TYPE_CHECKING:
    from parkade.wire import costs as wire

Org = Annotated[str | None, typer.Option(help="Default: your org; for operators all.")]
Start = Annotated[
    str | None, typer.Option("--from", "--start", help="Like 2026-01-31, -7d. Default: this month.")
]
End = Annotated[str | None, typer.Option("--to", "--end", help="As --from; exclusive.")]
COLUMNS = ("month", "org", "of", "gpu_hours", "used", "reserved", "received", "net")


def costs(
    org: Org = None,
    start: Start = None,
    end: End = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="An array of JSON objects, a charge a line.")
    ] = False,
) -> None:
    """Print every charge as CSV with the columns of FOCUS, for tools of FinOps."""
    first, last = when(start, "--from"), when(end, "--to")
    with calling() as client:
        rows = client.export_costs(
            org=org, start=first, end=last, form="json" if as_json else "csv"
        )
        for part in rows:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()


def showback(
    by: Annotated[str, typer.Option(help="user, org, or label/KEY.")] = "user",
    org: Org = None,
    start: Start = None,
    end: End = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the lines as CSV.", rich_help_panel="Output")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add up what each month cost, by user, org or label."""
    from parkade.cli.screen import show

    first, last = when(start, "--from"), when(end, "--to")
    kind, _, label = by.partition("/")
    if kind not in ("user", "org", "label") or (kind == "label") != bool(label):
        fail(f"--by {by}: write user, org, or label/KEY", exit_code=3)
    with calling(as_json=as_json) as client:
        answer = client.get_showback(by=kind, label=label or None, org=org, start=first, end=last)
        show(answer, _as_csv if as_csv else _render, as_json=as_json)


def _as_csv(answer: "wire.Showback") -> None:
    from parkade.cli.screen import print_csv

    print_csv(COLUMNS, (each.model_dump(mode="json") for each in answer.lines))


def _render(answer: "wire.Showback") -> None:
    from parkade.cli.screen import fields, table

    is_by_org = answer.by == "org"
    of = () if is_by_org else ((answer.label or answer.by).upper(),)
    table(
        ("MONTH", "ORG", *of, "GPU-HOURS", "USED", "RESERVED", "RECEIVED", "NET"),
        [
            (
                each.month,
                each.org,
                *(() if is_by_org else (each.of,)),
                f"{each.gpu_hours:.2f}",
                each.used,
                each.reserved,
                each.received,
                each.net,
            )
            for each in answer.lines
        ],
        empty="Nothing was charged.",
        right="GPU-HOURS USED RESERVED RECEIVED NET",
    )
    net = sum(each.net for each in answer.lines)
    if answer.lines:
        fields([("net", net), ("unit", answer.unit)])
