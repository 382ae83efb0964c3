"""Every command by its name."""

from collections.abc import Callable
from typing import Annotated

import typer

from parkade import __version__
from parkade.cli import (
    admin,
    agent,
    costs,
    events,
    execs,
    following,
    joining,
    journal,
    listing,
    login,
    maintenance,
    market,
    mars,
    nodes,
    notify,
    observe,
    people,
    pools,
    prices,
    reservations,
    statements,
    submit,
    up,
    workloads,
)
from parkade.cli.compound import app as compound
from parkade.cli.other_words import Commands
from parkade.cli.sbatch import command as batch
from parkade.cli.sim import simulation

PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Work": (
        listing.ps,
        listing.history,
        workloads.show_workload,
        workloads.why,
        following.logs,
        following.wait,
        execs.attach,
        execs.exec_,
        workloads.hold,
        workloads.release,
        workloads.cancel,
        workloads.bid,
        workloads.change,
        workloads.resubmit,
        workloads.retry,
    ),
    "Capacity": (
        reservations.reserve,
        reservations.reservations,
        reservations.extend,
        reservations.split,
        reservations.shrink,
        reservations.end,
        reservations.lend,
        reservations.waits,
        reservations.claim,
        reservations.unclaim,
        reservations.claims,
    ),
    "Money": (
        prices.prices,
        statements.accounts,
        statements.statement,
        costs.showback,
        costs.costs,
        people.deposit,
        people.disburse,
        people.refund,
    ),
    "Server": (up.up, login.login, login.logout, login.status, events.events),
}
NAMES = {execs.exec_: "exec", workloads.show_workload: "show"}
"""Of commands whose function has another name."""
GROUPS = {
    "Server": {"notify": notify.notify},
    "Compound": {"compound": compound.compound},
    "Installation": {
        "org": people.orgs,
        "user": people.users,
        "token": people.tokens,
        "pool": pools.pools,
        "agent": agent.agent,
        "node": nodes.nodes,
        "maintenance": maintenance.maintenance,
        "price": prices.price,
        "clock": login.clock,
        "admin": admin.admin,
        "journal": journal.journal,
    },
    "Machines": {"mars": mars.mars, "observe": observe.observing},
    "Proof": {"sim": simulation, "market": market.market},
}


def _show_version(is_asked: bool) -> None:
    if is_asked:
        print(f"parkade {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options of the whole program."""


def _build() -> typer.Typer:
    app = typer.Typer(
        cls=Commands,
        help="A marketplace for AI compute: submit work, reserve and lend GPUs, see every cent.",
        no_args_is_help=True,
        # A traceback with local variables could show a token.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name, text in (
        ("submit", "Submit a workload from a file, flags, or both."),
        ("run", "Submit a workload, print what rank 0 prints, and end as it does. Ctrl-C cancels."),
        ("plan", "Show what a workload would get and pay in the next clearing."),
    ):
        epilog = following.HELP_ON_EXIT if name == "run" else None
        app.command(name, help=text, epilog=epilog, rich_help_panel="Work")(submit.submit)
    app.command(help=batch.HELP, context_settings=batch.SETTINGS, rich_help_panel="Work")(
        batch.sbatch
    )
    for panel, commands in PANELS.items():
        for command in commands:
            epilog = following.HELP_ON_EXIT if command is following.wait else None
            app.command(NAMES.get(command), rich_help_panel=panel, epilog=epilog)(command)
    agent.agent.command()(joining.join)
    pools.pools.command()(joining.doctor)
    pools.pools.command()(joining.launcher)
    for panel, groups in GROUPS.items():
        for name, group in groups.items():
            is_old = group is journal.journal
            app.add_typer(group, name=name, rich_help_panel=panel, hidden=is_old)
    return app


app = _build()
