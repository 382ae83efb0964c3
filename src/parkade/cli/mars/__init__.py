"""`parkade mars`: health of GPU nodes, with no server at all, and inside the marketplace."""

import typer

from parkade.cli.mars import explain, incidents, policy, run, scan

mars = typer.Typer(
    help="Find sick GPUs: scan a node, explain a code, watch a cluster.",
    no_args_is_help=True,
)
mars.command("scan")(scan.scan)
mars.command("explain")(explain.explain)
mars.command("run")(run.run)
mars.command("undo")(run.undo)
mars.command("export")(run.export)
mars.command("status")(incidents.status)
mars.command("events")(incidents.events)
mars.command("incidents")(incidents.incidents)
mars.command("stop")(incidents.stop)
mars.command("start")(incidents.start)
mars.command("budget")(incidents.budget)
mars.add_typer(policy.policy, name="policy")
