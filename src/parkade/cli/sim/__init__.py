<<<<<<< HEAD
"""`parkade sim`: the marketplace in simulation, with no server at all."""

import typer

from parkade.cli.sim import replay

sim = typer.Typer(
    help="Try the marketplace in simulation; no server is needed.",
    no_args_is_help=True,
)
sim.command("replay")(replay.replay)
sim.command("example")(replay.example)


@sim.callback()
def main() -> None:
    """Try the marketplace in simulation; no server is needed."""
=======
"""`parkade sim`: the shipped program in simulation, and searched exhaustively."""

import typer

from parkade.cli.sim import check

sim = typer.Typer(help="Prove the shipped program in simulation.", no_args_is_help=True)
sim.command("check")(check.check)
>>>>>>> main
