"""`parkade sim`: the shipped program in simulation, by random stories and searched exhaustively."""

import typer

from parkade.cli.sim import check, fuzz

simulation = typer.Typer(help="Prove the shipped program in simulation.", no_args_is_help=True)
simulation.command("check")(check.check)
simulation.command("fuzz")(fuzz.fuzz)
