"""`parkade sim`: the marketplace in simulation, with no server at all."""

import typer

from parkade.cli.sim import fuzz

sim = typer.Typer(
    help="Try to break the marketplace in simulation; no server is needed.",
    no_args_is_help=True,
)
sim.command("fuzz")(fuzz.fuzz)


@sim.callback()
def main() -> None:
    """Try to break the marketplace in simulation; no server is needed."""
