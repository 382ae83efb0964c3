"""Accounts, and every movement of one."""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, calling, fail
from parkade.cli.flags import when

if TYPE_CHECKING:
    from parkade.wire import money as wire

SAYS = {
    "external": "the world outside",
    "operator": "the house",
    "org": "may spend it",
    "clearing": "taken in, and not divided yet",
    "prepaid": "paid ahead, and not delivered yet",
}
KINDS = {"minimum_charge": "minimum charge", "late_start": "late start"}


def statement(
    account: Annotated[
        str | None,
        typer.Option(
            help="Default: your org's. Operators: any: operator, external, org/NAME,"
            " clearing/MARKET or prepaid/RESERVATION; `parkade accounts` lists them."
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", "--start", help="Like 2026-01-31, yesterday, -7d.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", "--end", help="As --from; exclusive.")] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the lines as CSV.", rich_help_panel="Output")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List every charge and payout with its purpose, price and window."""
    from parkade.cli.screen import show

    first, last = when(start, "--from"), when(end, "--to")
    if first is not None and last is not None and first > last:
        fail(f"--from {start} lies after --to {end}: exchange them", exit_code=2)
    with calling(as_json=as_json) as client:
        answer = client.get_statement(account=account, start=first, end=last)
        show(answer, _as_csv if as_csv else _render, as_json=as_json)


def accounts(as_json: AsJson = False) -> None:
    """List all accounts of the ledger; they add up to zero. Operators only."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(client.list_accounts(), _render_accounts, as_json=as_json)


def _render_accounts(answer: "wire.Accounts") -> None:
    from parkade.cli.screen import fields, table

    rows = [(it.account, SAYS.get(it.kind, it.kind), it.balance) for it in answer.accounts]
    table(("ACCOUNT", "WHAT", "BALANCE"), rows, empty="There is none.", right="BALANCE")
    fields([("total", answer.total)])


def _as_csv(answer: "wire.Statement") -> None:
    """Instants in RFC 3339, amounts from the account's side; nothing stands for null."""
    from parkade.cli.screen import print_csv
    from parkade.wire.money import STATEMENT_COLUMNS

    print_csv(STATEMENT_COLUMNS, (each.model_dump(mode="json") for each in answer.transfers))


def _render(answer: "wire.Statement") -> None:
    from parkade.cli.screen import fields, say, table

    table(
        ("AT", "KIND", "AMOUNT", "FOR", "GPUS", "PRICE", "WINDOW"),
        [
            (
                each.at,
                KINDS.get(each.kind, each.kind),
                each.amount,
                each.attempt or each.workload or each.reservation or each.other,
                each.gpus or None,
                each.price,
                _window(each),
            )
            for each in answer.transfers
        ],
        empty="Nothing moved.",
        right="AMOUNT GPUS PRICE",
        whole="AT KIND AMOUNT GPUS PRICE",
    )
    for each in answer.transfers:
        for node in each.missing:
            incident = f" ({node.incident})" if node.incident else ""
            why = f"{each.at:%m-%d %H:%M:%S} credit: {node.node} {node.health}"
            say(f"{why} since {node.since:%m-%d %H:%M:%S}: {node.why}{incident}")
    fields(
        [
            ("account", answer.account),
            ("opening", answer.opening),
            ("received", answer.received),
            ("paid", answer.paid),
            ("closing", answer.closing),
            ("now", answer.balance if answer.balance != answer.closing else None),
            ("not posted yet", _accrued(answer)),
        ]
    )


def _accrued(answer: "wire.Statement") -> str | None:
    """What has accrued and no line has yet; None where nothing has."""
    from parkade.wire.scalars import format_amount

    parts = []
    if answer.accrued:
        parts.append(f"-{format_amount(answer.accrued)} for use")
    if answer.accrued_by_lending:
        parts.append(f"{format_amount(answer.accrued_by_lending)} by lending")
    return ", ".join(parts) or None


def _window(each: "wire.Transfer") -> str | None:
    if each.start is None or each.end is None:
        return None
    same_day = each.start.date() == each.end.date()
    end = f"{each.end:%H:%M:%S}" if same_day else f"{each.end:%m-%d %H:%M:%S}"
    return f"{each.start:%m-%d %H:%M:%S} – {end}"
