"""`parkade mars`: health of GPU nodes, with no server at all."""

import typer

from parkade.cli.mars import explain, policy, scan

mars = typer.Typer(
    help="Find sick GPUs: scan a node, explain a code, see and test the policy.",
    no_args_is_help=True,
)
mars.command("scan")(scan.scan)
mars.command("explain")(explain.explain)
mars.add_typer(policy.policy, name="policy")
