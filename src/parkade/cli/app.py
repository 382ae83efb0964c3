"""Every command by its name."""

from collections.abc import Callable

import typer

from parkade.cli import (
    admin,
    agent,
    events,
    journal,
    login,
    mars,
    nodes,
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
from parkade.cli.sim import simulation

PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Work": (
        workloads.ps,
        workloads.why,
        workloads.logs,
        workloads.hold,
        workloads.release,
        workloads.cancel,
        workloads.bid,
    ),
    "Capacity": (
        reservations.reserve,
        reservations.reservations,
        reservations.end,
        reservations.lend,
        reservations.waits,
        reservations.claim,
        reservations.unclaim,
        reservations.claims,
    ),
    "Money": (prices.prices, statements.statement, people.deposit),
    "Server": (up.up, login.login, login.status, events.events),
}
GROUPS = {
    "Compound": {"compound": compound.compound},
    "Installation": {
        "org": people.orgs,
        "user": people.users,
        "token": people.tokens,
        "pool": pools.pools,
        "agent": agent.agent,
        "node": nodes.nodes,
        "price": prices.price,
        "clock": login.clock,
        "admin": admin.admin,
        "journal": journal.journal,
    },
    "Machines": {"mars": mars.mars, "observe": observe.observing},
    "Proof": {"sim": simulation},
}


def _build() -> typer.Typer:
    app = typer.Typer(
        help="A marketplace for AI compute: submit work, reserve and lend GPUs, see every cent.",
        no_args_is_help=True,
        add_completion=False,
        # A traceback with local variables could show a token.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, text in (
        ("submit", "Submit a workload from a file, flags, or both."),
        ("plan", "Show what a workload would get and pay in the next clearing."),
    ):
        app.command(name, help=text, rich_help_panel="Work")(submit.submit)
    for panel, commands in PANELS.items():
        for command in commands:
            app.command(rich_help_panel=panel)(command)
    for panel, groups in GROUPS.items():
        for name, group in groups.items():
            app.add_typer(group, name=name, rich_help_panel=panel)
    return app


app = _build()
