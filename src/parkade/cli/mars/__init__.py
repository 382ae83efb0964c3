"""`parkade mars`: health of GPU nodes, with no server at all, and inside the marketplace."""

from collections.abc import Callable

import typer

from parkade.cli.mars import explain, incidents, policy, run, scan

mars = typer.Typer(
    help="Find sick GPUs: scan a node, explain a code, watch a cluster.",
    no_args_is_help=True,
)
COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Without a server": {
        "scan": scan.scan,
        "explain": explain.explain,
        "run": run.run,
        "undo": run.undo,
        "export": run.export,
    },
    "With a server": {
        "status": incidents.status,
        "events": incidents.events,
        "incidents": incidents.incidents,
        "stop": incidents.stop,
        "start": incidents.start,
        "budget": incidents.budget,
    },
}
for _panel, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        mars.command(_name, rich_help_panel=_panel)(_command)
mars.add_typer(policy.policy, name="policy", rich_help_panel="Without a server")
