"""The end of the day: who paid and earned what, and whether the story's claims are true.

Everything is read from the ledger of this run; nothing is a constant of the story.
"""

from decimal import Decimal

from rich.console import Console
from rich.table import Table

from demo.programs import Training
from demo.stage import PEOPLE, Stage
from parkade.client import Client
from parkade.wire.money import Statement, Transfer
from parkade.wire.scalars import format_amount
from parkade.wire.workloads import Workload

HOUR_SECONDS = 3600
SMALLEST = Decimal("0.000001")
KINDS = ("deposit", "reservation", "delivered", "usage", "payout", "fee")
"""What most days move, in the order in which it does; another kind has its column where it was."""


def open_the_books(stage: Stage, console: Console, *, lone: Workload, gang: Training) -> bool:
    """Prints the statement and each claim with its proof; whether all hold."""
    statements = statements_of(stage)
    console.print(table_of(statements))
    is_even = is_balanced(statements)
    console.print("[green]ledger balanced" if is_even else "[red]LEDGER NOT BALANCED")
    claims = [
        is_even,
        _lone_guest(stage.operator, console, lone),
        _same_weights(stage, console, gang),
    ]
    return all(claims)


def statements_of(stage: Stage) -> list[Statement]:
    """Of every account that the day moved."""
    ahead = [f"prepaid/{it.reservation}" for it in stage.operator.list_reservations().reservations]
    house = ["operator", *ahead, "clearing/parkade", "external"]
    accounts = [*(f"org/{org}" for org in PEOPLE), *house]
    return [stage.operator.get_statement(account=account) for account in accounts]


def table_of(statements: list[Statement]) -> Table:
    """A line for each account; each line's amounts add up to its balance."""
    moved = {it.kind for statement in statements for it in statement.transfers}
    kinds = [kind for kind in KINDS if kind in moved] + sorted(moved - set(KINDS))
    # Narrow enough for a screen of 80 columns, amounts whole.
    table = Table(title="the statement of the day", box=None, padding=(0, 1, 0, 0))
    table.add_column("account", no_wrap=True)
    for kind in (*kinds, "balance"):
        table.add_column(kind.replace("_", "\n"), justify="right", no_wrap=True)
    for statement in statements:
        sums = [
            sum((it.amount for it in statement.transfers if it.kind == kind), Decimal(0))
            for kind in kinds
        ]
        cells = [format_amount(amount) if amount else "" for amount in sums]
        account = statement.account.removeprefix("org/").partition("/")[0]
        table.add_row(account, *cells, format_amount(statement.balance))
    return table


def is_balanced(statements: list[Statement]) -> bool:
    """Every balance is explained by its movements, and all balances together are zero."""
    explained = all(
        sum((it.amount for it in statement.transfers), Decimal(0)) == statement.balance
        for statement in statements
    )
    return explained and sum((statement.balance for statement in statements), Decimal(0)) == 0


def _lone_guest(operator: Client, console: Console, lone: Workload) -> bool:
    """What the lone guest's first run cost, per GPU-hour, and who got it."""
    charges = _of(operator, "org/lab", lone)
    owner = _of(operator, "org/acme", lone)
    house = _of(operator, "operator", lone)
    seconds = sum((_seconds(charge) for charge in charges), Decimal(0))
    gpu_hours = seconds * lone.nodes * lone.gpus / HOUR_SECONDS
    per_hour = [
        _exact(sum((abs(it.amount) for it in side), Decimal(0)), gpu_hours)
        for side in (charges, owner, house)
    ]
    console.print(
        f"a lone guest with limit {lone.limit_price} held {lone.nodes * lone.gpus} GPUs for"
        f" {seconds:.1f} s: it paid {per_hour[0]} per GPU-hour, the owner received {per_hour[1]},"
        f" the operator {per_hour[2]}"
    )
    is_true = per_hour == ["7", "5", "2"]
    console.print("[green]exactly 7 = 5 + 2" if is_true else "[red]NOT 7 = 5 + 2")
    return is_true


def _exact(amount: Decimal, gpu_hours: Decimal) -> str:
    """The whole price that gives this very amount, to the micro-unit; else what it comes to."""
    price = amount / gpu_hours
    whole = price.quantize(Decimal(1))
    due = whole * gpu_hours
    return str(whole) if abs(due - amount) <= 2 * SMALLEST else f"{price:.6f}"


def _of(operator: Client, account: str, workload: Workload) -> list[Transfer]:
    transfers = operator.get_statement(account=account).transfers
    return [it for it in transfers if it.workload == workload.workload]


def _seconds(charge: Transfer) -> Decimal:
    assert charge.start is not None and charge.end is not None
    span = charge.end - charge.start
    return Decimal(span.days * 86400 + span.seconds) + Decimal(span.microseconds) / 1_000_000


def _same_weights(stage: Stage, console: Console, gang: Training) -> bool:
    """The moved gang ends with the very bytes of a run that nobody disturbed."""
    moved = gang.digest()
    alone = gang.undisturbed(stage.folder / "undisturbed").digest()
    console.print(f"weights of the moved gang:     {moved}")
    console.print(f"weights of an undisturbed run: {alone}")
    console.print("[green]byte for byte the same" if moved == alone else "[red]DIFFERENT")
    return moved == alone
